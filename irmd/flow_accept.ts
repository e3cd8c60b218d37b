/** IRM_FLOW_ACCEPT (spec 20 §7.3): waits for a request, runs the server half of OAP, answers both sides. */

import { FLOW_ASK } from "../lib/codes.ts";
import { Errno } from "../lib/errno.ts";
import {
  decodeIrmMsg,
  encodeIrmMsg,
  FlowState,
  IpcpCode,
  IrmCode,
  OTHER_HOSTS,
  refusalDetail,
  timeoMs,
} from "../lib/irm/messages.ts";
import { MESSAGE_BYTES_MAX } from "../lib/limits.ts";
import { printable } from "../lib/printable.ts";
import { isWireError } from "../lib/wire/mod.ts";
import { isOapFailure, type PeerIdentity } from "../security/oap/mod.ts";
import { failed, invalid, ok, type Outcome } from "./answer.ts";
import type { Client } from "./client.ts";
import type { Asker } from "./costly.ts";
import type { Daemon } from "./daemon.ts";
import {
  DATA_BYTES_MAX,
  fitsIpcp,
  giveUp,
  granted,
  keysRefused,
  logFlow,
  NO_BYTES,
  noFlowId,
  notAnnounced,
  peerOf,
  securityOf,
} from "./flows.ts";
import { causeOf, type IpcpReply, processOf, resultOf } from "./ipcp_client.ts";
import type { FlowRecord } from "./registry/mod.ts";
import type { Having } from "./requests.ts";
import { settled } from "./waits.ts";

/** Serves an accept; without reply when the process went away. A request that is refused does not end it. */
export async function accept(d: Daemon, client: Client, msg: Having<"flowInfo">): Promise<Outcome> {
  const endMs = d.nowMs() + (msg.timeo === undefined ? Infinity : timeoMs(msg.timeo));
  for (;;) {
    const outcome = await acceptOne(d, client, msg, endMs);
    if (outcome !== REFUSED) return outcome;
    if (client.gone) return undefined;
  }
}

/** The request came to nothing for a reason that is not the acceptor's: another may come. */
const REFUSED = Symbol("refused");

async function acceptOne(
  d: Daemon,
  client: Client,
  msg: Having<"flowInfo">,
  endMs: number,
): Promise<Outcome | typeof REFUSED> {
  const stage = "flow accept";
  const info = msg.flowInfo;
  const data = msg.pk ?? NO_BYTES;
  if (data.length > DATA_BYTES_MAX) return invalid(stage, "too much data");
  const r = d.registry.accept(info.nPid, info.qos);
  if (typeof r === "number") return failed(r, stage, acceptCause(d, r, info.nPid));
  const { flow } = r;
  const outcome = await settled(
    r.waiter,
    client,
    endMs - d.nowMs(),
    (by) => d.registry.acceptEnd(flow, by === "deadline" ? -Errno.ETIMEDOUT : -Errno.EPIPE),
  );
  if (outcome.kind === "failed") {
    return outcome.code === -Errno.EPIPE ? undefined : failed(outcome.code, stage);
  }
  const { name, request, direct } = outcome;
  const record = d.registry.names.get(name);
  if (record === undefined) {
    await refuse(d, flow, direct, -Errno.ENAME);
    return REFUSED;
  }
  const proc = d.registry.procs.get(flow.nPid);
  const noKeys = proc === undefined ? undefined : keysRefused(d, record, proc, "server");
  if (noKeys !== undefined) {
    d.log.warn(`Flow request for ${name} refused: ${noKeys}.`);
    await refuse(d, flow, direct, -Errno.EAUTH, noKeys);
    return failed(-Errno.EAUTH, "oap", noKeys);
  }
  const oap = await d.oap.serve(
    securityOf(d, record, name),
    name,
    request,
    data,
    d.costly.for(askerOf(d, flow, direct)),
  );
  if (isOapFailure(oap)) {
    await refuse(d, flow, direct, oap.code, oap.reason);
    // Of what an asker does wrong the log has the reason.
    return oap.own ? failed(oap.code, "oap", oap.reason) : REFUSED;
  }
  if (!d.registry.flows.holds(flow)) {
    oap.key?.fill(0);
    return REFUSED;
  }
  if (((msg.opts ?? 0) & FLOW_ASK) !== 0) {
    const ended = await askAcceptor(d, client, flow, { name, direct, peer: oap.peer });
    if (ended !== ACCEPTED) {
      oap.key?.fill(0);
      return ended;
    }
  }
  if (direct) {
    // The client's end tells of the flow; the record must have what it is to say before the client goes on.
    flow.said = oap.said;
    d.registry.directRespond(flow, oap.response);
    d.log.dbg(`Flow ${flow.id} accepted (direct) by ${flow.nPid} for ${name}.`);
  } else {
    const sent = await allocResp(d, flow, { response: 0, data: oap.response });
    if (resultOf(sent) < 0) {
      oap.key?.fill(0);
      giveUp(d, flow, flow.nPid);
      const who = processOf(sent, `ipcpd ${d.registry.ipcps.get(flow.n1Pid)?.name ?? flow.n1Pid}`);
      return failed(-Errno.EIPCP, "alloc response", causeOf(sent), who);
    }
    logFlow(d, flow, `accepted by ${flow.nPid} for ${name} (uid ${flow.uid})`, oap.said);
  }
  return granted(d, flow, flow.nPid, oap, { opts: msg.opts, name });
}

/** Who pays for what is costly of an answer: whoever asked. */
function askerOf(d: Daemon, flow: FlowRecord, direct: boolean): Asker {
  const wanted = () => d.registry.flows.holds(flow) && (!direct || flow.wait.kind === "response");
  if (!direct) return { uid: OTHER_HOSTS, wanted };
  const uid = d.registry.procs.get(flow.n1Pid)?.uid ?? OTHER_HOSTS;
  return { uid: uid === d.ownUid ? 0 : uid, wanted };
}

/** The acceptor wants the flow. */
const ACCEPTED = Symbol("accepted");

/** Tells the acceptor who asks and does what it says; what ends its accept where it does not want the flow. */
async function askAcceptor(
  d: Daemon,
  client: Client,
  flow: FlowRecord,
  request: { name: string; direct: boolean; peer: PeerIdentity | undefined },
): Promise<Outcome | typeof ACCEPTED> {
  const { name, direct, peer } = request;
  const layer = direct ? undefined : d.registry.ipcps.get(flow.n1Pid)?.layer;
  const question = encodeIrmMsg({
    code: IrmCode.IRM_REPLY,
    result: 0,
    opts: FLOW_ASK,
    name,
    flowInfo: { ...flow.info(flow.nPid), state: FlowState.ACCEPT_PENDING },
    ...(layer === undefined ? {} : { layer }),
    ...(peer === undefined ? {} : { peer: peerOf(peer) }),
  });
  const answer = await client.ask(question, MESSAGE_BYTES_MAX);
  const verdict = answer === undefined ? undefined : decodeIrmMsg(answer);
  if (verdict === undefined) {
    await refuse(d, flow, direct, -Errno.EPERM, "the server has gone", true);
    return undefined;
  }
  const response = isWireError(verdict) ? undefined : verdict.response;
  if (isWireError(verdict) || response === undefined) {
    await refuse(d, flow, direct, -Errno.EPERM, "the server answers nonsense", true);
    return invalid("flow accept", "the answer to a request has no response");
  }
  if (!d.registry.flows.holds(flow) || flow.state !== FlowState.ALLOCATED) {
    giveUp(d, flow, flow.nPid);
    return failed(-Errno.ENOTALLOC, "flow accept", "who asked has given up meanwhile");
  }
  if (response === 0) return ACCEPTED;
  // Two codes mean something to who asks on the way: try another.
  const kept = response > 0 || response === -Errno.EPIPE || response === -Errno.ENAME;
  const why = verdict.error?.cause || "it does not want the flow";
  d.log.info(`Flow request for ${name} refused by ${flow.nPid}: ${printable(why)}.`);
  await refuse(d, flow, direct, kept ? -Errno.EPERM : response, why, true);
  return ok();
}

function acceptCause(d: Daemon, code: number, pid: number): string {
  if (code === -Errno.EBADF) return noFlowId(d, pid);
  return d.registry.procs.has(pid)
    ? "no name of the process has a known load-balancing policy"
    : notAnnounced(pid);
}

/**
 * The server half failed, or the acceptor refuses: the far side gets the code, the flow goes.
 * @param said the code and the reason are the acceptor's, for the far side
 */
async function refuse(
  d: Daemon,
  flow: FlowRecord,
  direct: boolean,
  code: number,
  why?: string,
  said = false,
): Promise<void> {
  if (!direct && d.registry.flows.holds(flow)) {
    const cause = said && why !== undefined ? printable(why) : undefined;
    const told = await allocResp(d, flow, { response: code, data: NO_BYTES, cause });
    // It still holds the flow: its id must rest until it has let go.
    if (told.kind !== "reply") return giveUp(d, flow, flow.nPid);
  }
  // A client of this host is told -ECRYPT whatever the reason (spec 40 §11).
  // It is the same user or privileged as the server is, so the reason may name files.
  d.registry.drop(flow, direct && !said ? -Errno.ECRYPT : code, why);
}

/** FLOW_ALLOC_RESP; why it refuses is skipped by IPCPs of the prototype. */
async function allocResp(
  d: Daemon,
  flow: FlowRecord,
  { response, data, cause }: { response: number; data: Uint8Array; cause?: string | undefined },
): Promise<IpcpReply> {
  if (!fitsIpcp(d, flow.n1Pid, data)) {
    const result = -Errno.EMSGSIZE;
    const told = await allocResp(d, flow, { response: result, data: NO_BYTES });
    if (resultOf(told) < 0) return told;
    return { kind: "reply", result, msg: { code: IpcpCode.IPCP_REPLY, result } };
  }
  return await d.ipcpClient.call(flow.n1Pid, "alloc_resp", {
    code: IpcpCode.IPCP_FLOW_ALLOC_RESP,
    flowId: flow.id,
    pid: flow.nPid,
    uid: flow.uid,
    response,
    ...(response === 0 ? { pk: data } : {}),
    ...(cause ? { error: refusalDetail(cause) } : {}),
  });
}

/**
 * IRM_FLOW_ALLOC (spec 20 §7.1, §7.2, §8.4): a process of this host if one will do, else over a layer; the client
 * half of OAP in either case. The search for an acceptor is in `acceptors.ts`.
 */

import { Errno, errnoText } from "../lib/errno.ts";
import { shellWord } from "../lib/cli/shell_word.ts";
import { nameHash } from "../lib/hash.ts";
import { IpcpCode, IpcpType, timeoMs } from "../lib/irm/messages.ts";
import { procStat } from "../lib/sys/process.ts";
import { isOapFailure, type OapClientSession } from "../security/oap/mod.ts";
import { withReason } from "../security/reason.ts";
import { findAcceptor } from "./acceptors.ts";
import { type Answer, failed, invalid, type Outcome } from "./answer.ts";
import type { Client } from "./client.ts";
import type { Asker } from "./costly.ts";
import type { Daemon } from "./daemon.ts";
import {
  ALLOC_MS,
  DATA_BYTES_MAX,
  fitsIpcp,
  giveUp,
  granted,
  logFlow,
  NO_BYTES,
  noFlowId,
  noRings,
  notAnnounced,
  securityOf,
  timedOut,
} from "./flows.ts";
import { causeOf, type IpcpReply, processOf, resultOf } from "./ipcp_client.ts";
import type { FlowRecord, IpcpRecord, NameRecord, ProcRecord } from "./registry/mod.ts";
import type { Having } from "./requests.ts";
import { settled } from "./waits.ts";

/** An allocation on its way. */
interface AllocRequest {
  readonly client: Client;
  readonly msg: Having<"flowInfo">;
  readonly dst: string;
  readonly data: Uint8Array;
  readonly proc: ProcRecord;
  /** Undefined: the name is not known here, so only layers may know it. */
  readonly record: NameRecord | undefined;
  /** Deadline, ms. */
  readonly endMs: number;
  /** Why there is no direct flow, when there is more to say than that nobody accepts. */
  noDirect?: string;
}

/** Serves an allocation; without reply when the client went away. */
export async function alloc(
  d: Daemon,
  client: Client,
  msg: Having<"flowInfo" | "dst">,
): Promise<Outcome> {
  const stage = "flow alloc";
  const { dst, flowInfo: info } = msg;
  const data = msg.pk ?? NO_BYTES;
  if (data.length > DATA_BYTES_MAX) return invalid(stage, "too much data");
  const endMs = d.nowMs() + (msg.timeo === undefined ? ALLOC_MS : timeoMs(msg.timeo));
  const proc = d.registry.procs.get(info.nPid);
  if (proc === undefined) return invalid(stage, notAnnounced(info.nPid));
  const record = d.registry.names.get(dst);
  const layers = d.options.askLayers ? d.registry.candidates(proc.pid).length : 0;
  if (record === undefined && layers === 0) return unknownName(dst);
  d.log.dbg(`Allocating flow for ${proc.pid} to ${dst} (uid ${proc.flowUid}).`);
  const request: AllocRequest = { client, msg, dst, data, proc, record, endMs };
  if (d.options.direct && record !== undefined) {
    const direct = await allocDirect(d, request);
    if (direct !== "elsewhere") return direct;
  }
  return await allocOver(d, request);
}

/** Tries processes of this host; `elsewhere` when none will do (spec 20 §7.2). */
async function allocDirect(d: Daemon, q: AllocRequest): Promise<Outcome | "elsewhere"> {
  const { proc, dst } = q;
  for (;;) {
    const found = await findAcceptor(d, dst, q.client, q.endMs, {
      pid: proc.pid,
      uid: proc.flowUid,
    });
    if (found.kind === "hang-up") return undefined;
    if (found.kind === "failed" && found.code === -Errno.ENAME) return unknownName(dst);
    if (found.kind === "foreign") {
      q.noDirect = `"${dst}" is served here by another user's process or the caller itself`;
    } else if (found.kind === "failed" && found.why !== undefined) q.noDirect = found.why;
    if (found.kind !== "reserved") return "elsewhere";
    const { reservation } = found;
    const { flow } = reservation;
    const oap = await prepare(d, q);
    if ("msg" in oap) {
      d.registry.release(reservation);
      return oap;
    }
    if (!d.registry.stillReserved(reservation)) continue;
    using rings = d.objects.makeRings(flow.id, flow.nPid, proc.pid, proc.flowUid);
    if (rings.code < 0) {
      d.registry.release(reservation);
      return noRings(rings.code);
    }
    const waiter = d.registry.direct(reservation, {
      clientPid: proc.pid,
      qos: q.msg.flowInfo.qos,
      request: oap.request,
    });
    if (typeof waiter === "number") continue;
    rings.handOver();
    let late = false;
    const outcome = await settled(waiter, q.client, q.endMs - d.nowMs(), (by) => {
      late = by === "deadline";
      giveUp(d, flow, proc.pid);
    });
    if (outcome.kind === "failed") {
      if (late) return timedOut(dst);
      if (q.client.gone) return undefined;
      if (outcome.code === -Errno.EPIPE) continue; // The acceptor died; there may be others.
      const reason = outcome.why?.replace(/\.$/, "");
      return failed(
        outcome.code,
        outcome.code === -Errno.ECRYPT ? "oap" : "flow alloc",
        reason === undefined ? "the server refused" : `the server refused: ${reason}`,
      );
    }
    return await complete(d, q, flow, oap, outcome.response, "(direct)");
  }
}

/** The client half of OAP so far: the request, or the answer when there is none. */
async function prepare(d: Daemon, q: AllocRequest): Promise<OapClientSession | Answer> {
  const { dst } = q;
  const security = securityOf(d, q.record, dst, q.proc);
  const oap = await d.oap.prepare(security, dst, q.data, d.costly.for(askerOf(d, q)));
  if (!isOapFailure(oap)) return oap;
  return d.nowMs() >= q.endMs ? timedOut(dst) : failed(oap.code, "oap", oap.reason);
}

/** The rest of it: the flow is the process's when the server's response is good. */
async function complete(
  d: Daemon,
  q: AllocRequest,
  flow: FlowRecord,
  oap: OapClientSession,
  response: Uint8Array,
  how: string,
): Promise<Outcome> {
  const { dst, proc: { pid } } = q;
  const done = await oap.complete(response);
  if (isOapFailure(done)) {
    giveUp(d, flow, pid);
    if (d.nowMs() >= q.endMs) return timedOut(dst);
    d.log.error(withReason(`OAP completion failed for ${dst}.`, done.reason));
    return failed(-Errno.ECRYPT, "oap", done.reason);
  }
  const answer = granted(d, flow, pid, done, { opts: q.msg.opts, name: dst });
  const said = [...done.said, ...flow.said];
  return {
    ...answer,
    delivered: () => logFlow(d, flow, `allocated ${how} for ${pid} to ${dst}`, said),
  };
}

/** Who pays for what is costly of a request and its completion. */
function askerOf(d: Daemon, q: AllocRequest): Asker {
  const { uid } = q.proc;
  return {
    uid: uid === d.ownUid ? 0 : uid,
    wanted: () => !q.client.gone && d.nowMs() < q.endMs,
    leftMs: () => q.endMs - d.nowMs(),
  };
}

/** Goes over a layer (spec 20 §8.4). */
async function allocOver(d: Daemon, q: AllocRequest): Promise<Outcome> {
  const { proc, dst } = q;
  const flow = d.registry.alloc(proc.pid, q.msg.flowInfo.qos);
  if (typeof flow === "number") return failed(flow, "flow alloc", noFlowId(d, proc.pid));
  const abandon = (answer: Outcome): Outcome => {
    d.registry.drop(flow, -Errno.EPIPE);
    return answer;
  };
  const ipcp = await query(d, dst, q.endMs, proc.pid);
  if (q.client.gone) return abandon(undefined);
  if (typeof ipcp === "string") {
    return abandon(
      q.record === undefined
        ? unknownName(dst, ipcp)
        : failed(-Errno.EIPCP, "query", unreachable(d, q, ipcp)),
    );
  }
  const oap = await prepare(d, q);
  if ("msg" in oap) return abandon(oap);
  const hash = nameHash(ipcp.hashAlgo, dst);
  if (typeof hash === "number") return abandon(failed(-Errno.EIPCP, "query", "unknown hash"));
  if (!d.registry.flows.holds(flow)) return undefined;
  if (!fitsIpcp(d, ipcp.pid, oap.request)) {
    const cause = `the request has ${oap.request.length} bytes, more than ipcpd ${ipcp.name} reads`;
    return abandon(failed(-Errno.EIPCP, "flow alloc", cause));
  }
  using rings = d.objects.makeRings(flow.id, proc.pid, ipcp.pid, proc.flowUid);
  if (rings.code < 0) return abandon(noRings(rings.code));
  const waiter = d.registry.allocOver(flow, ipcp.pid);
  if (typeof waiter === "number") {
    return abandon(failed(waiter, "flow alloc", "the IPCP or the process has gone"));
  }
  rings.handOver();
  let by: string | undefined;
  const outcome = settled(waiter, q.client, q.endMs - d.nowMs(), (why) => {
    by = why;
    giveUp(d, flow, proc.pid);
  });
  const asked = await Promise.race([
    outcome,
    d.ipcpClient.call(ipcp.pid, "alloc", {
      code: IpcpCode.IPCP_FLOW_ALLOC,
      flowId: flow.id,
      pid: proc.pid,
      uid: proc.flowUid,
      qos: q.msg.flowInfo.qos,
      hash,
      pk: oap.request,
    }),
  ]);
  if (
    (asked.kind === "reply" && asked.result !== 0) || asked.kind === "silent" ||
    asked.kind === "unreachable"
  ) {
    // Without an answer it may have taken the flow all the same, or take it later.
    if (asked.kind === "reply") d.registry.drop(flow, -Errno.EIPCP);
    else d.registry.giveUp(flow, proc.pid, d.nowMs());
    const who = `ipcpd ${ipcp.name}`;
    return failed(-Errno.EIPCP, "flow alloc", causeOf(asked), processOf(asked, who));
  }
  const end = await outcome;
  if (end.kind === "failed") {
    if (by === "deadline") return timedOut(dst);
    if (by === "hang-up" || q.client.gone) return undefined;
    const removed = end.code === -Errno.EPIPE;
    const cause = removed
      ? "the flow was removed"
      : end.why === undefined
      ? refusedThere(end.code, dst)
      : `the host of "${dst}" refused: ${end.why}`;
    d.log.warn(withReason(`Allocation rejected: ${dst} (${end.code}).`, cause));
    return failed(removed ? -Errno.EPERM : end.code, "flow alloc", cause);
  }
  return await complete(d, q, flow, oap, end.response, `over ${ipcp.layer}`);
}

/** How long an IPCP is waited for while another one may know the name, ms (spec 20 §9). */
const QUERY_MS = 200;

/**
 * The first IPCP in order of preference that knows the name; all are asked at once (spec 20 §19.22). Where none knows
 * it, those that have not answered yet and could get more time: that a host is busy is no reason to call a name
 * unknown. If there is none: all that were asked, in order of preference, with what they said, in brackets; "" when
 * there was nobody to ask.
 */
export async function query(
  d: Daemon,
  dst: string,
  endMs: number,
  forPid = 0,
): Promise<IpcpRecord | string> {
  const asked = d.registry.candidates(forPid).map((ipcp) => {
    const hash = nameHash(ipcp.hashAlgo, dst);
    const reply = typeof hash === "number" ? Promise.resolve(undefined) : d.ipcpClient.call(
      ipcp.pid,
      "query",
      { code: IpcpCode.IPCP_QUERY, hash },
      Math.max(0, endMs - d.nowMs()),
    );
    return { ipcp, reply };
  });
  const soonMs = QUERY_MS * d.ipcpClient.patience;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const soon = new Promise<IpcpReply>((over) => {
    const cause = `did not answer in ${soonMs} ms`;
    timer = setTimeout(() => over({ kind: "silent", cause }), soonMs);
  });
  try {
    for (const { ipcp, reply } of asked) {
      const r = await Promise.race([reply, soon]);
      if (r !== undefined && resultOf(r) >= 0) return ipcp;
    }
  } finally {
    clearTimeout(timer);
  }
  const said: string[] = [];
  for (const { ipcp, reply } of asked) {
    const waitsInVain = isEthernet(ipcp) || isStopped(ipcp);
    const r = await (waitsInVain ? Promise.race([reply, soon]) : reply);
    if (r !== undefined && resultOf(r) >= 0) return ipcp;
    const cause = r === undefined
      ? "the hash of its layer is unknown here"
      : r.kind === "reply"
      ? r.msg.error?.cause
      : r.kind === "silent" && isEthernet(ipcp) && !isStopped(ipcp)
      ? "nobody on its Ethernet knows it"
      : r.cause;
    said.push(cause === undefined ? ipcp.name : `${ipcp.name}: ${cause}`);
  }
  return said.length === 0 ? "" : ` (asked: ${said.join("; ")})`;
}

/** Who asks an Ethernet for a name hears nothing when nobody has it (spec 50 §10.1): silence is the answer. */
function isEthernet({ type }: IpcpRecord): boolean {
  return type === IpcpType.ETH_DIX || type === IpcpType.ETH_LLC;
}

/** By a signal, or it has gone: it asked nobody. */
function isStopped({ pid }: IpcpRecord): boolean {
  return /[tT]/.test(procStat(pid)?.state ?? "T");
}

/** @param asked the IPCPs that were asked, in brackets */
function unreachable(d: Daemon, q: AllocRequest, asked: string): string {
  const { dst } = q;
  if (asked !== "") {
    const here = q.noDirect === undefined ? "" : `${q.noDirect}, and `;
    const known = `no IPCP of this node knows "${dst}"${asked}`;
    return `${here}${known}; at its host: irm name register ${shellWord(dst)} layer LAYER`;
  }
  if (!d.options.direct) return "direct flows are off and no IPCP is in a layer";
  if (q.noDirect !== undefined) return `${q.noDirect}, and no IPCP is in a layer`;
  const { record } = q;
  return record === undefined || (record.procs.size === 0 && record.autostart.length === 0)
    ? `nothing is bound to "${dst}" here (irm bind program PROG name ${
      shellWord(dst)
    }), and no IPCP is in a layer`
    : `nothing that is bound to "${dst}" accepts flows here, and no IPCP is in a layer`;
}

/** What the answer of the far side means. */
function refusedThere(code: number, dst: string): string {
  switch (code) {
    case -Errno.EPERM: // What an IRMd says when its wait for an acceptor is over.
      return `nobody accepts flows for "${dst}" at its host`;
    case -Errno.EMSGSIZE:
      return `the request or the answer is too long for the layer, and "${dst}" is where no pieces are rejoined`;
    case -Errno.ENAME:
      return `the host that registered "${dst}" does not know it any more`;
  }
  return `the host of "${dst}" refused: ${errnoText(code)}`;
}

/** @param asked the IPCPs that were asked, in brackets */
function unknownName(dst: string, asked = ""): Answer {
  const create = `irm name create ${shellWord(dst)}`;
  const cause = asked === ""
    ? `name "${dst}" is not known here (${create})`
    : `name "${dst}" is not known here nor by an IPCP of this node${asked}; here: ${create}`;
  return failed(-Errno.ENAME, "flow alloc", cause);
}

/** IRM_FLOW_JOIN and IRM_FLOW_DEALLOC (spec 20 §7.4, §7.5, §8.2). */

import { Errno } from "../lib/errno.ts";
import { nameHash } from "../lib/hash.ts";
import { IpcpCode, timeoMs } from "../lib/irm/messages.ts";
import { failed, invalid, ok, type Outcome } from "./answer.ts";
import type { Client } from "./client.ts";
import type { Daemon } from "./daemon.ts";
import { ALLOC_MS, giveUp, logFlow, noFlowId, noRings, notAnnounced, timedOut } from "./flows.ts";
import { causeOf, processOf, resultOf } from "./ipcp_client.ts";
import type { Having } from "./requests.ts";
import { leaveThread } from "./threads.ts";
import { settled } from "./waits.ts";

/**
 * Linger a client may ask an IPCP for, s. The ids of endpoints are random (at C's UDP and Ethernet IPCPs they are not:
 * packets later than this may meet the next flow of the id, and are dropped there by who checks them).
 */
const LINGER_S_MAX = 10;

/** Serves a join of a layer; the flow has no OAP. */
export async function join(
  d: Daemon,
  client: Client,
  msg: Having<"flowInfo" | "dst">,
): Promise<Outcome> {
  const stage = "flow join";
  const { dst, flowInfo: info } = msg;
  const endMs = d.nowMs() + (msg.timeo === undefined ? ALLOC_MS : timeoMs(msg.timeo));
  const proc = d.registry.procs.get(info.nPid);
  if (proc === undefined) return invalid(stage, notAnnounced(info.nPid));
  d.log.dbg(`Allocating flow for ${proc.pid} to ${dst} (uid ${proc.flowUid}).`);
  const ipcp = d.registry.ipcps.byLayer(dst);
  const hash = ipcp === undefined ? undefined : nameHash(ipcp.hashAlgo, dst);
  if (ipcp === undefined || hash === undefined || typeof hash === "number") {
    return failed(-Errno.EIPCP, stage, `no IPCP of this node is in layer "${dst}"`);
  }
  const flow = d.registry.alloc(proc.pid, info.qos);
  if (typeof flow === "number") return failed(flow, stage, noFlowId(d, proc.pid));
  using rings = d.objects.makeRings(flow.id, proc.pid, ipcp.pid, proc.flowUid);
  const waiter = rings.code < 0 ? rings.code : d.registry.allocOver(flow, ipcp.pid);
  if (typeof waiter === "number") {
    d.registry.drop(flow, waiter);
    return rings.code < 0 ? noRings(waiter) : failed(waiter, stage, "the IPCP has gone");
  }
  rings.handOver();
  let by: string | undefined;
  const outcome = settled(waiter, client, endMs - d.nowMs(), (why) => {
    by = why;
    giveUp(d, flow, proc.pid);
  });
  const reply = await d.ipcpClient.call(ipcp.pid, "join", {
    code: IpcpCode.IPCP_FLOW_JOIN,
    flowId: flow.id,
    pid: proc.pid,
    uid: proc.flowUid,
    hash,
  });
  if (resultOf(reply) !== 0 && !waiter.settled) {
    // Without an answer it may have joined all the same, or join later.
    if (reply.kind === "reply") d.registry.drop(flow, -Errno.ENOTALLOC);
    else d.registry.giveUp(flow, proc.pid, d.nowMs());
    await outcome;
    const cause = resultOf(reply) === -Errno.ENOTSUP
      ? `layer "${dst}" is no broadcast layer`
      : causeOf(reply);
    return failed(-Errno.ENOTALLOC, stage, cause, processOf(reply, `ipcpd ${ipcp.name}`));
  }
  const end = await outcome;
  if (end.kind === "failed") {
    if (by === "deadline") return timedOut(dst);
    if (by === "hang-up" || client.gone) return undefined;
    return failed(end.code, stage, undefined, `ipcpd ${ipcp.name}`);
  }
  logFlow(d, flow, `joined ${dst} for ${proc.pid}`, []);
  return ok({ flowInfo: flow.info(proc.pid) }, () => giveUp(d, flow, proc.pid));
}

/** Serves a dealloc; of flow_info only id and n_pid mean anything. */
export function dealloc(d: Daemon, msg: Having<"flowInfo">): Outcome | Promise<Outcome> {
  const info = msg.flowInfo;
  const sec = msg.timeo === undefined ? 0 : Math.min(LINGER_S_MAX, Number(msg.timeo.sec));
  const r = d.registry.dealloc(info.nPid, info.id, sec, d.nowMs());
  if (r.code < 0) {
    return failed(r.code, "flow dealloc", `process ${info.nPid} has no flow ${info.id}`);
  }
  leaveThread(d, info.nPid, info.id);
  d.log.dbg(`Deallocating flow ${info.id} for process ${info.nPid} (timeout: ${sec} s).`);
  return r.ipcpPid === undefined ? ok() : deallocAt(d, r.ipcpPid, info.id, sec);
}

async function deallocAt(
  d: Daemon,
  ipcpPid: number,
  flowId: number,
  timeoSec: number,
): Promise<Outcome> {
  const reply = await d.ipcpClient.call(ipcpPid, "dealloc", {
    code: IpcpCode.IPCP_FLOW_DEALLOC,
    flowId,
    timeoSec,
  });
  // No answer in time is the ordinary case: the IPCP confirms later (spec 20 §7.5, §8.2).
  if (reply.kind !== "reply" || reply.result >= 0) return ok();
  return failed(-Errno.EIPCP, "flow dealloc", causeOf(reply), `ipcpd ${ipcpPid}`);
}

/** Tells an IPCP that nobody uses a flow any more; nobody waits for the answer. */
export function tellDealloc(d: Daemon, ipcpPid: number, flowId: number, timeoSec: number): void {
  const flow = d.registry.flows.get(flowId);
  deallocAt(d, ipcpPid, flowId, timeoSec).then((outcome) => {
    if (outcome?.msg.result === 0 || flow === undefined || !d.registry.flows.holds(flow)) return;
    // It never took the flow, so it will not confirm either.
    d.registry.ipcpDealloc(ipcpPid, flowId);
  }).catch((e) => {
    d.log.error(`Failed to deallocate flow ${flowId} at IPCP ${ipcpPid}: ${e}.`);
  });
}

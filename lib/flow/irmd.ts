/**
 * The flow library's requests to the IRMd (spec 30 §4): what is sent, and what a reply must hold before
 * it is believed (spec 30 §18.10). Building and checking only; `lib/irm/client.ts` does the talking.
 */

import { FLOW_ABOUT, FLOW_KEEP } from "../codes.ts";
import { Errno, OuroError } from "../errno.ts";
import { type FlowInfo, flowInfoOf, IrmCode, type IrmMsg, timeoOfMs } from "../irm/messages.ts";
import type { FlowAbout } from "./options.ts";
import { FLOW_IDS_MAX, SYMKEY_BYTES } from "../limits.ts";
import { QOS_NP1, type QosSpec } from "../qos.ts";
import { cipherByNid } from "../wire/oap_ids.ts";

/** How a flow comes into being. */
export type FlowCall = "alloc" | "accept" | "join";

/** What the IRMd granted: the flow and, when it is encrypted, cipher and key. */
export interface FlowGrant {
  readonly info: FlowInfo;
  /** Names, layer and peer. */
  readonly about: FlowAbout;
  readonly cipherNid: number;
  /** 32 bytes in a buffer of their own when `cipherNid` isn't 0. The receiver wipes it. */
  readonly symKey: Uint8Array<ArrayBuffer>;
}

const CODES: Record<FlowCall, number> = {
  alloc: IrmCode.IRM_FLOW_ALLOC,
  accept: IrmCode.IRM_FLOW_ACCEPT,
  join: IrmCode.IRM_FLOW_JOIN,
};

/** The announcement of a process. */
export function announceRequest(pid: number, prog: string): IrmMsg {
  return { code: IrmCode.IRM_PROC_ANNOUNCE, pid, prog };
}

/** The farewell of a process. */
export function exitRequest(pid: number): IrmMsg {
  return { code: IrmCode.IRM_PROC_EXIT, pid };
}

/** The request for a flow. `timeoutMs` undefined leaves the limit to the IRMd (20 s; none for accept). */
export function flowRequest(
  call: FlowCall,
  { pid, thread }: { readonly pid: number; readonly thread?: number | undefined },
  dst: string,
  qos: QosSpec,
  timeoutMs: number | undefined,
): IrmMsg {
  return {
    code: CODES[call],
    flowInfo: flowInfoOf({ nPid: pid, qos: call === "join" ? QOS_NP1 : qos }),
    ...(call === "accept" ? {} : { dst }),
    opts: FLOW_ABOUT | FLOW_KEEP,
    ...(thread === undefined ? {} : { thread }),
    ...(timeoutMs === undefined ? {} : { timeo: timeoOfMs(timeoutMs) }),
  };
}

/** The request to end a flow; the layer below holds it for `lingerS` seconds. */
export function deallocRequest(pid: number, flowId: number, lingerS: number): IrmMsg {
  return {
    code: IrmCode.IRM_FLOW_DEALLOC,
    flowInfo: flowInfoOf({ id: flowId, nPid: pid }),
    opts: FLOW_KEEP,
    timeo: { sec: Math.max(0, Math.ceil(lingerS)), nsec: 0 },
  };
}

/** The question what the IPCP below a flow dropped of it. */
export function lossesRequest(pid: number, flowId: number): IrmMsg {
  return { code: IrmCode.IRM_FLOW_LOSSES, flowInfo: flowInfoOf({ id: flowId, nPid: pid }) };
}

/** Result of a reply, -EIRMD when it has none. */
export function resultOf(reply: IrmMsg): number {
  return reply.result ?? -Errno.EIRMD;
}

/**
 * The grant in a reply. Throws `OuroError` with the IRMd's code, or -EIRMD for a reply that can't be
 * right (then nothing is known to be allocated).
 */
export function grantOf(reply: IrmMsg, call: FlowCall, dst: string, pid: number): FlowGrant {
  const action = actionOf(call, dst);
  const result = resultOf(reply);
  if (result !== 0) throw new OuroError(result, action, reply.error);
  const info = reply.flowInfo;
  if (info === undefined) throw new OuroError(-Errno.EBADF, action);
  if (info.nPid !== pid || info.id < 1 || info.id >= FLOW_IDS_MAX || info.n1Pid < 1) {
    throw new OuroError(-Errno.EIRMD, action, {
      stage: call,
      process: "irmd",
      cause: `the IRMd answered with a flow that isn't ours (id ${info.id}, pid ${info.nPid})`,
    });
  }
  const symKey = new Uint8Array(reply.symKey ?? []);
  reply.symKey?.fill(0);
  const about = aboutOf(reply, call, dst);
  return { info, about, cipherNid: reply.cipherNid ?? 0, symKey };
}

/** What failed, for an error's message. */
export function actionOf(call: FlowCall, dst: string): string {
  if (call === "accept") return "Cannot accept a flow";
  return `Cannot ${call === "join" ? "join" : "allocate a flow to"} ${JSON.stringify(dst)}`;
}

/** What the reply says of names, layer and peer. */
function aboutOf({ name, layer, peer, cipherNid }: IrmMsg, call: FlowCall, dst: string): FlowAbout {
  return {
    ...(call === "accept" ? name ? { name } : {} : { name: dst }),
    accepted: call === "accept",
    // The destination of a join is the layer.
    ...(call === "join" ? { layer: dst } : layer ? { layer } : {}),
    ...(peer === undefined ? {} : { peer }),
    ...(cipherNid ? { cipher: cipherByNid(cipherNid)?.word ?? `cipher ${cipherNid}` } : {}),
  };
}

/** Why the local end of a granted flow can't be built, or 0. A key of another length is refused. */
export function grantProblem(grant: FlowGrant): number {
  return grant.cipherNid !== 0 && grant.symKey.length !== SYMKEY_BYTES ? -Errno.ECRYPT : 0;
}

/**
 * What an IPCP says to the IRMd (spec 50 §6). Only the named fields of `flow_info` have a meaning, the others
 * are zero; the limits of the layer are ours, the prototype's IRMd skips them. Nothing here throws: an IRMd that
 * cannot be reached is a negative result.
 */

import { reasonOf } from "../lib/cli/reason.ts";
import { Errno, OuroError } from "../lib/errno.ts";
import type { Instance } from "../lib/instance.ts";
import { irmRequest, irmRequestSync } from "../lib/irm/client.ts";
import {
  encodeIrmMsg,
  flowInfoOf,
  IpcpState,
  IrmCode,
  type IrmMsg,
  refusalDetail,
  type SduLimits,
} from "../lib/irm/messages.ts";
import { LONG_MESSAGE_BYTES_MAX, MESSAGE_BYTES_MAX } from "../lib/limits.ts";
import type { QosSpec } from "../lib/qos.ts";
import type { Verdict } from "./machine.ts";

/** The IRMd waits up to 2 s for an acceptor and may start a program meanwhile. */
const REQ_ARR_MS = 10_000;
const CALL_MS = 5000;

/** The answer to FLOW_REQ_ARR. */
export interface Arrival {
  /** 0, or why nobody takes the flow. */
  readonly result: number;
  /** Why, as the IRMd says. */
  readonly cause?: string | undefined;
  readonly flowId: number;
  /** The accepting process and its flow uid. */
  readonly pid: number;
  readonly uid: number;
}

export class IrmCalls {
  readonly #instance: Instance;
  readonly #pid: number;
  readonly #messageBytesMax: number;
  #told = Promise.resolve();

  /** @param messageBytesMax longest message that the IRMd reads */
  constructor(instance: Instance, pid: number, messageBytesMax = MESSAGE_BYTES_MAX) {
    this.#instance = instance;
    this.#pid = pid;
    this.#messageBytesMax = messageBytesMax;
  }

  async #call(m: IrmMsg, timeoutMs = CALL_MS): Promise<IrmMsg & { result: number }> {
    try {
      const reply = await irmRequest(this.#instance, m, { timeoutMs });
      return { ...reply, result: reply.result ?? -Errno.EIRMD };
    } catch (e) {
      return { code: IrmCode.IRM_REPLY, result: e instanceof OuroError ? e.code : -Errno.EIRMD };
    }
  }

  /** Announce this process; throws an OuroError. */
  announce(prog: string): void {
    const m = { code: IrmCode.IRM_PROC_ANNOUNCE, pid: this.#pid, prog };
    const { result = -Errno.EIRMD, error } = irmRequestSync(this.#instance, m);
    if (result < 0) throw new OuroError(result, "Cannot announce to the IRMd", error);
  }

  /** This process ends. */
  exit(): void {
    try {
      irmRequestSync(this.#instance, { code: IrmCode.IRM_PROC_EXIT, pid: this.#pid });
    } catch {
      // No IRMd, nobody to tell.
    }
  }

  /** The IPCP is in BOOT and takes commands. A line that says why the IRMd does not want it, if so. */
  async createR(type: number, name: string): Promise<string | undefined> {
    const ipcpInfo = { type, name, pid: this.#pid, state: IpcpState.BOOT };
    // To a prototype's IRMd nothing is said that it does not know.
    const more = this.#messageBytesMax > MESSAGE_BYTES_MAX
      ? { messageBytesMax: LONG_MESSAGE_BYTES_MAX }
      : {};
    const m = { code: IrmCode.IPCP_CREATE_R, ipcpInfo, ...more };
    const { result, error } = await this.#call(m);
    return result < 0 ? reasonOf(new OuroError(result, "Cannot report", error)) : undefined;
  }

  /** What users should know of the IPCP at the moment, for the list; undefined for nothing. Told in order. */
  status(type: number, name: string, line: string | undefined): Promise<void> {
    const ipcpInfo = { type, name, pid: this.#pid, state: IpcpState.OPERATIONAL };
    const error = line === undefined ? {} : { error: { stage: "", process: "", cause: line } };
    this.#told = this.#told.then(() => {
      return this.#call({ code: IrmCode.IPCP_STATUS, ipcpInfo, ...error }).then(() => {});
    });
    return this.#told;
  }

  /** A UDP IPCP has moved to another address, at which it is to be made again after a crash. */
  moved(
    type: number,
    name: string,
    to: { readonly family: 4 | 6; readonly ip: Uint8Array },
  ): Promise<void> {
    const ipcpInfo = { type, name, pid: this.#pid, state: IpcpState.OPERATIONAL };
    const m = { code: IrmCode.IPCP_MOVED, ipcpInfo, hash: to.ip };
    this.#told = this.#told.then(() => this.#call(m).then(() => {}));
    return this.#told;
  }

  /** Somebody asks for the name with this hash; the layer carries `sdu` of the flow. */
  async flowReqArr(
    hash: Uint8Array,
    qos: QosSpec,
    mplMs: number,
    data: Uint8Array,
    sdu: SduLimits,
  ): Promise<Arrival> {
    const flowInfo = flowInfoOf({ n1Pid: this.#pid, mpl: mplMs, qos, ...sdu });
    const m = { code: IrmCode.IPCP_FLOW_REQ_ARR, flowInfo, hash, pk: data };
    if (!this.#fits(m)) {
      const cause = "the request is too long for the IRMd";
      return { result: -Errno.EMSGSIZE, cause, flowId: -1, pid: -1, uid: 0 };
    }
    const r = await this.#call(m, REQ_ARR_MS);
    const info = r.flowInfo;
    if (r.result < 0 || info === undefined) {
      const result = r.result < 0 ? r.result : -Errno.EIRMD;
      return { result, cause: r.error?.cause, flowId: -1, pid: -1, uid: 0 };
    }
    return { result: 0, flowId: info.id, pid: info.nPid, uid: info.uid };
  }

  /** The far side answered our request; the layer carries `sdu` of the flow. */
  async flowAllocReply(
    flowId: number,
    { response, data, cause }: Verdict,
    mplMs: number,
    sdu: SduLimits,
  ): Promise<number> {
    const flowInfo = flowInfoOf({ id: flowId, mpl: mplMs, ...sdu });
    const reply = { code: IrmCode.IPCP_FLOW_ALLOC_REPLY, flowInfo, response };
    if (response !== 0) {
      // Never in the place of an OAP response: an IRMd of the prototype would abort.
      const refusal = { ...reply, pk: new Uint8Array(0) };
      const error = cause ? { error: refusalDetail(cause) } : {};
      return (await this.#call({ ...refusal, ...error })).result;
    }
    const m = { ...reply, pk: data };
    if (this.#fits(m)) return (await this.#call(m)).result;
    await this.#call({ ...m, response: -Errno.EMSGSIZE, pk: new Uint8Array(0) });
    return -Errno.EBADF; // So the flow is not the IRMd's any more.
  }

  #fits(m: IrmMsg): boolean {
    return (m.pk?.length ?? 0) < MESSAGE_BYTES_MAX / 2 ||
      encodeIrmMsg(m).length <= this.#messageBytesMax;
  }

  /** A flow is gone here. */
  async flowDealloc(flowId: number, pid: number): Promise<number> {
    const flowInfo = flowInfoOf({ id: flowId, n1Pid: pid });
    return (await this.#call({ code: IrmCode.IPCP_FLOW_DEALLOC, flowInfo })).result;
  }
}

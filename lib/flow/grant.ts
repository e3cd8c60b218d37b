/**
 * Asking the IRMd for a flow, apart from opening it in a thread (spec 30 §4, §5).
 *
 * A {@linkcode FlowGrant} is plain data: the main thread of an IPCP asks for it and may hand it to a Worker by
 * `postMessage(grant, grantTransfer(grant))`, which joins the process and opens the flow with `Flow.open`. Exactly one
 * thread opens a grant; opening wipes its key. A grant that nobody opens is given back, or the flow stays with the
 * IRMd until the process ends.
 */

import { Errno, OuroError } from "../errno.ts";
import type { IrmMsg } from "../irm/messages.ts";
import { NAME_BYTES_MAX } from "../limits.ts";
import { QOS, type QosName, type QosSpec } from "../qos.ts";
import {
  deallocRequest,
  type FlowCall,
  type FlowGrant,
  flowRequest,
  grantOf,
  resultOf,
} from "./irmd.ts";

export type { FlowCall, FlowGrant } from "./irmd.ts";

/** Who asks: a process, or what acts for one. `OuroProcess` is one. */
export interface GrantAsker {
  readonly pid: number;
  /** Number of the thread that asks, where the IRMd watches it: the flow ends with the thread. */
  readonly thread?: number | undefined;
  requestSync(message: IrmMsg, timeoutMs?: number): IrmMsg;
  request(message: IrmMsg, signal?: AbortSignal): Promise<IrmMsg>;
}

/** What is asked for. */
export interface GrantOptions {
  /** What the flow must provide, or a predefined spec by name; raw when absent. */
  qos?: QosSpec | QosName | undefined;
  /** Give up after so many ms (-ETIMEDOUT). Absent: the IRMd's 20 s for alloc, no limit for accept. */
  timeoutMs?: number | undefined;
  /** The same by its short name, ms. */
  timeout?: number | undefined;
  /**
   * Ask for signs of life: the peer counts as gone after so many ms of silence (`timeout` of the QoS). Absent: as the QoS
   * says, 120 s for the predefined ones; 0: never.
   */
  keepaliveMs?: number | undefined;
  /** Ask for a CRC when the QoS says `ber: 0`; both ends must be able to (default builds of C aren't). */
  crc?: boolean | undefined;
}

/** Asks for a flow, blocking; `dst` is empty for an accept. Throws `OuroError` with the IRMd's code and reason. */
export function askSync(
  asker: GrantAsker,
  call: FlowCall,
  dst: string,
  options: GrantOptions = {},
): FlowGrant {
  const request = requestOf(asker, call, dst, options);
  return grantOf(asker.requestSync(request), call, dst, asker.pid);
}

/** As {@linkcode askSync} without blocking the thread. Rejects with `OuroError`, or the signal's reason. */
export async function ask(
  asker: GrantAsker,
  call: FlowCall,
  dst: string,
  options: GrantOptions & { signal?: AbortSignal | undefined } = {},
): Promise<FlowGrant> {
  const { signal } = options;
  signal?.throwIfAborted();
  const request = requestOf(asker, call, dst, options);
  return grantOf(await asker.request(request, signal), call, dst, asker.pid);
}

/**
 * Tells the IRMd that a flow is over, blocking, `timeoutMs` at most; the layer below holds it for `lingerS` seconds.
 * Returns the IRMd's result, or the code of the failure to reach it.
 */
export function giveBackSync(
  asker: GrantAsker,
  flowId: number,
  lingerS = 0,
  timeoutMs?: number,
): number {
  try {
    return resultOf(asker.requestSync(deallocRequest(asker.pid, flowId, lingerS), timeoutMs));
  } catch (e) {
    if (!(e instanceof OuroError)) throw e;
    return e.code;
  }
}

/** As {@linkcode giveBackSync} without blocking the thread. */
export async function giveBack(
  asker: GrantAsker,
  flowId: number,
  lingerS = 0,
): Promise<number> {
  try {
    return resultOf(await asker.request(deallocRequest(asker.pid, flowId, lingerS)));
  } catch (e) {
    if (!(e instanceof OuroError)) throw e;
    return e.code;
  }
}

/** Wipes the key of a grant. Whoever opens one does it. */
export function wipeGrant(grant: FlowGrant): void {
  grant.symKey.fill(0);
}

/** What `postMessage` is to move instead of copy, so that the key is in one thread only. */
export function grantTransfer(grant: FlowGrant): ArrayBuffer[] {
  return grant.symKey.length === 0 ? [] : [grant.symKey.buffer];
}

/** The request for a flow, to be sent by who calls. Throws `OuroError` for an option that is none. */
export function requestOf(asker: GrantAsker, call: FlowCall, dst: string, o: GrantOptions): IrmMsg {
  if (call !== "accept") checkName(dst);
  return flowRequest(call, asker, dst, askedQos(o), askedTimeoutMs(o));
}

/** Refuses what cannot be a name before it reaches the wire. */
function checkName(name: unknown): void {
  if (typeof name !== "string") throw badOption(`the name is of type ${typeof name}, no text`);
  if (name === "") throw badOption("the name is empty");
  if (name.includes("\0")) throw badOption("the name has a NUL in it");
  const bytes = new TextEncoder().encode(name).length;
  if (bytes > NAME_BYTES_MAX) {
    throw badOption(`the name has ${bytes} bytes, at most ${NAME_BYTES_MAX}`);
  }
}

/** Refuses a time that is none before it reaches the wire. */
function askedTimeoutMs(o: GrantOptions): number | undefined {
  const ms = o.timeoutMs ?? o.timeout;
  if (ms === undefined || ms === Infinity) return undefined;
  if (ms >= 0) return ms;
  throw badOption(`timeoutMs is ${ms}`);
}

/** What is asked of the IRMd: `ber` 1 unless a CRC is wanted, as in default builds of the prototype. */
function askedQos(o: GrantOptions): QosSpec {
  const qos = typeof o.qos === "string" ? QOS[o.qos] : o.qos ?? QOS.raw;
  if (qos === undefined) {
    throw badOption(`qos is "${o.qos}", not one of ${Object.keys(QOS).join(", ")}`);
  }
  for (const [field, value] of Object.entries(QOS.raw)) {
    const given = qos[field as keyof QosSpec];
    if (!isFieldValue(given, typeof value === "bigint")) {
      throw badOption(`qos has ${String(given)} as ${field}`);
    }
  }
  const ms = o.keepaliveMs;
  if (ms !== undefined && !(Number.isInteger(ms) && ms >= 0 && ms <= 0xffffffff)) {
    throw badOption(`keepaliveMs is ${ms}`);
  }
  return { ...qos, ber: o.crc === true ? qos.ber : 1, timeout: ms ?? qos.timeout };
}

/** Whether a value fits a field of the QoS: 32 bits, or 64 where numbers may be that wide. */
function isFieldValue(value: unknown, wide: boolean): boolean {
  if (typeof value === "bigint") return wide && value >= 0n && value < 1n << 64n;
  return Number.isSafeInteger(value) && (value as number) >= 0 &&
    (wide || (value as number) <= 0xffffffff);
}

function badOption(cause: string): OuroError {
  return new OuroError(-Errno.EINVAL, "Cannot ask for a flow", {
    stage: "options",
    process: "flow library",
    cause,
  });
}

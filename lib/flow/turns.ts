/**
 * What asynchronous calls do so that a flow that is always ready does not starve the event loop.
 */

import { builtin } from "../builtin.ts";
import { Errno, OuroError } from "../errno.ts";
import { monotonicNs } from "../sys/clock.ts";
import type { AsyncCallOptions } from "./options.ts";

/** Pauses of an asynchronous call that waits for what nobody announces, ms. */
export const ROOM_PAUSE_FIRST_MS = 1;
export const ROOM_PAUSE_MAX_MS = 16;

/** Calls without a wait between two turns of the event loop, less one: a busy flow must not starve it. */
export const AT_ONCE_MASK = 0x7f;

/**
 * Turns in a row after which the runtime has heard of its signals and sockets: while something is ready to run it looks at
 * them only now and then.
 */
const TURNS_WHOLE = 16;

/** Lets signals, sockets and timers have their turn, in some 20 µs; a timer of 0 ms would take 1 to 2 ms. */
export async function wholeTurn(): Promise<void> {
  for (let i = 0; i < TURNS_WHOLE; i++) {
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
}

/** Lets timers and what is ready have their turn. */
export function eventLoopTurn(): Promise<void> {
  return new Promise((resolve) => builtin("node:timers").setImmediate(resolve));
}

/** When an asynchronous call gives up, ns; `ownMs` is the flow's time-out. */
export function untilNs(options: AsyncCallOptions, ownMs: number | undefined): number {
  const timeoutMs = options.timeoutMs ?? options.timeout ?? ownMs;
  if (Number.isNaN(timeoutMs)) throw new OuroError(-Errno.EINVAL, "Cannot wait until NaN");
  return timeoutMs === undefined ? Infinity : monotonicNs() + timeoutMs * 1e6;
}

/** What is left until then, ms. */
export function leftMs(until: number): number {
  return until === Infinity ? Infinity : (until - monotonicNs()) / 1e6;
}

/**
 * Turns the registry's waiters into promises, with a deadline and the client's hang-up: either ends the wait
 * through the registry, never by settling the waiter itself.
 */

import type { Client } from "./client.ts";
import type { Waiter } from "./registry/mod.ts";

/** Why a wait was ended from outside. */
export type EndedBy = "deadline" | "hang-up";

/** The longest time a timer of the runtime can be set to, ms. */
const TIMER_MS_MAX = 0x7fffffff;

/**
 * The result of a wait.
 *
 * @param client whose hang-up ends the wait, if anybody's
 * @param leftMs until the deadline; Infinity for none
 * @param end ends the wait in the registry, which settles the waiter
 */
export function settled<T>(
  waiter: Waiter<T>,
  client: Client | undefined,
  leftMs: number,
  end: (by: EndedBy) => void,
): Promise<T> {
  if (waiter.settled) return Promise.resolve(waiter.result!);
  return new Promise((resolve) => {
    const timer = leftMs === Infinity
      ? undefined
      : setTimeout(() => end("deadline"), Math.min(Math.max(0, leftMs), TIMER_MS_MAX));
    const stopWatching = client?.onHangup(() => end("hang-up"));
    waiter.onSettle((value) => {
      clearTimeout(timer);
      stopWatching?.();
      resolve(value);
    });
  });
}

/**
 * A wall clock that is set back must not make served requests new again (spec 40 §7, §18.13). Pure.
 *
 * The wall clock is compared with the monotonic one. After a step back by more than replay caches keep their entries
 * too long, what was served in the time that comes a second time may be forgotten: requests with a timestamp before
 * the moment the step was noticed are refused.
 */

import { KEEP_LONGER_MS } from "./replay_cache.ts";

const STEP_NS = BigInt(KEEP_LONGER_MS - 100) * 1_000_000n;

/** Watches one pair of clocks. */
export class ClockGuard {
  #offsetMax: bigint | undefined;
  #floor = 0n;

  /**
   * Requests with an earlier timestamp than the result (ns) are refused.
   * @param wallNs ns since the epoch @param monotonicNs ns of a clock that is never set
   */
  floorNs(wallNs: bigint, monotonicNs: bigint): bigint {
    const offset = wallNs - monotonicNs;
    if (this.#offsetMax !== undefined && offset < this.#offsetMax - STEP_NS) {
      this.#floor = wallNs;
      this.#offsetMax = offset;
    } else if (this.#offsetMax === undefined || offset > this.#offsetMax) {
      this.#offsetMax = offset;
    }
    return this.#floor;
  }
}

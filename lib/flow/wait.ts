/**
 * How a blocking call waits: it looks a little longer first, because a packet of a peer on another
 * processor arrives within microseconds, then it blocks. With one processor it blocks at once.
 */

import { monotonicNs } from "../sys/clock.ts";
import { onlineCpus } from "../sys/cpus.ts";

/** With more than one processor. */
const SPIN_NS = 50e3;
let spin: number | undefined;

/** How long a waiting call looks before it blocks, ns; 0 with one processor. */
export function spinNs(): number {
  return spin ??= onlineCpus() > 1 ? SPIN_NS : 0;
}

/** Shortest look, ns: what a peer that answers at once needs at most. */
const SPIN_MIN_NS = 3e3;
/** Every so many short looks a long one finds out whether it pays again. */
const PROBE = 8;

/**
 * How long looking pays for one waiter: long while it is successful, short on a machine so busy that
 * the peer can't run while we look, or for a peer that takes its time.
 */
export class SpinBudget {
  ns: number;
  /** How long to look before giving up the processor between looks: nothing where that has helped. */
  aloneNs = SPIN_MIN_NS;
  #short = 0;

  /** @param mostNs the longest look */
  constructor(private readonly mostNs = spinNs()) {
    this.ns = mostNs;
  }

  found(afterYield: boolean): void {
    this.ns = this.mostNs;
    this.aloneNs = afterYield ? 0 : SPIN_MIN_NS;
  }

  missed(): void {
    if (this.ns > SPIN_MIN_NS) this.ns = Math.max(SPIN_MIN_NS, this.ns / 2);
    else if (++this.#short % PROBE === 0) this.ns = this.mostNs;
  }
}

/** Looks between two looks at the clock. */
export const SPIN_BATCH = 64;

/** Deadline on the monotonic clock for a relative time in ms; undefined: never, NaN: now. */
export function deadlineNs(timeoutMs: number | undefined): number {
  if (Number.isNaN(timeoutMs)) return 0;
  return timeoutMs === undefined || timeoutMs === Infinity
    ? Infinity
    : monotonicNs() + timeoutMs * 1e6;
}

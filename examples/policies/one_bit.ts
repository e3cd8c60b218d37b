/**
 * A congestion policy of one's own: one bit, additive increase, multiplicative decrease. In the simulator:
 * `deno task sim --seeds 20 --congestion examples/policies/one_bit.ts`; live: `irm ipcp bootstrap … congestion FILE`
 * (`docs/policies.md`).
 *
 * A hop marks packets that join a long queue; the receiver tells the part of the last packets that were marked, in
 * 1/64; the sender keeps a rate, which a word lowers by a quarter at most, ten times a second.
 */

import type { Congestion, CongestionContext } from "../../ipcp/unicast/congestion.ts";

/** Queue from which packets are marked. */
const LONG = 50;
/** Packets between two words of the receiver. */
const WINDOW = 16;
const RATE_MIN = 50_000;
/** Bytes/s that the rate gains in a second. */
const GAIN = 200_000;
const LOWER_NS = 1e8;

class OneBit implements CongestionContext {
  /** Bytes a second; without end until congestion is heard of. */
  #rate = Infinity;
  #freeNs: number;
  #gainedNs: number;
  #loweredNs = -Infinity;
  #sentBytes = 0;
  #packets = 0;
  #marked = 0;

  constructor(nowNs: number) {
    this.#freeNs = this.#gainedNs = nowNs;
  }

  onSend(nowNs: number, bytes: number): number {
    const sec = (nowNs - this.#gainedNs) / 1e9;
    this.#sentBytes += bytes;
    if (sec > 0.1) {
      // Not more than was really used, or silence would earn a burst.
      if (this.#rate === Infinity) this.#measured = this.#sentBytes / sec;
      else this.#rate += GAIN * sec;
      this.#sentBytes = 0;
      this.#gainedNs = nowNs;
    }
    if (this.#rate === Infinity) return 0;
    this.#freeNs = Math.max(this.#freeNs, nowNs) + bytes / this.#rate * 1e9;
    return Math.min(this.#freeNs - nowNs, 1e9);
  }
  #measured = 1e6;

  onReceive(_bytes: number, ecn: number): number {
    this.#packets += 1;
    if (ecn !== 0) this.#marked += 1;
    if (this.#packets < WINDOW) return -1;
    const part = this.#marked * 64 / this.#packets;
    this.#packets = this.#marked = 0;
    return part > 0 ? Math.round(part) : -1;
  }

  onUpdate(ece: number): void {
    if (this.#rate === Infinity) this.#rate = this.#measured;
    if (this.#gainedNs - this.#loweredNs < LOWER_NS) return;
    this.#loweredNs = this.#gainedNs;
    this.#rate = Math.max(RATE_MIN, this.#rate * (1 - Math.min(ece, 64) / 256));
  }
}

/** The policy. */
export const congestion: Congestion = {
  flow: (nowNs) => new OneBit(nowNs),
  mark: (queued) => queued >= LONG ? 1 : 0,
};

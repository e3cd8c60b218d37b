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
/** Bytes a second: the least, and what the rate gains in a second. */
const RATE_MIN = 50_000;
const GAIN = 200_000;
const LOWER_NS = 1e8;

class OneBit implements CongestionContext {
  /** Bytes a second; without end until congestion is heard of. What was really used is what it begins with. */
  #rate = Infinity;
  #used = 1e6;
  #freeNs = 0;
  #loweredNs = -Infinity;
  #bytes = 0;
  #packets = 0;
  #marked = 0;

  constructor(private sinceNs: number) {}

  onSend(nowNs: number, bytes: number): number {
    const sec = (nowNs - this.sinceNs) / 1e9;
    this.#bytes += bytes;
    if (sec > 0.1) {
      this.#used = this.#bytes / sec;
      this.#rate += GAIN * sec;
      this.#bytes = 0;
      this.sinceNs = nowNs;
    }
    this.#freeNs = Math.max(this.#freeNs, nowNs) + bytes / this.#rate * 1e9;
    return Math.min(this.#freeNs - nowNs, 1e9);
  }

  onReceive(_bytes: number, ecn: number): number {
    this.#packets += 1;
    if (ecn !== 0) this.#marked += 1;
    if (this.#packets < WINDOW) return -1;
    const part = Math.round(this.#marked * 64 / this.#packets);
    this.#packets = this.#marked = 0;
    return part > 0 ? part : -1;
  }

  onUpdate(ece: number): void {
    if (this.#rate === Infinity) this.#rate = this.#used;
    if (this.sinceNs - this.#loweredNs < LOWER_NS) return;
    this.#loweredNs = this.sinceNs;
    this.#rate = Math.max(RATE_MIN, this.#rate * (1 - Math.min(ece, 64) / 256));
  }
}

/** The policy. */
export const congestion: Congestion = {
  flow: (nowNs) => new OneBit(nowNs),
  mark: (queued) => queued >= LONG ? 1 : 0,
};

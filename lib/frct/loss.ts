/**
 * Estimate of the share of packets lost, from the gaps the peer's acknowledgements show. It remembers about
 * eight windows and forgets smoothly; a single early loss does not make a lossy path. Pure.
 */
import { WINDOW_PACKETS } from "./constants.ts";

/** Decaying ratio of gaps to packets acknowledged. */
export class LossEstimator {
  #acked = 2 * WINDOW_PACKETS;
  #lost = 0;
  #sinceDecay = 0;

  /** `n` packets were acknowledged. */
  acked(n: number): void {
    this.#acked += n;
    this.#sinceDecay += n;
    while (this.#sinceDecay >= WINDOW_PACKETS) {
      this.#sinceDecay -= WINDOW_PACKETS;
      this.#acked *= 7 / 8;
      this.#lost *= 7 / 8;
    }
  }

  /** One packet was found missing. */
  lost(): void {
    this.#lost++;
  }

  /** Share lost, 0..1. */
  get share(): number {
    return Math.min(1, this.#lost / Math.max(1, this.#acked));
  }
}

/**
 * What others can make happen as often as they like is said in the log at once, then at most once in {@linkcode QUIET_US}
 * with its number: a flood is one line. Pure.
 */

/** Pause between two lines, µs. */
export const QUIET_US = 60e6;

export class NowAndThen {
  #count = 0;
  #quietUntilUs = -Infinity;

  /** It happened once more: how often since it was said last, if it is to be said now; else 0. */
  happened(nowUs: number): number {
    this.#count++;
    if (nowUs < this.#quietUntilUs) return 0;
    this.#quietUntilUs = nowUs + QUIET_US;
    const count = this.#count;
    this.#count = 0;
    return count;
  }
}

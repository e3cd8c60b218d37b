/** How many requests of each source are answered: some at once, then so many a second (spec 70 §13.2). Pure. */

/** Requests of one source that are answered: at once, and a second. */
const ANSWERS_BURST = 256;
const ANSWERS_PER_SEC = 128;
const SOURCES_MAX = 4096;

/** See the file's comment. */
export class Sources {
  /** Answers left of each source, and when that was counted, µs. */
  readonly #left = new Map<number, { left: number; atUs: number }>();

  /** Whether a request of `addr` is answered; then it counts. */
  take(nowUs: number, addr: number): boolean {
    let source = this.#left.get(addr);
    if (source === undefined) {
      if (this.#left.size >= SOURCES_MAX) this.#left.clear();
      this.#left.set(addr, source = { left: ANSWERS_BURST, atUs: nowUs });
    }
    const earned = (nowUs - source.atUs) / 1e6 * ANSWERS_PER_SEC;
    source.left = Math.min(ANSWERS_BURST, source.left + earned);
    source.atUs = nowUs;
    if (source.left < 1) return false;
    source.left -= 1;
    return true;
  }
}

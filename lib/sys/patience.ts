/** Waiting for another process to do what takes it some 100 ns, when it may never do it. */

import { monotonicNs, sleepNs } from "./clock.ts";

const NAP_NS = 100e3;
/** Seconds in which used-up patience comes back. */
const RECOVERY = 60;

/** The patience with one object: so much in a minute, however often it is needed. */
export class Patience {
  /**
   * The most that this thread has with an object, ns. A second is much longer than a living process is
   * kept off its processor inside a critical section; who serves many users waits less for one of them.
   */
  static limitNs = 1e9;

  #leftNs = Patience.limitNs;
  #sinceNs = 0;

  /** Whether nothing is left; then waiting beyond some looks is of no use. */
  get over(): boolean {
    this.#recover(monotonicNs());
    return this.#leftNs <= 0;
  }

  #recover(nowNs: number): void {
    const back = (nowNs - this.#sinceNs) / RECOVERY;
    this.#leftNs = Math.min(Patience.limitNs, this.#leftNs + back);
    this.#sinceNs = nowNs;
  }

  /** Naps until `done`. False when patience ended first. */
  await(done: () => boolean): boolean {
    const startNs = monotonicNs();
    this.#recover(startNs);
    for (;;) {
      const usedNs = monotonicNs() - startNs;
      const isDone = done();
      if (isDone || usedNs >= this.#leftNs) {
        this.#leftNs -= usedNs;
        return isDone;
      }
      sleepNs(NAP_NS);
    }
  }
}

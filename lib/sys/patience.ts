/** Waiting for another process to do what takes it some 100 ns, when it may never do it. */

import { monotonicNs, sleepNs } from "./clock.ts";

/** How long a living process may take, ns: much longer than one is kept off its processor. */
const FIRST_NS = 1e9;
const LEAST_NS = 1e6;
const NAP_NS = 100e3;

/** The patience with one object: each time it ends, less is left for the next. */
export class Patience {
  #ns = FIRST_NS;

  /** Naps until `done`. False when patience ended first. */
  await(done: () => boolean): boolean {
    const deadlineNs = monotonicNs() + this.#ns;
    while (!done()) {
      if (monotonicNs() >= deadlineNs) {
        this.#ns = Math.max(LEAST_NS, this.#ns / 4);
        return false;
      }
      sleepNs(NAP_NS);
    }
    return true;
  }
}

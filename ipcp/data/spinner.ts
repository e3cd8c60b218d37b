/**
 * Waiting a moment before blocking: after traffic the next packet often comes within microseconds, and a
 * look at shared memory is much cheaper than falling asleep and being woken. Only with more than one CPU,
 * and never without recent traffic, so an idle IPCP uses no CPU (design.md, idea 4).
 */

import { monotonicNs } from "../../lib/sys/clock.ts";

/** How long to look for more after traffic, ns. */
export const SPIN_NS = 40_000;
/** Looks between two looks at the clock. */
const LOOKS = 16;

export class Spinner {
  readonly #ready: () => boolean;
  readonly #spins = navigator.hardwareConcurrency > 1;
  #recent = false;

  /** @param ready whether there is something to do; cheap, without side effects. */
  constructor(ready: () => boolean) {
    this.#ready = ready;
  }

  /** There was traffic: the next {@linkcode spin} is worth it. */
  busy(): void {
    this.#recent = true;
  }

  /** Look for more for a while. Whether there is something. */
  spin(): boolean {
    if (!this.#recent || !this.#spins) return false;
    this.#recent = false;
    const untilNs = monotonicNs() + SPIN_NS;
    do {
      for (let i = 0; i < LOOKS; i++) if (this.#ready()) return true;
    } while (monotonicNs() < untilNs);
    return false;
  }
}

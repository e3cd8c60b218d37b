/**
 * Waiting a moment before blocking: after traffic the next packet often comes within microseconds, and a
 * look at shared memory is much cheaper than falling asleep and being woken. Never without recent traffic,
 * so an idle IPCP uses no CPU (design.md, idea 4), and only where there is a CPU for it: with two, the
 * processes at both ends of a flow need them (spinning made a round trip three times as long there).
 */

import { monotonicNs } from "../../lib/sys/clock.ts";

/** Longest and shortest look for more after traffic, ns. */
const SPIN_MAX_NS = 40_000;
const SPIN_MIN_NS = 1_000;
/** CPUs from which it pays. */
const CPUS_MIN = 4;
/** Looks between two looks at the clock. */
const LOOKS = 16;

export class Spinner {
  readonly #ready: () => boolean;
  readonly #spins: boolean;
  #recent = false;
  /** How long looking pays at present, ns. */
  #budgetNs = SPIN_MAX_NS;

  /** @param ready whether there is something to do; cheap. */
  constructor(ready: () => boolean, cpus: number = navigator.hardwareConcurrency) {
    this.#ready = ready;
    this.#spins = cpus >= CPUS_MIN;
  }

  /** There was traffic: the next {@linkcode spin} is worth it. */
  busy(): void {
    this.#recent = true;
  }

  /** Look for more for a while. Whether there is something. */
  spin(): boolean {
    if (!this.#recent || !this.#spins) return false;
    this.#recent = false;
    const untilNs = monotonicNs() + this.#budgetNs;
    do {
      for (let i = 0; i < LOOKS; i++) {
        if (!this.#ready()) continue;
        this.#budgetNs = Math.min(SPIN_MAX_NS, this.#budgetNs * 2);
        return true;
      }
    } while (monotonicNs() < untilNs);
    this.#budgetNs = Math.max(SPIN_MIN_NS, this.#budgetNs / 2);
    return false;
  }
}

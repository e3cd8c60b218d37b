/**
 * Waiting a moment before blocking: after traffic the next packet often comes within microseconds, and to look for it
 * is cheaper than to fall asleep and be woken. Never without recent traffic, so an idle IPCP uses no CPU (design.md,
 * idea 4), and shorter and shorter where nothing comes.
 *
 * With few CPUs the processes at both ends of a flow need them, so the thread gives up its CPU before each look; with
 * enough it looks on.
 */

import { monotonicNs, yieldCpu } from "../../lib/sys/clock.ts";

/** Longest and shortest look for more after traffic, ns. */
const SPIN_MAX_NS = 40_000;
const SPIN_MIN_NS = 1_000;
/** CPUs from which there are enough. */
const CPUS_ENOUGH = 4;
/** Looks between two looks at the clock, with enough CPUs. */
const LOOKS = 16;

export class Spinner {
  readonly #ready: () => boolean;
  readonly #looks: number;
  readonly #pause: () => void;
  #recent = false;
  /** How long looking pays at present, ns. */
  #budgetNs = SPIN_MAX_NS;

  /**
   * @param ready whether there is something to do; cheap
   * @param pause what to do before each look with few CPUs
   */
  constructor(
    ready: () => boolean,
    cpus: number = navigator.hardwareConcurrency,
    pause: () => void = yieldCpu,
  ) {
    this.#ready = ready;
    this.#looks = cpus >= CPUS_ENOUGH ? LOOKS : 1;
    this.#pause = cpus >= CPUS_ENOUGH ? () => {} : pause;
  }

  /** There was traffic: the next {@linkcode spin} is worth it. */
  busy(): void {
    this.#recent = true;
  }

  /** Look for more for a while. Whether there is something. */
  spin(): boolean {
    if (!this.#recent) return false;
    this.#recent = false;
    const untilNs = monotonicNs() + this.#budgetNs;
    do {
      this.#pause();
      for (let i = 0; i < this.#looks; i++) {
        if (!this.#ready()) continue;
        this.#budgetNs = Math.min(SPIN_MAX_NS, this.#budgetNs * 2);
        return true;
      }
    } while (monotonicNs() < untilNs);
    this.#budgetNs = Math.max(SPIN_MIN_NS, this.#budgetNs / 2);
    return false;
  }
}

/**
 * Waiting a moment before blocking: after traffic the next packet often comes within microseconds, and to look for it
 * is cheaper than to fall asleep and be woken. Never without recent traffic, so an idle IPCP uses no CPU (design.md,
 * idea 4).
 *
 * With few CPUs the processes at both ends of a flow need them, so the thread gives up its CPU before each look; with
 * enough it looks on.
 */

import { monotonicNs, yieldCpu } from "../../lib/sys/clock.ts";

/**
 * How long to look for more after traffic, ns: longer than the other ends take to answer. It is not shortened
 * where nothing came: then one slow answer would make all that follow slow, since each hop sleeps again.
 */
const SPIN_NS = 40_000;
/** CPUs from which there are enough. */
const CPUS_ENOUGH = 4;
/** Looks between two looks at the clock, with enough CPUs. */
const LOOKS = 16;

export class Spinner {
  readonly #ready: () => boolean;
  readonly #looks: number;
  readonly #pause: () => void;
  readonly #nowNs: () => number;
  #recent = false;

  /**
   * @param ready whether there is something to do; cheap
   * @param pause what to do before each look with few CPUs
   * @param nowNs the clock, ns
   */
  constructor(
    ready: () => boolean,
    cpus: number = navigator.hardwareConcurrency,
    pause: () => void = yieldCpu,
    nowNs: () => number = monotonicNs,
  ) {
    this.#ready = ready;
    this.#nowNs = nowNs;
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
    const untilNs = this.#nowNs() + SPIN_NS;
    do {
      this.#pause();
      for (let i = 0; i < this.#looks; i++) {
        if (this.#ready()) return true;
      }
    } while (this.#nowNs() < untilNs);
    return false;
  }
}

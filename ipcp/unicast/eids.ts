/**
 * Endpoint ids of a unicast node: 32 random bits above a slot number (spec 60 §5). Pure.
 *
 * EIDs 0 … 63 are components; a flow has a slot of 64 or more. The random half is the only protection against stray
 * and forged packets, so a slot is never used twice with the same one, and slots are taken in turn: what is late for a
 * flow that is gone meets an empty slot first.
 */

import type { Eid } from "../../lib/wire/fa_msg.ts";

/** Components. */
export const EID_FLOW_ALLOCATOR = 0;
export const EID_DIRECTORY = 1;
/** First slot of a flow. */
export const SLOT_FIRST = 64;
/** Slots end here; a prototype looks at the low half of its own EIDs only, so ours may be more than its 4096. */
export const SLOTS_MAX = 16384;

export class EidPool {
  readonly #random: () => number;
  readonly #used = new Uint8Array(SLOTS_MAX);
  #next = SLOT_FIRST;
  #count = 0;

  /** `random` gives uniform 32-bit numbers. */
  constructor(random: () => number) {
    this.#random = random;
  }

  /** Slots in use. */
  get size(): number {
    return this.#count;
  }

  /** A fresh id, or undefined if all slots are in use. */
  take(): Eid | undefined {
    if (this.#count >= SLOTS_MAX - SLOT_FIRST) return undefined;
    while (this.#used[this.#next] === 1) this.#step();
    const lo = this.#next;
    this.#step();
    this.#used[lo] = 1;
    this.#count += 1;
    return { hi: this.#random() >>> 0, lo };
  }

  #step(): void {
    this.#next = this.#next + 1 < SLOTS_MAX ? this.#next + 1 : SLOT_FIRST;
  }

  /** Give an id back. */
  give(eid: Eid): void {
    if (this.#used[eid.lo] !== 1) return;
    this.#used[eid.lo] = 0;
    this.#count -= 1;
  }
}

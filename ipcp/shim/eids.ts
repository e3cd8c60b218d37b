/**
 * Endpoint ids of a shim IPCP: chosen at random, looked up by their low 16 bits, quarantined when freed.
 *
 * Source: spec 50 §18 S2. The prototype hands out descriptors from 64 on and reuses them at once, so an
 * attacker guesses them and late packets of a dead flow reach its successor. Here an id is random in the
 * whole range that the wire allows (udp 32 bit, DIX 16 bit, LLC SAPs 2..63); ids that are in use differ
 * in their low 16 bits, so the data path finds the flow in a table of 65536 places and then compares the
 * whole id. A freed id rests for `quarantineUs`; when the range is nearly used up (LLC), the one that has
 * rested longest is taken, but never before `mplUs`. Pure: random numbers and time are given.
 */

/** What the pool hands out. */
export interface EidRange {
  /** First and last id, inclusive. */
  readonly first: number;
  readonly last: number;
  /** Rest of a freed id, µs, where the range is large enough for it. */
  readonly quarantineUs: number;
  /** Rest in any case, µs: the maximum packet lifetime. */
  readonly mplUs: number;
}

/** Low 16 bits: the place of an id in the table. */
export function eidKey(eid: number): number {
  return eid & 0xffff;
}

export class EidPool {
  readonly #used = new Set<number>();
  /** Keys at rest and since when, oldest first (a Map keeps the order of insertion). */
  readonly #resting = new Map<number, { eid: number; sinceUs: number }>();
  readonly #range: EidRange;
  /** A uniform random 32-bit number. */
  readonly #random: () => number;

  constructor(range: EidRange, random: () => number) {
    this.#range = range;
    this.#random = random;
  }

  /** Ids in use. */
  get size(): number {
    return this.#used.size;
  }

  /** A fresh id, or -1 if none is free. */
  take(nowUs: number): number {
    this.#expire(nowUs);
    const { first, last } = this.#range;
    const span = last - first + 1;
    for (let attempt = 0; attempt < 64; attempt++) {
      const eid = first + this.#random() % span;
      const key = eidKey(eid);
      if (key === 0 || this.#used.has(key) || this.#resting.has(key)) continue;
      this.#used.add(key);
      return eid;
    }
    // A crowded range: walk it once from a random place, else wake the one that rested longest.
    const keys = Math.min(span, 65536);
    const start = this.#random() % keys;
    for (let i = 0; i < keys; i++) {
      const eid = first + (start + i) % keys;
      const key = eidKey(eid);
      if (key === 0 || this.#used.has(key) || this.#resting.has(key)) continue;
      this.#used.add(key);
      return eid;
    }
    for (const [key, rest] of this.#resting) {
      if (nowUs - rest.sinceUs < this.#range.mplUs) break;
      this.#resting.delete(key);
      this.#used.add(key);
      return rest.eid;
    }
    return -1;
  }

  /** Put an id to rest; an id that is not in use is ignored. */
  give(nowUs: number, eid: number): void {
    const key = eidKey(eid);
    if (this.#used.delete(key)) this.#resting.set(key, { eid, sinceUs: nowUs });
  }

  #expire(nowUs: number): void {
    for (const [key, rest] of this.#resting) {
      if (nowUs - rest.sinceUs < this.#range.quarantineUs) return;
      this.#resting.delete(key);
    }
  }
}

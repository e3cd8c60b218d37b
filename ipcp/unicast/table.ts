/**
 * The forwarding table and the states of lower flows, in memory that the machine writes and the worker reads. Pure.
 *
 * Two halves: the writer fills the one that nobody reads, then says which half is in use; a reader that was overtaken
 * by two writes sees the generation and looks again. Destinations hash into buckets, probed in line. Words of the
 * buffer: generation, then for each half its `capacity` buckets of address, number of hops, hops.
 */

/** Next hops kept for a destination, best first. */
export const HOPS_MAX = 8;
const BUCKET_WORDS = 2 + HOPS_MAX;

/** Buckets of a live table: twice as many as nodes that a layer may have for us. */
export const BUCKETS_LIVE = 16_384;

/** States of a lower flow. */
export const HopState = { absent: 0, up: 1, down: 2 } as const;

/** A multiplicative hash; addresses are random, but a hostile member chooses its own. */
function hash(addr: number): number {
  let h = Math.imul(addr ^ (addr >>> 16), 0x45d9f3b);
  h = Math.imul(h ^ (h >>> 16), 0x45d9f3b);
  return (h ^ (h >>> 16)) >>> 0;
}

export class ForwardTable {
  readonly buffer: SharedArrayBuffer;
  readonly #words: Int32Array;
  readonly #capacity: number;
  readonly #mask: number;

  /** A table of `capacity` buckets, a power of two; or the one in `buffer`. */
  constructor(capacity: number, buffer?: SharedArrayBuffer) {
    this.#capacity = capacity;
    this.#mask = capacity - 1;
    this.buffer = buffer ?? new SharedArrayBuffer((1 + 2 * capacity * BUCKET_WORDS) * 4);
    this.#words = new Int32Array(this.buffer);
  }

  /** Put new routes in the place of all others; those beyond the capacity are left out: how many. */
  publish(routes: ReadonlyMap<number, readonly number[]>): number {
    const words = this.#words;
    const generation = Atomics.load(words, 0) + 1;
    const base = this.#base(generation);
    words.fill(0, base, base + this.#capacity * BUCKET_WORDS);
    const most = this.#capacity >> 1;
    let n = 0;
    for (const [addr, hops] of routes) {
      if (n === most) break;
      let bucket = hash(addr) & this.#mask;
      while (words[base + bucket * BUCKET_WORDS + 1] !== 0) bucket = (bucket + 1) & this.#mask;
      const at = base + bucket * BUCKET_WORDS;
      const count = Math.min(hops.length, HOPS_MAX);
      if (count === 0) continue;
      words[at] = addr | 0;
      words[at + 1] = count;
      for (let i = 0; i < count; i++) words[at + 2 + i] = hops[i]!;
      n += 1;
    }
    Atomics.store(words, 0, generation);
    return routes.size - n;
  }

  #base(generation: number): number {
    return 1 + (generation & 1) * this.#capacity * BUCKET_WORDS;
  }

  /** Copies the next hops of an address to `into`: how many. */
  lookup(addr: number, into: Int32Array): number {
    const words = this.#words;
    for (;;) {
      const generation = Atomics.load(words, 0);
      const base = this.#base(generation);
      let bucket = hash(addr) & this.#mask;
      let count = 0;
      for (let probes = 0; probes <= this.#mask; probes++) {
        const at = base + bucket * BUCKET_WORDS;
        const n = words[at + 1]!;
        if (n === 0) break;
        if (words[at] === (addr | 0)) {
          count = Math.min(n, HOPS_MAX);
          for (let i = 0; i < count; i++) into[i] = words[at + 2 + i]!;
          break;
        }
        bucket = (bucket + 1) & this.#mask;
      }
      // The half we read is written again only two generations later.
      if (Atomics.load(words, 0) - generation < 1) return count;
    }
  }
}

/** Which lower flows may be sent to, by descriptor. */
export class HopStates {
  readonly buffer: SharedArrayBuffer;
  readonly #states: Uint8Array;

  constructor(size: number, buffer?: SharedArrayBuffer) {
    this.buffer = buffer ?? new SharedArrayBuffer(size);
    this.#states = new Uint8Array(this.buffer);
  }

  set(fd: number, state: number): void {
    if (fd >= 0 && fd < this.#states.length) Atomics.store(this.#states, fd, state);
  }
  get(fd: number): number {
    return fd >= 0 && fd < this.#states.length ? Atomics.load(this.#states, fd) : HopState.absent;
  }
  isUp(fd: number): boolean {
    return this.get(fd) === HopState.up;
  }
}

/**
 * Blocks taken ahead by a process that sends a stream: several with one lock of their shard, so that
 * sender and receiver (who frees them one by one) meet less often at the same lock.
 *
 * A cached block is an allocated block of this process: when the process is killed it comes back with
 * the others. The cache fills only while blocks are taken without a wait between, leaves plenty to
 * everybody else, and is given back as soon as the process waits for something.
 */

import { CLASSES } from "./layout.ts";
import type { Pool } from "./pool.ts";

/** Blocks of a class taken at once. */
const BATCH = 16;
/** Allocations without a wait between that make a stream. */
const STREAM_ALLOCS = 32;

/** The cache of one thread. */
export class BlockCache {
  readonly #offs = new Int32Array(CLASSES * BATCH);
  readonly #count = new Int32Array(CLASSES);
  #total = 0;
  #run = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly pool: Pool) {}

  /** As `Pool.alloc`. */
  alloc(len: number): number {
    const pool = this.pool;
    if (this.#total === 0 && ++this.#run < STREAM_ALLOCS) return pool.alloc(len);
    const c = pool.classFor(len);
    if (c < 0) return c;
    let n = this.#count[c]!;
    if (n === 0) {
      n = pool.allocAhead(c, this.#offs, c * BATCH, BATCH);
      if (n === 0) return pool.alloc(len);
      this.#total += n;
      this.#timer ??= releaseSoon(this);
    }
    n -= 1;
    this.#count[c] = n;
    this.#total -= 1;
    const off = this.#offs[c * BATCH + n]!;
    pool.setLength(off, len);
    return off;
  }

  /** The process waits, or is about to end: gives everything back. */
  release(): void {
    this.#run = 0;
    if (this.#total === 0) return;
    for (let c = 0; c < CLASSES; c++) {
      const n = this.#count[c]!;
      if (n > 0) this.pool.removeAll(this.#offs.subarray(c * BATCH, c * BATCH + n), n);
      this.#count[c] = 0;
    }
    this.#total = 0;
  }

  /** For the timer: an idle event loop is a wait as well. */
  onIdle(): void {
    this.#timer = undefined;
    this.release();
  }

  /** Gives everything back for good. */
  close(): void {
    if (this.#timer !== undefined) clearTimeout(this.#timer);
    this.#timer = undefined;
    this.release();
  }
}

function releaseSoon(cache: BlockCache): ReturnType<typeof setTimeout> {
  const timer = setTimeout(() => cache.onIdle(), 0);
  Deno.unrefTimer(timer as unknown as number);
  return timer;
}

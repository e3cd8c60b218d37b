/**
 * Reads the packets of one rbuff without its mutex, for the one thread that reads the ring.
 *
 * The writer publishes a slot by moving the head, the reader gives it back by moving the tail; each
 * word has one writer, so neither needs the lock for that. Where somebody may be waiting (for room: the
 * ring is nearly full; for an empty ring: this is the last packet; or waiters are registered) the tail
 * moves under the lock and wakes them, as C peers expect. A waiter that registers just while the tail
 * moves without lock is woken by one of the reads that follow, at the latest by the last.
 *
 * {@linkcode RingReader.read} and {@linkcode RingReader.done} give slots and blocks back in small
 * batches while many packets wait and nobody can be short of either: the tail first, then the blocks.
 * Until then the packets are still in the ring, so whoever clears up after a killed reader frees each
 * of them once. {@linkcode RingReader.take} is for packets that live on: it gives the slot back at once.
 */

import { RBUFF_SLOTS } from "../limits.ts";
import type { Pool } from "./pool.ts";
import type { Rbuff } from "./rbuff.ts";

const MASK = RBUFF_SLOTS - 1;
/** Packets in the ring from which on a writer may be waiting. */
const NEARLY_FULL = RBUFF_SLOTS - 64;
/** Packets in a batch. */
const BATCH_MAX = 16;

/** See the head of this file. */
export class RingReader {
  readonly #offs = new Int32Array(BATCH_MAX);
  #frees = 0;
  /** Packets read since the tail moved; the next is at the cursor, and `#left` more were there. */
  #open = 0;
  #cursor = 0;
  #left = 0;

  constructor(private readonly rbuff: Rbuff, private readonly pool: Pool) {}

  /**
   * The next packet's offset (0: not an offset, ignore it), or why there is none; then no batch is
   * open. Say {@linkcode done} before anything else is asked of this object.
   */
  read(): number {
    const rbuff = this.rbuff;
    if (this.#open === 0) this.#cursor = rbuff.tailPosition();
    const queued = (rbuff.headPosition() - this.#cursor) & MASK;
    if (queued === 0) {
      this.flush();
      return rbuff.whyEmpty();
    }
    const off = rbuff.slotAt(this.#cursor);
    this.#cursor = (this.#cursor + 1) & MASK;
    this.#left = queued - 1;
    this.#open += 1;
    return off;
  }

  /** The packet that {@linkcode read} gave was used. `free`: its block is ours to give back. */
  done(off: number, free: boolean): void {
    if (free) this.#offs[this.#frees++] = off;
    if (this.#left === 0 || this.#open === BATCH_MAX || !free || this.pool.scarce(off)) {
      this.flush();
    } else if (this.#left > NEARLY_FULL || this.rbuff.writersWait()) {
      this.flush();
    }
  }

  /** Takes the next packet out of the ring at once; its block is the caller's. */
  take(): number {
    this.flush();
    const off = this.read();
    if (off >= 0) this.flush();
    return off;
  }

  /** Gives back what was used. Call it before the ring is read another way. */
  flush(): void {
    if (this.#open === 0) return;
    const rbuff = this.rbuff;
    const n = this.#frees;
    this.#open = 0;
    this.#frees = 0;
    if (this.#left === 0 || this.#left > NEARLY_FULL || rbuff.writersWait()) {
      rbuff.advance(this.#cursor);
    } else {
      rbuff.advanceUnlocked(this.#cursor);
    }
    if (n === 1) this.pool.remove(this.#offs[0]!);
    else if (n > 1) this.pool.removeAll(this.#offs, n);
  }
}

/**
 * Reads the packets of one rbuff without its mutex, for the one thread that reads the ring.
 *
 * The writer publishes a slot by moving the head, the reader gives it back by moving the tail; each
 * word has one writer, so neither needs the lock for that. Where somebody may be waiting (for room: the
 * ring is nearly full; for an empty ring: this is the last packet; or waiters are registered) the tail
 * moves under the lock and wakes them, as C peers expect. A waiter that registers just while the tail
 * moves without lock is woken by one of the reads that follow, at the latest by the last.
 *
 * The slot is given back before its block is freed, so whoever clears up after a killed reader never
 * frees a block twice.
 */

import { RBUFF_SLOTS } from "../limits.ts";
import type { Rbuff } from "./rbuff.ts";

const MASK = RBUFF_SLOTS - 1;
/** Packets in the ring from which on a writer may be waiting. */
const NEARLY_FULL = RBUFF_SLOTS - 64;

/** See the head of this file. */
export class RingReader {
  constructor(private readonly rbuff: Rbuff) {}

  /** Takes the next packet's offset (0: not an offset, ignore it), or says why there is none. */
  read(): number {
    const rbuff = this.rbuff;
    const tail = rbuff.tailPosition();
    const queued = (rbuff.headPosition() - tail) & MASK;
    if (queued === 0) return rbuff.whyEmpty();
    const off = rbuff.slotAt(tail);
    const next = (tail + 1) & MASK;
    if (queued === 1 || queued > NEARLY_FULL || rbuff.writersWait()) rbuff.advance(next);
    else rbuff.advanceUnlocked(next);
    return off;
  }
}

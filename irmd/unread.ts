/**
 * Packets that wait in the rings of flows that have ended (spec 10 §11.7): whoever was to read them does so within its
 * dealloc, or is killed before it gets to that. Rings of unprivileged users are read without mapping them, since those
 * can cut them off.
 */

import { RBUFF_SLOTS } from "../lib/limits.ts";
import { RbuffLayout } from "../lib/shm/layout.ts";
import type { ShmObject } from "../lib/sys/mman.ts";
import { pidAlive } from "../lib/sys/process.ts";

/** Rings of living processes that are looked at again; beyond that their packets wait for the allocator's end. */
export const LIVING_RINGS_MAX = 64;
/** Time that a living process is given to read, before the first look, ms; each further look waits twice as long. */
const FIRST_LOOK_MS = 250;
/** After this wait nobody looks again, ms: the packets come back when their allocator ends. */
const LAST_LOOK_MS = 64_000;

/** Packets in the rings of a flow that has ended. */
export interface UnreadPackets {
  /** Whose pool they are in. */
  readonly uid: number;
  /** Of dead processes: nobody will read them. */
  readonly offsets: number[];
  /** Rings of processes that have still to take them out. To be disposed of. */
  readonly living: PendingRing[];
}

/** A ring whose reader lived when the flow ended. */
export interface PendingRing extends Disposable {
  /** Whether its reader lives and has something to take out. */
  isPending(): boolean;
  /** Takes out what it still holds when its reader is dead; nothing while that lives. */
  unread(): number[];
}

/** Such a ring, without name, on shared memory. */
export class LivingRing implements PendingRing {
  static live = 0;

  constructor(readonly pid: number, readonly ring: ShmObject) {
    LivingRing.live += 1;
  }

  isPending(): boolean {
    return pidAlive(this.pid) && holds(this.ring);
  }

  unread(): number[] {
    return pidAlive(this.pid) ? [] : takeAll(this.ring);
  }

  [Symbol.dispose](): void {
    LivingRing.live -= 1;
    this.ring[Symbol.dispose]();
  }
}

/** Starts a timer, as `setTimeout`. */
export type Later = (what: () => void, ms: number) => void;

/** Gives `free` what the reader of a ring leaves in it, once that has read everything or is dead. */
export function whenRead(
  ring: PendingRing,
  free: (offsets: number[]) => void,
  later: Later,
  ms = FIRST_LOOK_MS,
): void {
  later(() => {
    // A busy machine may take longer than a look to let it read, or to end it.
    if (ring.isPending() && ms < LAST_LOOK_MS) return whenRead(ring, free, later, ms * 2);
    using r = ring;
    free(r.unread());
  }, ms);
}

/** Whether packets wait in a ring. */
export function holds(ring: ShmObject): boolean {
  const ends = new Uint8Array(RbuffLayout.TAIL - RbuffLayout.HEAD + 8);
  if (ring.pread(ends, ends.length, RbuffLayout.HEAD) !== ends.length) return false;
  const words = new DataView(ends.buffer);
  return words.getUint32(0, true) !== words.getUint32(RbuffLayout.TAIL - RbuffLayout.HEAD, true);
}

/** Empties a ring whose reader is dead, so that nobody else moves its tail. */
export function takeAll(ring: ShmObject): number[] {
  const bytes = new Uint8Array(RbuffLayout.ACL);
  if (ring.pread(bytes, bytes.length, 0) !== bytes.length) return [];
  const words = new DataView(bytes.buffer);
  const head = words.getUint32(RbuffLayout.HEAD, true) & (RBUFF_SLOTS - 1);
  let tail = words.getUint32(RbuffLayout.TAIL, true) & (RBUFF_SLOTS - 1);
  const offsets: number[] = [];
  for (; tail !== head; tail = (tail + 1) & (RBUFF_SLOTS - 1)) {
    offsets.push(words.getUint32(RbuffLayout.SLOTS + tail * 8, true));
  }
  ring.pwrite(bytes.subarray(RbuffLayout.HEAD, RbuffLayout.HEAD + 8), 8, RbuffLayout.TAIL);
  return offsets;
}

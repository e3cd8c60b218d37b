/**
 * Rbuffs: one-way rings of block offsets, one for each direction of a flow (spec 10 §5).
 *
 * An rbuff is named after the process that reads it. The writer's rights are in its ACL word. Slots,
 * head and tail are used under the mutex only; unlocked looks are hints. Unlike the prototype a read
 * looks again under the lock, a write looks at the ACL again under the lock, and an ACL change wakes
 * both sides (spec 10 §11.12, §11.14). A lock taken over from a dead owner needs no repair: a torn
 * write lost its packet.
 *
 * Results: offsets, counts or 0; negative errno on failure: -EFLOWDOWN, -EFLOWPEER, -ENOTALLOC (read
 * only), -EAGAIN (full or empty), -ETIMEDOUT.
 */

import { Errno } from "../errno.ts";
import { type Instance, shmName } from "../instance.ts";
import { RBUFF_SLOTS } from "../limits.ts";
import { monotonicNs } from "../sys/clock.ts";
import { type Mapping, ShmObject } from "../sys/mman.ts";
import { Cond } from "../sys/cond.ts";
import { SysError } from "../sys/ffi.ts";
import { Mutex } from "../sys/mutex.ts";
import { Acl, assertLayout, RbuffLayout as L } from "./layout.ts";
import type { Owner } from "./pool.ts";

const MASK = RBUFF_SLOTS - 1;
const HEAD = L.HEAD >> 2;
const TAIL = L.TAIL >> 2;
const ACL = L.ACL >> 2;
/** The half of the ACL that a prototype does not look at, and stores 0 in: {@linkcode Rbuff.packetBytesMax}. */
const PACKET_MAX = ACL + 1;

/**
 * Longest uninterrupted wait, ns. A C peer changes the ACL without waking anybody, and a killed one
 * does nothing at all, so a waiter looks at the ACL this often.
 */
const WAIT_SLICE_NS = 20e6;
/** Wake-ups for nothing in a row that are believed; a few are those of changed rights. */
const HOLLOW_MAX = 32;

/** An empty ring behind its slots, as the first that this thread made: the others are copies of it. */
let emptyTail: Uint8Array<ArrayBuffer> | undefined;

/** Name of the rbuff that `pid` reads on a flow. */
export function rbuffName(instance: Instance, pid: number, flowId: number): string {
  return shmName(instance, "rbuff", pid, flowId);
}

/** An open rbuff. One object a thread. */
export class Rbuff implements Disposable {
  i32: Int32Array<ArrayBuffer>;
  readonly #mapping: Mapping;
  readonly #mutex: Mutex;
  readonly #add: Cond;
  readonly #del: Cond;
  /** Wake-ups in a row that came before their time and for nothing. */
  #hollow = 0;

  private constructor(mapping: Mapping) {
    assertLayout();
    this.#mapping = mapping;
    this.i32 = mapping.words;
    this.#mutex = new Mutex(mapping, L.MUTEX);
    this.#add = new Cond(mapping, L.ADD);
    this.#del = new Cond(mapping, L.DEL);
  }

  /** Creates an empty rbuff. Throws `SysError` (EEXIST when it is there). */
  static create(
    instance: Instance,
    pid: number,
    flowId: number,
    mode = 0o660,
    owner?: Owner,
  ): Rbuff {
    const name = rbuffName(instance, pid, flowId);
    using object = ShmObject.create(name, L.BYTES, mode, owner);
    try {
      const rbuff = new Rbuff(object.map(L.BYTES));
      rbuff.#mutex.init();
      rbuff.#add.init();
      rbuff.#del.init();
      return rbuff;
    } catch (e) {
      ShmObject.unlink(name);
      throw e;
    }
  }

  /** Creates an empty rbuff for others, without mapping it where that can be spared. Throws `SysError`. */
  static make(
    instance: Instance,
    pid: number,
    flowId: number,
    mode: number,
    owner?: Owner,
  ): void {
    if (emptyTail === undefined) {
      using first = Rbuff.create(instance, pid, flowId, mode, owner);
      emptyTail = new Uint8Array(first.#mapping.buffer.slice(L.HEAD, L.BYTES));
      return;
    }
    const name = rbuffName(instance, pid, flowId);
    // Its memory is zeros.
    using object = ShmObject.create(name, L.BYTES, mode, owner);
    const put = object.pwrite(emptyTail, emptyTail.length, L.HEAD);
    if (put === emptyTail.length) return;
    ShmObject.unlink(name);
    throw new SysError(put < 0 ? -put : Errno.EIO, "pwrite", name);
  }

  /** Opens an rbuff; one that was cut short is made whole. Throws `SysError`: ENOENT, EACCES, ENOSPC. */
  static open(instance: Instance, pid: number, flowId: number): Rbuff {
    const name = rbuffName(instance, pid, flowId);
    using object = ShmObject.open(name);
    object.lengthen(L.BYTES);
    return new Rbuff(object.map(L.BYTES));
  }

  /** Removes the name. Returns 0 or a negative errno. */
  static unlink(instance: Instance, pid: number, flowId: number): number {
    return ShmObject.unlink(rbuffName(instance, pid, flowId));
  }

  /** Keeps the ring in memory. Returns 0 or a negative errno. */
  lockMemory(): number {
    return this.#mapping.lock();
  }

  /** Number of packets in the ring; a hint unless the caller is the only user. */
  queued(): number {
    const i32 = this.i32;
    return (Atomics.load(i32, HEAD) - Atomics.load(i32, TAIL)) & MASK;
  }

  /** The ACL bits. */
  acl(): number {
    return Atomics.load(this.i32, ACL);
  }

  /** Why a writer can't write: -EFLOWDOWN, -ENOTALLOC, or 0. */
  #writeRefused(): number {
    const acl = this.i32[ACL]!;
    if (acl === 0) return 0;
    if ((acl & Acl.FLOWDOWN) !== 0) return -Errno.EFLOWDOWN;
    if ((acl & Acl.RDONLY) !== 0) return -Errno.ENOTALLOC;
    return 0;
  }

  /** Why a reader of an empty ring should stop: -EFLOWDOWN, -EFLOWPEER, or 0. */
  #readRefused(): number {
    const acl = Atomics.load(this.i32, ACL);
    if ((acl & Acl.FLOWDOWN) !== 0) return -Errno.EFLOWDOWN;
    if ((acl & Acl.FLOWPEER) !== 0) return -Errno.EFLOWPEER;
    return 0;
  }

  /** Puts a block offset in the ring, or -EAGAIN when it is full. */
  write(off: number): number {
    const i32 = this.i32;
    this.#mutex.lock();
    let result = this.#writeRefused();
    let wake = false;
    if (result === 0) {
      const head = i32[HEAD]! & MASK;
      if (((head - i32[TAIL]!) & MASK) === MASK) result = -Errno.EAGAIN;
      else wake = this.#put(head, off);
    }
    this.#mutex.unlock();
    // After the unlock: woken inside, the reader would run only to block again on the mutex.
    if (wake) this.#add.broadcast();
    return result;
  }

  /** Stores an offset with the lock held. Whether a reader waits and must be woken. */
  #put(head: number, off: number): boolean {
    const i32 = this.i32;
    i32[head << 1] = off;
    i32[(head << 1) + 1] = 0;
    const empty = (i32[TAIL]! & MASK) === head;
    i32[HEAD] = (head + 1) & MASK;
    // Waiters register under the mutex, so no waiter is missed by looking at their count here.
    return empty && this.#add.waited;
  }

  /** As {@linkcode write}, waiting for room until `deadlineNs` (monotonic; Infinity: for ever). */
  writeBlocking(off: number, deadlineNs: number): number {
    const i32 = this.i32;
    const refused = this.#writeRefused();
    if (refused !== 0) return refused;
    this.#mutex.lock();
    let result = 0;
    let wake = false;
    for (;;) {
      result = this.#writeRefused();
      if (result !== 0) break;
      const head = i32[HEAD]! & MASK;
      if (((head - i32[TAIL]!) & MASK) !== MASK) {
        wake = this.#put(head, off);
        break;
      }
      result = this.#waitOn(this.#del, deadlineNs);
      if (result !== 0) break;
    }
    this.#mutex.unlock();
    if (wake) this.#add.broadcast();
    return result;
  }

  /** Waits at most a slice. 0 to look again, or -ETIMEDOUT. */
  #waitOn(cond: Cond, deadlineNs: number): number {
    const nowNs = monotonicNs();
    if (deadlineNs <= nowNs) return -Errno.ETIMEDOUT;
    const i32 = this.i32;
    const head = i32[HEAD];
    const tail = i32[TAIL];
    const until = Math.min(deadlineNs, nowNs + WAIT_SLICE_NS);
    cond.wait(this.#mutex, until);
    // Nobody woke us for what happened: what the condition knew of its waiters was written over.
    const moved = i32[HEAD] !== head || i32[TAIL] !== tail;
    const late = monotonicNs() >= until;
    this.#hollow = moved || late ? 0 : this.#hollow + 1;
    // The other way round it wakes whoever waits at once, always.
    if ((moved && late) || this.#hollow >= HOLLOW_MAX) {
      cond.init();
      this.#hollow = 0;
    }
    return 0;
  }

  /** Takes the next offset, -EAGAIN when empty. A queued packet is delivered whatever the ACL says. */
  read(): number {
    const i32 = this.i32;
    if (Atomics.load(i32, HEAD) === Atomics.load(i32, TAIL)) return this.whyEmpty();
    this.#mutex.lock();
    const tail = i32[TAIL]! & MASK;
    const off = (i32[HEAD]! & MASK) === tail ? -Errno.EAGAIN : this.#take(tail);
    this.#mutex.unlock();
    return off;
  }

  /** As {@linkcode read}, but leaves the packet where it is (and says -EAGAIN) unless `wanted`. */
  readIf(wanted: (off: number) => boolean): number {
    this.#mutex.lock();
    const i32 = this.i32;
    const tail = i32[TAIL]! & MASK;
    let off = -Errno.EAGAIN;
    if ((i32[HEAD]! & MASK) !== tail && wanted(i32[tail << 1]!)) off = this.#take(tail);
    this.#mutex.unlock();
    return off;
  }

  /** The slot at `tail`, which is not empty. An offset that isn't one (64-bit, negative) becomes 0. */
  #take(tail: number): number {
    const i32 = this.i32;
    const off = i32[(tail << 1) + 1] === 0 ? i32[tail << 1]! : 0;
    Atomics.store(i32, TAIL, (tail + 1) & MASK);
    if (this.#del.waited) this.#del.broadcast();
    return off < 0 ? 0 : off;
  }

  /** As {@linkcode read}, waiting for a packet until `deadlineNs` (monotonic; Infinity: for ever). */
  readBlocking(deadlineNs: number): number {
    const i32 = this.i32;
    this.#mutex.lock();
    let result = 0;
    for (;;) {
      const tail = i32[TAIL]! & MASK;
      if ((i32[HEAD]! & MASK) !== tail) {
        result = this.#take(tail);
        break;
      }
      result = this.#readRefused();
      if (result !== 0) break;
      result = this.#waitOn(this.#add, deadlineNs);
      if (result !== 0) break;
    }
    this.#mutex.unlock();
    return result;
  }

  /** Sets ACL bits and wakes everybody who waits here. */
  setAcl(bits: number): void {
    Atomics.or(this.i32, ACL, bits);
    this.wake();
  }

  /** Clears ACL bits and wakes everybody who waits here. */
  clearAcl(bits: number): void {
    Atomics.and(this.i32, ACL, ~bits);
    this.wake();
  }

  /** Wakes readers and writers, which look at the ACL again. */
  wake(): void {
    this.#mutex.lock();
    this.#add.broadcast();
    this.#del.broadcast();
    this.#mutex.unlock();
  }

  /** Takes everything out of the ring, giving each offset to `free`. Returns how many. */
  drain(free: (off: number) => void): number {
    let n = 0;
    // A writer that goes on writing must not keep us here for ever.
    while (n < RBUFF_SLOTS) {
      const off = this.read();
      if (off < 0) break;
      if (off > 0) free(off);
      n += 1;
    }
    return n;
  }

  /** Adds the offsets that wait in the ring to `into` (a bounded look without the lock). */
  collect(into: Set<number>): void {
    const i32 = this.i32;
    const head = Atomics.load(i32, HEAD) & MASK;
    for (let at = Atomics.load(i32, TAIL) & MASK; at !== head; at = (at + 1) & MASK) {
      into.add(i32[at << 1]!);
    }
  }

  /**
   * Waits until the reader took everything, at most until `deadlineNs`. 0 when empty; -EFLOWDOWN or
   * -EFLOWPEER as soon as the ACL says that nobody reads any more; -ETIMEDOUT.
   */
  waitEmpty(deadlineNs: number): number {
    const i32 = this.i32;
    this.#mutex.lock();
    let result = 0;
    while ((i32[HEAD]! & MASK) !== (i32[TAIL]! & MASK)) {
      result = this.#readRefused();
      if (result !== 0) break;
      result = this.#waitOn(this.#del, deadlineNs);
      if (result !== 0) break;
    }
    this.#mutex.unlock();
    return result;
  }

  /**
   * Longest packet that the reader passes on, bytes, where that is no longer what it said when the flow began; 0: it is.
   * A hint as everything here: whoever has the ring can write it.
   */
  packetBytesMax(): number {
    return this.i32[PACKET_MAX]! >>> 0;
  }

  /** Says to the writer what {@linkcode packetBytesMax} is from now on. */
  setPacketBytesMax(bytes: number): void {
    Atomics.store(this.i32, PACKET_MAX, bytes);
  }

  // For RingReader, the one reader of the ring.

  /** Position of the next read. */
  tailPosition(): number {
    return this.i32[TAIL]! & MASK;
  }

  /** What a read of an empty ring says: -EAGAIN, -EFLOWDOWN, -EFLOWPEER. */
  whyEmpty(): number {
    if (this.i32[ACL] === 0) return -Errno.EAGAIN;
    const refused = this.#readRefused();
    return refused === 0 ? -Errno.EAGAIN : refused;
  }

  /** The offset at a position between tail and head; 0 for one that can't be an offset. */
  slotAt(at: number): number {
    const off = this.i32[at << 1]!;
    return off < 0 || this.i32[(at << 1) + 1] !== 0 ? 0 : off;
  }

  /** Whether somebody waits for room, or for the ring to be empty. */
  writersWait(): boolean {
    return this.#del.waited;
  }

  /** Gives back all slots before `tail` and wakes who waits for them. */
  advance(tail: number): void {
    this.#mutex.lock();
    this.i32[TAIL] = tail;
    if (this.#del.waited) this.#del.broadcast();
    this.#mutex.unlock();
  }

  /** Gives back all slots before `tail` when nobody waits for them. */
  advanceUnlocked(tail: number): void {
    this.i32[TAIL] = tail;
  }

  /** Position of the next write; it moves with every packet, so a change tells of traffic. */
  headPosition(): number {
    return Atomics.load(this.i32, HEAD) & MASK;
  }

  /** Unmaps. No method may be called afterwards. Idempotent. */
  close(): void {
    this.i32 = new Int32Array(0);
    this.#mapping.unmap();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

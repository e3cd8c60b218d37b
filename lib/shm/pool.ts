/**
 * Packet pools: the blocks that packets live in (spec 10 §4).
 *
 * A block is named by its byte offset in the pool. The reference taken by `alloc` travels with the
 * offset through an rbuff, and the reader gives it back with `remove`. All lists, counts and block
 * headers are memory that other processes write: every offset is checked against the geometry of the
 * pool kind (never against sizes stored in the pool), walks are bounded, and a block that is free is
 * not freed again (spec 10 §11.8, §11.9).
 *
 * Order of stores, so that a SIGKILL inside a critical section loses nothing: `alloc` marks a block
 * with its pid before it leaves the list, `remove` clears the pid after it is back on a list. So a
 * block off the lists always carries a pid, and {@linkcode reclaim} of that pid finds it; the next
 * locker of the shard (EOWNERDEAD) recounts the list.
 *
 * Plain accesses are used where a lock call orders them: it is a barrier for processor and compiler.
 *
 * Results: offsets, lengths or 0; negative errno on failure. Nothing here throws but open and create.
 */

import { Errno } from "../errno.ts";
import { type Instance, shmName } from "../instance.ts";
import { monotonicNs, sleepNs } from "../sys/clock.ts";
import { SysError } from "../sys/ffi.ts";
import { copyFrom, type Mapping, ShmObject } from "../sys/mman.ts";
import type { MemRef } from "../sys/ffi.ts";
import { PoolMemory } from "./pool_memory.ts";
import {
  Block,
  GSPP,
  HEAD_SPACE,
  MODE_PRIVATE,
  MODE_SHARED,
  PoolHeader,
  PUP,
  Shard,
  SHARDS,
} from "./layout.ts";

/** First and longest pause of a blocking allocation, ns: spec 10 §11.17 asks for at most 1 ms to start. */
const BACKOFF_FIRST_NS = 20e3;
const BACKOFF_MAX_NS = 1e6;

/** Free blocks of a shard below which each one is given back at once. */
const SCARCE = 16;
/** Free blocks of a shard below which nobody takes any ahead. */
const AHEAD_RESERVE = 64;

/** Name of the pool of a flow uid: 0 is the global pool. */
export function poolName(instance: Instance, uid: number): string {
  return uid === 0 ? shmName(instance, "gspp") : shmName(instance, "pup", uid);
}

/** Owner of a new object: numeric uid and gid. */
export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** An open pool. One object a thread; processes and threads share the memory. */
export class Pool extends PoolMemory {
  readonly #payload: (MemRef | undefined)[];
  readonly #local: number;

  private constructor(
    name: string,
    uid: number,
    pid: number,
    mapping: Mapping,
    object: ShmObject | null,
  ) {
    super(name, uid, pid, mapping, object);
    this.#local = pid & (SHARDS - 1);
    this.#payload = new Array(this.geometry.blocks);
  }

  /**
   * Creates and initialises the pool of a flow uid. Throws `SysError` (EEXIST when it is there).
   * The global pool belongs to root and the `ouroboros` group, a user's pool to that user alone.
   */
  static create(instance: Instance, uid: number, owner?: Owner, pid: number = Deno.pid): Pool {
    const name = poolName(instance, uid);
    const geometry = uid === 0 ? GSPP : PUP;
    using object = ShmObject.create(
      name,
      geometry.fileBytes,
      uid === 0 ? MODE_SHARED : MODE_PRIVATE,
      owner,
    );
    try {
      const pool = new Pool(name, uid, pid, object.map(geometry.fileBytes), null);
      pool.initialise();
      return pool;
    } catch (e) {
      ShmObject.unlink(name);
      throw e;
    }
  }

  /**
   * Opens the pool of a flow uid. Throws `SysError`: ENOENT, EACCES, EINVAL when the owner is not that of such a pool or it
   * was never initialised; ENOSPC when one that was cut short can't get its length back.
   * @param foreign keeps the descriptor, so that payload of an untrusted pool is copied without a
   *   mapping that its owner can cut off.
   */
  static open(instance: Instance, uid: number, foreign = false, pid: number = Deno.pid): Pool {
    const name = poolName(instance, uid);
    const geometry = uid === 0 ? GSPP : PUP;
    const object = ShmObject.open(name);
    try {
      const stat = object.stat();
      if (uid !== 0 && stat.uid !== uid) throw new SysError(Errno.EINVAL, "owner of pool", name);
      // One that was made longer is as good.
      object.lengthen(geometry.fileBytes);
      const pool = new Pool(
        name,
        uid,
        pid,
        object.map(geometry.fileBytes),
        foreign ? object : null,
      );
      if (!foreign) object.close();
      const initialised = geometry.dataBytes + PoolHeader.INITIALIZED;
      if (Atomics.load(pool.i32, initialised >> 2) !== 1) {
        pool.close();
        throw new SysError(Errno.EINVAL, "state of pool", name);
      }
      return pool;
    } catch (e) {
      object.close();
      throw e;
    }
  }

  /**
   * Makes a pool that was cut short or wiped whole again, in place and empty: what was in it is lost. False when it was
   * whole. Throws `SysError`.
   */
  static restore(instance: Instance, uid: number, pid: number = Deno.pid): boolean {
    const name = poolName(instance, uid);
    const geometry = uid === 0 ? GSPP : PUP;
    using object = ShmObject.open(name);
    const cut = object.stat().size < geometry.fileBytes;
    object.lengthen(geometry.fileBytes);
    using pool = new Pool(name, uid, pid, object.map(geometry.fileBytes), null);
    return (pool.spoilt() && pool.renew()) || cut;
  }

  /** Removes the name. Returns 0 or a negative errno. */
  static unlink(instance: Instance, uid: number): number {
    return ShmObject.unlink(poolName(instance, uid));
  }

  /**
   * Takes a block for `len` payload bytes, head at {@linkcode HEAD_SPACE}. Returns its offset,
   * -EMSGSIZE when no class is large enough, -EAGAIN when the class is exhausted. A spoilt pool is made anew.
   */
  alloc(len: number): number {
    const c = this.classFor(len);
    if (c < 0) return c;
    let off = this.#allocOf(c, len);
    if (off === 0 && this.spoilt() && this.renew()) off = this.#allocOf(c, len);
    return off === 0 ? -Errno.EAGAIN : off;
  }

  /** A block of class c, 0 when there is none. */
  #allocOf(c: number, len: number): number {
    for (let i = 0; i < SHARDS; i++) {
      const off = this.#pop(c, (this.#local + i) & (SHARDS - 1), len);
      if (off !== 0) return off;
    }
    return 0;
  }

  /**
   * As {@linkcode alloc}, waiting for a free block until `deadlineNs` of the monotonic clock (Infinity:
   * for ever), then -ETIMEDOUT. Polls with a growing pause: the shard conditions are not safe to wait
   * on (spec 10 §3.3, §11.17).
   */
  allocBlocking(len: number, deadlineNs: number): number {
    let pauseNs = BACKOFF_FIRST_NS;
    for (;;) {
      const off = this.alloc(len);
      if (off !== -Errno.EAGAIN) return off;
      const leftNs = deadlineNs - monotonicNs();
      if (leftNs <= 0) return -Errno.ETIMEDOUT;
      sleepNs(Math.min(pauseNs, leftNs));
      pauseNs = Math.min(pauseNs * 2, BACKOFF_MAX_NS);
    }
  }

  /**
   * Takes up to `most` blocks of class `c` with one lock and puts their offsets at `out[at…]`; none
   * when that would leave few to others. Returns how many. For {@linkcode BlockCache}.
   */
  allocAhead(c: number, out: Int32Array, at: number, most: number): number {
    const s = this.#local;
    this.lockShard(c, s);
    const count = this.i32[(this.shardAt(c, s) + Shard.COUNT) >> 2]!;
    let n = 0;
    if (count > AHEAD_RESERVE) {
      while (n < most) {
        const off = this.#popLocked(c, s, 0);
        if (off === 0) break;
        out[at + n++] = off;
      }
    }
    this.unlockShard(c, s);
    return n;
  }

  /** Makes the packet of a fresh block `len` bytes long; the class was chosen for that length. */
  setLength(off: number, len: number): void {
    this.i32[(off + Block.TAIL) >> 2] = HEAD_SPACE + len;
  }

  #pop(c: number, s: number, len: number): number {
    this.lockShard(c, s);
    const off = this.#popLocked(c, s, len);
    this.unlockShard(c, s);
    return off;
  }

  /** Takes a block off a locked shard, 0 when there is none. */
  #popLocked(c: number, s: number, len: number): number {
    const i32 = this.i32;
    const shard = this.shardAt(c, s) >> 2;
    const free = i32[shard + (Shard.FREE_COUNT >> 2)]!;
    if (free <= 0) return 0;
    const off = i32[shard + (Shard.HEAD >> 2)]!;
    if (off !== 0 && !this.isFree(c, off)) {
      // A broken list: cut it here, its blocks come back with the next reclaim.
      i32[shard + (Shard.HEAD >> 2)] = 0;
      i32[shard + (Shard.COUNT >> 2)] = 0;
      i32[shard + (Shard.FREE_COUNT >> 2)] = 0;
      return 0;
    }
    if (off !== 0) {
      const block = off >> 2;
      i32[block + (Block.PID >> 2)] = this.pid;
      i32[shard + (Shard.HEAD >> 2)] = i32[block + (Block.NEXT >> 2)]!;
      i32[shard + (Shard.COUNT >> 2)] = i32[shard + (Shard.COUNT >> 2)]! - 1;
      this.u16[(off + Block.REFCOUNT) >> 1] = 1;
      i32[block + (Block.SIZE >> 2)] = this.geometry.objectSize[c]! - Block.DATA;
      i32[block + (Block.HEAD >> 2)] = HEAD_SPACE;
      i32[block + (Block.TAIL >> 2)] = HEAD_SPACE + len;
      i32[block + (Block.OFF >> 2)] = off;
    }
    i32[shard + (Shard.FREE_COUNT >> 2)] = free - 1;
    return off;
  }

  /** 0 when `off` names a block with a reference, else -EINVAL: drop it and do not remove it. */
  get(off: number): number {
    if (this.classOf(off) < 0) return -Errno.EINVAL;
    const refs = Atomics.load(this.u16, (off + Block.REFCOUNT) >> 1);
    if (refs === 0 || refs === 65535 || this.i32[(off + Block.OFF) >> 2] !== off) {
      return -Errno.EINVAL;
    }
    return 0;
  }

  /**
   * Checks a held block and its packet bounds, once. Returns the packet's length and leaves its
   * position in {@linkcode at}; -EINVAL when it isn't held, -EMSGSIZE for forged bounds (remove it).
   */
  inspect(off: number): number {
    const c = this.classOf(off);
    if (c < 0) return c;
    const refs = this.u16[(off + Block.REFCOUNT) >> 1]!;
    const block = off >> 2;
    const i32 = this.i32;
    if (refs === 0 || refs === 65535 || i32[block + (Block.OFF >> 2)] !== off) {
      return -Errno.EINVAL;
    }
    const head = i32[block + (Block.HEAD >> 2)]!;
    const tail = i32[block + (Block.TAIL >> 2)]!;
    const room = this.geometry.objectSize[c]! - Block.DATA;
    if (head < 0 || tail < head || tail > room) return -Errno.EMSGSIZE;
    this.at = off + Block.DATA + head;
    return tail - head;
  }

  /**
   * Copies `n` bytes at position `at` (inside a block that {@linkcode inspect} accepted) to the start
   * of `into`. No allocation for packets at the usual head position.
   */
  copyOut(off: number, at: number, n: number, into: Uint8Array<ArrayBuffer>): void {
    if (this.object !== null) {
      this.object.pread(into, n, at);
    } else if (at === off + Block.DATA + HEAD_SPACE && n <= into.length) {
      copyFrom(this.#payloadRef(off), into, n);
    } else {
      into.set(this.u8.subarray(at, at + n));
    }
  }

  #payloadRef(off: number): MemRef {
    const g = this.geometry;
    let c = 0;
    while (off >= g.start[c + 1]!) c += 1;
    const index = g.firstIndex[c]! + (off - g.start[c]!) / g.objectSize[c]!;
    const known = this.#payload[index];
    if (known !== undefined) return known;
    return this.#payload[index] = this.mapping.ref(off + Block.DATA + HEAD_SPACE);
  }

  /** Whether the allocator of a block has few left of its class: others may be waiting for this one. */
  scarce(off: number): boolean {
    const c = this.classOf(off);
    if (c < 0) return true;
    const s = this.i32[(off + Block.PID) >> 2]! & (SHARDS - 1);
    return this.i32[(this.shardAt(c, s) + Shard.COUNT) >> 2]! < SCARCE;
  }

  /** Drops one reference; the last one frees the block. 0 or -EINVAL (bad offset, free already). */
  remove(off: number): number {
    const c = this.classOf(off);
    if (c < 0) return c;
    const s = this.i32[(off + Block.PID) >> 2]! & (SHARDS - 1);
    this.lockShard(c, s);
    const result = this.#drop(c, s, off);
    this.unlockShard(c, s);
    return result;
  }

  /** Drops one reference with the shard locked. */
  #drop(c: number, s: number, off: number): number {
    const pid = this.i32[(off + Block.PID) >> 2]!;
    if (pid === 0 || (pid & (SHARDS - 1)) !== s) {
      this.doubleRemoves += 1;
      return -Errno.EINVAL;
    }
    // With one reference left it is ours, and nobody else may add or drop one meanwhile.
    let refs = this.u16[(off + Block.REFCOUNT) >> 1]!;
    if (refs !== 1) refs = Atomics.sub(this.u16, (off + Block.REFCOUNT) >> 1, 1);
    if (refs <= 1 || refs === 65535) this.push(c, s, off);
    return 0;
  }

  /** As {@linkcode remove} for the first `n` offsets; one lock for neighbours of one shard. */
  removeAll(offs: Int32Array, n: number): void {
    let lockedClass = -1;
    let lockedShard = -1;
    for (let k = 0; k < n; k++) {
      const off = offs[k]!;
      const c = this.classOf(off);
      if (c < 0) continue;
      const s = this.i32[(off + Block.PID) >> 2]! & (SHARDS - 1);
      if (c !== lockedClass || s !== lockedShard) {
        if (lockedClass >= 0) this.unlockShard(lockedClass, lockedShard);
        this.lockShard(c, s);
        lockedClass = c;
        lockedShard = s;
      }
      this.#drop(c, s, off);
    }
    if (lockedClass >= 0) this.unlockShard(lockedClass, lockedShard);
  }

  /** Puts a block on a locked shard and wakes a C process that waits there. */
  push(c: number, s: number, off: number): void {
    const i32 = this.i32;
    const block = off >> 2;
    const shard = this.shardAt(c, s) >> 2;
    this.u16[(off + Block.REFCOUNT) >> 1] = 0;
    i32[block + (Block.NEXT >> 2)] = i32[shard + (Shard.HEAD >> 2)]!;
    i32[shard + (Shard.HEAD >> 2)] = off;
    i32[shard + (Shard.COUNT >> 2)] = i32[shard + (Shard.COUNT >> 2)]! + 1;
    i32[shard + (Shard.FREE_COUNT >> 2)] = i32[shard + (Shard.FREE_COUNT >> 2)]! + 1;
    i32[block + (Block.PID >> 2)] = 0;
    this.signal(c, s);
  }

  /** Adds a reference (retransmission). Only the holder of one may call it; give it back by `remove`. */
  addReference(off: number): number {
    if (this.get(off) < 0) return -Errno.EINVAL;
    Atomics.add(this.u16, (off + Block.REFCOUNT) >> 1, 1);
    return 0;
  }

  /** Drops a reference without freeing, as C's `ack` does. Not for senders of ours (spec 10 §4.6). */
  dropReference(off: number): number {
    if (this.get(off) < 0) return -Errno.EINVAL;
    Atomics.sub(this.u16, (off + Block.REFCOUNT) >> 1, 1);
    return 0;
  }

  /** Makes room for `n` bytes before the packet of a held block. Returns their position, or -ENOMEM. */
  headAlloc(off: number, n: number): number {
    const i = (off + Block.HEAD) >> 2;
    const head = this.i32[i]!;
    if (head < n) return -Errno.ENOMEM;
    this.i32[i] = head - n;
    return off + Block.DATA + head - n;
  }

  /** Makes room for `n` bytes behind the packet. Returns their position, or -ENOMEM. */
  tailAlloc(off: number, n: number): number {
    const i = (off + Block.TAIL) >> 2;
    const tail = this.i32[i]!;
    // "≥": one byte short, as in the prototype, so that both accept the same packets.
    if (tail + n >= this.i32[(off + Block.SIZE) >> 2]!) return -Errno.ENOMEM;
    this.i32[i] = tail + n;
    return off + Block.DATA + tail;
  }

  /** Strips `n` bytes from the front. Returns the old position of the packet, or -EINVAL when shorter. */
  headRelease(off: number, n: number): number {
    const i = (off + Block.HEAD) >> 2;
    const head = this.i32[i]!;
    if (head + n > this.i32[(off + Block.TAIL) >> 2]!) return -Errno.EINVAL;
    this.i32[i] = head + n;
    return off + Block.DATA + head;
  }

  /** Strips `n` bytes from the end. Returns the new end position, or -EINVAL when shorter. */
  tailRelease(off: number, n: number): number {
    const i = (off + Block.TAIL) >> 2;
    const tail = this.i32[i]!;
    if (tail - n < this.i32[(off + Block.HEAD) >> 2]!) return -Errno.EINVAL;
    this.i32[i] = tail - n;
    return off + Block.DATA + tail - n;
  }

  /** Makes the packet `n` bytes long. 0, or -EMSGSIZE when the block is too small. */
  truncate(off: number, n: number): number {
    const head = this.i32[(off + Block.HEAD) >> 2]!;
    if (head + n > this.i32[(off + Block.SIZE) >> 2]!) return -Errno.EMSGSIZE;
    this.i32[(off + Block.TAIL) >> 2] = head + n;
    return 0;
  }
}

/**
 * The memory of a pool and its accounts: classes, shards, free lists and their repair (spec 10 §4).
 * Taking and giving blocks is in `pool.ts`, which says how hostile contents are met.
 */

import { Errno } from "../errno.ts";
import { Cond } from "../sys/cond.ts";
import type { Mapping, ShmObject } from "../sys/mman.ts";
import { Mutex } from "../sys/mutex.ts";
import { pidAlive } from "../sys/process.ts";
import {
  assertLayout,
  Block,
  BLOCK_OVERHEAD,
  CLASSES,
  GSPP,
  type PoolGeometry,
  PoolHeader,
  PUP,
  Shard,
  SHARDS,
  SizeClass,
} from "./layout.ts";

/** State of a pool that somebody makes anew just now: neither 0 nor 1. */
const RENEWING = 2;

/** Free blocks of each class, for accounting and tests. */
export interface PoolStats {
  /** By class: blocks, blocks with a reference, and the sum of the shards' `count`. */
  readonly classes: readonly { blocks: number; used: number; listed: number }[];
}

/** See the head of this file. */
export abstract class PoolMemory implements Disposable {
  readonly geometry: PoolGeometry;
  /** Memory of the pool, for whoever writes or reads a payload in place at a checked position. */
  u8: Uint8Array<ArrayBuffer>;
  i32: Int32Array<ArrayBuffer>;
  u16: Uint16Array<ArrayBuffer>;
  /** Position of the packet in {@linkcode u8} after a successful {@linkcode inspect}. */
  at = 0;
  /** Refused frees of blocks that are free already. */
  doubleRemoves = 0;
  /** Offsets that failed validation. */
  badOffsets = 0;

  protected readonly mapping: Mapping;
  /** Kept only for pools of another user, whose payload is copied by pread and pwrite. */
  readonly #object: ShmObject | null;
  readonly #mutexes: Mutex[] = [];
  readonly #conds: Cond[] = [];

  protected constructor(
    /** The mapped object's name. */
    readonly name: string,
    /** Flow uid: 0 for the global pool. */
    readonly uid: number,
    /** Written as allocator of blocks. */
    readonly pid: number,
    mapping: Mapping,
    object: ShmObject | null,
  ) {
    assertLayout();
    this.geometry = uid === 0 ? GSPP : PUP;
    this.mapping = mapping;
    this.#object = object;
    this.u8 = new Uint8Array(mapping.buffer);
    this.i32 = mapping.words;
    this.u16 = new Uint16Array(mapping.buffer);
    for (let c = 0; c < CLASSES; c++) {
      for (let s = 0; s < SHARDS; s++) {
        const at = this.shardAt(c, s);
        this.#mutexes.push(new Mutex(mapping, at + Shard.MUTEX, true));
        this.#conds.push(new Cond(mapping, at + Shard.COND));
      }
    }
  }

  /** Byte position of a shard in the file. */
  shardAt(c: number, s: number): number {
    return this.geometry.dataBytes + PoolHeader.CLASSES + c * SizeClass.BYTES + s * Shard.BYTES;
  }

  /** Keeps the pool in memory. Returns 0 or a negative errno. */
  lockMemory(): number {
    return this.mapping.lock();
  }

  /** Smallest class that holds a payload of `len` bytes, or -EMSGSIZE. */
  classFor(len: number): number {
    const g = this.geometry;
    const need = len + BLOCK_OVERHEAD;
    for (let c = 1; c < CLASSES; c++) {
      if (g.objectSize[c]! >= need) return g.objectCount[c] === 0 ? -Errno.EMSGSIZE : c;
    }
    return -Errno.EMSGSIZE;
  }

  /** Largest payload of one packet, bytes. */
  get payloadBytesMax(): number {
    const g = this.geometry;
    let c = CLASSES - 1;
    while (g.objectCount[c] === 0) c -= 1;
    return g.objectSize[c]! - BLOCK_OVERHEAD;
  }

  /** Free blocks of the class that `len` bytes need, without locks: a hint for who waits. */
  freeHint(len: number): number {
    const c = this.classFor(len);
    if (c < 0) return 0;
    let n = 0;
    for (let s = 0; s < SHARDS; s++) {
      n += Atomics.load(this.i32, (this.shardAt(c, s) + Shard.COUNT) >> 2);
    }
    return n;
  }

  /** Locks a shard, repairing it when its last owner died. */
  lockShard(c: number, s: number): void {
    if (!this.#mutexes[c * SHARDS + s]!.lock()) this.recount(c, s);
  }

  unlockShard(c: number, s: number): void {
    this.#mutexes[c * SHARDS + s]!.unlock();
  }

  /** Wakes a C process that waits for a block of a locked shard. */
  protected signal(c: number, s: number): void {
    const cond = this.#conds[c * SHARDS + s]!;
    if (cond.waited) cond.signal();
  }

  /** Whether `off` is a block of class c that nobody holds (65535 is what C leaves, spec 10 §4.6). */
  protected isFree(c: number, off: number): boolean {
    const g = this.geometry;
    if (off < g.start[c]! || off >= g.start[c + 1]!) return false;
    if (((off - g.start[c]!) & (g.objectSize[c]! - 1)) !== 0) return false;
    const refs = this.u16[(off + Block.REFCOUNT) >> 1]!;
    return refs === 0 || refs === 65535;
  }

  /** Class of a legal offset (start of a block, not 0), or -EINVAL. */
  classOf(off: number): number {
    const start = this.geometry.start;
    if (off > 0 && off < start[CLASSES]! && (off & 0xff) === 0) {
      let c = 0;
      while (off >= start[c + 1]!) c += 1;
      if (((off - start[c]!) & (this.geometry.objectSize[c]! - 1)) === 0) return c;
    }
    this.badOffsets += 1;
    return -Errno.EINVAL;
  }

  /** Descriptor for payload copies of a foreign pool, null for pools of our own. */
  get object(): ShmObject | null {
    return this.#object;
  }

  /** Corrects the counts of a locked shard from its list, cutting the list where it is broken. */
  recount(c: number, s: number): void {
    const i32 = this.i32;
    const shard = this.shardAt(c, s) >> 2;
    const most = this.geometry.objectCount[c]!;
    let link = shard + (Shard.HEAD >> 2);
    let n = 0;
    for (let off = i32[link]!; off !== 0; off = i32[link]!) {
      if (n >= most || !this.isFree(c, off)) {
        i32[link] = 0;
        break;
      }
      i32[(off + Block.PID) >> 2] = 0;
      link = (off + Block.NEXT) >> 2;
      n += 1;
    }
    i32[shard + (Shard.COUNT >> 2)] = n;
    i32[shard + (Shard.FREE_COUNT >> 2)] = n;
    i32[shard + (Shard.FREE_COUNT >> 2) + 1] = 0;
  }

  /** Whether what never changes in the header of a pool is gone: somebody cut the pool short, or wrote over it. */
  spoilt(): boolean {
    const { i32, geometry: g } = this;
    const header = g.dataBytes;
    if (Atomics.load(i32, (header + PoolHeader.INITIALIZED) >> 2) !== 1) return true;
    for (let c = 0; c < CLASSES; c++) {
      if (g.objectCount[c] === 0) continue;
      const at = header + PoolHeader.CLASSES + c * SizeClass.BYTES;
      if (
        i32[(at + SizeClass.OBJECT_SIZE) >> 2] !== g.objectSize[c] ||
        i32[(at + SizeClass.OBJECT_COUNT) >> 2] !== g.objectCount[c] ||
        i32[(at + SizeClass.POOL_START) >> 2] !== g.start[c]
      ) return true;
    }
    return false;
  }

  /**
   * Makes a spoilt pool anew, in place and empty: what was in it is lost, and what was taken from it is taken from nobody.
   * One process at a time does; whoever comes meanwhile is told false.
   */
  renew(): boolean {
    const { i32, geometry: g } = this;
    const state = (g.dataBytes + PoolHeader.INITIALIZED) >> 2;
    const owner = (g.dataBytes + PoolHeader.PID) >> 2;
    const found = Atomics.load(i32, state);
    if (found === RENEWING && pidAlive(i32[owner]!)) return false;
    if (Atomics.compareExchange(i32, state, found, RENEWING) !== found) return false;
    i32[owner] = this.pid;
    i32.fill(0, (g.dataBytes + PoolHeader.CLASSES) >> 2, (g.dataBytes + PoolHeader.BYTES) >> 2);
    for (let c = 0; c < CLASSES; c++) {
      for (let off = g.start[c]!; off < g.start[c + 1]!; off += g.objectSize[c]!) {
        i32.fill(0, off >> 2, (off + Block.DATA) >> 2);
      }
    }
    this.initialise();
    return true;
  }

  /** Counts of each class, read without locks. */
  stats(): PoolStats {
    const g = this.geometry;
    const classes = [];
    for (let c = 0; c < CLASSES; c++) {
      let used = 0;
      let listed = 0;
      for (let off = g.start[c]!; off < g.start[c + 1]!; off += g.objectSize[c]!) {
        const refs = Atomics.load(this.u16, (off + Block.REFCOUNT) >> 1);
        if (refs !== 0 && refs !== 65535) used += 1;
      }
      for (let s = 0; s < SHARDS; s++) listed += this.i32[(this.shardAt(c, s) + Shard.COUNT) >> 2]!;
      classes.push({ blocks: g.objectCount[c]!, used, listed });
    }
    return { classes };
  }

  /** Unmaps. No method may be called afterwards. Idempotent. */
  close(): void {
    this.u8 = new Uint8Array(0);
    this.i32 = new Int32Array(0);
    this.u16 = new Uint16Array(0);
    this.mapping.unmap();
    this.#object?.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Makes a fresh pool of zeroed memory (spec 10 §4.5). */
  protected initialise(): void {
    const g = this.geometry;
    const i32 = this.i32;
    const header = g.dataBytes;
    new Mutex(this.mapping, header + PoolHeader.MUTEX).init();
    new Cond(this.mapping, header + PoolHeader.HEALTHY).init();
    i32[(header + PoolHeader.PID) >> 2] = this.pid;
    for (let c = 0; c < CLASSES; c++) {
      const count = g.objectCount[c]!;
      // A class without blocks stays zero, its mutexes included (spec 10 §4.1).
      if (count === 0) continue;
      const at = header + PoolHeader.CLASSES + c * SizeClass.BYTES;
      i32[(at + SizeClass.OBJECT_SIZE) >> 2] = g.objectSize[c]!;
      i32[(at + SizeClass.POOL_START) >> 2] = g.start[c]!;
      i32[(at + SizeClass.POOL_SIZE) >> 2] = g.start[c + 1]! - g.start[c]!;
      i32[(at + SizeClass.OBJECT_COUNT) >> 2] = count;
      for (let s = 0; s < SHARDS; s++) {
        this.#mutexes[c * SHARDS + s]!.init();
        this.#conds[c * SHARDS + s]!.init();
      }
      let head = 0;
      for (let k = 0; k < count; k++) {
        const off = g.start[c]! + k * g.objectSize[c]!;
        i32[(off + Block.NEXT) >> 2] = head;
        head = off;
      }
      const shard = this.shardAt(c, 0) >> 2;
      i32[shard + (Shard.HEAD >> 2)] = head;
      // The block at offset 0 is counted although no list reaches it, as in the prototype.
      i32[shard + (Shard.COUNT >> 2)] = count;
      i32[shard + (Shard.FREE_COUNT >> 2)] = count;
    }
    Atomics.store(i32, (header + PoolHeader.INITIALIZED) >> 2, 1);
  }
}

/**
 * Taking back the blocks of dead processes (spec 10 §4.7, §11.7).
 *
 * `allocator_pid` says who allocated a block, not who holds it: a block that waits in a live reader's
 * rbuff belongs to that reader. The caller collects those offsets first and they are left alone.
 */

import { Block, CLASSES, Shard, SHARDS } from "./layout.ts";
import type { Pool } from "./pool.ts";

/**
 * Frees the blocks that `pid` allocated and that are not in `held`, to shard 0 as the prototype does.
 * Returns the number of blocks freed. The process must be dead. Blocks that a killed process left
 * outside all lists come back too.
 */
export function reclaim(pool: Pool, pid: number, held: ReadonlySet<number>): number {
  if (pid <= 0) return 0;
  let freed = 0;
  for (let c = 0; c < CLASSES; c++) {
    if (pool.geometry.objectCount[c] === 0) continue;
    freed += reclaimClass(pool, c, pid, held);
  }
  return freed;
}

function reclaimClass(pool: Pool, c: number, pid: number, held: ReadonlySet<number>): number {
  const g = pool.geometry;
  const own = pid & (SHARDS - 1);
  // The allocator's shard excludes readers that free its blocks just now; ascending order, no cycle.
  pool.lockShard(c, 0);
  if (own !== 0) pool.lockShard(c, own);
  let freed = 0;
  let idle = 0;
  for (let off = g.start[c]!; off < g.start[c + 1]!; off += g.objectSize[c]!) {
    if (off === 0) continue;
    const refs = Atomics.load(pool.u16, (off + Block.REFCOUNT) >> 1);
    if (refs === 0 || refs === 65535) {
      idle += 1;
    } else if (pool.i32[(off + Block.PID) >> 2] === pid && !held.has(off)) {
      pool.push(c, 0, off);
      freed += 1;
    }
  }
  if (own !== 0) pool.unlockShard(c, own);
  pool.unlockShard(c, 0);
  let listed = 0;
  for (let s = 0; s < SHARDS; s++) listed += pool.i32[(pool.shardAt(c, s) + Shard.COUNT) >> 2]!;
  // More idle blocks than the lists hold: some lie outside of all lists.
  return idle + freed > listed ? freed + relist(pool, c, pid) : freed;
}

/** Puts blocks without references that no list reaches on shard 0, with the whole class locked. */
function relist(pool: Pool, c: number, pid: number): number {
  const g = pool.geometry;
  let found = 0;
  for (let s = 0; s < SHARDS; s++) pool.lockShard(c, s);
  const onList = new Set<number>();
  for (let s = 0; s < SHARDS; s++) {
    pool.recount(c, s);
    let off = pool.i32[(pool.shardAt(c, s) + Shard.HEAD) >> 2]!;
    // recount() left a list that ends and stays inside the class.
    while (off !== 0 && !onList.has(off)) {
      onList.add(off);
      off = pool.i32[(off + Block.NEXT) >> 2]!;
    }
  }
  for (let off = g.start[c]!; off < g.start[c + 1]!; off += g.objectSize[c]!) {
    if (off === 0 || onList.has(off)) continue;
    const refs = Atomics.load(pool.u16, (off + Block.REFCOUNT) >> 1);
    const by = pool.i32[(off + Block.PID) >> 2]!;
    // A live sender of the prototype passes through 0 references before it frees (spec 10 §4.6).
    if ((refs === 0 || refs === 65535) && (by === 0 || by === pid)) {
      pool.push(c, 0, off);
      found += 1;
    }
  }
  for (let s = SHARDS - 1; s >= 0; s--) pool.unlockShard(c, s);
  return found;
}

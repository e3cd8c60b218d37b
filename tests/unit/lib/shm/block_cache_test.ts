// Blocks taken ahead: only in a stream, never the last ones, given back when the process waits.

import { assert, assertEquals } from "@std/assert";
import { Errno } from "../../../../lib/errno.ts";
import { BlockCache } from "../../../../lib/shm/block_cache.ts";
import { Pool } from "../../../../lib/shm/pool.ts";
import { withShm } from "../../../support/shm.ts";

function withCache(use: (cache: BlockCache, pool: Pool, used: () => number) => void): void {
  withShm((instance, defer) => {
    const pool = Pool.create(instance, 0);
    defer(() => pool.close());
    const cache = new BlockCache(pool);
    defer(() => cache.close());
    // Blocks come home to their allocator's shard, where a stream takes them from.
    const all = Array.from({ length: 700 }, () => pool.alloc(10));
    for (const off of all) pool.remove(off);
    use(cache, pool, () => pool.stats().classes.reduce((n, c) => n + c.used, 0));
  });
}

Deno.test("alloc() takes single blocks until it is a stream, then several at once", () => {
  withCache((cache, pool, used) => {
    for (let k = 1; k < 32; k++) {
      assert(cache.alloc(10) > 0);
      assertEquals(used(), k);
    }
    const off = cache.alloc(100);
    assertEquals(pool.inspect(off), 100);
    assertEquals(used(), 31 + 16);
    for (let k = 0; k < 15; k++) assertEquals(pool.inspect(cache.alloc(k)), k);
    assertEquals(used(), 31 + 16);
  });
});

Deno.test("release() gives back what was not used, and the next blocks are single again", () => {
  withCache((cache, _pool, used) => {
    const offs = new Set<number>();
    for (let k = 0; k < 40; k++) offs.add(cache.alloc(10));
    assertEquals(offs.size, 40);
    assert(used() > 40);
    cache.release();
    assertEquals(used(), 40);
    cache.alloc(10);
    assertEquals(used(), 41);
  });
});

Deno.test("alloc() takes nothing ahead when few are left, and says so when none is", () => {
  withCache((cache, pool, used) => {
    let n = 0;
    while (cache.alloc(10) > 0) n += 1;
    assertEquals([n, used()], [768, 768]);
    assertEquals(cache.alloc(10), -Errno.EAGAIN);
    assertEquals(cache.alloc(1 << 21), -Errno.EMSGSIZE);
    // With fewer than the reserve nothing is cached: every free block is there for others.
    for (let k = 0; k < 50; k++) pool.remove(262144 + 512 * k);
    cache.alloc(10);
    assertEquals(used(), 768 - 50 + 1);
  });
});

// Pools against a naive twin: random sequences of allocations, references and frees by several
// processes; nothing is handed out twice, nothing is lost. Exact images are in ssm_vectors_test.ts.

import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { Errno } from "../../../../lib/errno.ts";
import { Block, CLASSES, GSPP, PoolHeader, PUP, Shard } from "../../../../lib/shm/layout.ts";
import { Pool } from "../../../../lib/shm/pool.ts";
import { reclaim } from "../../../../lib/shm/reclaim.ts";
import { transfer } from "../../../../lib/shm/transfer.ts";
import { monotonicNs } from "../../../../lib/sys/clock.ts";
import { SysError } from "../../../../lib/sys/ffi.ts";
import { ShmObject } from "../../../../lib/sys/mman.ts";
import { ownerUid, withShm } from "../../../support/shm.ts";

const USER = ownerUid(4242);

function userPool(use: (p: Pool, open: (pid: number) => Pool) => void): void {
  withShm((instance, defer) => {
    const owner = Deno.uid() === 0 ? { uid: USER, gid: USER } : undefined;
    const p = Pool.create(instance, USER, owner, 1);
    defer(() => p.close());
    use(p, (pid) => {
      const q = Pool.open(instance, USER, false, pid);
      defer(() => q.close());
      return q;
    });
  });
}

/** Every block of every class is either on exactly one list or in `used`, and the counts agree. */
function checkAccounts(p: Pool, used: ReadonlySet<number>): void {
  const g = p.geometry;
  for (let c = 0; c < CLASSES; c++) {
    const seen = new Set<number>();
    for (let s = 0; s < 4; s++) {
      const at = p.shardAt(c, s);
      let n = 0;
      let off = p.i32[(at + Shard.HEAD) >> 2]!;
      while (off !== 0) {
        assert(!seen.has(off) && !used.has(off), `block ${off} is listed twice or in use`);
        assertEquals(p.classOf(off), c);
        seen.add(off);
        n += 1;
        off = p.i32[(off + Block.NEXT) >> 2]!;
      }
      // The block at offset 0 is counted in a fresh pool although no list reaches it.
      if (c > 0) assertEquals(p.i32[(at + Shard.COUNT) >> 2], n);
    }
    for (let k = 0; k < g.objectCount[c]!; k++) {
      const off = g.start[c]! + k * g.objectSize[c]!;
      if (off !== 0) assert(seen.has(off) || used.has(off), `block ${off} is lost`);
    }
  }
}

Deno.test("alloc() and remove() agree with a set of blocks, whatever the order and process", () => {
  const step = fc.oneof(
    fc.record({ op: fc.constant("alloc" as const), who: fc.nat(4), len: fc.nat(70000) }),
    fc.record({ op: fc.constant("remove" as const), who: fc.nat(4), pick: fc.nat() }),
    fc.record({ op: fc.constant("again" as const), who: fc.nat(4), pick: fc.nat() }),
    fc.record({ op: fc.constant("refer" as const), who: fc.nat(4), pick: fc.nat() }),
  );
  userPool((p, open) => {
    const who = [101, 102, 103, 104, 105].map(open);
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300, size: "max" }), (steps) => {
        const refs = new Map<number, number>();
        const freed: number[] = [];
        const nth = (pick: number) => [...refs.keys()][pick % refs.size];
        for (const s of steps) {
          const q = who[s.who]!;
          if (s.op === "alloc") {
            const c = p.classFor(s.len);
            const room = p.geometry.objectCount[c]!;
            const taken = [...refs.keys()].filter((off) => p.classOf(off) === c).length;
            const off = q.alloc(s.len);
            assertEquals(off < 0, taken === room, `alloc ${s.len}: ${off}, ${taken} of ${room}`);
            if (off < 0) continue;
            assert(!refs.has(off), "handed out twice");
            assertEquals(q.inspect(off), s.len);
            refs.set(off, 1);
          } else if (s.op === "again") {
            const off = freed[s.pick % freed.length];
            if (off !== undefined && !refs.has(off)) assertEquals(q.remove(off), -Errno.EINVAL);
          } else if (refs.size > 0) {
            const off = nth(s.pick)!;
            if (s.op === "refer") {
              assertEquals(q.addReference(off), 0);
              refs.set(off, refs.get(off)! + 1);
              continue;
            }
            assertEquals(q.remove(off), 0);
            refs.set(off, refs.get(off)! - 1);
            if (refs.get(off) === 0) {
              refs.delete(off);
              freed.push(off);
              assertEquals(q.get(off), -Errno.EINVAL);
            }
          }
        }
        checkAccounts(p, new Set(refs.keys()));
        for (const [off, n] of refs) for (let k = 0; k < n; k++) p.remove(off);
        checkAccounts(p, new Set());
      }),
      { numRuns: 40 },
    );
  });
});

Deno.test("reclaim() frees a dead process's blocks but those that wait in a live ring", () => {
  userPool((p, open) => {
    const [dead, live] = [open(77), open(78)];
    const queued = dead.alloc(10);
    const orphans = [dead.alloc(10), dead.alloc(5000), dead.alloc(60000)];
    const kept = live.alloc(10);
    assertEquals(reclaim(p, 77, new Set([queued])), 3);
    for (const off of orphans) assertEquals(p.get(off), -Errno.EINVAL);
    checkAccounts(p, new Set([queued, kept]));
    assertEquals(reclaim(p, 0, new Set()), 0);
    assertEquals(reclaim(p, -1, new Set()), 0);
  });
});

Deno.test("reclaim() finds blocks that a killed process left outside of all lists", () => {
  userPool((p, open) => {
    const dead = open(77);
    const off = dead.alloc(10);
    // Killed in the middle of remove(): no reference, not listed.
    Atomics.store(p.u16, (off + Block.REFCOUNT) >> 1, 0);
    assertEquals(reclaim(p, 77, new Set()), 1);
    checkAccounts(p, new Set());
  });
});

Deno.test("allocBlocking() gets a block freed meanwhile, or times out", () => {
  userPool((p) => {
    const offs: number[] = [];
    for (let off = p.alloc(200000); off > 0; off = p.alloc(200000)) offs.push(off);
    assertEquals(offs.length, 2);
    assertEquals(p.allocBlocking(200000, monotonicNs() + 5e6), -Errno.ETIMEDOUT);
    assertEquals(p.allocBlocking(200000, 0), -Errno.ETIMEDOUT);
    p.remove(offs[0]!);
    assertEquals(p.allocBlocking(200000, 0), offs[0]);
    assertEquals(p.allocBlocking(300000, Infinity), -Errno.EMSGSIZE);
  });
});

Deno.test("inspect() refuses forged bounds and survives every value of a header", () => {
  userPool((p) => {
    const off = p.alloc(100);
    const block = off >> 2;
    const [head, tail] = [block + (Block.HEAD >> 2), block + (Block.TAIL >> 2)];
    for (
      const [h, t] of [[256, 255], [0, 485], [-1, 10], [0x7fffffff, -1], [-5, -1], [485, 485]]
    ) {
      p.i32[head] = h!;
      p.i32[tail] = t!;
      assertEquals(p.inspect(off), -Errno.EMSGSIZE, `${h}..${t}`);
    }
    p.i32[head] = 0;
    p.i32[tail] = 484;
    // A larger size field doesn't widen the bounds.
    p.i32[block + (Block.SIZE >> 2)] = 1 << 20;
    assertEquals(p.inspect(off), 484);
    p.i32[tail] = 485;
    assertEquals(p.inspect(off), -Errno.EMSGSIZE);
    p.i32[block + (Block.OFF >> 2)] = off + 512;
    assertEquals(p.inspect(off), -Errno.EINVAL);
  });
});

Deno.test("a broken free list is cut, not followed", () => {
  for (const bad of [7, 512, 1 << 30, -4, PUP.dataBytes, 163840]) {
    userPool((p) => {
      const shard = p.shardAt(1, 0) >> 2;
      p.i32[shard + (Shard.HEAD >> 2)] = bad;
      assertEquals(p.alloc(10), -Errno.EAGAIN, `head ${bad}`);
    });
  }
  userPool((p, open) => {
    const q = open(4);
    const first = q.alloc(10);
    // A cycle: the freed block points to itself.
    q.remove(first);
    p.i32[(first + Block.NEXT) >> 2] = first;
    assertEquals(q.alloc(10), first);
    const next = q.alloc(10);
    assert(next !== first, "handed out twice");
  });
});

Deno.test("transfer() copies between pools, frees the source, drops what is forged", () => {
  withShm((instance, defer) => {
    const owner = Deno.uid() === 0 ? { uid: USER, gid: USER } : undefined;
    Pool.create(instance, USER, owner, 1).close();
    const global = Pool.create(instance, 0, undefined, 1);
    const user = Pool.open(instance, USER, false, 2);
    const foreign = Pool.open(instance, USER, true, 3);
    for (const p of [global, user, foreign]) defer(() => p.close());
    const off = user.alloc(300);
    user.u8.fill(9, off + 284, off + 584);
    const moved = transfer(foreign, off, global);
    assertEquals(global.inspect(moved), 300);
    assertEquals(global.u8.slice(global.at, global.at + 300), new Uint8Array(300).fill(9));
    assertEquals(user.get(off), -Errno.EINVAL);
    const back = transfer(global, moved, foreign);
    assertEquals(user.inspect(back), 300);
    assertEquals(user.u8[user.at + 299], 9);
    assertEquals(global.get(moved), -Errno.EINVAL);
    assertEquals(transfer(foreign, back, foreign), back);
    user.i32[(back + Block.TAIL) >> 2] = 1 << 20;
    assertEquals(transfer(foreign, back, global), -Errno.EMSGSIZE);
    assertEquals(user.get(back), -Errno.EINVAL);
    assertEquals(transfer(foreign, back, global), -Errno.EINVAL);
  });
});

Deno.test("open() refuses pools of a wrong size, owner or state", () => {
  withShm((instance, defer) => {
    const p = Pool.create(instance, 0);
    defer(() => p.close());
    assertThrows(() => Pool.create(instance, 0), SysError, "EEXIST");
    assertThrows(() => Pool.open(instance, 77), SysError, "ENOENT");
    p.i32[(GSPP.dataBytes + PoolHeader.INITIALIZED) >> 2] = 0;
    assertThrows(() => Pool.open(instance, 0), SysError, "state of pool");
    if (Deno.uid() === 0) {
      Pool.create(instance, 5, { uid: 6, gid: 6 }).close();
      assertThrows(() => Pool.open(instance, 5), SysError, "owner of pool");
    }
  });
});

Deno.test("restore(): a pool that was cut short or wiped is whole again, a good one stays; a longer one is as good", () => {
  withShm((instance, defer) => {
    const p = Pool.create(instance, 0);
    defer(() => p.close());
    const bytes = GSPP.fileBytes;
    using object = ShmObject.open(p.name);
    const works = () => {
      using pool = Pool.open(instance, 0);
      const off = pool.alloc(100);
      assertEquals(off > 0, true);
      pool.remove(off);
    };
    assertEquals(Pool.restore(instance, 0), false);
    for (const cut of [0, 4096, bytes - 1]) {
      object.truncate(cut);
      assertEquals(Pool.restore(instance, 0), true, String(cut));
      assertEquals(object.stat().size, bytes);
      works();
    }
    object.truncate(0);
    object.truncate(bytes);
    assertEquals(Pool.restore(instance, 0), true, "wiped");
    works();
    object.truncate(bytes + 4096);
    assertEquals(Pool.restore(instance, 0), false);
    works();
  });
});

Deno.test("alloc(): a pool that was cut under those who have it open is whole again for all of them", () => {
  withShm((instance, defer) => {
    const [one, two] = [Pool.create(instance, 0), Pool.open(instance, 0)];
    defer(() => one.close());
    defer(() => two.close());
    using object = ShmObject.open(one.name);
    for (const cut of [0, 4096, GSPP.dataBytes]) {
      object.truncate(cut);
      if (Deno.build.arch !== "x86_64") object.truncate(GSPP.fileBytes);
      const off = one.alloc(100);
      assertEquals(off > 0, true, String(cut));
      assertEquals(two.get(off), 0);
      assertEquals(two.remove(off), 0);
      assertEquals(two.alloc(100) > 0, true);
      assertEquals(two.spoilt(), false);
    }
  });
});

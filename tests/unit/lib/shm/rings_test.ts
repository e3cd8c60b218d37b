// Rbuffs and flow sets against naive twins, modes of the objects, and what happens when a lock's owner
// died. Exact images are in ssm_vectors_test.ts, real killed processes in tests/e2e.

import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { Errno } from "../../../../lib/errno.ts";
import { instanceOf, shmName } from "../../../../lib/instance.ts";
import { EVENTS_MAX, flowSetName, FlowSetShm } from "../../../../lib/shm/flow_set.ts";
import { Acl, FlowSetLayout, RbuffLayout } from "../../../../lib/shm/layout.ts";
import { Lockfile } from "../../../../lib/shm/lockfile.ts";
import { Pool } from "../../../../lib/shm/pool.ts";
import { Rbuff, rbuffName } from "../../../../lib/shm/rbuff.ts";
import { RingReader } from "../../../../lib/shm/ring_reader.ts";
import { monotonicNs } from "../../../../lib/sys/clock.ts";
import { SysError } from "../../../../lib/sys/ffi.ts";
import { ShmObject } from "../../../../lib/sys/mman.ts";
import { movedAside, withShm } from "../../../support/shm.ts";

/** Deeper than what recurses into it comes back from. */
const DEEP = 20_000;

function withRbuff(use: (r: Rbuff, pool: Pool) => void): void {
  withShm((instance, defer) => {
    const r = Rbuff.create(instance, 4711, 1);
    defer(() => r.close());
    const pool = Pool.create(instance, 0);
    defer(() => pool.close());
    use(r, pool);
  });
}

function withSet(use: (s: FlowSetShm) => void): void {
  withShm((instance, defer) => {
    const s = FlowSetShm.create(instance, 4711);
    defer(() => s.close());
    use(s);
  });
}

Deno.test("an rbuff is a bounded queue with access rights, whichever way it is read", () => {
  const op = fc.oneof(
    fc.constant("write"),
    fc.constant("read"),
    fc.constant("readBlocking"),
    fc.constant("reader"),
    fc.constant("burst"),
    fc.constant("drain"),
    fc.constantFrom("acl0", "acl1", "acl2", "acl4"),
  );
  withRbuff((r, pool) => {
    const reader = new RingReader(r, pool);
    let next = 1;
    fc.assert(
      fc.property(fc.array(op, { maxLength: 200, size: "max" }), (ops) => {
        r.clearAcl(-1);
        r.drain(() => {});
        const queue: number[] = [];
        let acl = 0;
        const write = () => {
          const off = next++;
          const want = acl & Acl.FLOWDOWN
            ? -Errno.EFLOWDOWN
            : acl & Acl.RDONLY
            ? -Errno.ENOTALLOC
            : queue.length === 1023
            ? -Errno.EAGAIN
            : 0;
          assertEquals(r.write(off), want);
          if (want === 0) queue.push(off);
        };
        for (const o of ops) {
          const empty = acl & Acl.FLOWDOWN
            ? -Errno.EFLOWDOWN
            : acl & Acl.FLOWPEER
            ? -Errno.EFLOWPEER
            : -Errno.EAGAIN;
          if (o === "write") write();
          else if (o === "burst") { for (let k = 0; k < 400; k++) write(); }
          else if (o === "read") assertEquals(r.read(), queue.shift() ?? empty);
          else if (o === "reader") assertEquals(reader.take(), queue.shift() ?? empty);
          else if (o === "readBlocking") {
            const want = queue.shift() ?? (empty === -Errno.EAGAIN ? -Errno.ETIMEDOUT : empty);
            assertEquals(r.readBlocking(0), want);
          } else if (o === "drain") assertEquals(r.drain(() => {}), queue.splice(0).length);
          else {
            acl = Number(o[3]);
            r.clearAcl(-1);
            r.setAcl(acl);
          }
          assertEquals(r.queued(), queue.length);
          const waiting = new Set<number>();
          r.collect(waiting);
          assertEquals([...waiting], queue);
        }
      }),
      { numRuns: 60 },
    );
  });
});

Deno.test("an rbuff survives every value of head, tail, ACL and slots", () => {
  withRbuff((r, pool) => {
    const reader = new RingReader(r, pool);
    fc.assert(
      fc.property(fc.array(fc.integer(), { minLength: 8, maxLength: 8 }), (v) => {
        const words = [RbuffLayout.HEAD, RbuffLayout.TAIL, RbuffLayout.ACL].map((at) => at >> 2);
        words.forEach((at, k) => {
          r.i32[at] = v[2 * k]!;
          r.i32[at + 1] = v[2 * k + 1]!;
        });
        r.i32.fill(v[6]!, 0, 2048);
        for (const off of [r.read(), reader.take(), r.readBlocking(0)]) {
          assert(off >= -Errno.EFLOWPEER && off <= 0x7fffffff);
        }
        r.write(512);
        r.writeBlocking(512, 0);
        assert(r.queued() >= 0 && r.queued() <= 1023);
        assert(r.drain(() => {}) <= 1024);
        const seen = new Set<number>();
        r.collect(seen);
        r.waitEmpty(0);
      }),
      { numRuns: 300 },
    );
  });
});

Deno.test("a flow set is a map of queues", () => {
  const id = fc.integer({ min: 0, max: 5 });
  const idx = fc.integer({ min: 0, max: 3 });
  const op = fc.oneof(
    fc.tuple(fc.constant("add" as const), idx, id),
    fc.tuple(fc.constant("del" as const), idx, id),
    fc.tuple(fc.constant("notify" as const), fc.constantFrom(1, 2, 4, 16, 32), id),
    fc.tuple(fc.constant("wait" as const), idx, id),
    fc.tuple(fc.constant("zero" as const), idx, id),
  );
  const out = new Int32Array(EVENTS_MAX * 2);
  withSet((set) => {
    fc.assert(
      fc.property(fc.array(op, { maxLength: 100, size: "max" }), (ops) => {
        for (let k = 0; k < 4; k++) set.zero(k);
        const member = new Map<number, number>();
        const queues: [number, number][][] = [[], [], [], []];
        for (const [o, a, flow] of ops) {
          if (o === "add") {
            const want = member.has(flow) ? -Errno.EPERM : 0;
            assertEquals(set.add(a, flow), want);
            if (want === 0) member.set(flow, a);
          } else if (o === "del") {
            set.del(a, flow);
            if (member.get(flow) === a) member.delete(flow);
          } else if (o === "notify") {
            assertEquals(set.notify(flow, a), 0);
            const q = member.get(flow);
            if (q !== undefined) queues[q]!.push([flow, a]);
          } else if (o === "zero") {
            set.zero(a);
            queues[a] = [];
            for (const [f, q] of member) if (q === a) member.delete(f);
          } else {
            const n = set.wait(a, out, 0);
            const events = queues[a]!;
            queues[a] = [];
            assertEquals(n, events.length || -Errno.ETIMEDOUT);
            events.forEach((e, k) => assertEquals([out[2 * k], out[2 * k + 1]], e));
          }
          for (let f = 0; f < 6; f++) {
            for (let q = 0; q < 4; q++) assertEquals(set.has(q, f), member.get(f) === q);
          }
        }
      }),
      { numRuns: 60 },
    );
  });
});

Deno.test("a flow set survives every value of its table, counts and events", () => {
  const out = new Int32Array(EVENTS_MAX * 2);
  withSet((set) => {
    fc.assert(
      fc.property(fc.integer(), fc.integer(), fc.nat(31), (a, b, idx) => {
        const { MTABLE, HEADS, EVENTS } = FlowSetLayout;
        set.i32.fill(a, MTABLE >> 2, 200);
        set.i32[(HEADS >> 2) + 2 * idx] = b;
        set.i32[(HEADS >> 2) + 2 * idx + 1] = a;
        set.i32.fill(b, EVENTS >> 2, (EVENTS >> 2) + 100);
        const before = set.i32.slice(FlowSetLayout.LOCK >> 2);
        if (b === 0) set.notify(3, 1);
        const n = set.wait(idx, out, 0);
        assert(n === -Errno.ETIMEDOUT || (n > 0 && n <= EVENTS_MAX));
        set.add(idx, 3);
        set.has(idx, 3);
        set.del(idx, 3);
        // The lock behind the last queue was not written over.
        assertEquals(set.i32[(FlowSetLayout.LOCK >> 2) + 4], before[4]);
      }),
      { numRuns: 200 },
    );
  });
});

Deno.test("notify() never grows the last queue over the lock", () => {
  withSet((set) => {
    set.add(31, 9);
    for (let k = 0; k < 1030; k++) set.notify(9, 1);
    assertEquals(set.pending(31), EVENTS_MAX);
    assertEquals(set.dropped, 6);
    const out = new Int32Array(EVENTS_MAX * 2);
    assertEquals(set.wait(31, out, 0), EVENTS_MAX);
    assertEquals(set.notify(9, 1), 0);
  });
});

Deno.test("notify(), wait() and add() refuse ids and indexes that don't exist", () => {
  withSet((set) => {
    for (const id of [-1, 10240, 1 << 30]) {
      assertEquals(set.notify(id, 1), -Errno.EINVAL);
      assertEquals(set.add(1, id), -Errno.EINVAL);
      assertEquals(set.has(1, id), false);
    }
    for (const idx of [-1, 32]) assertEquals(set.add(idx, 1), -Errno.EINVAL);
    assertEquals(set.wait(40, new Int32Array(EVENTS_MAX * 2), 0), -Errno.EINVAL);
    assertEquals(set.wait(1, new Int32Array(10), 0), -Errno.EINVAL);
  });
});

/** The words of a robust mutex whose owner thread `tid` is dead, as the kernel leaves it. */
function ownerDied(i32: Int32Array, at: number, tid = 0x3ffffff): void {
  i32[at >> 2] = 0x40000000;
  i32[(at >> 2) + 1] = 1;
  i32[(at >> 2) + 2] = tid;
  i32[(at >> 2) + 3] = 1;
}

Deno.test("rings and sets go on after the owner of their lock died", () => {
  withRbuff((r) => {
    r.write(512);
    ownerDied(r.i32, RbuffLayout.MUTEX);
    assertEquals(r.write(1024), 0);
    ownerDied(r.i32, RbuffLayout.MUTEX);
    assertEquals(r.read(), 512);
    ownerDied(r.i32, RbuffLayout.MUTEX);
    assertEquals(r.readBlocking(0), 1024);
    ownerDied(r.i32, RbuffLayout.MUTEX);
    r.setAcl(Acl.FLOWDOWN);
    assertEquals(r.acl(), Acl.FLOWDOWN);
  });
  withSet((set) => {
    const out = new Int32Array(EVENTS_MAX * 2);
    for (
      const use of [
        () => set.add(1, 5),
        () => set.notify(5, 1),
        () => set.wait(1, out, 0),
        () => set.del(1, 5),
        () => set.zero(1),
      ]
    ) {
      ownerDied(set.i32, FlowSetLayout.LOCK);
      use();
      assertEquals(set.add(2, 6), 0);
      set.del(2, 6);
    }
  });
});

Deno.test("a condition that was written over so that nobody sleeps on it is made anew", () => {
  const spoil = (i32: Int32Array, at: number) => i32.fill(0x55555555, at >> 2, (at + 48) >> 2);
  withSet((set) => {
    const out = new Int32Array(EVENTS_MAX * 2);
    spoil(set.i32, FlowSetLayout.CONDS + 48);
    let woken = 0;
    while (woken < 100 && set.wait(1, out, monotonicNs() + 50e6) === 0) woken += 1;
    assert(woken < 100, "every wait ends at once");
    set.add(1, 5);
    set.notify(5, 1);
    assertEquals(set.wait(1, out, monotonicNs() + 1e9), 1);
  });
  withRbuff((r) => {
    spoil(r.i32, RbuffLayout.ADD);
    const isFresh = () => r.i32[(RbuffLayout.ADD >> 2) + 9] === 3;
    for (let k = 0; k < 20 && !isFresh(); k++) {
      assertEquals(r.readBlocking(monotonicNs() + 50e6), -Errno.ETIMEDOUT);
    }
    assert(isFresh());
    r.write(512);
    assertEquals(r.readBlocking(monotonicNs() + 1e9), 512);
  });
});

Deno.test("a lock that names a holder that is nowhere is taken over", () => {
  withSet((set) => {
    set.add(1, 5);
    for (const word of [0x3ffffff0, 0x3ffffff0 | 0x80000000]) {
      set.i32[FlowSetLayout.LOCK >> 2] = word;
      assertEquals(set.notify(5, 1), 0);
    }
    assertEquals(set.pending(1), 2);
  });
});

Deno.test("a set's lock that libc calls lost for ever is an ordinary lock to us", () => {
  withShm((instance, defer) => {
    const set = FlowSetShm.create(instance, 4711);
    defer(() => set.close());
    set.add(1, 5);
    // Released without being made consistent.
    set.i32[(FlowSetLayout.LOCK >> 2) + 2] = 0x7ffffffe;
    assertEquals(set.notify(5, 1), 0);
    assertEquals(set.wait(1, new Int32Array(EVENTS_MAX * 2), 0), 1);
  });
});

Deno.test("Rbuff.make() makes what Rbuff.create() does, each time", () => {
  withShm((instance, defer) => {
    const content = (flowId: number) => {
      using object = ShmObject.open(rbuffName(instance, 1, flowId));
      const { size, mode } = object.stat();
      const into = new Uint8Array(size);
      assertEquals(object.pread(into, size, 0), size);
      return { mode, into };
    };
    const created = Rbuff.create(instance, 1, 1, 0o640);
    defer(() => created.close());
    for (const id of [2, 3, 4]) {
      Rbuff.make(instance, 1, id, 0o640);
      assertEquals(content(id), content(1));
      assertThrows(() => Rbuff.make(instance, 1, id, 0o640), SysError, "EEXIST");
    }
    const made = Rbuff.open(instance, 1, 4);
    defer(() => made.close());
    assertEquals(made.write(256), 0);
    assertEquals(made.read(), 256);
  });
});

Deno.test("objects have the modes and sizes asked for, and others are refused", () => {
  withShm((instance, defer) => {
    const r = Rbuff.create(instance, 1, 2, 0o600);
    const s = FlowSetShm.create(instance, 1, 0o660);
    defer(() => r.close());
    defer(() => s.close());
    Lockfile.create(instance, 99);
    const mode = (name: string) => Deno.statSync(`/dev/shm${name}`).mode! & 0o777;
    assertEquals(mode(rbuffName(instance, 1, 2)), 0o600);
    assertEquals(mode(flowSetName(instance, 1)), 0o660);
    assertEquals(mode(shmName(instance, "lockfile")), 0o644);
    assertThrows(() => Rbuff.create(instance, 1, 2), SysError, "EEXIST");
    for (const name of [rbuffName(instance, 1, 2), flowSetName(instance, 1)]) {
      using object = ShmObject.open(name);
      const bytes = object.stat().size;
      object.truncate(bytes - 1);
      const open = () =>
        name.includes("rbuff") ? Rbuff.open(instance, 1, 2) : FlowSetShm.open(instance, 1);
      open().close();
      assertEquals(object.stat().size, bytes, "one that was cut short is made whole");
    }
    // A set that an earlier process of this pid left is replaced.
    s.add(3, 4);
    using fresh = FlowSetShm.create(instance, 1);
    assertEquals(fresh.has(3, 4), false);
  });
});

Deno.test("a blocked reader, writer and drain wait end at their deadline", () => {
  withRbuff((r) => {
    const soon = () => monotonicNs() + 3e6;
    assertEquals(r.readBlocking(soon()), -Errno.ETIMEDOUT);
    while (r.write(512) === 0);
    assertEquals(r.writeBlocking(512, soon()), -Errno.ETIMEDOUT);
    assertEquals(r.waitEmpty(soon()), -Errno.ETIMEDOUT);
    r.setAcl(Acl.FLOWPEER);
    assertEquals(r.waitEmpty(Infinity), -Errno.EFLOWPEER);
    r.setAcl(Acl.FLOWDOWN);
    assertEquals(r.writeBlocking(512, Infinity), -Errno.EFLOWDOWN);
    r.drain(() => {});
    assertEquals(r.waitEmpty(0), 0);
  });
});

Deno.test("a reader gives packets back in batches, at once where somebody may be short", () => {
  withRbuff((r, pool) => {
    const reader = new RingReader(r, pool);
    const used = () => pool.stats().classes[1]!.used;
    const write = (n: number) => {
      for (let k = 0; k < n; k++) assertEquals(r.write(pool.alloc(10)), 0);
    };
    const read = () => {
      const off = reader.read();
      reader.done(off, true);
      return off;
    };
    // Blocks come home to their allocator's shard: first there must be some.
    const first = Array.from({ length: 100 }, () => pool.alloc(10));
    for (const off of first) pool.remove(off);
    // The last packet is given back at once.
    write(1);
    assert(read() > 0);
    assertEquals([r.queued(), used()], [0, 0]);
    // Of many, sixteen together; until then all of them are still in the ring.
    write(40);
    for (let k = 0; k < 15; k++) read();
    assertEquals([r.queued(), used()], [40, 40]);
    read();
    assertEquals([r.queued(), used()], [24, 24]);
    read();
    reader.flush();
    assertEquals([r.queued(), used()], [23, 23]);
    for (let k = 0; k < 23; k++) read();
    assertEquals([r.queued(), used(), reader.read()], [0, 0, -Errno.EAGAIN]);
    // When blocks are scarce, each one at once.
    write(760);
    read();
    assertEquals([r.queued(), used()], [759, 759]);
    r.drain((off) => pool.remove(off));
  });
});

Deno.test("a lockfile is one node's for as long as it is held, and closed to other users", () => {
  withShm((instance, defer) => {
    const held = Lockfile.make(instance)!;
    defer(() => held.close());
    Lockfile.sign(held, 4242);
    assertEquals(Deno.statSync(`/dev/shm${shmName(instance, "lockfile")}`).mode! & 0o777, 0o600);
    assertEquals(Lockfile.make(instance), undefined);
    {
      using other = Lockfile.open(instance)!;
      assertEquals(Lockfile.pidIn(other), 4242);
      assertEquals(other.lock() < 0, true);
    }
    held.close();
    using next = Lockfile.open(instance)!;
    assertEquals(next.lock(), 0);
  });
});

Deno.test("ShmObject.take(): directories and files in the way are moved out of it", () => {
  withShm((instance, defer) => {
    const name = rbuffName(instance, 1, 2);
    const path = `/dev/shm${name}`;
    const ways = [
      () => Deno.mkdirSync(`${path}/x/y`, { recursive: true }),
      () => Deno.writeTextFileSync(path, "squat"),
      () => Deno.symlinkSync("/etc/passwd", path),
    ];
    for (const squat of ways) {
      squat();
      const { ino } = Deno.lstatSync(path);
      const r = ShmObject.take(name, () => Rbuff.create(instance, 1, 2));
      defer(() => r.close());
      assertEquals(Deno.lstatSync(path).isFile, true);
      // What is not empty stays its owner's.
      const moved = movedAside(ino);
      if (moved !== undefined) Deno.removeSync(moved, { recursive: true });
      ShmObject.clear(name);
    }
    assertEquals(ShmObject.clear(name), 0, "nothing is there");
  });
});

Deno.test("ShmObject.clear(): into a directory that is as deep as its owner likes nobody climbs down", () => {
  const name = rbuffName(instanceOf(`/tmp/ouro-shm-test-${crypto.randomUUID()}`), 1, 2);
  const path = `/dev/shm${name}`;
  const above = `${path}.above`;
  Deno.mkdirSync(path);
  for (let n = 0; n < DEEP; n++) {
    Deno.mkdirSync(above);
    Deno.renameSync(path, `${above}/d`);
    Deno.renameSync(above, path);
  }
  const { ino } = Deno.lstatSync(path);
  // In a process of its own, which would end by a signal.
  const mman = new URL("../../../../lib/sys/mman.ts", import.meta.url).href;
  const code = `import { ShmObject } from ${JSON.stringify(mman)};
    Deno.exitCode = -ShmObject.clear(${JSON.stringify(name)});`;
  const cleared = new Deno.Command(Deno.execPath(), { args: ["eval", code] }).outputSync();
  assertThrows(() => Deno.lstatSync(path), Deno.errors.NotFound);
  let at = movedAside(ino)!;
  for (let n = 0; n < DEEP; n++) {
    Deno.renameSync(`${at}/d`, n % 2 === 0 ? above : path);
    Deno.removeSync(at);
    at = n % 2 === 0 ? above : path;
  }
  Deno.removeSync(at);
  assertEquals(cleared.code, 0, new TextDecoder().decode(cleared.stderr));
});

Deno.test({
  name: "ShmObject.take(): file systems that are mounted in the way are taken away",
  ignore: Deno.uid() !== 0,
  fn() {
    withShm((instance, defer) => {
      const name = rbuffName(instance, 1, 2);
      const path = `/dev/shm${name}`;
      for (const squat of [Deno.mkdirSync, (at: string) => Deno.writeTextFileSync(at, "squat")]) {
        squat(path);
        for (let n = 0; n < 2; n++) {
          const words = squat === Deno.mkdirSync
            ? ["-t", "tmpfs", "none", path]
            : ["--bind", path, path];
          assertEquals(new Deno.Command("mount", { args: words }).outputSync().code, 0);
        }
        try {
          const r = ShmObject.take(name, () => Rbuff.create(instance, 1, 2));
          defer(() => r.close());
          assertEquals(Deno.lstatSync(path).size, RbuffLayout.BYTES);
        } finally {
          while (new Deno.Command("umount", { args: ["-l", path] }).outputSync().success);
          ShmObject.clear(name);
        }
      }
    });
  },
});

Deno.test({
  name:
    "a ring and a flow set that were cut under those who have them open are whole again for all of them",
  ignore: Deno.build.arch !== "x86_64",
  fn() {
    withShm((instance, defer) => {
      const writer = Rbuff.create(instance, 1, 2);
      const reader = Rbuff.open(instance, 1, 2);
      const mine = FlowSetShm.create(instance, 1);
      const others = FlowSetShm.open(instance, 1);
      for (const thing of [writer, reader, mine, others]) defer(() => thing.close());
      mine.add(1, 2);
      const out = new Int32Array(2 * EVENTS_MAX);
      assertEquals(mine.members(), 1);
      for (const [kept, again] of [[0, false], [4096, false], [0, true]] as const) {
        for (const name of [rbuffName(instance, 1, 2), flowSetName(instance, 1)]) {
          using object = ShmObject.open(name);
          const bytes = object.stat().size;
          object.truncate(kept);
          // By the one who cut it, before anybody looked.
          if (again) object.truncate(bytes);
        }
        assertEquals(writer.write(256), 0);
        assertEquals(reader.read(), 256);
        assert(mine.members() > 1, "the owner notices");
        assertEquals([mine.repair(1, 2), others.has(1, 2)], [kept === 0, true]);
        assertEquals(others.notify(2, 1), 0);
        assertEquals(mine.wait(1, out, 0), 1);
        assertEquals(Array.from(out.subarray(0, 2)), [2, 1]);
      }
    });
  },
});

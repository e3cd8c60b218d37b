// deno-lint-ignore-file camelcase -- the vectors have these names
// Every case of vectors/ssm.json: layouts, fresh images, scripted operations, mutex states. An unknown
// kind of case or operation fails. Crash behaviour of real processes is proved in tests/e2e.

import { assert, assertEquals } from "@std/assert";
import { Errno } from "../../../../lib/errno.ts";
import { instanceOf, shmName } from "../../../../lib/instance.ts";
import {
  FD_FIRST,
  FDS_MAX,
  FLOW_IDS_MAX,
  FQUEUES_MAX,
  RBUFF_SLOTS,
} from "../../../../lib/limits.ts";
import { FlowSetShm } from "../../../../lib/shm/flow_set.ts";
import * as layout from "../../../../lib/shm/layout.ts";
import { Lockfile } from "../../../../lib/shm/lockfile.ts";
import { Pool } from "../../../../lib/shm/pool.ts";
import { Rbuff } from "../../../../lib/shm/rbuff.ts";
import { reclaim } from "../../../../lib/shm/reclaim.ts";
import { monotonicNs } from "../../../../lib/sys/clock.ts";
import { COND_BYTES, CondLayout } from "../../../../lib/sys/cond.ts";
import {
  KIND_ROBUST,
  KIND_ROBUST_PI,
  MUTEX_BYTES,
  MutexLayout,
} from "../../../../lib/sys/mutex.ts";
import { hex, imageBytes, ownerUid, withShm } from "../../../support/shm.ts";

// deno-lint-ignore no-explicit-any -- each kind of vector has a shape of its own
type Json = any;
const vectors: { area: string; cases: Json[] } = JSON.parse(
  Deno.readTextFileSync(new URL("../../../vectors/ssm.json", import.meta.url)),
);

/** The test of a case by the first word of its name, or by the whole name. */
const kinds: Record<string, (c: Json) => void> = {
  constants: checkConstants,
  layout: checkLayout,
  class_table: checkClassTable,
  image: checkImage,
  alloc: checkClassSelection,
  pool: checkPoolScript,
  pk_buff: checkPoolScript,
  rbuff: checkRbuffScript,
  flow_set: checkFlowSetScript,
  lockfile: checkLockfile,
  mutex: checkMutex,
  live: checkLive,
};

for (const c of vectors.cases) {
  Deno.test(`ssm vector ${c.name}`, () => {
    const check = kinds[String(c.name).split(".")[0]!];
    if (check === undefined) throw new Error(`unknown kind of vector: ${c.name}`);
    check(c);
  });
}

function checkConstants(c: Json): void {
  const e = c.expect;
  const i = instanceOf();
  const ours: Json = {
    gspp_name: shmName(i, "gspp"),
    pup_name_format: shmName(i, "pup", "<uid>"),
    rbuff_name_format: shmName(i, "rbuff", "<reader pid>", "<flow id>"),
    flow_set_name_format: shmName(i, "set", "<pid>"),
    lockfile_name: shmName(i, "lockfile"),
    gspp_file_size: layout.GSPP.fileBytes,
    pup_file_size: layout.PUP.fileBytes,
    rbuff_file_size: layout.RbuffLayout.BYTES,
    flow_set_file_size: layout.FlowSetLayout.BYTES,
    lockfile_size: layout.LOCKFILE_BYTES,
    gspp_data_size: layout.GSPP.dataBytes,
    pup_data_size: layout.PUP.dataBytes,
    pool_header_size: layout.PoolHeader.BYTES,
    headspace: layout.HEAD_SPACE,
    tailspace: layout.TAIL_SPACE,
    shards: layout.SHARDS,
    classes: layout.CLASSES,
    rbuff_slots: RBUFF_SLOTS,
    rbuff_capacity: RBUFF_SLOTS - 1,
    sys_max_flows: FLOW_IDS_MAX,
    prog_max_flows: FDS_MAX,
    prog_res_fds: FD_FIRST,
    prog_max_fqueues: FQUEUES_MAX,
    events_per_fqueue: RBUFF_SLOTS,
    first_flow_id: 1,
    last_flow_id: FLOW_IDS_MAX - 1,
    acl: layout.Acl,
    events: Object.fromEntries(
      Object.entries(layout.FlowEvent).map(([k, v]) => [`FLOW_${k}`, v]),
    ),
    cond_clock: "CLOCK_MONOTONIC (1)",
  };
  for (const [key, value] of Object.entries(e)) {
    // Modes: ours are tighter on purpose (spec 10 §11.2), see modes_test.ts.
    if (key.endsWith("_mode")) continue;
    if (key === "errno") {
      for (const [n, v] of Object.entries(value as Json)) assertEquals((Errno as Json)[n], v, n);
      continue;
    }
    assert(key in ours, `unknown constant ${key}`);
    assertEquals(ours[key], value, key);
  }
}

function checkLayout(c: Json): void {
  const f = c.expect.fields;
  switch (c.name) {
    case "layout.block_header":
      assertEquals(c.expect.size, layout.Block.DATA);
      assertEquals(
        [f.next_offset, f.refcount, f.allocator_pid, f.size, f.pk_head, f.pk_tail, f.off].map((x) =>
          x[0]
        ),
        Object.values(layout.Block).slice(0, 7),
      );
      return;
    case "layout.pool_header": {
      const { PoolHeader: h, SizeClass: k, Shard: s } = layout;
      assertEquals(c.expect.size, h.BYTES);
      assertEquals(
        [f.mtx, f.healthy, f.pid, f.initialized, f.mapped_addr, f.size_classes].map((x) => x[0]),
        Object.values(h).slice(0, 6),
      );
      const kf = c.expect.size_class.fields;
      assertEquals(
        [kf.shards, kf.object_size, kf.pool_start, kf.pool_size, kf.object_count].map((x) => x[0])
          .concat(c.expect.size_class.size),
        Object.values(k),
      );
      const sf = c.expect.shard.fields;
      assertEquals(
        [sf.mtx, sf.cond, sf.head_offset, sf.count, sf.free_count].map((x) => x[0])
          .concat(c.expect.shard.size),
        Object.values(s),
      );
      return;
    }
    case "layout.rbuff":
      assertEquals(
        [f.slots, f.head, f.tail, f.acl, f.mtx, f.add, f.del].map((x) => x[0])
          .concat(c.expect.size),
        Object.values(layout.RbuffLayout),
      );
      return;
    case "layout.flow_set":
      assertEquals(
        [f.mtable, f.heads, f.conds, f.fqueues, f.lock].map((x) => x[0]).concat(c.expect.size),
        Object.values(layout.FlowSetLayout),
      );
      return;
    case "layout.glibc_x86_64":
      checkLibc(c.expect);
      return;
    default:
      throw new Error(`unknown layout ${c.name}`);
  }
}

/** The reference's locks, word by word. */
function checkLibc({ mutex, cond }: Json): void {
  assertEquals([mutex.size, cond.size], [MUTEX_BYTES, COND_BYTES]);
  assertEquals([mutex.kind_robust_pshared, mutex.kind_robust_pshared_prio_inherit], [
    KIND_ROBUST,
    KIND_ROBUST_PI,
  ]);
  const at = (object: Json, ...fields: string[]) => fields.map((f) => object.fields[f][0]);
  assertEquals(
    at(mutex, "__lock", "__count", "__owner", "__kind"),
    Object.values(MutexLayout),
  );
  assertEquals(
    at(
      cond,
      ...[
        "__wseq",
        "__g1_start",
        "__g_refs",
        "__g_size",
        "__g1_orig_size",
        "__wrefs",
        "__g_signals",
      ],
    ),
    Object.values(CondLayout),
  );
}

function geometryOf(uid: number): layout.PoolGeometry {
  return uid === 0 ? layout.GSPP : layout.PUP;
}

/** A fresh pool of the kind that `uid` uses; a user's pool is made for the running user. */
function pool(uid: number, pid: number, use: (p: Pool, open: (pid: number) => Pool) => void): void {
  withShm((instance, defer) => {
    const own = uid === 0 ? 0 : ownerUid(uid);
    const owner = Deno.uid() === 0 ? { uid: own, gid: own } : undefined;
    const p = Pool.create(instance, own, owner, pid);
    defer(() => p.close());
    use(p, (other) => {
      const q = Pool.open(instance, own, false, other);
      defer(() => q.close());
      return q;
    });
  });
}

function checkClassTable(c: Json): void {
  pool(c.input.uid, 1, (p) => {
    const g = geometryOf(c.input.uid);
    c.expect.classes.forEach((k: Json, n: number) => {
      assertEquals(g.objectSize[n], k.object_size);
      assertEquals(g.start[n], k.pool_start);
      assertEquals(g.start[n + 1]! - g.start[n]!, k.pool_size);
      assertEquals(g.objectCount[n], k.object_count);
      assertEquals(chain(p, n, 0).length, k.reachable_blocks);
      assertEquals(chain(p, n, 0)[0], k.first_block_on_free_list);
      const max = g.objectSize[n]! - layout.BLOCK_OVERHEAD;
      assertEquals(max < 0 ? null : max, k.max_len);
    });
  });
}

/** Offsets of a shard's free list. */
function chain(p: Pool, c: number, s: number): number[] {
  const list: number[] = [];
  let off = p.i32[(p.shardAt(c, s) + layout.Shard.HEAD) >> 2]!;
  while (off !== 0 && list.length <= p.geometry.objectCount[c]!) {
    list.push(off);
    off = p.i32[(off + layout.Block.NEXT) >> 2]!;
  }
  return list;
}

function checkImage(c: Json): void {
  pool(c.input.uid, c.input.creator_pid ?? 1, (p) => {
    if (c.hex !== undefined) {
      const at = p.geometry.dataBytes;
      const ours = p.u8.slice(at, at + layout.PoolHeader.BYTES);
      const theirs = Uint8Array.from(c.hex.match(/../g)!, (b: unknown) => parseInt(String(b), 16));
      for (const [from, n] of c.volatile) {
        ours.fill(0, from, from + n);
        theirs.fill(0, from, from + n);
      }
      assertEquals(hex(ours), hex(theirs));
    } else {
      checkBlocks(p, c.expect.block_headers, {});
    }
  });
}

/** Compares block headers; `pids` maps a pid of the vector to ours. */
function checkBlocks(p: Pool, blocks: Record<string, string>, pids: Record<number, number>): void {
  for (const [off, want] of Object.entries(blocks)) {
    const header = p.u8.slice(Number(off), Number(off) + layout.Block.DATA);
    const bytes = Uint8Array.from(want.match(/../g)!, (b) => parseInt(b, 16));
    const view = new DataView(bytes.buffer);
    const pid = view.getInt32(layout.Block.PID, true);
    view.setInt32(layout.Block.PID, pids[pid] ?? pid, true);
    assertEquals(hex(header), hex(bytes), `block ${off}`);
  }
}

function checkClassSelection(c: Json): void {
  pool(c.input.uid, c.input.pid, (p) => {
    for (const r of c.expect.results) {
      const off = p.alloc(r.len);
      assertEquals(off, r.ret, `alloc ${r.len}`);
      if (off < 0) continue;
      checkBlocks(p, { [off]: r.header }, {});
      assertEquals(p.inspect(off), r.len);
      assertEquals(p.at, off + layout.Block.DATA + layout.HEAD_SPACE);
      assertEquals(p.remove(off), 0);
    }
  });
}

function checkPoolScript(c: Json): void {
  pool(c.input.uid, 1, (first, open) => {
    const actors: Record<string, Pool> = {};
    for (const [name, pid] of Object.entries(c.input.pids)) actors[name] = open(pid as number);
    const results: Json[] = [];
    for (const s of c.input.steps) results.push(poolStep(actors[s.actor]!, s));
    if (c.reference_only) {
      // The prototype's defects: the block must not be linked twice or at a bogus offset.
      for (const k of Object.keys(c.expect.shards)) {
        const seen = new Set<number>();
        for (let s = 0; s < layout.SHARDS; s++) {
          for (const off of chain(first, Number(k), s)) {
            assert(!seen.has(off), `block ${off} is linked twice`);
            assert(first.classOf(off) === Number(k), `bogus block ${off}`);
            seen.add(off);
          }
        }
      }
      const last = results.at(-1);
      if (last.op === "alloc") assert(last.ret !== results.at(-2).ret, "handed out twice");
      else assertEquals(last.ret, -Errno.EINVAL);
      return;
    }
    assertEquals(results, c.expect.results);
    for (const [k, shards] of Object.entries(c.expect.shards) as [string, Json][]) {
      shards.forEach((want: Json, s: number) => {
        const at = first.shardAt(Number(k), s) >> 2;
        assertEquals(first.i32[at + (layout.Shard.HEAD >> 2)], want.head_offset);
        assertEquals(first.i32[at + (layout.Shard.COUNT >> 2)], want.count);
        assertEquals(first.i32[at + (layout.Shard.FREE_COUNT >> 2)], want.free_count);
        assertEquals(chain(first, Number(k), s).slice(0, 6), c.expect.free_chain_first6[k][s]);
      });
    }
    checkBlocks(first, c.expect.block_headers, {});
    const classes = [...c.hex_is.matchAll(/\[([\d, ]+)\]/g)][0]![1]!.split(",").map(Number);
    const ours = classes.map((k: number) =>
      hex(
        first.u8.slice(first.shardAt(k, 0), first.shardAt(k, 0) + layout.SizeClass.BYTES),
      )
    ).join("");
    assertEquals(ours, c.hex);
  });
}

function poolStep(p: Pool, s: Json): Json {
  const [off, n] = s.args ?? [];
  const base = { actor: s.actor, op: s.op };
  const block = (at: number) => at < 0 ? null : at - off;
  const length = () => p.inspect(off);
  switch (s.op) {
    case "alloc": {
      const ret = p.alloc(off);
      if (ret < 0) return { ...base, ret, payload_at: null };
      p.inspect(ret);
      return { ...base, ret, payload_at: p.at - ret };
    }
    case "remove":
      return { ...base, ret: p.remove(off) };
    case "get":
      return { ...base, ret: p.get(off) === 0 ? "block" : null };
    case "read":
      return { ...base, ret: p.inspect(off) };
    case "wait_ack":
      return { ...base, ret: p.addReference(off) };
    case "ack":
      return { ...base, ret: p.dropReference(off) };
    case "exit":
      return base;
    case "reclaim":
      reclaim(p, off, new Set());
      return { ...base, ret: null };
    case "head_alloc":
      return { ...base, ret: block(p.headAlloc(off, n)), len: length() };
    case "tail_alloc":
      return { ...base, ret: block(p.tailAlloc(off, n)), len: length() };
    case "head_release":
      return { ...base, ret: block(p.headRelease(off, n)), len: length() };
    case "tail_release":
      return { ...base, ret: block(p.tailRelease(off, n)), len: length() };
    case "truncate":
      p.truncate(off, n);
      return { ...base, ret: null, len: length() };
    default:
      throw new Error(`unknown operation ${s.op}`);
  }
}

function checkRbuffScript(c: Json): void {
  withShm((instance, defer) => {
    const r = Rbuff.create(instance, 4711, 1);
    defer(() => r.close());
    assertEquals(c.input.ops.map((op: Json) => rbuffOp(r, op)), c.expect.results);
    const bytes = new Uint8Array(r.i32.buffer);
    const mask = c.volatile !== undefined
      ? [[layout.RbuffLayout.ADD, COND_BYTES], [layout.RbuffLayout.DEL, COND_BYTES]]
      : [];
    const want = imageBytes(c.image);
    const ours = bytes.slice();
    for (const [at, n] of mask) {
      want.fill(0, at, at! + n!);
      ours.fill(0, at, at! + n!);
    }
    assertEquals(hex(ours), hex(want));
    if (c.volatile === undefined) assertEquals(hex(bytes.slice(8192)), c.hex);
    assertEquals(r.i32[layout.RbuffLayout.HEAD >> 2], c.expect.head);
    assertEquals(r.i32[layout.RbuffLayout.TAIL >> 2], c.expect.tail);
    assertEquals(r.acl(), c.expect.acl);
  });
}

function rbuffOp(r: Rbuff, [op, a, b, d]: Json): Json {
  switch (op) {
    case "write":
      return r.write(a);
    case "write_b":
      return r.writeBlocking(a, monotonicNs() + b * 1e9);
    case "read":
      return r.read();
    case "read_b":
      return r.readBlocking(monotonicNs() + a * 1e9);
    case "queued":
      return r.queued();
    case "acl":
      r.clearAcl(-1);
      r.setAcl(a);
      return null;
    case "get_acl":
      return r.acl();
    case "fill": {
      const result = { zero: 0, eagain: 0 };
      for (let k = 0; k < a; k++) {
        if (r.write(b + k * d) === 0) result.zero += 1;
        else result.eagain += 1;
      }
      return result;
    }
    case "drain": {
      const got: number[] = [];
      for (let k = 0; k < a; k++) got.push(r.read());
      return { first: got[0], last: got.at(-1), n: got.length };
    }
    default:
      throw new Error(`unknown operation ${op}`);
  }
}

function checkFlowSetScript(c: Json): void {
  withShm((instance, defer) => {
    const set = FlowSetShm.create(instance, 4711);
    defer(() => set.close());
    const results = c.input.ops.map((op: Json) => flowSetOp(set, op));
    if (c.reference_only) {
      // 1026 events: ours stop at 1024, and the neighbour's queue keeps its one event.
      assertEquals(results.at(-2).ret, 1024);
      assertEquals(results.at(-1), { ret: 1, events: [[101, 16]] });
      assertEquals(set.dropped, 2);
      return;
    }
    assertEquals(results, c.expect.results);
    const ours = new Uint8Array(set.i32.buffer).slice();
    const want = imageBytes(c.image);
    if (c.volatile !== undefined) {
      assertEquals(c.volatile, "cond words of an index that was waited on");
      const { CONDS, EVENTS } = layout.FlowSetLayout;
      want.fill(0, CONDS, EVENTS);
      ours.fill(0, CONDS, EVENTS);
    }
    assertEquals(hex(ours), hex(want));
    for (const [idx, n] of Object.entries(c.expect.heads)) {
      assertEquals(set.pending(Number(idx)), n as number);
    }
    for (const [id, idx] of Object.entries(c.expect.members)) {
      assert(set.has(idx as number, Number(id)));
    }
  });
}

function flowSetOp(set: FlowSetShm, [op, a, b, d]: Json): Json {
  switch (op) {
    case "add":
      return set.add(a, b);
    case "del":
      set.del(a, b);
      return null;
    case "has":
      return set.has(a, b) ? 1 : 0;
    case "zero":
      set.zero(a);
      return null;
    case "notify":
      set.notify(a, b);
      return null;
    case "notify_n":
      for (let k = 0; k < d; k++) set.notify(a, b);
      return null;
    case "wait": {
      const out = new Int32Array(2048);
      const ret = set.wait(a, out, monotonicNs() + b * 1e9);
      const events = [];
      for (let k = 0; k < ret && k < 8; k++) events.push([out[2 * k], out[2 * k + 1]]);
      return { ret, events };
    }
    default:
      throw new Error(`unknown operation ${op}`);
  }
}

function checkLockfile(c: Json): void {
  withShm((instance) => {
    assert(Lockfile.create(instance, c.input.pid));
    assertEquals(Lockfile.owner(instance), c.input.pid);
    assertEquals(hex(Deno.readFileSync(`/dev/shm${shmName(instance, "lockfile")}`)), c.hex);
    assertEquals(Lockfile.create(instance, 1), false);
    assertEquals(Lockfile.unlink(instance), 0);
    assertEquals(Lockfile.owner(instance), undefined);
  });
}

/** The reference's images of a lock's life: ours must be equal where no dead thread is needed. */
function checkMutex(c: Json): void {
  const inherit = c.name.includes("prio_inherit");
  const states = c.expect.states as { state: string; hex?: string }[];
  const fresh = states.find((s) => s.state === "fresh")!.hex!;
  const released = states.find((s) => s.state === "released after first use")!.hex!;
  const image = (read: () => Uint8Array, use: () => void) => {
    assertEquals(hex(read()), fresh);
    use();
    assertEquals(hex(read()), released);
  };
  if (inherit) {
    pool(0, 1, (p) => {
      const at = p.shardAt(1, 0);
      image(() => p.u8.slice(at, at + 40), () => assertEquals(p.alloc(1), 654848));
    });
  } else {
    withShm((instance, defer) => {
      const r = Rbuff.create(instance, 4711, 1);
      defer(() => r.close());
      const at = layout.RbuffLayout.MUTEX;
      image(
        () => new Uint8Array(r.i32.buffer).slice(at, at + 40),
        () => assertEquals(r.write(1), 0),
      );
    });
  }
}

/** What daemons left queued: the block, decoded by our pool, is that of the allocator named. */
function checkLive(c: Json): void {
  const { queued, rbuff_objects } = c.expect;
  for (const o of rbuff_objects) {
    const pid = c.input.pids[o.reader];
    assertEquals(shmName(instanceOf(), "rbuff", pid, o.flow_id).slice(1), o.object);
  }
  const pup = queued.pool.startsWith("ouroboros.pup.");
  const receiver = pup ? Number(queued.pool.split(".").at(-1)) : 0;
  pool(receiver, c.input.pids[queued.allocator], (p) => {
    const bytes = Uint8Array.from(c.hex.match(/../g)!, (b: unknown) => parseInt(String(b), 16));
    p.u8.set(bytes, queued.offset);
    assertEquals(p.inspect(queued.offset), 100);
    assertEquals(
      p.i32[(queued.offset + layout.Block.PID) >> 2],
      c.input.pids[queued.allocator],
    );
    assertEquals(p.remove(queued.offset), 0);
  });
}

// Real processes killed with SIGKILL while they use pool, ring and flow set: whoever is left goes on
// without a hang, and after the dead are cleared up every block is on exactly one list again.

import { assert, assertEquals } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { Errno } from "../../lib/errno.ts";
import { type Instance, instanceOf } from "../../lib/instance.ts";
import { EVENTS_MAX, FlowSetShm } from "../../lib/shm/flow_set.ts";
import { Block, CLASSES, Shard } from "../../lib/shm/layout.ts";
import { Pool } from "../../lib/shm/pool.ts";
import { Rbuff } from "../../lib/shm/rbuff.ts";
import { reclaim } from "../../lib/shm/reclaim.ts";
import { RunningProcess } from "../support/process.ts";

const CHILD = fromFileUrl(new URL("./shm_crash_child.ts", import.meta.url));
const ROUNDS = 12;

function start(role: string, instance: Instance): RunningProcess {
  return new RunningProcess(
    [
      Deno.execPath(),
      "run",
      "-A",
      "--no-prompt",
      "--quiet",
      "--no-check",
      CHILD,
      role,
      instance.prefix,
    ],
    {},
  );
}

/** Fails unless every block is on exactly one free list. */
function checkAllFree(pool: Pool): void {
  const g = pool.geometry;
  for (let c = 0; c < CLASSES; c++) {
    const seen = new Set<number>();
    for (let s = 0; s < 4; s++) {
      let off = pool.i32[(pool.shardAt(c, s) + Shard.HEAD) >> 2]!;
      while (off !== 0) {
        assert(!seen.has(off), `block ${off} is listed twice`);
        seen.add(off);
        off = pool.i32[(off + Block.NEXT) >> 2]!;
      }
    }
    assertEquals(seen.size, g.objectCount[c]! - (c === 0 ? 1 : 0), `class ${c}`);
  }
}

async function kill(p: RunningProcess): Promise<void> {
  p.kill("SIGKILL");
  await p.wait();
}

Deno.test("SIGKILL of writer and reader at any moment loses no block and blocks nobody", async () => {
  const prefix = await Deno.makeTempDir({ prefix: "ouro-crash-" });
  const instance = instanceOf(prefix);
  const pool = Pool.create(instance, 0);
  try {
    for (let round = 0; round < ROUNDS; round++) await killBoth(instance, pool, round % 2);
  } finally {
    pool.close();
    Pool.unlink(instance, 0);
    await Deno.remove(prefix, { recursive: true });
  }
});

/** One flow: a writer and a reader, of which `first` (0, 1) is killed before the other. */
async function killBoth(instance: Instance, pool: Pool, first: number): Promise<void> {
  // A flow's objects are its own: a condition variable is not safe for a second generation of waiters.
  const ring = Rbuff.create(instance, 1, 1);
  const set = FlowSetShm.create(instance, 1);
  const events = new Int32Array(EVENTS_MAX * 2);
  const running = ["writer", "reader"].map((role) => start(role, instance));
  try {
    set.add(3, 1);
    for (const p of running) await p.waitForLine(/ready/);
    // Not a wait for anything: the moment of death is what varies.
    await new Promise((r) => setTimeout(r, Math.random() * 20));
    await kill(running[first]!);
    // Everything can still be used by others.
    const off = pool.alloc(100);
    assert(off > 0 || off === -Errno.EAGAIN);
    if (off > 0) assertEquals(pool.remove(off), 0);
    assertEquals(set.add(4, 2), 0);
    set.notify(2, 1);
    set.wait(4, events, 0);
    const held = new Set<number>();
    ring.collect(held);
    // What the IRMd does for the dead: what waits in a live reader's ring stays.
    reclaim(pool, running[first]!.pid, held);
    await kill(running[1 - first]!);
    ring.drain((o) => {
      if (pool.get(o) === 0) pool.remove(o);
    });
    for (const p of running) reclaim(pool, p.pid, new Set());
    checkAllFree(pool);
    assertEquals(ring.write(512), 0);
    assertEquals(ring.read(), 512);
  } finally {
    for (const p of running) p.kill("SIGKILL");
    for (const p of running) await p.wait();
    set.close();
    ring.close();
    FlowSetShm.unlink(instance, 1);
    Rbuff.unlink(instance, 1, 1);
  }
}

// What is proved here: waiters and signallers of ours and of libc find each other, nobody waits longer than told,
// and neither killed waiters nor forged words stop anybody.

import { assert, assertEquals } from "@std/assert";
import { monotonicNs } from "../../../../lib/sys/clock.ts";
import { Cond, COND_BYTES, CondLayout } from "../../../../lib/sys/cond.ts";
import { until } from "../../../support/deadline.ts";
import { withLocks } from "./lock_threads.ts";
import { Shared } from "./lock_worker.ts";

const ROUNDS = 2000;

for (const broadcast of [false, true]) {
  for (const kinds of [[false, false], [false, true], [false, true, false, true]]) {
    const who = kinds.map((libc) => libc ? "libc" : "ours").join(", ");
    const how = broadcast ? "broadcast" : "signal";
    Deno.test(`Cond.${how}: ${who} take turns without missing one`, async () => {
      await withLocks(false, async ({ start }) => {
        const threads = kinds.length;
        const done = await Promise.all(kinds.map((libc, me) => {
          return start({ role: "turn", libc, me, threads, broadcast, rounds: ROUNDS });
        }));
        assertEquals(done, kinds.map(() => ROUNDS));
      });
    });
  }
}

Deno.test("Cond.wait ends at its deadline and leaves no trace", async () => {
  await withLocks(false, ({ mapping, mutex }) => {
    const cond = new Cond(mapping, Shared.CONDS);
    const words = new Int32Array(mapping.buffer, Shared.CONDS, COND_BYTES >> 2);
    for (let k = 0; k < 10; k++) {
      const deadlineNs = monotonicNs() + 1e6;
      mutex.lock();
      assertEquals(cond.wait(mutex, deadlineNs), true);
      mutex.unlock();
      assert(monotonicNs() >= deadlineNs);
    }
    assertEquals(cond.waited, false);
    // Nobody to wake: no signal is stored for whoever comes next.
    cond.signal();
    cond.broadcast();
    const signals = CondLayout.SIGNALS >> 2;
    assertEquals([words[signals], words[signals + 1]], [0, 0]);
  });
});

Deno.test("Cond: a waiter that was killed does not stop those who come after it", async () => {
  await withLocks(false, async ({ mapping, mutex, words, start }) => {
    const cond = new Cond(mapping, Shared.CONDS);
    // What a killed waiter leaves: its counts, in the group that it slept in.
    const left = new Int32Array(mapping.buffer, Shared.CONDS, COND_BYTES >> 2);
    Atomics.add(new BigInt64Array(mapping.buffer, Shared.CONDS, 1), 0, 2n);
    left[CondLayout.WREFS >> 2]! += 8;
    left[CondLayout.REFS >> 2]! += 2;
    for (let generation = 0; generation < 3; generation++) {
      Atomics.store(words, 1, 0);
      const waiter = start({ role: "wait" });
      await until("it waits", () => {
        mutex.lock();
        const waits = words[1] === 1;
        mutex.unlock();
        return waits;
      });
      cond.broadcast();
      assertEquals(await waiter, 1);
    }
  });
});

Deno.test("Cond: no value of any word stops a waiter or a signaller", async () => {
  await withLocks(false, ({ mapping, mutex }) => {
    const cond = new Cond(mapping, Shared.CONDS);
    const words = new Int32Array(mapping.buffer, Shared.CONDS, COND_BYTES >> 2);
    const hostile = [0, 1, -1, 2, 3, 8, 0x7fffffff, -0x80000000, 0x40000001];
    for (let word = 0; word < words.length; word++) {
      for (const value of hostile) {
        for (const act of ["wait", "signal", "broadcast"] as const) {
          words[word] = value;
          mutex.lock();
          if (act === "wait") cond.wait(mutex, monotonicNs() + 1e5);
          else cond[act]();
          mutex.unlock();
        }
      }
    }
    cond.init();
    mutex.lock();
    cond.wait(mutex, monotonicNs() + 1e5);
    mutex.unlock();
    assertEquals(cond.waited, false);
  });
});

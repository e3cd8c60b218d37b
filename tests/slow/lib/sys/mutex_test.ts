// What is proved here: a mutex excludes threads of ours and of libc alike, passes on from the dead, and one that
// was written over never hangs nor aborts.

import { assertEquals } from "@std/assert";
import { KIND_ROBUST, KIND_ROBUST_PI, MutexLayout } from "../../../../lib/sys/mutex.ts";
import { Mutex } from "../../../../lib/sys/mutex.ts";
import { LibcMutex } from "../../../support/pthread.ts";
import { withLocks } from "./lock_threads.ts";
import { Shared } from "./lock_worker.ts";

const LOCK = MutexLayout.LOCK >> 2;
const OWNER = MutexLayout.OWNER >> 2;
const KIND = MutexLayout.KIND >> 2;
/** No thread has this id: the kernel's limit is 4194304. */
const NOBODY = 0x3ffffffe;
const ROUNDS = 20_000;

for (const [word, inherit] of [["plain", false], ["priority inheritance", true]] as const) {
  Deno.test(`Mutex (${word}): threads of ours and of libc never enter together`, async () => {
    await withLocks(inherit, async ({ start, words }) => {
      const jobs = [false, true, false, true].map((libc) => start({ libc, rounds: ROUNDS }));
      await Promise.all(jobs);
      assertEquals(words[0], 4 * ROUNDS);
    });
  });

  for (const [first, next] of [[false, true], [true, false], [false, false]] as const) {
    const name = (libc: boolean) => libc ? "libc" : "ours";
    Deno.test(`Mutex (${word}): what a dead thread of ${name(first)} held passes to ${name(next)}`, async () => {
      await withLocks(inherit, async ({ start, mapping, mutex, words }) => {
        await start({ role: "die", libc: first });
        const lock = new Int32Array(mapping.buffer);
        // The thread ends some time after its answer: libc waits for it, ours as well.
        const heir = next ? new LibcMutex(mapping, Shared.MUTEX) : mutex;
        assertEquals(lock[LOCK] !== 0, true);
        assertEquals(await start({ libc: next }), 1);
        assertEquals(words[0], 1);
        assertEquals(heir.lock(), true);
        heir.unlock();
        assertEquals([lock[LOCK], lock[OWNER]], [0, 0]);
      });
    });
  }

  Deno.test(`Mutex (${word}): tells that the owner did not unlock, once`, async () => {
    await withLocks(inherit, ({ mapping, mutex }) => {
      const lock = new Int32Array(mapping.buffer);
      for (const left of [0x40000000, NOBODY, 0x40000000 | NOBODY, NOBODY | 0x80000000]) {
        lock[LOCK] = left;
        assertEquals(mutex.lock(), false);
        mutex.unlock();
        assertEquals(lock[LOCK], 0);
        assertEquals(mutex.lock(), true);
        mutex.unlock();
      }
    });
  });

  Deno.test(`Mutex (${word}): one held by a living thread that never lets go is taken, sooner each time`, async () => {
    await withLocks(inherit, ({ mapping, mutex }) => {
      const lock = new Int32Array(mapping.buffer);
      // Whole seconds each, were patience not to end.
      for (let k = 0; k < 50; k++) {
        lock[LOCK] = 1;
        assertEquals(mutex.lock(), false);
        mutex.unlock();
      }
    });
  });

  Deno.test(`Mutex (${word}): no value of any word stops us, and libc finds it whole afterwards`, async () => {
    await withLocks(inherit, ({ mapping, mutex }) => {
      const words = new Int32Array(mapping.buffer, 0, 10);
      const hostile = [
        0,
        1,
        -1,
        2,
        0x40000000,
        0x7fffffff,
        -0x80000000,
        0x7ffffffe,
        NOBODY,
        Deno.pid,
      ];
      for (let word = 0; word < words.length; word++) {
        for (const value of hostile) {
          words[word] = value;
          mutex.lock();
          words[word] = value;
          mutex.unlock();
        }
      }
      mutex.init();
      assertEquals(words[KIND], inherit ? KIND_ROBUST_PI : KIND_ROBUST);
      const libc = new LibcMutex(mapping, Shared.MUTEX);
      libc.lock();
      libc.unlock();
      const other = new Mutex(mapping, Shared.MUTEX, inherit);
      assertEquals(other.lock(), true);
      other.unlock();
    });
  });
}

/** What is proved here: a mutex works between handles, and one that was written over neither hangs nor aborts. */

import { assertEquals } from "@std/assert";
import { Errno } from "../../../../lib/errno.ts";
import { ShmObject } from "../../../../lib/sys/mman.ts";
import { Mutex, MUTEX_BYTES } from "../../../../lib/sys/pthread.ts";

const LOCK = 0;
const OWNER = 2;
const KIND = 4;
/** No thread has this id: the kernel's limit is 4194304. */
const NOBODY = 0x3ffffffe;

function withMutex(
  priorityInherit: boolean,
  body: (mutex: Mutex, words: Int32Array, other: Mutex) => void,
): void {
  const name = `/ouro-test-mutex-${Deno.pid}`;
  using object = ShmObject.create(name, 4096, 0o600);
  try {
    using mapping = object.map(4096);
    const mutex = new Mutex(mapping.ref(0, MUTEX_BYTES));
    assertEquals(mutex.init(priorityInherit), 0);
    body(mutex, new Int32Array(mapping.buffer), new Mutex(mapping.ref(0, MUTEX_BYTES)));
  } finally {
    ShmObject.unlink(name);
  }
}

for (const [word, inherit] of [["plain", false], ["priority inheritance", true]] as const) {
  Deno.test(`Mutex (${word}): lock, tryLock of a locked one, unlock`, () => {
    withMutex(inherit, (mutex, _, other) => {
      assertEquals([mutex.lock(), other.tryLock(), mutex.unlock()], [0, 16, 0]);
      assertEquals([other.lock(), other.unlock()], [0, 0]);
    });
  });

  Deno.test(`Mutex (${word}): any other kind is refused, where libc would abort or crash`, () => {
    withMutex(inherit, (mutex, words) => {
      const kind = words[KIND]!;
      for (const bad of [0, -1, 0x7fffffff, 1, 0x80, kind | 2, kind | 0x40]) {
        words[KIND] = bad;
        assertEquals([mutex.lock(), mutex.tryLock()], [Errno.EINVAL, Errno.EINVAL]);
      }
      words[KIND] = kind;
      assertEquals([mutex.lock(), mutex.unlock()], [0, 0]);
    });
  });

  Deno.test(`Mutex (${word}): one that is lost for ever says so again and again, until init`, () => {
    withMutex(inherit, (mutex, words, other) => {
      words[OWNER] = 0x7ffffffe;
      const lost = Errno.ENOTRECOVERABLE;
      assertEquals([mutex.lock(), other.lock(), words[LOCK]], [lost, lost, 0]);
      mutex.init(inherit);
      assertEquals([other.lock(), other.unlock()], [0, 0]);
    });
  });

  Deno.test(`Mutex (${word}): one held by nobody that exists is given up`, () => {
    withMutex(inherit, (mutex, words) => {
      words[LOCK] = NOBODY;
      assertEquals(mutex.lock(20), inherit ? Errno.EINVAL : Errno.ETIMEDOUT);
      words[LOCK] = 0;
      assertEquals([mutex.lock(), mutex.unlock()], [0, 0]);
    });
  });

  Deno.test(`Mutex (${word}): one held by a living thread that never lets go is given up`, () => {
    withMutex(inherit, (mutex, words) => {
      words[LOCK] = Deno.pid;
      const result = mutex.lock(20);
      assertEquals(result, Errno.ETIMEDOUT);
    });
  });
}

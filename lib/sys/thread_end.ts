/**
 * Something that happens when the calling OS thread ends, however it ends: the runtime runs no code of a Worker that is
 * terminated or fails, but libc runs the destructors of the thread's values (`pthread_key_create(3)`). The destructor
 * here is libc's `close`, and the value is a descriptor. Checked with glibc 2.36, x86_64.
 */

import { lazyLibc } from "./ffi.ts";
import { LockOwner } from "./futex.ts";

const TABLE = {
  // void *dlsym(void *handle, const char *name);
  dlsym: { parameters: ["pointer", /* handle */ "buffer" /* name */], result: "usize" },
  // int pthread_key_create(pthread_key_t *key, void (*destructor)(void *));
  pthread_key_create: { parameters: ["buffer", /* key */ "usize" /* destructor */], result: "i32" },
  // int pthread_key_delete(pthread_key_t key);
  pthread_key_delete: { parameters: ["u32" /* key */], result: "i32" },
  // int pthread_setspecific(pthread_key_t key, const void *value);
  pthread_setspecific: { parameters: ["u32", /* key */ "usize" /* value */], result: "i32" },
} as const;

const sys = lazyLibc(TABLE);

/** Kernel id of the calling thread; that of the first thread is the pid. */
export function threadId(): number {
  return LockOwner.self.tid;
}

/**
 * Closes `fd` when the calling thread ends. All threads of the process that share `words` use one key, of which there are
 * 1024 in a process: word `at` is its number plus one. False when there is none left.
 */
export function closeAtThreadEnd(
  words: Int32Array<SharedArrayBuffer>,
  at: number,
  fd: number,
): boolean {
  let key = Atomics.load(words, at) - 1;
  if (key < 0) {
    const close = sys().dlsym(null, new TextEncoder().encode("close\0"));
    const made = new Uint32Array(1);
    if (close === 0n || sys().pthread_key_create(made, close) !== 0) return false;
    key = made[0]!;
    const before = Atomics.compareExchange(words, at, 0, key + 1);
    if (before !== 0) {
      sys().pthread_key_delete(key);
      key = before - 1;
    }
  }
  return sys().pthread_setspecific(key, BigInt(fd)) === 0;
}

/** The calling thread closes its descriptor itself, now. */
export function forgetThreadEnd(words: Int32Array<SharedArrayBuffer>, at: number): void {
  const key = Atomics.load(words, at) - 1;
  if (key >= 0) sys().pthread_setspecific(key, 0n);
}

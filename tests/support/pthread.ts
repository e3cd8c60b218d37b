/**
 * Locks of libc in the memory that ours share: what a C program does with `<pthread.h>`, for tests of
 * lib/sys/mutex.ts and lib/sys/cond.ts against the real thing.
 */

import type { Mapping } from "../../lib/sys/mman.ts";

const libc = Deno.dlopen("libc.so.6", {
  pthread_mutex_lock: { parameters: ["pointer"], result: "i32" },
  pthread_mutex_unlock: { parameters: ["pointer"], result: "i32" },
  pthread_mutex_consistent: { parameters: ["pointer"], result: "i32" },
  pthread_cond_timedwait: { parameters: ["pointer", "pointer", "buffer"], result: "i32" },
  pthread_cond_signal: { parameters: ["pointer"], result: "i32" },
  pthread_cond_broadcast: { parameters: ["pointer"], result: "i32" },
}).symbols;

const EOWNERDEAD = 130;

/** A `pthread_mutex_t`, with the methods of ours. */
export class LibcMutex {
  readonly at: Deno.PointerObject;

  constructor(mapping: Mapping, offset: number) {
    this.at = mapping.ref(offset);
  }

  lock(): boolean {
    const result = libc.pthread_mutex_lock(this.at);
    if (result === EOWNERDEAD) libc.pthread_mutex_consistent(this.at);
    else if (result !== 0) throw new Error(`pthread_mutex_lock: ${result}`);
    return result === 0;
  }

  unlock(): void {
    const result = libc.pthread_mutex_unlock(this.at);
    if (result !== 0) throw new Error(`pthread_mutex_unlock: ${result}`);
  }
}

/** A `pthread_cond_t`, with the methods of ours. */
export class LibcCond {
  readonly #at: Deno.PointerObject;

  constructor(mapping: Mapping, offset: number) {
    this.#at = mapping.ref(offset);
  }

  wait(mutex: LibcMutex, deadlineNs: number): boolean {
    const seconds = Math.floor(deadlineNs / 1e9);
    const timespec = Uint32Array.of(seconds, 0, deadlineNs - seconds * 1e9, 0);
    const result = libc.pthread_cond_timedwait(this.#at, mutex.at, timespec);
    if (result === EOWNERDEAD) libc.pthread_mutex_consistent(mutex.at);
    return result !== EOWNERDEAD;
  }

  signal(): void {
    libc.pthread_cond_signal(this.#at);
  }

  broadcast(): void {
    libc.pthread_cond_broadcast(this.#at);
  }
}

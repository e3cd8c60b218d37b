/**
 * Process-shared pthread mutexes and condition variables in mapped memory (`<pthread.h>`), by address.
 *
 * Checked with glibc 2.36, x86_64; all processes of a host must use the same libc (spec 10 §3.2).
 * Every call is synchronous and so runs on the calling OS thread: mutex ownership is per thread, lock
 * and unlock with no suspension point between (spec 10 §12.3). Results are positive error numbers, 0
 * for success, as libc returns them.
 *
 * Safety: the address must lie in memory that stays mapped while a handle exists. Unlock stores
 * through list pointers read from the object (spec 10 §3.3), so lock only objects of peers that this
 * process trusts, or that run as the same user. What else a peer may write into a mutex ends a lock
 * with an error number: libc alone would wait for ever or abort.
 */

import { libc, type MemRef } from "./ffi.ts";

const TABLE = {
  // int pthread_mutexattr_init(pthread_mutexattr_t *attr);
  pthread_mutexattr_init: { parameters: ["buffer" /* attr */], result: "i32" },
  // int pthread_mutexattr_setpshared(pthread_mutexattr_t *attr, int pshared);
  pthread_mutexattr_setpshared: { parameters: ["buffer", /* attr */ "i32"], result: "i32" },
  // int pthread_mutexattr_setrobust(pthread_mutexattr_t *attr, int robust);
  pthread_mutexattr_setrobust: { parameters: ["buffer", /* attr */ "i32"], result: "i32" },
  // int pthread_mutexattr_setprotocol(pthread_mutexattr_t *attr, int protocol);
  pthread_mutexattr_setprotocol: { parameters: ["buffer", /* attr */ "i32"], result: "i32" },
  // int pthread_mutexattr_destroy(pthread_mutexattr_t *attr);
  pthread_mutexattr_destroy: { parameters: ["buffer" /* attr */], result: "i32" },
  // int pthread_mutex_init(pthread_mutex_t *m, const pthread_mutexattr_t *attr);
  pthread_mutex_init: { parameters: ["pointer", /* m */ "buffer" /* attr */], result: "i32" },
  // int pthread_mutex_timedlock(pthread_mutex_t *m, const struct timespec *t);
  pthread_mutex_timedlock: { parameters: ["pointer", /* m */ "buffer" /* t */], result: "i32" },
  // int pthread_mutex_trylock(pthread_mutex_t *m);
  pthread_mutex_trylock: { parameters: ["pointer" /* m */], result: "i32" },
  // int pthread_mutex_unlock(pthread_mutex_t *m);
  pthread_mutex_unlock: { parameters: ["pointer" /* m */], result: "i32" },
  // int pthread_mutex_consistent(pthread_mutex_t *m);
  pthread_mutex_consistent: { parameters: ["pointer" /* m */], result: "i32" },
  // int pthread_condattr_init(pthread_condattr_t *attr);
  pthread_condattr_init: { parameters: ["buffer" /* attr */], result: "i32" },
  // int pthread_condattr_setpshared(pthread_condattr_t *attr, int pshared);
  pthread_condattr_setpshared: { parameters: ["buffer", /* attr */ "i32"], result: "i32" },
  // int pthread_condattr_setclock(pthread_condattr_t *attr, clockid_t clock);
  pthread_condattr_setclock: { parameters: ["buffer", /* attr */ "i32"], result: "i32" },
  // int pthread_condattr_destroy(pthread_condattr_t *attr);
  pthread_condattr_destroy: { parameters: ["buffer" /* attr */], result: "i32" },
  // int pthread_cond_init(pthread_cond_t *c, const pthread_condattr_t *attr);
  pthread_cond_init: { parameters: ["pointer", /* c */ "buffer" /* attr */], result: "i32" },
  // int pthread_cond_wait(pthread_cond_t *c, pthread_mutex_t *m);
  pthread_cond_wait: { parameters: ["pointer", /* c */ "pointer" /* m */], result: "i32" },
  // int pthread_cond_timedwait(pthread_cond_t *c, pthread_mutex_t *m, const struct timespec *t);
  pthread_cond_timedwait: {
    parameters: ["pointer", /* c */ "pointer", /* m */ "buffer" /* t */],
    result: "i32",
  },
  // int pthread_cond_signal(pthread_cond_t *c);
  pthread_cond_signal: { parameters: ["pointer" /* c */], result: "i32" },
  // int pthread_cond_broadcast(pthread_cond_t *c);
  pthread_cond_broadcast: { parameters: ["pointer" /* c */], result: "i32" },
} as const;

type Symbols = Deno.DynamicLibrary<typeof TABLE>["symbols"];

/** `sizeof(pthread_mutex_t)`, `sizeof(pthread_cond_t)` on x86_64. */
export const MUTEX_BYTES = 40;
export const COND_BYTES = 48;

const PTHREAD_PROCESS_SHARED = 1;
const PTHREAD_MUTEX_ROBUST = 1;
const PTHREAD_PRIO_INHERIT = 1;
const CLOCK_MONOTONIC = 1;
/** Error numbers of Linux. */
const EBUSY = 16;
const EINVAL = 22;
const ENOTRECOVERABLE = 131;

/** Words of a glibc mutex: lock (owner's tid and two flags), owner and kind. */
const LOCK_WORD = 0;
const OWNER_WORD = 2;
const KIND_WORD = 4;
const TID_MASK = 0x3fffffff;
const OWNER_DIED = 0x40000000;
/** Owner of a mutex that was unlocked without having been made consistent. */
const NOT_RECOVERABLE = 0x7ffffffe;
/** The kinds that `init` and the prototype make: robust, process-shared, the second inherits priority. */
const KIND_ROBUST = 0x90;
const KIND_ROBUST_PI = 0xb0;
/** Peers hold a lock for microseconds; one that is held this long is not what it was, ms. */
const LOCK_MS = 2000;
/** Larger than the attribute types of any libc. */
const ATTR_BYTES = 64;

let table: Symbols | undefined;

function sys(): Symbols {
  table ??= libc(TABLE);
  return table;
}

/** struct timespec as four u32: deadlines are passed to libc through this one buffer a thread. */
const timespec = new Uint32Array(4);

/** Puts a time in ns into {@linkcode timespec}. */
function setTimespec(ns: number): void {
  const seconds = Math.floor(ns / 1e9);
  timespec[0] = seconds;
  timespec[2] = ns - seconds * 1e9;
}

/** A process-shared robust mutex. */
export class Mutex {
  readonly #at: MemRef;
  readonly #words: Int32Array<ArrayBuffer>;
  readonly #sys: Symbols = sys();

  constructor(at: MemRef) {
    this.#at = at;
    this.#words = new Int32Array(Deno.UnsafePointerView.getArrayBuffer(at, MUTEX_BYTES));
  }

  /** Initialises the memory: process-shared, robust, with priority inheritance if asked. */
  init(priorityInherit = false): number {
    const s = this.#sys;
    const attr = new Uint8Array(ATTR_BYTES);
    s.pthread_mutexattr_init(attr);
    s.pthread_mutexattr_setpshared(attr, PTHREAD_PROCESS_SHARED);
    s.pthread_mutexattr_setrobust(attr, PTHREAD_MUTEX_ROBUST);
    if (priorityInherit) s.pthread_mutexattr_setprotocol(attr, PTHREAD_PRIO_INHERIT);
    const result = s.pthread_mutex_init(this.#at, attr);
    s.pthread_mutexattr_destroy(attr);
    return result;
  }

  /**
   * Blocks until locked. 0, EOWNERDEAD (130, locked: repair and call `consistent`), ENOTRECOVERABLE
   * (131), EINVAL for memory that holds no such mutex (libc would abort), ETIMEDOUT after `limitMs`.
   */
  lock(limitMs = LOCK_MS): number {
    const result = this.tryLock();
    return result === EBUSY ? this.#lockBusy(limitMs) : result;
  }

  /** As `lock`, or EBUSY at once. */
  tryLock(): number {
    const kind = this.#words[KIND_WORD];
    if (kind !== KIND_ROBUST && kind !== KIND_ROBUST_PI) return EINVAL;
    // Of such a one libc says so, but keeps it locked.
    if (this.#words[OWNER_WORD] === NOT_RECOVERABLE) return ENOTRECOVERABLE;
    return this.#sys.pthread_mutex_trylock(this.#at);
  }

  #lockBusy(limitMs: number): number {
    if (this.#words[KIND_WORD] === KIND_ROBUST_PI) {
      // For an owner that the kernel does not find, libc aborts.
      const word = Atomics.load(this.#words, LOCK_WORD);
      const lost = (word & TID_MASK) !== 0 && (word & OWNER_DIED) === 0 &&
        !isThread(word & TID_MASK);
      if (lost && Atomics.load(this.#words, LOCK_WORD) === word) return EINVAL;
    }
    setTimespec((performance.timeOrigin + performance.now() + limitMs) * 1e6);
    return this.#sys.pthread_mutex_timedlock(this.#at, timespec);
  }

  unlock(): number {
    return this.#sys.pthread_mutex_unlock(this.#at);
  }

  consistent(): number {
    return this.#sys.pthread_mutex_consistent(this.#at);
  }

  /** For {@linkcode Cond} only. */
  waitOn(cond: MemRef, deadlineNs: number): number {
    if (deadlineNs === Infinity) return this.#sys.pthread_cond_wait(cond, this.#at);
    setTimespec(Math.max(0, deadlineNs));
    return this.#sys.pthread_cond_timedwait(cond, this.#at, timespec);
  }
}

/** Whether a thread of that kernel id exists; the directory of a thread is there though it is not listed. */
function isThread(tid: number): boolean {
  try {
    Deno.statSync(`/proc/${tid}`);
    return true;
  } catch {
    return false;
  }
}

/** A process-shared condition variable on CLOCK_MONOTONIC. */
export class Cond {
  readonly #at: MemRef;
  readonly #sys: Symbols = sys();

  constructor(at: MemRef) {
    this.#at = at;
  }

  init(): number {
    const s = this.#sys;
    const attr = new Uint8Array(ATTR_BYTES);
    s.pthread_condattr_init(attr);
    s.pthread_condattr_setpshared(attr, PTHREAD_PROCESS_SHARED);
    s.pthread_condattr_setclock(attr, CLOCK_MONOTONIC);
    const result = s.pthread_cond_init(this.#at, attr);
    s.pthread_condattr_destroy(attr);
    return result;
  }

  /**
   * Waits with `mutex` locked until signalled or until `deadlineNs` of CLOCK_MONOTONIC (Infinity: for
   * ever). Returns 0, ETIMEDOUT (110), or EOWNERDEAD when the mutex came back from a dead owner.
   */
  wait(mutex: Mutex, deadlineNs: number): number {
    return mutex.waitOn(this.#at, deadlineNs);
  }

  signal(): number {
    return this.#sys.pthread_cond_signal(this.#at);
  }

  broadcast(): number {
    return this.#sys.pthread_cond_broadcast(this.#at);
  }
}

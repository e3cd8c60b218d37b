// deno-lint-ignore-file camelcase -- the kernel has these names
/**
 * What locks in shared memory need of the kernel (`<linux/futex.h>`, x86_64): sleeping on a word and
 * waking who sleeps there, the id of the calling thread, and a place to note the lock it holds, so
 * that the kernel releases the lock when the thread dies (`Documentation/locking/robust-futexes.rst`).
 *
 * Safety: a word must stay mapped during the call. Nothing here reads or writes what other processes
 * may have put next to it.
 */

import { Errno } from "../errno.ts";
import { errno, lazyLibc, libc, type MemRef } from "./ffi.ts";

const TABLE = {
  // long syscall(long number, uint32_t *uaddr, int op, uint32_t val, struct timespec *timeout, void *, uint32_t val3);
  syscall: {
    parameters: [
      "i32", /* number */
      "pointer", /* uaddr */
      "i32", /* op */
      "i32", /* val */
      "buffer", /* timeout */
      "pointer", /* unused */
      "i32", /* val3 */
    ],
    result: "i32",
  },
  // pid_t gettid(void);
  gettid: { parameters: [], result: "i32" },
  // int kill(pid_t pid, int sig);
  kill: { parameters: ["i32", /* pid */ "i32" /* sig */], result: "i32" },
} as const;

const ROBUST_TABLE = {
  // long syscall(long number, int pid, struct robust_list_head **head, size_t *len);
  syscall: {
    parameters: ["i32", /* number */ "i32", /* pid */ "buffer", /* head */ "buffer" /* len */],
    result: "i32",
  },
} as const;

/** System call numbers of x86_64. */
const SYS_futex = 202;
const SYS_get_robust_list = 274;
const FUTEX_WAKE = 1;
const FUTEX_UNLOCK_PI = 7;
/** Its time-out is absolute, on CLOCK_MONOTONIC. */
const FUTEX_WAIT_BITSET = 9;
const ANY_BIT = -1;

/** struct robust_list_head: list, offset from an entry to its lock word, entry of the lock under way. */
const ROBUST_HEAD_BYTES = 24;
/** That offset as libc sets it for its mutexes. */
const ROBUST_ENTRY = 32;
/** Marks the entry of a lock with priority inheritance. */
const ROBUST_PI = 1;

const sys = lazyLibc(TABLE);

/** struct timespec as four u32. */
const timespec = new Uint32Array(4);

/**
 * Sleeps while the word at `at` is `value`, until somebody wakes it or until `deadlineNs` of
 * CLOCK_MONOTONIC. May return early for no reason.
 */
export function futexWait(at: MemRef, value: number, deadlineNs: number): void {
  const seconds = Math.floor(deadlineNs / 1e9);
  timespec[0] = seconds;
  timespec[2] = deadlineNs - seconds * 1e9;
  sys().syscall(SYS_futex, at, FUTEX_WAIT_BITSET, value, timespec, null, ANY_BIT);
}

/** Wakes at most `most` sleepers. */
export function futexWake(at: MemRef, most: number): void {
  sys().syscall(SYS_futex, at, FUTEX_WAKE, most, null, null, 0);
}

/** Unlocks a word with priority inheritance that has waiters. False: the kernel knows none of ours. */
export function futexUnlockPi(at: MemRef): boolean {
  return sys().syscall(SYS_futex, at, FUTEX_UNLOCK_PI, 0, null, null, 0) === 0;
}

/** Whether a thread of that id exists, also one of another user. */
export function threadExists(tid: number): boolean {
  return tid > 0 && (sys().kill(tid, 0) === 0 || errno() !== Errno.ESRCH);
}

/**
 * The calling thread as an owner of locks. The thread's word in {@linkcode held} names the lock that
 * it holds or is about to take; should it die meanwhile, the kernel sets the bit "owner died" in that
 * lock and wakes a waiter. This is the field `list_op_pending` of the thread's robust list, which needs
 * no pointers in shared memory, unlike the list itself. One lock at a time: libc's own robust mutexes
 * use the field during their calls.
 */
export class LockOwner {
  /** Kernel id of the thread. */
  readonly tid: number;
  /** One double whose bits are an address, stored at once; see {@linkcode entryOf}. */
  readonly held: Float64Array;

  private constructor() {
    this.tid = sys().gettid();
    this.held = robustWord() ?? new Float64Array(1);
  }

  static #self: LockOwner | undefined;

  /** Modules live once a thread, so this is the thread that calls. */
  static get self(): LockOwner {
    return LockOwner.#self ??= new LockOwner();
  }
}

/** The thread's `list_op_pending`; undefined where the libc keeps no robust list of the known form. */
function robustWord(): Float64Array | undefined {
  const head = new BigUint64Array(1);
  const length = new BigUint64Array(1);
  const result = libc(ROBUST_TABLE).syscall(SYS_get_robust_list, 0, head, length);
  const at = Deno.UnsafePointer.create(head[0]!);
  if (result !== 0 || at === null || length[0] !== BigInt(ROBUST_HEAD_BYTES)) return undefined;
  const buffer = Deno.UnsafePointerView.getArrayBuffer(at, ROBUST_HEAD_BYTES);
  if (new BigInt64Array(buffer)[1] !== BigInt(-ROBUST_ENTRY)) return undefined;
  return new Float64Array(buffer, 16, 1);
}

/** What {@linkcode LockOwner.held} holds for a lock word, as a double of the same bits. */
export function entryOf(lock: MemRef, priorityInherit: boolean): number {
  const entry = Deno.UnsafePointer.value(lock) + BigInt(ROBUST_ENTRY);
  const bits = BigUint64Array.of(priorityInherit ? entry | BigInt(ROBUST_PI) : entry);
  return new Float64Array(bits.buffer)[0]!;
}

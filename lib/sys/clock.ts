/**
 * Clocks of the host. `clock_gettime(CLOCK_MONOTONIC)` is the clock that C peers use for deadlines on
 * condition variables in shared memory (spec 10 §3.1); `performance.now()` has another origin.
 */

import { lazyLibc } from "./ffi.ts";

const TABLE = {
  // int clock_gettime(clockid_t clk, struct timespec *ts);
  clock_gettime: { parameters: ["i32", /* clk */ "buffer" /* ts */], result: "i32" },
  // int nanosleep(const struct timespec *req, struct timespec *rem);
  nanosleep: { parameters: ["buffer", /* req */ "buffer" /* rem */], result: "i32" },
  // int sched_yield(void);
  sched_yield: { parameters: [], result: "i32" },
} as const;

/** `<time.h>` of Linux. */
const CLOCK_REALTIME = 0;
const CLOCK_MONOTONIC = 1;

const sys = lazyLibc(TABLE);

/** struct timespec {i64 s; i64 ns} as four u32, little-endian; the high words of a clock stay 0. */
const timespec = new Uint32Array(4);

/** Nanoseconds of CLOCK_MONOTONIC. Exact to 1 ns for 104 days of uptime, to 2 ns up to 208 days. */
export function monotonicNs(): number {
  sys().clock_gettime(CLOCK_MONOTONIC, timespec);
  return timespec[0]! * 1e9 + timespec[2]!;
}

/** Microseconds of CLOCK_MONOTONIC, whole. */
export function monotonicUs(): number {
  sys().clock_gettime(CLOCK_MONOTONIC, timespec);
  return timespec[0]! * 1e6 + Math.floor(timespec[2]! / 1000);
}

/** Nanoseconds since 1970 of CLOCK_REALTIME. */
export function realtimeNs(): bigint {
  sys().clock_gettime(CLOCK_REALTIME, timespec);
  return (BigInt(timespec[1]!) << 32n | BigInt(timespec[0]!)) * 1000000000n + BigInt(timespec[2]!);
}

const nap = new Uint32Array(4);

/** Blocks the calling thread for about `ns` nanoseconds (less when a signal arrives). */
export function sleepNs(ns: number): void {
  const seconds = Math.floor(ns / 1e9);
  nap[0] = seconds;
  nap[2] = Math.max(0, ns - seconds * 1e9);
  sys().nanosleep(nap, null);
}

/** Gives up the processor once. */
export function yieldCpu(): void {
  sys().sched_yield();
}

/**
 * Taking a lock without going to sleep: critical sections here last some 100 ns. Whoever sleeps on one
 * of these mutexes is given it by the next unlock and holds it until it is awake again, tens of
 * microseconds later; by then the other side sleeps too, and so on for every packet. So we look, then
 * let others run (the holder may have been interrupted on this very processor), and sleep only when
 * that took very long.
 */

import { Errno } from "../errno.ts";
import { yieldCpu } from "../sys/clock.ts";
import type { Mutex } from "../sys/pthread.ts";

/** Looks at the lock word; about 2 µs. With one processor there is nothing to look for. */
const LOOKS_MAX = navigator.hardwareConcurrency > 1 ? 200 : 0;
/** Times the processor is given up before going to sleep; a millisecond when nobody else runs. */
const YIELDS_MAX = 2000;

/** Locks `mutex`, whose lock word is `i32[at]`. Results as `Mutex.lock`. */
export function acquire(mutex: Mutex, i32: Int32Array<ArrayBuffer>, at: number): number {
  const result = mutex.tryLock();
  return result === Errno.EBUSY ? acquireBusy(mutex, i32, at) : result;
}

function acquireBusy(mutex: Mutex, i32: Int32Array<ArrayBuffer>, at: number): number {
  for (let k = 0; k < LOOKS_MAX; k++) {
    if (Atomics.load(i32, at) !== 0) continue;
    const result = mutex.tryLock();
    if (result !== Errno.EBUSY) return result;
  }
  for (let k = 0; k < YIELDS_MAX; k++) {
    yieldCpu();
    const result = mutex.tryLock();
    if (result !== Errno.EBUSY) return result;
  }
  return mutex.lock();
}

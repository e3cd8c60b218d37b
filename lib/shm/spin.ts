/**
 * A short look at a lock before taking it: critical sections here last some 100 ns, a contended robust
 * mutex costs a system call on both sides. With one processor there is nothing to look for.
 */

/** Looks at the lock word; about a microsecond. */
const LOOKS_MAX = navigator.hardwareConcurrency > 1 ? 100 : 0;

/** Returns when the mutex whose lock word is `i32[at]` looks free, or after a while. */
export function spinWhileLocked(i32: Int32Array<ArrayBuffer>, at: number): void {
  if (i32[at] === 0) return;
  for (let k = 0; k < LOOKS_MAX && Atomics.load(i32, at) !== 0; k++);
}

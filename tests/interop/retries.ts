// deno-lint-ignore-file no-console -- what was tried again is told to whoever reads the run
/** Retries of interop tests: each is said with its reason and counted, so that a run shows how often it needed them. */

let count = 0;

/** Says that something is tried again, `times` times so far unsaid, since the prototype failed by itself. */
export function sayRetry(what: string, times = 1): void {
  count += times;
  console.log(`retry ${count}${times > 1 ? ` (${times} tries)` : ""}: ${what}`);
}

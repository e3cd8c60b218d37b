/**
 * Where fuzzing starts: `OURO_FIRST_SEED`, which the test runner takes from the commit, so that each
 * commit is tried by other inputs and a failing run can be done again; 1 without it. And how long it
 * lasts: `OURO_FUZZ_SCALE` times as long as usual.
 */

import fc from "fast-check";

export const FIRST_SEED: number = Number(Deno.env.get("OURO_FIRST_SEED") ?? 1) >>> 0;

const SCALE = Number(Deno.env.get("OURO_FUZZ_SCALE") ?? 1);

/** How many inputs are tried where `usual` are by default. */
export function fuzzRuns(usual: number): number {
  return Math.max(1, Math.round(usual * SCALE));
}

fc.configureGlobal({ ...fc.readConfigureGlobal(), seed: FIRST_SEED });

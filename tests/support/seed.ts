/**
 * Where fuzzing starts: `OURO_FIRST_SEED`, which the test runner takes from the commit, so that each
 * commit is tried by other inputs and a failing run can be done again; 1 without it.
 */

import fc from "fast-check";

export const FIRST_SEED: number = Number(Deno.env.get("OURO_FIRST_SEED") ?? 1) >>> 0;

fc.configureGlobal({ ...fc.readConfigureGlobal(), seed: FIRST_SEED });

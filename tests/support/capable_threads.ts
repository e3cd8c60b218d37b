// deno-lint-ignore-file no-console -- a program, which prints
/** A process that lets all its threads keep little, and shows what each of them has. */

import { Cap, keepCapabilitiesEverywhere, threads } from "../../lib/sys/caps.ts";

const all = await keepCapabilitiesEverywhere([Cap.DAC_OVERRIDE]);
const left = new Set(threads().map(({ permitted }) => Number(permitted)));
console.log(JSON.stringify({ all, several: threads().length > 1, left: [...left] }));

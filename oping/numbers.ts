/** Numbers of `oping` beyond those of all tools (lib/cli/numbers.ts). Pure. */

import { fixed } from "../lib/cli/numbers.ts";

/** As `%d` prints an unsigned 32-bit number. */
export function signed32(value: number): number {
  return value | 0;
}

/** `%.3f` as the prototype shows statistics: `NaN` for what has no value. */
export function fixed3(x: number): string {
  return Number.isNaN(x) ? "NaN" : fixed(x, 3);
}

/** A time as the prototype shows it: below 0.1 ms in µs. */
export function timeWithUnit(ms: number): string {
  return ms < 0.1 ? `${fixed3(ms * 1000)} µs` : `${fixed3(ms)} ms`;
}

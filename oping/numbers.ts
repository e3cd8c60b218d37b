/**
 * Numbers on command lines and in output as C has them: `strtol`, time suffixes, `%.3f`.
 */

/** A leading decimal number and what follows it, as `strtol` splits a word; no digits give 0. */
export function leadingNumber(word: string): { value: bigint; rest: string } {
  const match = /^[ \t\n\v\f\r]*([+-]?\d+)/.exec(word);
  if (!match) return { value: 0n, rest: word };
  return { value: BigInt(match[1]!), rest: word.slice(match[0].length) };
}

/** As C converts a long to an unsigned 32-bit number. */
export function toU32(value: bigint): number {
  return Number(BigInt.asUintN(32, clampLong(value)));
}

/** As `strtol` limits what is too large. */
function clampLong(value: bigint): bigint {
  const max = (1n << 63n) - 1n;
  return value > max ? max : value < -max - 1n ? -max - 1n : value;
}

const TIME_UNITS_MS: Readonly<Record<string, number>> = {
  "": 1,
  us: 0.001,
  "µs": 0.001,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/**
 * A time in ms: whole numbers with the prototype's units, and beyond it decimals (`0.2s`) and `us`.
 * The text of an unknown unit otherwise.
 */
export function parseTimeMs(word: string): number | { unknownUnit: string } {
  const decimal = /^[ \t]*([+-]?\d+\.\d+)(.*)$/s.exec(word);
  const { value, rest } = decimal
    ? { value: Number(decimal[1]), rest: decimal[2]! }
    : leadingNumber(word);
  const unit = Object.hasOwn(TIME_UNITS_MS, rest) ? TIME_UNITS_MS[rest]! : undefined;
  if (unit === undefined) return { unknownUnit: rest };
  return Number(value) * unit;
}

/**
 * `printf("%.3f")`: three decimals, exact ties to even. JavaScript takes exact ties up, and ties at
 * the third decimal are the odd multiples of 1/16.
 */
export function fixed3(x: number): string {
  if (Number.isNaN(x)) return "NaN";
  const sixteenths = x * 16;
  if (!Number.isInteger(sixteenths) || sixteenths % 2 === 0 || Math.abs(sixteenths) > 1e13) {
    return x.toFixed(3);
  }
  const lower = Math.floor(Math.abs(x) * 1000);
  const even = lower % 2 === 0 ? lower : lower + 1;
  const sign = x < 0 ? "-" : "";
  return `${sign}${Math.floor(even / 1000)}.${String(even % 1000).padStart(3, "0")}`;
}

/** A time as the prototype shows it: below 0.1 ms in µs. */
export function timeWithUnit(ms: number): string {
  return ms < 0.1 ? `${fixed3(ms * 1000)} µs` : `${fixed3(ms)} ms`;
}

/** As `%d` prints an unsigned 32-bit number. */
export function signed32(value: number): number {
  return value | 0;
}

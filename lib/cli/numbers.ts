/**
 * Numbers on command lines and in output as C has them (spec 80 §1.2, §2.3): `strtol`, time suffixes,
 * `%.3f`. Beyond the prototype times may have decimals and `us`. Pure.
 */

/** A number and what follows it. */
export interface Counted {
  readonly value: number;
  readonly rest: string;
}

/** Largest magnitude strtol gives on a 64-bit system, as near as a number comes to it. */
const LONG_MAX = 2 ** 63;

/** Reads like `strtol(text, &rest, 10)`: blanks, sign, digits; no digits are 0 and leave everything. */
export function strtol(text: string): Counted {
  const found = /^[ \t\n\v\f\r]*([+-]?[0-9]+)/.exec(text);
  if (!found) return { value: 0, rest: text };
  const value = Math.max(-LONG_MAX, Math.min(LONG_MAX, Number(found[1])));
  return { value, rest: text.slice(found[0].length) };
}

/** Milliseconds in each unit of time. */
const UNITS_MS: Readonly<Record<string, number>> = {
  "": 1,
  us: 0.001,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** A time in ms, or the suffix that is no unit of time. */
export function parseTimeMs(text: string): { readonly ms: number } | { readonly unit: string } {
  const found = /^[ \t\n\v\f\r]*([+-]?[0-9]+(?:\.[0-9]+)?)(.*)$/s.exec(text);
  const value = found ? Number(found[1]) : 0;
  const unit = found ? found[2]! : text;
  if (!Object.hasOwn(UNITS_MS, unit)) return { unit };
  return { ms: value * UNITS_MS[unit]! };
}

/** A whole number within bounds, or undefined: for the options that the prototype does not have. */
export function parseWhole(text: string, least: number, most: number): number | undefined {
  if (!/^[0-9]{1,15}$/.test(text)) return undefined;
  const value = Number(text);
  return value >= least && value <= most ? value : undefined;
}

/**
 * `%.<digits>f`: exact ties go to the even digit, where `toFixed` takes the larger (spec 80 §2.3).
 * `digits` is at most 20.
 */
export function fixed(x: number, digits: number): string {
  if (!Number.isFinite(x)) return Number.isNaN(x) ? "nan" : x > 0 ? "inf" : "-inf";
  const rounded = x.toFixed(digits);
  // A tie has few binary places behind the point, so forty more digits are all there are.
  const exact = Math.abs(x).toFixed(Math.min(100, digits + 40));
  const tail = exact.slice(exact.length - 40);
  if (!/^50*$/.test(tail)) return rounded;
  const down = exact.slice(0, exact.length - 40).replace(/\.$/, "");
  if (Number(down.at(-1)) % 2 !== 0) return rounded;
  return x < 0 ? `-${down}` : down;
}

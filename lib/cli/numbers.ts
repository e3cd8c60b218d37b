/**
 * Numbers on command lines, read whole or not at all, and in output as C has them (spec 80 §1.2, §2.3):
 * time suffixes, `%.3f`. The prototype takes what a text begins with (`3x`, `0x3`), which hides mistakes;
 * ours refuses it. Times may have decimals and `us`. Pure.
 */

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

/** Longest time that is taken, ms: ten years. */
const TIME_MS_MAX = 3650 * 86_400_000;

/** A time in ms, or the suffix that is no unit of time, or what is wrong with the number. */
export function parseTimeMs(
  text: string,
): { readonly ms: number } | { readonly unit: string } | { readonly wrong: string } {
  const found = /^(-?)([0-9]+(?:\.[0-9]+)?)(.*)$/s.exec(text);
  if (!found) return text === "" ? { wrong: "it is empty" } : { unit: text };
  const unit = found[3]!;
  if (!Object.hasOwn(UNITS_MS, unit)) return { unit };
  const ms = Number(found[2]) * UNITS_MS[unit]!;
  if (found[1] === "-") return { wrong: "it is negative" };
  if (ms > TIME_MS_MAX) return { wrong: "it is more than ten years" };
  return { ms };
}

/** A time in seconds where seconds are meant when there is no unit, or undefined for what is none. */
export function parseSeconds(text: string): number | undefined {
  const time = parseTimeMs(/[0-9]$/.test(text) ? `${text}s` : text);
  return "ms" in time ? time.ms / 1000 : undefined;
}

/**
 * The silence after which a peer counts as gone, whole ms; 0 for never. Undefined for what is no such time: the flow
 * carries 32 bits of ms.
 */
export function parseKeepaliveMs(text: string): number | undefined {
  const time = parseTimeMs(text);
  if (!("ms" in time)) return undefined;
  const ms = Math.round(time.ms);
  return ms <= 0xffff_ffff && (ms > 0 || time.ms === 0) ? ms : undefined;
}

/** What {@linkcode parseKeepaliveMs} takes, for a refusal. */
export const KEEPALIVE_FORM = "a time such as 500ms or 10s, at most 49 days, or 0 for never";

/**
 * Says that a time without unit is ms, where it is so short that seconds may have been meant.
 * @param shortMs below this it is likely a mistake, ms
 */
export function unitWarning(option: string, text: string, shortMs: number): string | undefined {
  if (!/^[0-9.]+$/.test(text)) return undefined;
  const ms = Number(text);
  if (!(ms > 0 && ms < shortMs)) return undefined;
  return `${option} ${text} means ${text} ms here; write ${text}s for seconds`;
}

/** Loss in percent for programs, to four decimals: never 0 with losses, never 100 with something received. */
export function exactLoss(sent: number, received: number): number {
  if (sent === 0 || received === sent) return 0;
  const percent = Math.round(1e6 * (sent - received) / sent) / 1e4;
  if (received > 0 && percent === 100) return 99.9999;
  return received < sent && percent === 0 ? 0.0001 : percent;
}

/** Factors of SI suffixes. */
const SI: Readonly<Record<string, number>> = { "": 1, k: 1e3, M: 1e6, G: 1e9 };

/** A whole number within bounds that may end in k, M or G, or undefined. */
export function parseScaled(text: string, least: number, most: number): number | undefined {
  const found = /^([0-9]{1,15})([kMG]?)$/.exec(text);
  if (!found) return undefined;
  const value = Number(found[1]) * SI[found[2]!]!;
  return value >= least && value <= most ? value : undefined;
}

/** A whole number within bounds, or undefined: for the options that the prototype does not have. */
export function parseWhole(text: string, least: number, most: number): number | undefined {
  if (!/^[0-9]{1,15}$/.test(text)) return undefined;
  const value = Number(text);
  return value >= least && value <= most ? value : undefined;
}

/** A number within bounds that may have decimals, or undefined. */
export function parseDecimal(text: string, least: number, most: number): number | undefined {
  if (!/^[0-9]{1,15}(?:\.[0-9]{1,15})?$/.test(text)) return undefined;
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

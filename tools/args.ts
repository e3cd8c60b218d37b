/**
 * Command lines of the tools (spec 80 §1.2): a list of option words, numbers as C's strtol reads them,
 * times and rates with suffixes.
 *
 * Beyond the prototype: `--option=value`, `-c5`, `-fl`, decimals and `us` in times, and a missing value
 * is an error.
 */

/** One option of a tool. */
export interface OptionSpec {
  /** Words that mean it, e.g. `["-d", "--duration"]`. */
  readonly words: readonly string[];
  /** Whether a value follows. */
  readonly value: boolean;
}

/** What a command line turned out to be. */
export type ParsedOptions<K extends string> =
  /** Options in the order given; values are `""` where there is none. */
  | { readonly kind: "options"; readonly options: readonly (readonly [K, string])[] }
  /** A word that is no option. */
  | { readonly kind: "unknown"; readonly word: string }
  /** The last option has no value. */
  | { readonly kind: "missing"; readonly key: K };

/** Reads a command line by a table of options; stops at the first word that makes no sense. */
export function parseOptions<K extends string>(
  args: readonly string[],
  table: Readonly<Record<K, OptionSpec>>,
): ParsedOptions<K> {
  const entries = Object.entries(table) as [K, OptionSpec][];
  const options: [K, string][] = [];
  const specs = entries.map(([, spec]) => spec);
  const words = [...args];
  for (let i = 0; i < words.length; i++) {
    words.splice(i, 1, ...unbundle(words[i]!, specs));
    const word = words[i]!;
    const equals = word.startsWith("--") ? word.indexOf("=") : -1;
    const bare = equals < 0 ? word : word.slice(0, equals);
    const found = entries.find(([, spec]) => spec.words.includes(bare));
    if (!found || equals >= 0 && !found[1].value) return { kind: "unknown", word };
    const [key, spec] = found;
    if (!spec.value) {
      options.push([key, ""]);
      continue;
    }
    const value = equals < 0 ? words[++i] : word.slice(equals + 1);
    if (value === undefined) return { kind: "missing", key };
    options.push([key, value]);
  }
  return { kind: "options", options };
}

/** `-fl` as `-f -l`, `-c5` as `-c 5`; any other word as it is. */
function unbundle(word: string, specs: readonly OptionSpec[]): string[] {
  if (!/^-[A-Za-z].+$/.test(word)) return [word];
  const parts: string[] = [];
  for (let at = 1; at < word.length; at++) {
    const letter = `-${word[at]}`;
    const spec = specs.find(({ words }) => words.includes(letter));
    if (!spec) return [word];
    parts.push(letter);
    if (spec.value) {
      if (at + 1 < word.length) parts.push(word.slice(at + 1));
      break;
    }
  }
  return parts;
}

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

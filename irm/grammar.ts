/**
 * The grammar that every `irm` command shares (spec 21 A1): words may be abbreviated to any prefix,
 * the first match in table order wins, and options are `key value` pairs in any order. Pure.
 */

/** The first word of `table` that starts with `word`; the empty word matches the first. */
export function matchWord<W extends string>(word: string, table: readonly W[]): W | undefined {
  return table.find((candidate) => candidate.startsWith(word));
}

/** How the keys of one command are read. */
export interface PairGrammar<K extends string> {
  /** Keys in match order. */
  readonly keys: readonly K[];
  /** Keys without a value. */
  readonly flags?: readonly K[];
  /** Keys that are not abbreviated. */
  readonly exact?: readonly K[];
}

/** One option as it stood on the command line. */
export interface Pair<K extends string> {
  readonly key: K;
  /** The key as typed, for messages that repeat it. */
  readonly typed: string;
  /** The value; `""` for a flag. */
  readonly value: string;
}

/** What a list of options turned out to be. */
export type Pairs<K extends string> =
  /** All good; in the order typed. */
  | { readonly kind: "pairs"; readonly pairs: readonly Pair<K>[] }
  /** A key that the command does not have; `pairs` are those before it. */
  | {
    readonly kind: "unknown";
    readonly word: string;
    /** Whether a word follows it. */
    readonly hasValue: boolean;
    /** Those that the command has. */
    readonly known: readonly K[];
    readonly pairs: readonly Pair<K>[];
  }
  /** The last key has no value; `pairs` are those before it. */
  | { readonly kind: "missing"; readonly key: K; readonly pairs: readonly Pair<K>[] };

/** Reads `key value` pairs from left to right and stops at the first that is not one. */
export function parsePairs<K extends string>(
  args: readonly string[],
  grammar: PairGrammar<K>,
): Pairs<K> {
  const exact = grammar.exact ?? [];
  const prefixed = grammar.keys.filter((key) => !exact.includes(key));
  const pairs: Pair<K>[] = [];
  for (let i = 0; i < args.length; i++) {
    const typed = args[i]!;
    const key = matchWord(typed, prefixed) ?? exact.find((candidate) => candidate === typed);
    if (key === undefined) {
      const { keys: known } = grammar;
      return { kind: "unknown", word: typed, hasValue: i + 1 < args.length, known, pairs };
    }
    if (grammar.flags?.includes(key)) {
      pairs.push({ key, typed, value: "" });
      continue;
    }
    const value = args[++i];
    if (value === undefined) return { kind: "missing", key, pairs };
    pairs.push({ key, typed, value });
  }
  return { kind: "pairs", pairs };
}

/** The last value of a key, as a repeated key overrides. */
export function lastValue<K extends string>(
  pairs: readonly Pair<K>[],
  key: K,
): string | undefined {
  return pairs.findLast((pair) => pair.key === key)?.value;
}

/**
 * Why a list of options is not enough, for one line.
 * @param needed keys that must be there, each with what its value is called
 */
export function whatIsMissing<K extends string>(
  parsed: Pairs<K>,
  needed: readonly (readonly [K, string])[],
): string {
  if (parsed.kind === "missing") return `no value after "${parsed.key}"`;
  // A word at the end that is no key.
  if (parsed.kind === "unknown") return `"${parsed.word}" is unknown`;
  const lacking = needed.filter(([key]) => lastValue(parsed.pairs, key) === undefined);
  return lacking.map(([key, value]) => `no ${key} given (${key} ${value})`).join(", ");
}

/** Whether a text matches a pattern in which `*` stands for any run of characters. */
export function wildcardMatch(pattern: string, text: string): boolean {
  const parts = pattern.split("*");
  if (parts.length === 1) return pattern === text;
  const first = parts[0]!;
  const last = parts[parts.length - 1]!;
  if (text.length < first.length + last.length) return false;
  if (!text.startsWith(first) || !text.endsWith(last)) return false;
  let at = first.length;
  const end = text.length - last.length;
  for (const part of parts.slice(1, -1)) {
    const found = text.indexOf(part, at);
    if (found < 0 || found + part.length > end) return false;
    at = found + part.length;
  }
  return true;
}

const encoder = new TextEncoder();

/** Length of a text in UTF-8 bytes, the unit of every limit on names. */
export function byteLength(text: string): number {
  return encoder.encode(text).length;
}

/**
 * Command lines of the tools (spec 80 §1.2): a list of option words.
 *
 * Beyond the prototype: `--option=value`, `-c5`, `-fl`, and a missing value is an error. Pure.
 */

import { type Option, TEXT, type Value } from "./manual.ts";
import { unknownOption } from "./words.ts";

/** One option of a tool. */
export interface OptionSpec {
  /** Words that mean it, e.g. `["-d", "--duration"]`. */
  readonly words: readonly string[];
  /** Whether a value follows, and what it is taken for where that is more than any text. */
  readonly value: boolean | Value;
}

/** The options of a table, as help and completion know them. */
export function optionsOf(table: Readonly<Record<string, OptionSpec>>): Option[] {
  return Object.values(table).map(({ words, value }) =>
    value === false ? { words } : { words, value: value === true ? TEXT : value }
  );
}

/** What a command line turned out to be. */
export type ParsedOptions<K extends string> =
  /** Options in the order given; values are `""` where there is none. */
  | {
    readonly kind: "options";
    readonly options: readonly (readonly [K, string])[];
    /** Words that are none, where they are taken. */
    readonly operands: readonly string[];
  }
  /** A word that is no option; `options` are those before it. */
  | {
    readonly kind: "unknown";
    readonly word: string;
    readonly options: readonly (readonly [K, string])[];
  }
  /** The last option has no value. */
  | {
    readonly kind: "missing";
    readonly key: K;
    /** The option as typed. */
    readonly word: string;
    readonly options: readonly (readonly [K, string])[];
  };

/** Why a word is refused, with the nearest option that there is. */
export function unknownWord(word: string, table: Readonly<Record<string, OptionSpec>>): string {
  return unknownOption(word, Object.values(table).flatMap(({ words }) => words));
}

/** Says that the last option, as typed, has no value. */
export function needsValue(word: string): string {
  return `Option ${word} needs a value`;
}

/**
 * Reads a command line by a table of options; stops at the first word that makes no sense.
 * @param takeOperands words that do not begin with `-`, and all after `--`, are operands
 */
export function parseOptions<K extends string>(
  args: readonly string[],
  table: Readonly<Record<K, OptionSpec>>,
  takeOperands = false,
): ParsedOptions<K> {
  const entries = Object.entries(table) as [K, OptionSpec][];
  const options: [K, string][] = [];
  const operands: string[] = [];
  const specs = entries.map(([, spec]) => spec);
  const words = [...args];
  for (let i = 0; i < words.length; i++) {
    if (takeOperands && words[i] === "--") {
      operands.push(...words.slice(i + 1));
      break;
    }
    if (takeOperands && !/^-./s.test(words[i]!)) {
      operands.push(words[i]!);
      continue;
    }
    words.splice(i, 1, ...unbundle(words[i]!, specs));
    const word = words[i]!;
    const equals = word.startsWith("--") ? word.indexOf("=") : -1;
    const bare = equals < 0 ? word : word.slice(0, equals);
    const found = entries.find(([, spec]) => spec.words.includes(bare));
    if (!found || equals >= 0 && !found[1].value) return { kind: "unknown", word, options };
    const [key, spec] = found;
    if (!spec.value) {
      options.push([key, ""]);
      continue;
    }
    const value = equals < 0 ? words[++i] : word.slice(equals + 1);
    if (value === undefined) return { kind: "missing", key, word: bare, options };
    options.push([key, value]);
  }
  return { kind: "options", options, operands };
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

/**
 * Reading one table of the configuration: typed access to its keys, with an error for a value of the
 * wrong type and for every key that nobody asked for. Pure.
 */

import { nearest } from "../../lib/cli/nearest.ts";
import { NAME_BYTES_MAX } from "../../lib/limits.ts";
import type { TomlTable, TomlValue } from "./toml.ts";
import { ConfigError } from "./types.ts";

/** Collects what is wrong. */
export class Problems {
  readonly errors: ConfigError[] = [];
  readonly warnings: string[] = [];

  constructor(readonly file: string) {}

  add(line: number, text: string, ...follow: string[]): void {
    this.errors.push(new ConfigError(this.file, line, text, follow));
  }
}

const KIND_WORDS: Record<TomlValue["kind"], string> = {
  table: "a table",
  string: "a string",
  integer: "an integer",
  float: "a float",
  boolean: "a boolean",
  datetime: "a date",
  array: "an array",
};

const encoder = new TextEncoder();

/** ` Did you mean "x"?` behind a sentence, or nothing. */
export function meantWord(word: string, known: readonly string[]): string {
  const meant = nearest(word, known);
  return meant === undefined ? "" : ` Did you mean "${meant}"?`;
}

/** ` "w" is none of a, b.` behind a sentence, with the word that was meant. */
export function noneOf(word: string, known: readonly string[]): string {
  return ` "${word}" is none of ${known.join(", ")}.${meantWord(word, known)}`;
}

/** Bytes of a text in UTF-8. */
export function byteLength(text: string): number {
  return encoder.encode(text).length;
}

/** A text without NUL of at most `bytesMax` bytes, or undefined after a complaint about `what`. */
export function checkText(
  value: { readonly line: number; readonly value: string },
  what: string,
  problems: Problems,
  bytesMax: number = NAME_BYTES_MAX,
): string | undefined {
  const bytes = byteLength(value.value);
  if (!value.value.includes("\0") && bytes <= bytesMax) return value.value;
  const why = bytes > bytesMax
    ? `is too long: ${bytes} bytes, at most ${bytesMax}`
    : "has a NUL character";
  problems.add(value.line, `${what} ${why}.`);
  return undefined;
}

/** A table being read. Getters give undefined for an absent key, and for a bad one after a complaint. */
export class TableReader {
  readonly #asked = new Set<string>();

  constructor(
    readonly table: TomlTable,
    /** The table's header for messages, e.g. `[name.a]`. */
    readonly title: string,
    readonly problems: Problems,
  ) {}

  #get<K extends TomlValue["kind"]>(
    key: string,
    kind: K,
  ): Extract<TomlValue, { kind: K }> | undefined {
    this.#asked.add(key);
    const value = this.table.entries.get(key);
    if (!value) return undefined;
    if (value.kind === kind) return value as Extract<TomlValue, { kind: K }>;
    this.#wrongType(value, key, kind);
    return undefined;
  }

  #wrongType(value: TomlValue, key: string, wanted: TomlValue["kind"]): void {
    this.problems.add(
      value.line,
      `${key} in ${this.title} must be ${KIND_WORDS[wanted]}, not ${KIND_WORDS[value.kind]}.`,
    );
  }

  has(key: string): boolean {
    return this.table.entries.has(key);
  }

  /** The line of a key, or of the table. */
  lineOf(key: string): number {
    return this.table.entries.get(key)?.line ?? this.table.line;
  }

  /** A string of at most `bytesMax` bytes. */
  string(key: string, bytesMax: number = NAME_BYTES_MAX): string | undefined {
    const value = this.#get(key, "string");
    return value && checkText(value, `${key} in ${this.title}`, this.problems, bytesMax);
  }

  boolean(key: string): boolean | undefined {
    return this.#get(key, "boolean")?.value;
  }

  integer(key: string): number | undefined {
    return this.#get(key, "integer")?.value;
  }

  /** Strings of at most `bytesMax` bytes, with their lines; empty for an absent key. */
  strings(key: string, bytesMax: number = NAME_BYTES_MAX): { value: string; line: number }[] {
    return this.items(key).flatMap((item) => {
      if (item.kind !== "string") {
        this.#wrongType(item, `element of ${key}`, "string");
        return [];
      }
      const value = checkText(item, `${key} in ${this.title}`, this.problems, bytesMax);
      return value === undefined ? [] : [{ value, line: item.line }];
    });
  }

  /** Names, none of them empty; no elements for an absent key. */
  names(key: string): string[] {
    return this.strings(key).map(({ value, line }) => {
      if (value === "") this.problems.add(line, `element of ${key} in ${this.title} is empty.`);
      return value;
    });
  }

  /** A name, which is not empty. */
  name(key: string): string | undefined {
    const name = this.string(key);
    if (name === "") this.problems.add(this.lineOf(key), `${key} in ${this.title} is empty.`);
    return name;
  }

  /** The values of an array; empty for an absent key. */
  items(key: string): readonly TomlValue[] {
    return this.#get(key, "array")?.items ?? [];
  }

  /** Complains about every key that no getter asked for. */
  finish(): void {
    for (const [key, value] of this.table.entries) {
      if (this.#asked.has(key)) continue;
      const meant = meantWord(key, [...this.#asked]);
      this.problems.add(value.line, `Unknown key in ${this.title}: ${key}.${meant}`);
    }
  }
}

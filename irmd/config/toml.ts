/**
 * TOML 1.0 with the line of every key and value, so that whoever reads a configuration can say where
 * it is wrong. (https://toml.io/en/v1.0.0; the sections named below are of that document.) Pure.
 *
 * Invariants: `parseToml` never throws; nesting is limited; dates are kept as text. The scanner is in
 * scanner.ts, the rules about what may be defined twice are here.
 */

import { Scanner, TomlError, type TomlTable, type TomlValue } from "./scanner.ts";

export { TomlError, type TomlTable, type TomlValue };

/** Reads a document: its root table, or the first error. */
export function parseToml(text: string): TomlTable | TomlError {
  try {
    return new Document(text).read();
  } catch (error) {
    if (error instanceof TomlError) return error;
    throw error;
  }
}

/** A document being read: which tables were opened how decides what may follow (section "Table"). */
class Document {
  readonly #scanner: Scanner;
  readonly #root: TomlTable = { kind: "table", line: 1, entries: new Map() };
  /** Tables that a `[header]` opened: not to be opened again. */
  readonly #opened = new Set<TomlTable>();
  /** Tables made by dotted keys: a header may not open them. */
  readonly #dotted = new Set<TomlTable>();
  /** Arrays made by `[[header]]`. */
  readonly #tableArrays = new Set<TomlValue>();

  constructor(text: string) {
    this.#scanner = new Scanner(text);
  }

  read(): TomlTable {
    const s = this.#scanner;
    let current = this.#root;
    for (s.skipBlank(); !s.atEnd(); s.skipBlank()) {
      if (s.peek() === "[") current = this.#header();
      else this.#keyValue(current);
      s.endOfLine();
    }
    return this.#root;
  }

  #header(): TomlTable {
    const s = this.#scanner;
    const line = s.line;
    const array = s.take("[[");
    if (!array) s.take("[");
    const path = s.key();
    if (!s.take(array ? "]]" : "]")) throw new TomlError(line, "invalid key");
    const last = path.pop()!;
    let table = this.#root;
    for (const part of path) table = this.#descend(table, part, line);
    return array ? this.#appendTable(table, last, line) : this.#openTable(table, last, line);
  }

  /** The table below `key`, made if it is missing; of an array of tables the latest. */
  #descend(table: TomlTable, key: string, line: number): TomlTable {
    const found = table.entries.get(key);
    if (!found) {
      const made: TomlTable = { kind: "table", line, entries: new Map() };
      table.entries.set(key, made);
      return made;
    }
    if (found.kind === "table" && !found.inline) return found;
    if (found.kind === "array" && this.#tableArrays.has(found)) {
      return found.items[found.items.length - 1] as TomlTable;
    }
    throw new TomlError(line, `"${key}" is not a table`);
  }

  #openTable(parent: TomlTable, key: string, line: number): TomlTable {
    const found = parent.entries.get(key);
    if (found) {
      if (
        found.kind !== "table" || found.inline || this.#opened.has(found) ||
        this.#dotted.has(found)
      ) {
        throw new TomlError(line, `key exists: ${key}`);
      }
      this.#opened.add(found);
      found.line = line;
      return found;
    }
    const made: TomlTable = { kind: "table", line, entries: new Map() };
    parent.entries.set(key, made);
    this.#opened.add(made);
    return made;
  }

  #appendTable(parent: TomlTable, key: string, line: number): TomlTable {
    const made: TomlTable = { kind: "table", line, entries: new Map() };
    const found = parent.entries.get(key);
    if (!found) {
      const array: TomlValue = { kind: "array", line, items: [made] };
      parent.entries.set(key, array);
      this.#tableArrays.add(array);
    } else if (found.kind === "array" && this.#tableArrays.has(found)) {
      found.items.push(made);
    } else {
      throw new TomlError(line, `key exists: ${key}`);
    }
    return made;
  }

  #keyValue(table: TomlTable): void {
    const s = this.#scanner;
    const line = s.line;
    const path = s.key();
    if (!s.take("=")) throw new TomlError(line, "missing =");
    s.skipSpace();
    const last = path.pop()!;
    let target = table;
    for (const part of path) {
      const before = target.entries.has(part);
      target = this.#descend(target, part, line);
      if (!before) this.#dotted.add(target);
      else if (this.#opened.has(target) || !this.#dotted.has(target)) {
        throw new TomlError(line, `key exists: ${part}`);
      }
    }
    if (target.entries.has(last)) throw new TomlError(line, `key exists: ${last}`);
    target.entries.set(last, s.value());
  }
}

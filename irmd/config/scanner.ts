/** Keys and values of TOML (toml.ts): characters in, values with their line out. Pure. */

/** A table; `inline` ones cannot be extended. */
export interface TomlTable {
  readonly kind: "table";
  /** Where it was opened, from 1. */
  line: number;
  /** In the order in which keys first appear. */
  readonly entries: Map<string, TomlValue>;
  readonly inline?: boolean;
}

/** A value with the line on which it begins. */
export type TomlValue =
  | TomlTable
  | { readonly kind: "string"; readonly line: number; readonly value: string }
  /** Beyond 2^53 it is not exact; no number of ours is that large. */
  | { readonly kind: "integer"; readonly line: number; readonly value: number }
  | { readonly kind: "float"; readonly line: number; readonly value: number }
  | { readonly kind: "boolean"; readonly line: number; readonly value: boolean }
  | { readonly kind: "datetime"; readonly line: number; readonly value: string }
  | { readonly kind: "array"; readonly line: number; readonly items: TomlValue[] };

/** Where and why a text is no TOML. */
export class TomlError extends Error {
  constructor(
    /** From 1. */
    readonly line: number,
    /** Without full stop. */
    readonly reason: string,
  ) {
    super(`line ${line}: ${reason}`);
  }
}

/** Arrays and inline tables within each other; beyond it the text is hostile. */
const DEPTH_MAX = 32;

const ESCAPES: Readonly<Record<string, string>> = {
  b: "\b",
  t: "\t",
  n: "\n",
  f: "\f",
  r: "\r",
  '"': '"',
  "\\": "\\",
};

const INTEGER = /^[+-]?(0|[1-9](_?[0-9])*)$/;
const PREFIXED = /^0(x[0-9a-fA-F](_?[0-9a-fA-F])*|o[0-7](_?[0-7])*|b[01](_?[01])*)$/;
const FLOAT = /^[+-]?(0|[1-9](_?[0-9])*)(\.[0-9](_?[0-9])*)?([eE][+-]?[0-9](_?[0-9])*)?$/;
const DATETIME =
  /^(\d{4}-\d{2}-\d{2}([Tt ]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})?)?|\d{2}:\d{2}:\d{2}(\.\d+)?)$/;

/** A position in a text. Methods throw `TomlError`. */
export class Scanner {
  readonly #text: string;
  #at = 0;
  #line = 1;

  constructor(text: string) {
    this.#text = text.startsWith("\ufeff") ? text.slice(1) : text;
  }

  get line(): number {
    return this.#line;
  }

  atEnd(): boolean {
    return this.#at >= this.#text.length;
  }

  /** The next character, `""` at the end. */
  peek(): string {
    return this.#text.charAt(this.#at);
  }

  #fail(reason: string): never {
    throw new TomlError(this.#line, reason);
  }

  #next(): string {
    const c = this.#text.charAt(this.#at++);
    if (c === "\n") this.#line++;
    return c;
  }

  /** Takes a text if it is next. It must hold no newline. */
  take(text: string): boolean {
    if (!this.#text.startsWith(text, this.#at)) return false;
    this.#at += text.length;
    return true;
  }

  skipSpace(): void {
    while (this.peek() === " " || this.peek() === "\t") this.#at++;
  }

  /** Skips spaces, line ends and comments. */
  skipBlank(): void {
    for (;;) {
      this.skipSpace();
      if (this.peek() === "#") this.#comment();
      if (this.peek() === "\r" && this.#text.charAt(this.#at + 1) === "\n") this.#at++;
      if (this.peek() !== "\n") return;
      this.#next();
    }
  }

  #comment(): void {
    for (let c = this.peek(); c !== "" && c !== "\n"; c = this.peek()) {
      if (isControl(c) && !(c === "\r" && this.#text.charAt(this.#at + 1) === "\n")) {
        this.#fail("control character in a comment");
      }
      this.#at++;
    }
  }

  /** Demands that nothing but a comment follows on this line. */
  endOfLine(): void {
    this.skipSpace();
    if (this.peek() === "#") this.#comment();
    if (this.take("\r\n")) {
      this.#line++;
      return;
    }
    if (this.atEnd()) return;
    if (this.peek() !== "\n") this.#fail("extra characters after the value");
    this.#next();
  }

  /** A dotted key, with the space around it. */
  key(): string[] {
    const parts: string[] = [];
    do {
      this.skipSpace();
      parts.push(this.#simpleKey());
      this.skipSpace();
    } while (this.take("."));
    return parts;
  }

  #simpleKey(): string {
    const c = this.peek();
    if (c === '"' || c === "'") {
      if (this.#text.startsWith(c.repeat(3), this.#at)) this.#fail("invalid key");
      this.#at++;
      return c === '"' ? this.#basic() : this.#literal();
    }
    const start = this.#at;
    while (/^[A-Za-z0-9_-]$/.test(this.peek())) this.#at++;
    if (start === this.#at) this.#fail("invalid key");
    return this.#text.slice(start, this.#at);
  }

  /** Any value. */
  value(depth = 0): TomlValue {
    if (depth > DEPTH_MAX) this.#fail("nested too deeply");
    const line = this.#line;
    switch (this.peek()) {
      case '"':
        if (this.take('"""')) return { kind: "string", line, value: this.#multiLine('"') };
        this.#at++;
        return { kind: "string", line, value: this.#basic() };
      case "'":
        if (this.take("'''")) return { kind: "string", line, value: this.#multiLine("'") };
        this.#at++;
        return { kind: "string", line, value: this.#literal() };
      case "[":
        return this.#array(line, depth);
      case "{":
        return this.#inlineTable(line, depth);
      default:
        return this.#scalar(line);
    }
  }

  #basic(): string {
    let out = "";
    for (;;) {
      const c = this.peek();
      if (c === "" || c === "\n") this.#fail("unterminated string");
      this.#at++;
      if (c === '"') return out;
      if (c === "\\") out += this.#escape();
      else if (isControl(c)) this.#fail("control character in a string");
      else out += c;
    }
  }

  #literal(): string {
    const end = this.#text.indexOf("'", this.#at);
    const text = this.#text.slice(this.#at, end < 0 ? undefined : end);
    if (end < 0 || text.includes("\n")) this.#fail("unterminated string");
    if ([...text].some(isControl)) this.#fail("control character in a string");
    this.#at = end + 1;
    return text;
  }

  #escape(): string {
    const c = this.peek();
    this.#at++;
    const plain = ESCAPES[c];
    if (plain !== undefined && c !== "") return plain;
    if (c !== "u" && c !== "U") this.#fail("invalid escape in a string");
    const digits = this.#text.slice(this.#at, this.#at + (c === "u" ? 4 : 8));
    if (digits.length !== (c === "u" ? 4 : 8) || !/^[0-9a-fA-F]+$/.test(digits)) {
      this.#fail("invalid escape in a string");
    }
    const code = parseInt(digits, 16);
    if (code > 0x10ffff || code >= 0xd800 && code <= 0xdfff) {
      this.#fail("escape is not a Unicode character");
    }
    this.#at += digits.length;
    return String.fromCodePoint(code);
  }

  #multiLine(quote: '"' | "'"): string {
    // A newline right after the opening is not part of the string.
    if (this.#text.startsWith("\r\n", this.#at)) this.#at++;
    if (this.peek() === "\n") this.#next();
    let out = "";
    for (;;) {
      if (this.atEnd()) this.#fail("unterminated string");
      if (this.take(quote.repeat(3))) {
        // Up to two quotes may stand directly before the closing ones.
        for (let i = 0; i < 2 && this.take(quote); i++) out += quote;
        return out;
      }
      const c = this.#next();
      if (c === "\\" && quote === '"') {
        if (/^[ \t]*\r?\n/.test(this.#text.slice(this.#at, this.#at + 4096))) this.#skipFold();
        else out += this.#escape();
      } else if (isControl(c) && c !== "\n" && !(c === "\r" && this.peek() === "\n")) {
        this.#fail("control character in a string");
      } else {
        out += c;
      }
    }
  }

  /** After a backslash at the end of a line: all white space up to the next text. */
  #skipFold(): void {
    while (/^[ \t\r\n]$/.test(this.peek())) this.#next();
  }

  #array(line: number, depth: number): TomlValue {
    this.#at++;
    const items: TomlValue[] = [];
    for (;;) {
      this.skipBlank();
      if (this.take("]")) return { kind: "array", line, items };
      if (this.atEnd()) throw new TomlError(line, "unterminated array");
      items.push(this.value(depth + 1));
      this.skipBlank();
      if (this.take(",")) continue;
      if (this.take("]")) return { kind: "array", line, items };
      if (this.atEnd()) throw new TomlError(line, "unterminated array");
      this.#fail("array: expected , or ]");
    }
  }

  #inlineTable(line: number, depth: number): TomlValue {
    this.#at++;
    const table: TomlTable = { kind: "table", line, entries: new Map(), inline: true };
    const dotted = new Set<TomlTable>();
    this.skipSpace();
    if (this.take("}")) return table;
    for (;;) {
      const path = this.key();
      if (!this.take("=")) this.#fail("missing =");
      this.skipSpace();
      const last = path.pop()!;
      let target = table;
      for (const part of path) {
        const found = target.entries.get(part);
        if (found && (found.kind !== "table" || !dotted.has(found))) {
          this.#fail(`key exists: ${part}`);
        }
        const below = found as TomlTable | undefined ??
          { kind: "table", line, entries: new Map(), inline: true };
        target.entries.set(part, below);
        dotted.add(below);
        target = below;
      }
      if (target.entries.has(last)) this.#fail(`key exists: ${last}`);
      target.entries.set(last, this.value(depth + 1));
      this.skipSpace();
      if (this.take("}")) return table;
      if (!this.take(",")) this.#fail("inline table: expected , or }");
    }
  }

  #scalar(line: number): TomlValue {
    const rest = this.#text.slice(this.#at, this.#at + 256);
    let word = /^[^\s,\]}#=]*/.exec(rest)![0];
    // A date may be followed by a space and a time.
    const dated = /^\d{4}-\d{2}-\d{2} \d{2}:[^\s,\]}#=]*/.exec(rest);
    if (dated) word = dated[0];
    this.#at += word.length;
    if (word === "true" || word === "false") {
      return { kind: "boolean", line, value: word === "true" };
    }
    if (INTEGER.test(word) || PREFIXED.test(word)) {
      return { kind: "integer", line, value: Number(word.replaceAll("_", "")) };
    }
    if (FLOAT.test(word)) return { kind: "float", line, value: Number(word.replaceAll("_", "")) };
    const named = /^([+-]?)(inf|nan)$/.exec(word);
    if (named) {
      const value = named[2] === "nan" ? NaN : Infinity;
      return { kind: "float", line, value: named[1] === "-" ? -value : value };
    }
    if (DATETIME.test(word)) return { kind: "datetime", line, value: word };
    this.#fail(word === "" ? "missing value" : "unknown value");
  }
}

function isControl(c: string): boolean {
  const code = c.charCodeAt(0);
  return code < 0x20 && c !== "\t" || code === 0x7f;
}

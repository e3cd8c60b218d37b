/**
 * Log lines in the prototype's format (spec 20 §16): to stdout coloured, with pid, level and prefix,
 * or to a sink such as syslog without colour. One write a line, so lines of processes don't mix.
 */

import { printable } from "./printable.ts";

/** Levels: error, warning, info, debug, protocol dump. */
export type Level = "EE" | "WW" | "II" | "DB" | "PP";

/** Where lines go: the level and the text without prefix, and the prefix. */
export type Sink = (level: Level, prefix: string, text: string) => void;

const COLOR: Record<Level, string> = {
  EE: "\x1b[31m",
  WW: "\x1b[33m",
  II: "\x1b[32m",
  DB: "",
  PP: "\x1b[34m",
};

/** Whether stdout is a terminal whose user wants colours (https://no-color.org). */
function wantsColor(): boolean {
  return Deno.stdout.isTerminal() && !Deno.env.get("NO_COLOR");
}

/** A line for stdout without its end: `==<pid>== <prefix>(<level>): <text>` (spec 20 §16). */
export function formatLine(
  pid: number,
  level: Level,
  prefix: string,
  text: string,
  color: boolean,
): string {
  const plain = `==${String(pid).padStart(5, "0")}== ${prefix}(${level}): ${text}`;
  return color ? `${COLOR[level]}${plain}\x1b[0m` : plain;
}

/** Whether lines on stdout need the time: a person at a terminal and the journal know it. */
function wantsTime(): boolean {
  return !Deno.stdout.isTerminal() && !Deno.env.get("JOURNAL_STREAM");
}

/** A sink for stdout: at a terminal in the colour of the level, in a file with the time (UTC) before each line. */
export function stdoutSink(
  write: (line: Uint8Array) => void,
  pid: number = Deno.pid,
  color: boolean = wantsColor(),
  time: boolean = wantsTime(),
): Sink {
  const encoder = new TextEncoder();
  return (level, prefix, text) => {
    const stamp = time ? `${new Date().toISOString()} ` : "";
    write(encoder.encode(`${stamp}${formatLine(pid, level, prefix, text, color)}\n`));
  };
}

/** A sink that drops everything. */
export const nullSink: Sink = () => {};

/** Like lines within a second that are written. What is debugging is all written. */
export const LIKE_LINES_MAX: Readonly<Record<Level, number>> = {
  EE: 20,
  WW: 20,
  II: 200,
  DB: Infinity,
  PP: Infinity,
};
/** For how long like lines are counted together, ms. */
export const LIKE_MS = 1000;
/** Kinds of lines that are remembered. */
const KINDS_MAX = 256;

interface Kind {
  readonly level: Level;
  readonly prefix: string;
  readonly sinceMs: number;
  lines: number;
  /** The last that was not written. */
  text: string;
}

/**
 * Keeps a log bounded, as a sink before another: of lines that differ in numbers alone so many a second are written, the
 * others are counted, and the count is said. Whoever can make a daemon write a line can make it write many. `nowMs` is
 * monotonic.
 */
export function countingSink(sink: Sink, nowMs: () => number = () => performance.now()): Sink {
  /** By what like lines share, oldest first. */
  const kinds = new Map<string, Kind>();
  const end = (key: string, kind: Kind) => {
    kinds.delete(key);
    const more = kind.lines - LIKE_LINES_MAX[kind.level];
    if (more > 0) sink(kind.level, kind.prefix, `${kind.text} (${more} such lines were left out)`);
  };
  return (level, prefix, text) => {
    const most = LIKE_LINES_MAX[level];
    if (most === Infinity) return sink(level, prefix, text);
    const now = nowMs();
    for (const [key, kind] of kinds) {
      if (now - kind.sinceMs < LIKE_MS && kinds.size < KINDS_MAX) break;
      end(key, kind);
    }
    const key = `${level} ${prefix} ${text.replace(/[0-9]+|\[[0-9a-f]+\]/g, "#")}`;
    let kind = kinds.get(key);
    if (kind === undefined) {
      kinds.set(key, kind = { level, prefix, sinceMs: now, lines: 0, text });
    }
    kind.lines += 1;
    if (kind.lines <= most) return sink(level, prefix, text);
    kind.text = text;
  };
}

/** A logger with a prefix; `child` shares sink and level switches. */
export class Logger {
  constructor(
    readonly sink: Sink,
    readonly prefix: string,
    /** Whether DB and PP lines are written; test before building costly arguments. */
    readonly debug: boolean = false,
  ) {}

  child(prefix: string): Logger {
    return new Logger(this.sink, prefix, this.debug);
  }
  error(text: string): void {
    this.sink("EE", this.prefix, printable(text));
  }
  warn(text: string): void {
    this.sink("WW", this.prefix, printable(text));
  }
  info(text: string): void {
    this.sink("II", this.prefix, printable(text));
  }
  dbg(text: string): void {
    if (this.debug) this.sink("DB", this.prefix, printable(text));
  }
  proto(text: string): void {
    if (this.debug) this.sink("PP", this.prefix, printable(text));
  }
}

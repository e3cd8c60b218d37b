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

/** Like lines within {@linkcode LIKE_MS} that are written. What is debugging is all written. */
export const LIKE_LINES_MAX: Readonly<Record<Level, number>> = {
  EE: 20,
  WW: 20,
  II: 200,
  DB: Infinity,
  PP: Infinity,
};
/** For how long like lines are counted together, ms: at first, and at most when they go on being too many. */
export const LIKE_MS = 1000;
export const LIKE_MOST_MS = 64_000;
/** Kinds of lines that are remembered. */
const KINDS_MAX = 256;
/** Lines that begin alike may be so many times as many: names that others choose make lines unlike each other. */
const UNLIKE = 5;
/** A longer line is cut unless it is debugging, characters. */
const LINE_MAX = 2000;

interface Kind {
  readonly level: Level;
  readonly prefix: string;
  /** Until when they are counted together. */
  untilMs: number;
  forMs: number;
  lines: number;
  /** The last that was not written. */
  text: string;
}

/**
 * Keeps a log bounded, as a sink before another: of lines that differ in numbers alone so many are written in a second,
 * the others are counted, and the count is said; where they go on, that second becomes two, four, ... a minute. The same
 * holds for {@linkcode UNLIKE} times as many lines that have the first two words in common. Whoever can make a daemon
 * write a line can make it write many, for days, with other names in each. `nowMs` is monotonic.
 */
export function countingSink(sink: Sink, nowMs: () => number = () => performance.now()): Sink {
  const begin = (text: string) => text.split(" ", 2).join(" ");
  const unlike = counting(sink, nowMs, UNLIKE, begin);
  const like = counting(unlike, nowMs, 1, (text) => text);
  return (level, prefix, text) => {
    const isCut = text.length > LINE_MAX && LIKE_LINES_MAX[level] !== Infinity;
    like(level, prefix, isCut ? `${text.slice(0, LINE_MAX)} ...` : text);
  };
}

/** Writes `times` {@linkcode LIKE_LINES_MAX} lines of those that are alike in `part`, and counts the others. */
function counting(
  sink: Sink,
  nowMs: () => number,
  times: number,
  part: (text: string) => string,
): Sink {
  /** By what like lines share, oldest first. */
  const kinds = new Map<string, Kind>();
  const end = (key: string, kind: Kind, now: number) => {
    const more = kind.lines - times * LIKE_LINES_MAX[kind.level];
    // Quiet for once: the next are new. So are those for which there is no room.
    if (more <= 0 || kinds.size >= KINDS_MAX) kinds.delete(key);
    if (more <= 0) return;
    sink(kind.level, kind.prefix, `${kind.text} (${more} such lines were left out)`);
    kind.forMs = Math.min(2 * kind.forMs, LIKE_MOST_MS);
    kind.untilMs = now + kind.forMs;
    kind.lines = 0;
  };
  return (level, prefix, text) => {
    const most = times * LIKE_LINES_MAX[level];
    if (most === Infinity) return sink(level, prefix, text);
    const now = nowMs();
    for (const [key, kind] of kinds) {
      if (now >= kind.untilMs || kinds.size >= KINDS_MAX) end(key, kind, now);
    }
    const key = `${level} ${prefix} ${part(text).replace(/[0-9]+|\[[0-9a-f]+\]/g, "#")}`;
    let kind = kinds.get(key);
    if (kind === undefined) {
      const untilMs = now + LIKE_MS;
      kinds.set(key, kind = { level, prefix, untilMs, forMs: LIKE_MS, lines: 0, text });
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

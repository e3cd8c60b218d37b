/**
 * Log lines in the prototype's format (spec 20 §16): to stdout coloured, with pid, level and prefix,
 * or to a sink such as syslog without colour. One write a line, so lines of processes don't mix.
 */

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

/** Control characters as text: what others have named must not forge lines or talk to the terminal. */
function escaped(text: string): string {
  return text.replace(/\p{Cc}/gu, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, "0")}`);
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

/** A sink for stdout, at a terminal in the colour of the level. */
export function stdoutSink(pid: number = Deno.pid, color: boolean = wantsColor()): Sink {
  const encoder = new TextEncoder();
  return (level, prefix, text) => {
    const line = encoder.encode(`${formatLine(pid, level, prefix, text, color)}\n`);
    for (let at = 0; at < line.length;) {
      try {
        at += Deno.stdout.writeSync(line.subarray(at));
      } catch {
        return; // A closed or full stdout must not take the daemon down.
      }
    }
  };
}

/** A sink that drops everything. */
export const nullSink: Sink = () => {};

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
    this.sink("EE", this.prefix, escaped(text));
  }
  warn(text: string): void {
    this.sink("WW", this.prefix, escaped(text));
  }
  info(text: string): void {
    this.sink("II", this.prefix, escaped(text));
  }
  dbg(text: string): void {
    if (this.debug) this.sink("DB", this.prefix, escaped(text));
  }
  proto(text: string): void {
    if (this.debug) this.sink("PP", this.prefix, escaped(text));
  }
}

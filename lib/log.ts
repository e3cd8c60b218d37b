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

/** A sink for stdout: `<color>==<pid>== <prefix>(<level>): <text><reset>`. */
export function stdoutSink(pid: number = Deno.pid): Sink {
  const encoder = new TextEncoder();
  const head = `==${String(pid).padStart(5, "0")}== `;
  return (level, prefix, text) => {
    const line = encoder.encode(`${COLOR[level]}${head}${prefix}(${level}): ${text}\x1b[0m\n`);
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
    this.sink("EE", this.prefix, text);
  }
  warn(text: string): void {
    this.sink("WW", this.prefix, text);
  }
  info(text: string): void {
    this.sink("II", this.prefix, text);
  }
  dbg(text: string): void {
    if (this.debug) this.sink("DB", this.prefix, text);
  }
  proto(text: string): void {
    if (this.debug) this.sink("PP", this.prefix, text);
  }
}

/** Real processes of a test: their output as it comes, waits for a line, and a sure end. */

import { fromFileUrl } from "@std/path";
import { DEADLINE_MS } from "./deadline.ts";

/** A path from the root of the repository. */
export function rooted(path: string): string {
  return fromFileUrl(new URL(`../../${path}`, import.meta.url));
}

/** The command line of a script of the repository with the given words. */
export function script(path: string, ...words: string[]): string[] {
  const flags = ["-A", "--no-prompt", "--quiet", "--no-check", "--config", rooted("deno.json")];
  return [Deno.execPath(), "run", ...flags, rooted(path), ...words];
}

/** Whether something is at a path. */
export function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}

/** Descriptors that processes have open. */
export function descriptors(...pids: number[]): number {
  return pids.reduce((n, pid) => n + [...Deno.readDirSync(`/proc/${pid}/fd`)].length, 0);
}

/** How long the pipes of a process that has ended may be silent before what comes is somebody else's, ms. */
const SILENCE_MS = 4000;
/** From being asked to end to being killed, ms: who ends in good order is not hurried by a loaded machine. */
const GRACE_MS = 30_000;

/** What the threads of a process do, for a failure that says that it hangs. */
export function whatItDoes(pid: number): string {
  const read = (path: string) => {
    try {
      return Deno.readTextFileSync(path).trim();
    } catch {
      return "?";
    }
  };
  try {
    return [...Deno.readDirSync(`/proc/${pid}/task`)].map(({ name }) => {
      const dir = `/proc/${pid}/task/${name}`;
      const state = /State:\s+(.*)/.exec(read(`${dir}/status`))?.[1] ?? "?";
      return `${name} ${read(`${dir}/comm`)}: ${state}, ${read(`${dir}/wchan`)}, ` +
        read(`${dir}/syscall`).split(" ").slice(0, 5).join(" ");
    }).join("\n");
  } catch {
    return "it has ended";
  }
}

/** How a process ended and what it printed. */
export interface RunResult {
  /** Exit code; 128 + signal number when a signal killed it. */
  code: number;
  out: string;
  err: string;
}

/** What may be set for a process beside its words. */
export interface RunOptions {
  env?: Record<string, string>;
  /** Start with this environment alone. */
  clearEnv?: boolean;
  cwd?: string;
  /** Text on its standard input; otherwise that is empty. */
  input?: string;
  uid?: number;
  gid?: number;
  /** Killed and reported as a failure after this time. */
  deadlineMs?: number;
}

/** A process started by a test. Dispose of it, or of the node that started it. */
export class RunningProcess implements AsyncDisposable {
  /** Complete output so far. */
  out = "";
  err = "";
  readonly status: Promise<RunResult>;
  readonly #child: Deno.ChildProcess;
  readonly #name: string;
  #ended: RunResult | undefined;
  #waiters = new Set<() => void>();

  constructor(argv: readonly string[], options: RunOptions = {}) {
    const [file, ...args] = argv;
    this.#name = argv.slice(-4).join(" ");
    const command = new Deno.Command(file!, {
      args,
      stdin: options.input === undefined ? "null" : "piped",
      stdout: "piped",
      stderr: "piped",
      ...(options.env ? { env: options.env } : {}),
      ...(options.clearEnv ? { clearEnv: true } : {}),
      // The directory of the tests may be closed to other users.
      ...(options.cwd ?? options.uid ? { cwd: options.cwd ?? "/" } : {}),
      ...(options.uid !== undefined ? { uid: options.uid } : {}),
      ...(options.gid !== undefined ? { gid: options.gid } : {}),
    });
    this.#child = command.spawn();
    const reading = [
      this.#collect(this.#child.stdout, (text) => this.out += text),
      this.#collect(this.#child.stderr, (text) => this.err += text),
    ];
    this.status = this.#finish(reading);
    if (options.input !== undefined) void this.#feed(options.input);
  }

  get pid(): number {
    return this.#child.pid;
  }

  get #length(): number {
    return this.out.length + this.err.length;
  }

  /** The end, if it is over. */
  get ended(): RunResult | undefined {
    return this.#ended;
  }

  async #feed(input: string): Promise<void> {
    try {
      const writer = this.#child.stdin.getWriter();
      await writer.write(new TextEncoder().encode(input));
      await writer.close();
    } catch {
      // It ended without reading; its exit code tells the test.
    }
  }

  async #collect(
    stream: ReadableStream<Uint8Array<ArrayBuffer>>,
    add: (text: string) => void,
  ): Promise<void> {
    for await (const text of stream.pipeThrough(new TextDecoderStream())) {
      add(text);
      this.#wake();
    }
  }

  async #finish(reading: Promise<void>[]): Promise<RunResult> {
    const status = await this.#child.status;
    let read = false;
    const all = Promise.allSettled(reading).then(() => read = true);
    // A grandchild may hold the pipes open; it is not waited for any more when nothing comes for a while.
    for (let before = -1; !read && this.#length > before;) {
      before = this.#length;
      let timer: ReturnType<typeof setTimeout> | undefined;
      await Promise.race([all, new Promise<void>((done) => timer = setTimeout(done, SILENCE_MS))]);
      clearTimeout(timer);
    }
    this.#ended = { code: status.code, out: this.out, err: this.err };
    this.#wake();
    return this.#ended;
  }

  #wake(): void {
    for (const waiter of [...this.#waiters]) waiter();
  }

  /**
   * Waits until stdout (or stderr) holds a match, and returns it. Fails with what was printed when
   * the process ends before or the deadline passes.
   */
  async waitForLine(
    pattern: RegExp,
    deadlineMs: number = DEADLINE_MS,
    from: "out" | "err" | "both" = "both",
  ): Promise<RegExpMatchArray> {
    const text = () => from === "out" ? this.out : from === "err" ? this.err : this.out + this.err;
    const end = performance.now() + deadlineMs;
    for (;;) {
      const match = text().match(pattern);
      if (match) return match;
      const left = end - performance.now();
      if (this.#ended || left <= 0) {
        const why = this.#ended ? `ended with ${this.#ended.code}` : `${deadlineMs} ms passed`;
        throw new Error(
          `${this.#name}: no ${pattern} (${why})\nstdout: ${this.out}\nstderr: ${this.err}`,
        );
      }
      await new Promise<void>((done) => {
        const timer = setTimeout(wake, left);
        const waiters = this.#waiters;
        function wake() {
          clearTimeout(timer);
          waiters.delete(wake);
          done();
        }
        waiters.add(wake);
      });
    }
  }

  /**
   * The same for a piece of text. What a daemon logs and what it answers come on ways of their own, so a line may be
   * here later than the answer to the request that it is about.
   */
  async waitForText(text: string, deadlineMs?: number): Promise<void> {
    await this.waitForLine(new RegExp(RegExp.escape(text)), deadlineMs);
  }

  /** Sends a signal; nothing happens if it has ended. */
  kill(signal: Deno.Signal = "SIGTERM"): void {
    try {
      this.#child.kill(signal);
    } catch {
      // Ended already.
    }
  }

  /** Waits for the end; kills it with SIGKILL and fails at the deadline. */
  async wait(deadlineMs: number = DEADLINE_MS): Promise<RunResult> {
    let late: string | undefined;
    const timer = setTimeout(() => {
      late = whatItDoes(this.pid);
      this.kill("SIGKILL");
    }, deadlineMs);
    const result = await this.status;
    clearTimeout(timer);
    if (late !== undefined) {
      throw new Error(
        `${this.#name}: still running after ${deadlineMs} ms\n${late}\n` +
          `stdout: ${result.out}\nstderr: ${result.err}`,
      );
    }
    return result;
  }

  /** SIGTERM (or another signal), then SIGKILL if it does not end within `graceMs`. */
  async stop(signal: Deno.Signal = "SIGTERM", graceMs = GRACE_MS): Promise<RunResult> {
    this.kill(signal);
    const timer = setTimeout(() => this.kill("SIGKILL"), graceMs);
    const result = await this.status;
    clearTimeout(timer);
    return result;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#ended) await this.stop();
  }
}

/** Runs a process to its end. */
export async function run(argv: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  return await new RunningProcess(argv, options).wait(options.deadlineMs);
}

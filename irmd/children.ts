/**
 * Processes that the IRMd starts, and the deaths of all it knows (spec 20 §10, §11, §13).
 *
 * Children are started with posix_spawn: IPCPs with the signal mask that C IPCPs need, programs with none;
 * descriptors closed, a small fixed environment (spec 20 §19.16). Every announced process and every child is
 * watched through a pidfd, so a death is known at once and a zombie is no life.
 */

import { basename } from "@std/path";
import type { Instance } from "../lib/instance.ts";
import { IPCP_TYPE_WORDS } from "../lib/irm/messages.ts";
import { LONG_MESSAGE_BYTES_MAX, LONG_MESSAGES_ENV } from "../lib/limits.ts";
import type { Logger } from "../lib/log.ts";
import { RUN_WORD, selfCommand, selfFile } from "../lib/self.ts";
import type { Fd } from "../lib/sys/fd.ts";
import { SysError } from "../lib/sys/ffi.ts";
import {
  type Child,
  endedChild,
  kill,
  killGroup,
  limitProgram,
  reap,
  spawn,
  watchExit,
} from "../lib/sys/process.ts";
import { IPCP_BLOCKED_SIGNALS, Signal } from "../lib/sys/signals.ts";
import { effectiveUid } from "../lib/sys/users.ts";
import { type RunAs, runAsWords } from "./run_as.ts";

/** Variables handed on when they are set; everything else is ours alone. */
const KEPT_VARIABLES = [
  "HOME",
  "DENO_DIR",
  "XDG_CACHE_HOME",
  "LD_LIBRARY_PATH",
  "TZ",
  "OURO_CACHE",
  "OURO_DEBUG",
  "OURO_RIB",
  // How log lines look.
  "NO_COLOR",
  "JOURNAL_STREAM",
];
const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** When to look again behind a child that its watcher has still to reap, ms. */
const BEHIND_MS = 20;

/** What the daemon does about a child or a process. */
export interface ChildrenEvents {
  /** A program was started: enter it as child. */
  started(pid: number, path: string): void;
  /** A watched process has ended; `code` is its exit code if it was a child, else -1. */
  ended(pid: number, code: number): void;
}

/** See the file's comment. */
export class Children {
  readonly #watches = new Map<number, Disposable>();
  /** Started here and not ended yet. */
  readonly #running = new Set<number>();
  /** Who wants to hear of the end of a child. */
  readonly #endCalls = new Map<number, Set<(code: number) => void>>();
  #ending = false;

  constructor(
    readonly instance: Instance,
    readonly log: Logger,
    /** Fourth word of IPCPs: they log to syslog. */
    readonly toSyslog: boolean,
    readonly ipcpDir: string | undefined,
    /** Looks up a variable that children may be handed. */
    readonly variable: (name: string) => string | undefined,
    readonly events: ChildrenEvents,
    /** Names of the programs that are in this binary. */
    readonly ownPrograms: readonly string[],
  ) {}

  /** Environment of every child. */
  #env(): Record<string, string> {
    const env: Record<string, string> = { PATH: this.variable("PATH") || PATH };
    if (this.instance.prefix !== "") env.OURO_PREFIX = this.instance.prefix;
    for (const name of KEPT_VARIABLES) {
      const value = this.variable(name);
      if (value !== undefined) env[name] = value;
    }
    return env;
  }

  /** Starts an IPCP; its pid, or a line that says why not. The caller enters it before it returns to the loop. */
  startIpcp(type: number, name: string): number | string {
    const word = IPCP_TYPE_WORDS[type];
    if (word === undefined) return `unknown IPCP type ${type}`;
    const argv = this.ipcpDir === undefined
      ? selfCommand("ipcp", word)
      : [`${this.ipcpDir}/ipcpd-${word}`];
    argv.push(String(Deno.pid), name);
    if (this.toSyslog) argv.push("1");
    const env = { ...this.#env(), [LONG_MESSAGES_ENV]: `${LONG_MESSAGE_BYTES_MAX}` };
    return this.#start(argv, { env, blockSignals: IPCP_BLOCKED_SIGNALS });
  }

  /**
   * Starts a program for a name, as that user if it is another than ours, in a session of its own: its pid, or why
   * not (also in the log).
   */
  startProgram(argv: readonly string[], as: RunAs | undefined): number | string {
    const other = as !== undefined && as.uid !== effectiveUid() ? as : undefined;
    const pid = other === undefined
      ? this.#start(programArgv(argv, this.ownPrograms), { env: this.#env(), program: true })
      : this.#start(
        selfCommand("irmd", ...runAsWords(other, programArgv(argv, this.ownPrograms, true))),
        // The child is ours until it has become the user, who must not say where its runtime finds compiled code.
        { env: this.#env(), program: true },
      );
    if (typeof pid === "string") {
      this.log.error(`Failed to start ${argv[0]}: ${pid}.`);
      return `${argv[0]} cannot be started (${pid})`;
    }
    this.log.info(`Instantiated ${argv[0]} as process ${pid}.`);
    this.events.started(pid, argv[0]!);
    return pid;
  }

  /** Calls back with the exit code when a child ends; gives what takes that back. */
  onEnd(pid: number, call: (code: number) => void): () => void {
    const calls = this.#endCalls.get(pid) ?? new Set();
    this.#endCalls.set(pid, calls.add(call));
    return () => {
      calls.delete(call);
      if (calls.size === 0) this.#endCalls.delete(pid);
    };
  }

  /** Starts this program with other words; `input` is a file it reads as standard input. Its pid, if it started. */
  startSelf(words: readonly string[], input: string): number | undefined {
    const pid = this.#start(selfCommand(...words), { env: this.#env(), input });
    if (typeof pid === "number") return pid;
    this.log.error(`Failed to start ${words[0]}: ${pid}.`);
    return undefined;
  }

  #start(
    argv: readonly string[],
    how: {
      readonly env: Record<string, string>;
      readonly blockSignals?: readonly number[];
      readonly input?: string;
      /** Led away from the daemon: session, directory, limits. */
      readonly program?: boolean;
    },
  ): number | string {
    if (this.#ending) return "the IRMd is shutting down";
    const { env, blockSignals = "none", input = "/dev/null", program = false } = how;
    let child: Child;
    try {
      const away = program ? { session: true, cwd: "/" } : {};
      child = spawn(argv, { env, blockSignals, fds: [input], ...away });
    } catch (e) {
      if (!(e instanceof SysError)) throw e;
      return e.message;
    }
    if (program) limitProgram(child.pid);
    this.#running.add(child.pid);
    this.watch(child.pid, child.pidfd);
    return child.pid;
  }

  /** Tells `events.ended` when a process ends; once a pid. */
  watch(pid: number, pidfd?: Fd): void {
    if (this.#watches.has(pid)) {
      pidfd?.close();
      return;
    }
    const watch = watchExit(pid, (code) => {
      this.#watches.delete(pid);
      this.#running.delete(pid);
      this.events.ended(pid, code);
      const calls = this.#endCalls.get(pid) ?? [];
      this.#endCalls.delete(pid);
      for (const call of calls) call(code);
    }, pidfd);
    this.#watches.set(pid, watch);
  }

  /**
   * As the first process of a PID namespace: reaps the orphans that are handed to it. Children of our own are reaped by
   * who watches them.
   */
  reapOrphans(): Disposable {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const look = () => {
      clearTimeout(timer);
      for (let pid = endedChild(); pid > 0; pid = endedChild()) {
        // It hides those behind it until its watcher has had it.
        if (this.#running.has(pid)) return void (timer = setTimeout(look, BEHIND_MS));
        reap(pid);
      }
    };
    Deno.addSignalListener("SIGCHLD", look);
    look();
    return {
      [Symbol.dispose]() {
        clearTimeout(timer);
        Deno.removeSignalListener("SIGCHLD", look);
      },
    };
  }

  /** Pids of the children that have not ended. */
  running(): number[] {
    return [...this.#running];
  }

  /** Whether a child has not ended. */
  isRunning(pid: number): boolean {
    return this.#running.has(pid);
  }

  /** Gives up watching a process; nothing happens for a child, which must be reaped. */
  unwatch(pid: number): void {
    if (this.#running.has(pid)) return;
    this.#watches.get(pid)?.[Symbol.dispose]();
    this.#watches.delete(pid);
  }

  /** From now on nothing is started. */
  end(): void {
    this.#ending = true;
  }

  /** Asks a child to end, and makes sure of it after `graceMs`. */
  stop(pid: number, graceMs: number): void {
    kill(pid, Signal.TERM);
    kill(pid, Signal.CONT);
    this.#killLater(pid, graceMs);
  }

  /** As {@linkcode stop}, with all that a started program has started. */
  stopProgram(pid: number, graceMs: number): void {
    if (!this.#running.has(pid)) return;
    killGroup(pid, Signal.TERM);
    this.#killLater(pid, graceMs);
  }

  #killLater(pid: number, graceMs: number): void {
    const timer = setTimeout(() => {
      if (this.#watches.has(pid)) kill(pid, Signal.KILL);
    }, graceMs);
    Deno.unrefTimer(timer);
  }

  /** Ends all watches. */
  close(): void {
    for (const watch of this.#watches.values()) watch[Symbol.dispose]();
    this.#watches.clear();
  }
}

/**
 * The command line for a bound program: a bare word, or a path that is not there, whose base name is one of
 * our own programs means that program of ours.
 * @param other whether another user runs it, who cannot use what was unpacked for us
 */
export function programArgv(
  argv: readonly string[],
  ownPrograms: readonly string[],
  other = false,
): string[] {
  const path = argv[0]!;
  const word = basename(path);
  if (ownPrograms.includes(word) && (!path.includes("/") || !exists(path))) {
    const file = other ? selfFile() : undefined;
    const command = file === undefined ? selfCommand(word) : [file, RUN_WORD, word];
    return [...command, ...argv.slice(1)];
  }
  return [...argv];
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}

/** What the tools share at run time: the command line's end, the process, its signals, pauses, and the QoS they ask for. */

import type { Flow } from "../lib/flow/flow.ts";
import { tooLongText } from "../lib/flow/message_limit.ts";
import { wholeTurn } from "../lib/flow/turns.ts";
import { OuroProcess } from "../lib/flow/process.ts";
import { startFailureText } from "../lib/cli/reason.ts";
import { OuroError } from "../lib/errno.ts";
import { hurryUp } from "../lib/hurry.ts";
import { stdout } from "../lib/cli/outlet.ts";
import { takePrefix } from "../lib/prefix.ts";
import { isQosWord, QOS, type QosSpec } from "../lib/qos.ts";
import type { Exit } from "./common.ts";
import { complain, fail, print, reason } from "./console.ts";

/** What a tool is to run with these words, or its exit code after what {@linkcode conclude} prints. */
export function commandOf<Run extends { readonly kind: "run" }>(
  args: readonly string[],
  parse: (words: readonly string[]) => Run | Exit,
): Run | number {
  const words = takePrefix(args);
  if (words === undefined) return 1;
  const command = parse(words);
  return command.kind === "run" ? command : conclude(command);
}

/** Prints what a command line without anything to run asks for; returns the exit code. */
export function conclude({ code, out, err }: Exit): number {
  print(out);
  if (err !== undefined) complain(err);
  return code;
}

/**
 * Announces this tool to the IRMd. Undefined after the text of the C library on stderr; the exit code
 * is 1 then.
 * @param document beginning of the JSON document that a client prints when it fails, if it prints one
 */
export function openProcess(
  prog: string,
  document?: Record<string, unknown>,
): OuroProcess | undefined {
  try {
    return OuroProcess.open({ prog }).makeCurrent();
  } catch (error) {
    if (!(error instanceof OuroError)) throw error;
    complain(startFailureText(error));
    fail(`Failed to start: ${reason(error)}`, document);
    return undefined;
  }
}

/** Longest wait for acknowledgements when a tool closes a flow, ms: a peer that is lost must not look like a hang. */
const LEAVE_MS = 5000;

/** Why a flow was not had: the stop came first, or number and cause. What is a defect is thrown on. */
export function whyNoFlow(error: unknown, stop: Stop): string {
  if (stop.requested) return "stopped";
  if (!(error instanceof OuroError)) throw error;
  return reason(error);
}

/** Closes a flow; briefly if its peer is lost, and without waiting for it once the stop is asked for. */
export async function leave(flow: Flow, stop: Stop): Promise<void> {
  await flow.dealloc({ lingerMs: LEAVE_MS, signal: stop.signal });
}

/** Signals that end a tool in good order; the second one ends it at once. */
const STOP_SIGNALS: readonly Deno.Signal[] = ["SIGINT", "SIGTERM", "SIGHUP"];

/** Exit code of a tool that was told to end and was told again. */
const SIGNALLED = 130;

/** A stop that signals ask for. Dispose of it to have the default behaviour back. */
export class Stop implements Disposable {
  readonly #controller = new AbortController();
  #signalled = false;
  readonly #onSignal = () => {
    if (this.#signalled) Deno.exit(SIGNALLED);
    this.#signalled = true;
    hurryUp();
    this.#controller.abort();
  };
  readonly #signals: readonly Deno.Signal[];

  constructor(signals: readonly Deno.Signal[] = STOP_SIGNALS) {
    this.#signals = signals;
    for (const signal of signals) Deno.addSignalListener(signal, this.#onSignal);
  }

  get requested(): boolean {
    return this.#controller.signal.aborted;
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Asks for the stop from within. */
  request(): void {
    this.#controller.abort();
  }

  [Symbol.dispose](): void {
    for (const signal of this.#signals) Deno.removeSignalListener(signal, this.#onSignal);
  }
}

/** Why packets of this size cannot be sent on a flow; undefined when they can. */
export function tooLongFor(flow: Flow, sizeBytes: number): string | undefined {
  const most = flow.messageBytesMax;
  return sizeBytes > most ? `Cannot send packets of ${tooLongText(sizeBytes, most)}` : undefined;
}

/** Waits, or until the stop is asked for. */
export async function pause(ms: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted) return;
  await new Promise<void>((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, Math.min(ms, 0x7fffffff));
    signal?.addEventListener("abort", done);
  });
}

/** Lets signals and timers have their turn within a busy loop, and whoever reads what is printed. */
export async function breathe(): Promise<void> {
  await stdout.room();
  await wholeTurn();
}

/** The spec of a cube's word, which was checked when the command line was read. */
export function qosOf(word: string): QosSpec {
  if (!isQosWord(word)) throw new RangeError(`${word} is no QoS`);
  return QOS[word];
}

/**
 * Calls for interim reports: at an interval if there is one, and whenever SIGUSR1 comes. Dispose of it
 * when there is nothing more to report.
 */
export class Interim implements Disposable {
  readonly #timer: ReturnType<typeof setInterval> | undefined;

  constructor(intervalMs: number | undefined, readonly tell: () => void) {
    if (intervalMs !== undefined) this.#timer = setInterval(tell, Math.max(1, intervalMs));
    Deno.addSignalListener("SIGUSR1", tell);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    Deno.removeSignalListener("SIGUSR1", this.tell);
  }
}

/** Asks for the stop when the deadline passes; undefined never. Returns what takes that back. */
export function stopAfter(deadlineMs: number | undefined, stop: Stop): Disposable {
  const timer = deadlineMs === undefined ? undefined : setTimeout(() => stop.request(), deadlineMs);
  return { [Symbol.dispose]: () => clearTimeout(timer) };
}

/**
 * `oping`: understands its words, then announces the process to the IRMd and is client or server.
 *
 * Errors stand on stdout with the prototype's words; why, as far as the IRMd said, follows on stderr.
 */

import config from "../deno.json" with { type: "json" };
import { reasonOf, startFailureText } from "../lib/cli/reason.ts";
import { OuroError } from "../lib/errno.ts";
import { stderr, stdout } from "../lib/cli/outlet.ts";
import { Flow } from "../lib/flow/flow.ts";
import { OuroProcess } from "../lib/flow/process.ts";
import { FlowFlag } from "../lib/flow/flags.ts";
import { tooLongText } from "../lib/flow/message_limit.ts";
import { wholeTurn } from "../lib/flow/turns.ts";
import { selfCommand } from "../lib/self.ts";
import { hurryUp } from "../lib/hurry.ts";
import { takePrefix } from "../lib/prefix.ts";
import { QOS } from "../lib/qos.ts";
import { monotonicNs, realtimeNs } from "../lib/sys/clock.ts";
import { shortSlices } from "../lib/sys/slices.ts";
import { Signal, unblockSignals } from "../lib/sys/signals.ts";
import { Client } from "./client.ts";
import {
  type ClientOptions,
  parseOptions,
  type ServerOptions,
  type SeveralOptions,
} from "./options.ts";
import { complain, Output } from "./output.ts";
import { aboutText } from "./about.ts";
import { jsonText } from "./report.ts";
import { PingRun } from "./run.ts";
import { Server } from "./server.ts";

/** Longest wait for the deallocation at the end, ms: a dead peer does not hold us. */
const LEAVE_MS = 1000;
/** The same after a signal, ms. */
const STOPPED_LEAVE_MS = 30;

const ENDING_SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** A turn of the event loop that lets signals in, and whoever reads what is printed. */
async function turn(): Promise<void> {
  await stdout.room();
  await wholeTurn();
}

/** Calls `stop` at the first ending signal; the second one ends the process at once. */
function onEndingSignal(stop: () => void): void {
  // A C IRMd starts programs with these blocked.
  unblockSignals([Signal.INT, Signal.TERM, Signal.HUP]);
  let asked = false;
  for (const signal of ENDING_SIGNALS) {
    Deno.addSignalListener(signal, () => {
      if (asked) Deno.exit(0);
      asked = true;
      hurryUp();
      stop();
    });
  }
}

/** The process on the node; undefined when that failed, with a line about it that `told` gets, too. */
function announce(told: (line: string) => void = () => {}): OuroProcess | undefined {
  try {
    return OuroProcess.open({ prog: "oping" });
  } catch (error) {
    if (!(error instanceof OuroError)) throw error;
    const line = `Failed to start: ${reasonOf(error)}`;
    complain(startFailureText(error));
    complain(line);
    told(line);
    return undefined;
  }
}

/** The document of a run that never began; nothing unless JSON is wanted. */
function printFailure(options: ClientOptions, error: string): void {
  if (!options.json) return;
  const nowNs = realtimeNs();
  const out = new Output(stdout);
  out.text(jsonText(new PingRun(options), {
    ...options,
    version: config.version,
    startNs: nowNs,
    endNs: nowNs,
    packets: [],
    error,
  }));
  out.flush();
}

/** Closes the flow; a peer or an IRMd that does not answer is not waited for long, least after a signal. */
async function leave(flow: Flow, stop: AbortSignal): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  await Promise.race([
    flow.dealloc({ signal: stop }).catch(() => {}),
    new Promise((done) => {
      timer = setTimeout(done, stop.aborted ? STOPPED_LEAVE_MS : LEAVE_MS);
      stop.addEventListener("abort", () => setTimeout(done, STOPPED_LEAVE_MS));
    }),
  ]);
  clearTimeout(timer);
}

async function ping(options: ClientOptions): Promise<number> {
  // What is measured is the way of the packets, not of this thread to a processor.
  shortSlices();
  const out = new Output(options.json ? stderr : stdout);
  for (const note of options.notes) out.line(note);
  out.flush();
  options.warnings.forEach(complain);
  const abort = new AbortController();
  let stop = () => abort.abort();
  let report = () => {};
  // Before signals are ours: one that comes while the IRMd does not answer ends the process.
  using process = announce((line) => printFailure(options, line));
  if (process === undefined) return options.strictExit ? 2 : 1;
  onEndingSignal(() => stop());
  Deno.addSignalListener("SIGUSR1", () => report());
  const { deadlineMs } = options;
  const askedMs = performance.now();
  const deadline = deadlineMs === undefined ? undefined : setTimeout(() => stop(), deadlineMs);
  let flow: Flow;
  try {
    flow = await Flow.alloc(process, options.name, {
      qos: QOS[options.qos],
      keepaliveMs: options.keepaliveMs,
      signal: abort.signal,
    });
  } catch (error) {
    let why = "stopped";
    if (!abort.signal.aborted) {
      if (!(error instanceof OuroError)) throw error;
      if (!options.json) out.line(`Failed to allocate flow: ${error.code}.`);
      why = reasonOf(error);
    }
    const line = `Failed to allocate flow: ${why}`;
    out.flush();
    complain(line);
    printFailure(options, line);
    return options.strictExit ? 2 : 1;
  } finally {
    clearTimeout(deadline);
  }
  if (options.size > flow.messageBytesMax) {
    const line = `Cannot send packets of ${tooLongText(options.size, flow.messageBytesMax)}`;
    complain(line);
    printFailure(options, line);
    await leave(flow, abort.signal);
    return options.strictExit ? 2 : 1;
  }
  flow.flags |= FlowFlag.RNoPart;
  const about = aboutText(flow);
  // On stderr: scripts read the prototype's lines.
  if (about !== "" && !options.json && !options.quiet) complain(`Flow: ${about}.`);
  const client = new Client(
    // The time for the flow is a part of it.
    deadlineMs === undefined
      ? options
      : { ...options, deadlineMs: Math.max(1, deadlineMs - (performance.now() - askedMs)) },
    flow,
    options.json ? new Output(stdout) : out,
    { monotonicNs, realtimeNs, turn },
    config.version,
    flow,
  );
  stop = () => {
    abort.abort();
    client.stop();
  };
  // A flow whose grant had come before the signal was seen is had all the same.
  if (abort.signal.aborted) client.stop();
  report = () => client.report();
  const ending = await client.ping();
  if (ending.error !== undefined && !ending.error.endsWith(".")) complain(ending.error);
  await leave(flow, abort.signal);
  if (options.strictExit && ending.error !== undefined) return 2;
  if (options.strictExit && ending.replies === 0) return 1;
  return ending.cut || ending.replies === 0 && ending.sent > 0 ? 1 : 0;
}

async function serve(options: ServerOptions): Promise<number> {
  shortSlices();
  const out = new Output(stdout);
  for (const note of options.notes) out.line(note);
  out.flush();
  options.warnings.forEach(complain);
  const abort = new AbortController();
  using process = announce();
  if (process === undefined) return 1;
  onEndingSignal(() => abort.abort());
  return await new Server(options, process, out, turn, abort).serve();
}

/**
 * A client for each name, in a process of its own: its blocking waits delay nobody else's stamps. The exit code is
 * the worst of theirs; what ends us ends them.
 */
async function pingSeveral({ names, words }: SeveralOptions): Promise<number> {
  const children = names.map((name) => {
    const [file, ...args] = selfCommand("oping", "-n", name, ...words);
    return new Deno.Command(file!, { args, stdin: "null" }).spawn();
  });
  for (const signal of [...ENDING_SIGNALS, "SIGUSR1"] as const) {
    Deno.addSignalListener(signal, () => {
      for (const child of children) {
        try {
          child.kill(signal);
        } catch {
          // It has ended.
        }
      }
    });
  }
  const ends = await Promise.all(children.map((child) => child.status));
  return Math.max(...ends.map(({ code }) => code));
}

/** The command; returns the exit code. */
export async function main(args: string[]): Promise<number> {
  const words = takePrefix(args);
  if (words === undefined) return 1;
  const options = parseOptions(words);
  switch (options.kind) {
    case "exit": {
      const out = new Output(stdout);
      out.text(options.text);
      out.flush();
      if (options.reason !== undefined) complain(options.reason);
      return options.code;
    }
    case "server":
      return await serve(options);
    case "client":
      return await ping(options);
    case "several":
      return await pingSeveral(options);
  }
}

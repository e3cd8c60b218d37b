/**
 * The client's loops (spec 80 §2.3, §2.4): blocking reads in short slices in this one thread, so that
 * a packet is stamped where it is read, and a turn of the event loop between slices for signals.
 *
 * Requests leave on an absolute schedule, one interval after the start and then every interval.
 * Where a reply stays away we differ from the prototype (spec 80 §13.1): a flood goes on after the
 * time-out; the wait after the last request is short; a dead flow ends the run.
 */

import { Errno, errnoText } from "../lib/errno.ts";
import type { ClientOptions } from "./options.ts";
import type { Output } from "./output.ts";
import type { FlowFacts } from "./about.ts";
import { jsonText, statsText } from "./report.ts";
import { COUNT_MAX, header, PingRun, type ReplyRecord } from "./run.ts";

/** Longest blocking call, ms: how late a signal may be noticed. */
const SLICE_MS = 10;
/** Longest time between two turns of the event loop while there is no waiting, ns. */
const TURN_NS = 15e6;
/** Looks between two looks at the clock in a busy wait. */
const BUSY_LOOKS = 256;
/** Wait for the last replies: at least so long, ns, and twice the largest round-trip time. */
const LAST_WAIT_NS = 2e9;
/** Time-outs in a row that end a flood. */
const FLOOD_TIMEOUTS_MAX = 3;
/** Replies kept for the JSON document. */
const RECORDS_MAX = 100_000;

/** The part of a flow that the client uses. */
export interface PingFlow {
  readonly fd: number;
  readSync(
    into: Uint8Array<ArrayBuffer>,
    options?: { timeoutMs?: number; nonblock?: boolean },
  ): number;
  writeSync(bytes: Uint8Array, options?: { timeoutMs?: number; nonblock?: boolean }): number;
}

/** Clocks and event loop. */
export interface Surroundings {
  /** CLOCK_MONOTONIC, ns. */
  monotonicNs(): number;
  /** CLOCK_REALTIME, ns. */
  realtimeNs(): bigint;
  /** One turn of the event loop. */
  turn(): Promise<void>;
}

/** How a run ended, for the exit code and the line that says why. */
export interface Ending {
  readonly replies: number;
  readonly sent: number;
  /** The flow was lost before the run was over. */
  readonly cut: boolean;
  /** Why it ended early; with a number where a call failed. */
  readonly error: string | undefined;
}

const NONBLOCK = { nonblock: true } as const;

/** A sentence with the number and its meaning in place of the full stop. */
function withReason(sentence: string, code: number): string {
  return `${sentence.slice(0, -1)}: ${code}: ${errnoText(code)}`;
}

/** Requests of so long a time are made up for at most, ns. */
const BEHIND_NS = 100e6;

/** Read errors after which no packet can come. */
function isFlowGone(error: number): boolean {
  return error === -Errno.EFLOWDOWN || error === -Errno.EFLOWPEER || error === -Errno.ENOTALLOC ||
    error === -Errno.EBADF;
}

export class Client {
  readonly run: PingRun;
  readonly #options: ClientOptions;
  readonly #flow: PingFlow;
  readonly #out: Output;
  readonly #sys: Surroundings;
  readonly #packet = new Uint8Array(1500);
  readonly #request: Uint8Array<ArrayBuffer>;
  readonly #records: ReplyRecord[] = [];
  readonly #version: string;
  readonly #about: FlowFacts | undefined;
  #stopped = false;
  /** It was stopped before all that was asked for was done. */
  #early = false;
  #reportWanted = false;
  #error: string | undefined;
  #cut = false;
  #startNs = 0;
  #startRealNs = 0n;
  #turnAtNs = 0;
  #reportAtNs = Infinity;

  constructor(
    options: ClientOptions,
    flow: PingFlow,
    out: Output,
    sys: Surroundings,
    version: string,
    about?: FlowFacts,
  ) {
    this.#options = options;
    this.#flow = flow;
    this.#out = out;
    this.#sys = sys;
    this.#version = version;
    this.#about = about;
    this.run = new PingRun(options);
    // In the flood modes the buffer of the reply is the next request, as in the prototype.
    this.#request = options.mode === "normal"
      ? new Uint8Array(options.size)
      : this.#packet.subarray(0, options.size);
  }

  /** Ends the run soon (signals). */
  stop(): void {
    // What runs until it is interrupted is complete then.
    const { count, durationMs } = this.#options;
    this.#early ||= !this.run.complete && (count !== COUNT_MAX || durationMs !== undefined);
    this.#stopped = true;
  }

  /** Prints a summary line soon (SIGUSR1). */
  report(): void {
    this.#reportWanted = true;
  }

  /** Runs to the end and prints the statistics. */
  async ping(): Promise<Ending> {
    const { json, quiet, mode, reportMs } = this.#options;
    if (!json && !quiet) this.#out.text(header(this.#options));
    this.#out.flush();
    this.#startRealNs = this.#sys.realtimeNs();
    this.#startNs = this.#turnAtNs = this.#sys.monotonicNs();
    if (reportMs !== undefined && reportMs > 0) this.#reportAtNs = this.#startNs + reportMs * 1e6;
    if (mode === "normal") await this.#paced();
    else await this.#flood();
    this.#finish();
    return {
      replies: this.run.received,
      sent: this.run.sent,
      cut: this.#cut,
      error: this.#error,
    };
  }

  #finish(): void {
    // The time of day may have been set meanwhile.
    const elapsedNs = BigInt(Math.round(this.#sys.monotonicNs() - this.#startNs));
    const { options, run } = { options: this.#options, run: this.run };
    if (options.json) {
      this.#out.text(jsonText(run, {
        ...options,
        version: this.#version,
        startNs: this.#startRealNs,
        endNs: this.#startRealNs + elapsedNs,
        packets: this.#records.length < run.received ? undefined : this.#records,
        error: this.#error,
        complete: !this.#cut && this.#error === undefined && !this.#early,
        about: this.#about,
      }));
    } else {
      this.#out.text(run.statistics(Number(elapsedNs / 1000n)));
      if (options.stats) this.#out.text(statsText(run, options.percentiles));
    }
    this.#out.flush();
  }

  /** Prints a line of trouble and remembers it, with the number that says why. */
  #trouble(text: string, code?: number): void {
    this.#error = code === undefined ? text : withReason(text, code);
    this.#cut ||= code !== undefined;
    if (!this.#options.json) this.#out.line(text);
  }

  /** Ends the run where it should, and lets the event loop turn when there is nothing to do or it has not for a while. */
  async #breathe(nowNs: number, idle = false): Promise<void> {
    const { deadlineMs, durationMs } = this.#options;
    const runNs = nowNs - this.#startNs;
    if (deadlineMs !== undefined && runNs >= deadlineMs * 1e6) this.stop();
    if (durationMs !== undefined && runNs >= durationMs * 1e6) this.#stopped = true;
    if (this.#reportWanted || nowNs >= this.#reportAtNs) this.#printReport(nowNs);
    if (!idle && nowNs - this.#turnAtNs < TURN_NS) return;
    this.#out.flush();
    await this.#sys.turn();
    this.#turnAtNs = this.#sys.monotonicNs();
  }

  /** The interval since the last report; all that was, when a signal asks for it. */
  #printReport(nowNs: number): void {
    const { reportMs, json } = this.#options;
    const elapsedUs = Math.round((nowNs - this.#startNs) / 1000);
    const asked = this.#reportWanted;
    this.#reportWanted = false;
    const due = this.#reportAtNs <= nowNs;
    while (this.#reportAtNs <= nowNs) this.#reportAtNs += reportMs! * 1e6;
    if (json) return;
    if (due) this.#out.line(this.run.intervalLine(elapsedUs));
    if (asked) this.#out.line(this.run.countersLine(elapsedUs));
    this.#out.flush();
  }

  /** Takes in a packet that was read; true when a reply was counted. */
  #take(length: number): boolean {
    const { run } = this;
    const nowNs = this.#sys.monotonicNs();
    const verdict = run.onPacket(this.#packet, length, nowNs);
    const { quiet, json, mode } = this.#options;
    if (verdict === "counted") {
      if (json) this.#record(length, nowNs);
      else if (!quiet) this.#out.line(run.replyLine(length, this.#sys.realtimeNs()));
      return true;
    }
    if (mode === "normal" && !json) {
      if (verdict === "invalid-type") this.#out.line(`Invalid message on fd ${this.#flow.fd}.`);
      if (verdict === "invalid-id") this.#out.line("Invalid id.");
    }
    return false;
  }

  #record(length: number, receivedNs: number): void {
    if (this.#options.quiet || this.#records.length >= RECORDS_MAX) return;
    const { run } = this;
    this.#records.push({
      id: run.lastId,
      sentNs: run.lastStampNs,
      receivedNs,
      length,
      outOfOrder: run.lastOutOfOrder,
      duplicate: run.lastDuplicate,
    });
  }

  /** Normal mode: requests on a schedule, replies as they come. */
  async #paced(): Promise<void> {
    const { run } = this;
    const { timeoutMs, intervalMs } = this.#options;
    const intervalNs = intervalMs * 1e6;
    // What a reliable flow has taken arrives, and who names a time-out means it: then it is worth the whole patience.
    const lastWaitNs = this.#options.qos === "data" || this.#options.givesUp
      ? Math.max(LAST_WAIT_NS, timeoutMs * 1e6)
      : LAST_WAIT_NS;
    let sendAtNs = this.#startNs + intervalNs;
    let heardAtNs = this.#startNs;
    let sentAtNs = this.#startNs;
    while (!this.#stopped && !run.complete) {
      let nowNs = this.#sys.monotonicNs();
      if (!run.allSent && nowNs >= sendAtNs) {
        const result = this.#send(nowNs);
        // A full ring of a slow server: the request waits its turn.
        if (result < 0 && result !== -Errno.EAGAIN) {
          run.onSent();
          this.#trouble("Failed to send packet.", result);
          return;
        }
        if (result >= 0) {
          run.onSent();
          sentAtNs = nowNs;
          // Who did not run for a while (a stop, a busy host) has no flood of requests to make up for it.
          sendAtNs = Math.max(sendAtNs + intervalNs, nowNs - BEHIND_NS);
        }
      }
      const deadlineNs = run.allSent
        ? Math.max(sentAtNs, heardAtNs) + Math.max(lastWaitNs, 2 * run.rtt.max * 1e6)
        : run.received > 0 && !this.#options.givesUp
        // A gap: the server was there, and may be again.
        ? Infinity
        : heardAtNs + timeoutMs * 1e6;
      nowNs = this.#sys.monotonicNs();
      const late = nowNs >= deadlineNs;
      const nextNs = run.allSent ? deadlineNs : Math.min(sendAtNs, deadlineNs);
      const waitMs = Math.min(SLICE_MS, Math.max(0, (nextNs - nowNs) / 1e6));
      if (waitMs > 0) this.#out.flush();
      const n = this.#flow.readSync(this.#packet, waitMs > 0 ? { timeoutMs: waitMs } : NONBLOCK);
      if (n > 0 && this.#take(n)) heardAtNs = this.#sys.monotonicNs();
      else if (n <= 0 && isFlowGone(n)) {
        this.#trouble("Failed to read packet.", n);
        return;
      } else if (late) {
        // What came while we did not run was read before.
        this.#trouble("Server timed out.");
        return;
      }
      await this.#breathe(this.#sys.monotonicNs(), n < 0 && waitMs === SLICE_MS);
    }
  }

  #send(nowNs: number): number {
    this.run.request(this.#request, nowNs);
    return this.#flow.writeSync(this.#request, NONBLOCK);
  }

  /** Flood modes: one request at a time, the next one with the reply. */
  async #flood(): Promise<void> {
    const { run } = this;
    const { mode, timeoutMs } = this.#options;
    let timeouts = 0;
    while (!this.#stopped && !run.allSent) {
      const sentAtNs = this.#sys.monotonicNs();
      run.request(this.#request, sentAtNs);
      let written = this.#flow.writeSync(this.#request, NONBLOCK);
      while (written === -Errno.EAGAIN && !this.#stopped) {
        written = this.#flow.writeSync(this.#request, { timeoutMs: SLICE_MS });
        if (written === -Errno.ETIMEDOUT) written = -Errno.EAGAIN;
        await this.#breathe(this.#sys.monotonicNs());
      }
      if (written < 0) {
        if (!this.#stopped) this.#trouble("Failed to send packet.", written);
        return;
      }
      run.onSent();
      const got = mode === "flood"
        ? await this.#awaitReply(sentAtNs + timeoutMs * 1e6)
        : await this.#spinForReply(sentAtNs + timeoutMs * 1e6);
      if (got === "gone") return;
      timeouts = got === "late" ? timeouts + 1 : 0;
      if (timeouts >= FLOOD_TIMEOUTS_MAX) {
        this.#trouble("Server timed out.");
        return;
      }
      await this.#breathe(sentAtNs);
    }
  }

  /** The reply to the last request: blocking reads. A packet of another type takes its place. */
  async #awaitReply(untilNs: number): Promise<"packet" | "late" | "gone"> {
    for (;;) {
      const n = this.#flow.readSync(this.#packet, { timeoutMs: SLICE_MS });
      if (n > 0) {
        // A reply that came after its time-out: the one to the last request is still to come.
        if (this.#take(n) && this.run.lastId !== this.run.sent - 1) continue;
        return "packet";
      }
      if (isFlowGone(n)) {
        this.#trouble("Failed to read packet.", n);
        return "gone";
      }
      const nowNs = this.#sys.monotonicNs();
      await this.#breathe(nowNs, true);
      if (this.#stopped) return "packet";
      if (nowNs >= untilNs) return "late";
    }
  }

  /** The same with a busy wait. */
  async #spinForReply(untilNs: number): Promise<"packet" | "late" | "gone"> {
    const flow = this.#flow;
    for (;;) {
      for (let look = 0; look < BUSY_LOOKS; look++) {
        const n = flow.readSync(this.#packet, NONBLOCK);
        if (n > 0) {
          if (this.#take(n) && this.run.lastId !== this.run.sent - 1) continue;
          return "packet";
        }
        if (n !== -Errno.EAGAIN && isFlowGone(n)) {
          this.#error = withReason("Failed to read packet.", n);
          this.#cut = true;
          return "gone";
        }
      }
      const nowNs = this.#sys.monotonicNs();
      await this.#breathe(nowNs);
      if (this.#stopped) return "packet";
      if (nowNs >= untilNs) return "late";
    }
  }
}

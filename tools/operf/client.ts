// deno-lint-ignore-file camelcase -- --json prints these names
/** The client of `operf` (spec 80 §3.3): one test, then its statistics. */

import { Errno, OuroError } from "../../lib/errno.ts";
import { Flow } from "../../lib/flow/flow.ts";
import { monotonicUs } from "../../lib/sys/clock.ts";
import { packetLimit } from "../common.ts";
import { exactLoss } from "../../lib/cli/numbers.ts";
import { printable } from "../../lib/printable.ts";
import { complain, fail, print, reasonOf } from "../console.ts";
import {
  Interim,
  leave,
  pause,
  qosOf,
  type Stop,
  stopAfter,
  tooLongFor,
  whyNoFlow,
} from "../session.ts";
import { type OperfOptions, SIZE_BYTES_MIN } from "./options.ts";
import {
  Counter,
  encodeConfig,
  encodeEnd,
  encodeJson,
  isEnd,
  isGreeting,
  parseNumbers,
  type Report,
  TestType,
} from "./protocol.ts";
import { sendPackets } from "./sender.ts";
import { announcement, header, intervalLine, lossPercent, megabits, statistics } from "./text.ts";

/** Pause between configuration and data: the prototype's server gives a client 1 s, ms. */
const SETTLE_MS = 500;
/** How long a server of ours may take to say that it will send, ms. */
const REVERSE_MS = 5000;
/** How long one may take to say that it will report, from the configuration on, ms: sending does not wait for that. */
const GREETING_MS = 1000;
/** How often the end of a test is told. */
const ENDS = 4;
/** Silence after which what is missing counts as lost, ms. */
const SILENCE_MS = 2000;

function silenceMs(o: OperfOptions): number {
  return o.silenceMs ?? SILENCE_MS;
}

/** The result of the side that received, as a document. */
interface Outcome {
  sent: number;
  received: number | undefined;
  elapsedUs: number;
  report: Report | undefined;
  failed: number;
  /** It was told to end before its time. */
  stopped: boolean;
  /** A server of ours began the test and did not end it. */
  unfinished: boolean;
}

/**
 * The options with a size that the flow carries, or why there is none: a size that was not asked for gives way.
 */
function fitted(o: OperfOptions, flow: Flow): OperfOptions | string {
  const tooLong = tooLongFor(flow, o.sizeBytes);
  if (tooLong === undefined) return o;
  const sizeBytes = flow.messageBytesMax;
  return o.sizeGiven || sizeBytes < SIZE_BYTES_MIN ? tooLong : { ...o, sizeBytes };
}

/** The beginning of the JSON document of a test that did not take place. */
export function failureOf(o: OperfOptions): Record<string, unknown> | undefined {
  return o.json ? { tool: "operf", test: o.test, name: o.server, qos: o.qos } : undefined;
}

/** Runs one test; returns the exit code. */
export async function client(asked: OperfOptions, stop: Stop): Promise<number> {
  let o = asked;
  const say = (text: string) => o.json || print(text);
  using _deadline = stopAfter(o.deadlineMs, stop);
  say(o.notice);
  let flow: Flow;
  try {
    const { signal } = stop;
    flow = await Flow.alloc(o.server, {
      qos: qosOf(o.qos),
      keepaliveMs: o.keepaliveMs,
      signal,
    });
  } catch (error) {
    const why = whyNoFlow(error, stop);
    say("Failed to allocate flow.\n");
    fail(`Failed to allocate flow: ${why}`, failureOf(o));
    return o.strictExit ? 2 : 1;
  }
  const fit = fitted(o, flow);
  if (typeof fit === "string") {
    fail(fit, failureOf(o));
    await leave(flow, stop);
    return o.strictExit ? 2 : 1;
  }
  o = fit;
  say(announcement(o.test));
  const n = flow.writeSync(encodeConfig(typeOf(o.test)), { timeoutMs: 1000 });
  if (n < 0) {
    say("Failed to send configuration.\n");
    fail(`Failed to send configuration: ${reasonOf(n)}`, failureOf(o));
    await leave(flow, stop);
    return o.strictExit ? 2 : 1;
  }
  const outcome = await run(o, flow, stop, say);
  if (outcome) tell(o, outcome, say);
  await leave(flow, stop);
  if (!outcome) return o.strictExit ? 2 : 1;
  if (outcome.failed !== 0 || outcome.unfinished) return o.strictExit ? 2 : 1;
  return outcome.received === 0 && outcome.sent > 0 ? 1 : 0;
}

function typeOf(test: OperfOptions["test"]): number {
  switch (test) {
    case "uni":
      return TestType.UNI;
    case "bi":
      return TestType.BI;
    case "report":
      return TestType.REPORT;
    case "reverse":
      return TestType.REVERSE;
  }
}

async function run(
  o: OperfOptions,
  flow: Flow,
  stop: Stop,
  say: (text: string) => void,
): Promise<Outcome | undefined> {
  const greetedUntilUs = monotonicUs() + GREETING_MS * 1000;
  let ours = false;
  if (o.test === "reverse") {
    if (!await isGreeted(flow, REVERSE_MS, stop)) {
      const why = stop.requested ? "stopped" : `${o.server} is not an operf server of ouro`;
      fail(`Failed to run a reverse test: ${why}`, failureOf(o));
      return undefined;
    }
  } else if (o.test === "report") ours = await isGreeted(flow, SETTLE_MS, stop);
  else await pause(SETTLE_MS, stop.signal);
  say(header(o));
  if (o.test === "reverse") {
    const outcome = await reverse(o, flow, stop);
    say("Test finished.\n");
    return outcome;
  }
  const back = new Returns(o, flow);
  const progress = { sent: 0 };
  const startUs = monotonicUs();
  let last = { us: 0, sent: 0, received: 0 };
  using _interim = new Interim(o.reportMs, () => {
    const now = { us: monotonicUs() - startUs, sent: progress.sent, received: back.received };
    const line = intervalLine(o, last, now);
    last = now;
    if (o.json) complain(line);
    else print(`${line}\n`);
  });
  const result = await sendPackets({
    progress,
    flow,
    sizeBytes: o.sizeBytes,
    durationMs: o.durationMs,
    rate: o.flood ? 0 : o.rate,
    sleep: o.sleep,
    packetsMax: packetLimit(o, o.sizeBytes),
    stop,
    ...(o.test === "bi" ? { onTurn: () => back.take() } : {}),
  });
  if (result.failed !== 0) {
    say("Failed to send packet.\n");
    complain(`Failed to send packet: ${reasonOf(result.failed)}`);
  }
  const stopped = stop.requested;
  const outcome: Outcome = {
    ...result,
    received: undefined,
    report: undefined,
    stopped,
    unfinished: false,
  };
  if (o.test === "bi") {
    await back.rest(result.sent, stop, say);
    outcome.received = back.received;
  } else if (o.test === "report") {
    // A greeting may come late. The prototype's server sends none, and is not waited for.
    const leftMs = Math.max(1, (greetedUntilUs - monotonicUs()) / 1000);
    ours ||= await isGreeted(flow, leftMs, stop);
    outcome.report = ours ? await reportOf(o, flow, stop) : undefined;
    outcome.received = outcome.report?.received;
    if (outcome.report === undefined && result.failed === 0 && !stop.requested) {
      outcome.unfinished = ours;
      const why = ours ? "" : ", which did not answer as an operf server of ouro does";
      complain(`No report from ${printable(o.server)}${why}: what it received is not known`);
    }
  }
  say("Test finished.\n");
  return outcome;
}

/** A packet, or undefined after `timeoutMs` or when the flow ends. */
async function receive(
  flow: Flow,
  timeoutMs: number,
  stop: Stop,
): Promise<Uint8Array<ArrayBuffer> | undefined> {
  try {
    return await flow.read({ timeoutMs, signal: stop.signal });
  } catch (error) {
    if (error instanceof OuroError || stop.requested) return undefined;
    throw error;
  }
}

/** Whether a server says that it is one of ours. */
async function isGreeted(flow: Flow, timeoutMs: number, stop: Stop): Promise<boolean> {
  return isGreeting(await receive(flow, timeoutMs, stop) ?? new Uint8Array(0));
}

/** Tells the end, which may be lost as anything else, until the server has said what it received. */
async function reportOf(o: OperfOptions, flow: Flow, stop: Stop): Promise<Report | undefined> {
  for (let n = 0; n < ENDS && !flow.isClosed && !stop.signal.aborted; n++) {
    // Without blocking: a signal has its turn.
    const told = await flow.write(encodeEnd(), { timeoutMs: 1000, signal: stop.signal })
      .catch(() => -1);
    if (told < 0) return undefined;
    const packet = await receive(flow, silenceMs(o) / ENDS, stop);
    if (packet !== undefined) {
      return parseNumbers(packet, ["received", "bytes", "elapsed_us", "out_of_order"]);
    }
  }
  return undefined;
}

/** What comes back in a bidirectional test. */
class Returns {
  received = 0;
  #down = false;
  #lastUs = monotonicUs();
  readonly #buffer: Uint8Array<ArrayBuffer>;

  constructor(readonly o: OperfOptions, readonly flow: Flow) {
    this.#buffer = new Uint8Array(o.sizeBytes + 1);
  }

  /** Takes what is there. */
  take(): void {
    for (;;) {
      const n = this.flow.readSync(this.#buffer, { nonblock: true });
      if (n === -Errno.EAGAIN) return;
      this.#lastUs = monotonicUs();
      if (n === this.o.sizeBytes) {
        this.received++;
      } else if (n < 0 && n !== -Errno.EMSGSIZE) {
        this.#down = true;
        return;
      } else if (n !== 0 && !this.o.json) {
        print(`Invalid message on fd ${this.flow.fd}.\n`);
      }
    }
  }

  /** Waits for what is still on its way. */
  async rest(sent: number, stop: Stop, say: (text: string) => void): Promise<void> {
    this.#lastUs = monotonicUs();
    for (this.take(); this.received < sent && !this.#down && !stop.requested; this.take()) {
      if (monotonicUs() - this.#lastUs > silenceMs(this.o) * 1000) {
        say("Server timed out.\n");
        return;
      }
      await pause(1, stop.signal);
    }
  }
}

/** Receives what a server of ours sends on request. */
async function reverse(o: OperfOptions, flow: Flow, stop: Stop): Promise<Outcome> {
  const request = {
    size: o.sizeBytes,
    rate: o.flood ? 0 : o.rate,
    duration_ms: Math.max(0, o.durationMs),
  };
  flow.writeSync(encodeJson(request), { timeoutMs: 1000 });
  const counter = new Counter();
  for (;;) {
    const packet = await receive(flow, silenceMs(o), stop);
    if (!packet || isEnd(packet)) break;
    counter.onPacket(packet, monotonicUs());
  }
  const sender = await receive(flow, silenceMs(o), stop);
  const sent = sender && parseNumbers(sender, ["received"])?.received;
  const report = counter.report();
  const unfinished = sent === undefined && !stop.requested;
  if (unfinished) complain(`No end from ${printable(o.server)}: what it sent is not known`);
  return {
    sent: sent ?? report.received,
    received: report.received,
    elapsedUs: report.elapsed_us,
    report,
    failed: 0,
    stopped: stop.requested,
    unfinished,
  };
}

function tell(o: OperfOptions, r: Outcome, say: (text: string) => void): void {
  say(statistics(o, { sent: r.sent, received: r.received ?? 0, elapsedUs: r.elapsedUs }));
  if (r.report && !o.json) {
    const rate = megabits(r.report.bytes, 1, r.report.elapsed_us).toFixed(3);
    print(
      `${r.report.received} packets received, ${lossPercent(r.sent, r.report.received)}% packet ` +
        `loss, ${r.report.out_of_order} out-of-order, bandwidth: ${rate} Mb/s.\n`,
    );
  }
  if (!o.json) return;
  const bytes = (o.test === "bi" ? r.received ?? 0 : r.sent) * o.sizeBytes;
  print(`${
    JSON.stringify({
      tool: "operf",
      test: o.testGiven ? o.test : "uni",
      name: o.server,
      qos: o.qos,
      size: o.sizeBytes,
      sent: r.sent,
      received: r.received ?? null,
      loss_pct: r.received === undefined || r.unfinished ? null : exactLoss(r.sent, r.received),
      elapsed_us: Math.round(r.elapsedUs),
      bits_per_second: r.elapsedUs > 0 ? Math.round(bytes * 8e6 / r.elapsedUs) : 0,
      error: r.failed,
      complete: r.failed === 0 && !r.stopped && !r.unfinished,
      ...(r.failed === 0 ? {} : { failure: `Failed to send packet: ${reasonOf(r.failed)}` }),
      receiver: r.report ?? null,
    })
  }\n`);
}

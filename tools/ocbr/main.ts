// deno-lint-ignore-file camelcase -- --json prints these names
/** `ocbr`: a constant bit rate from client to server, measured at the server (spec 80 §4). */

import { OuroError } from "../../lib/errno.ts";
import { Flow } from "../../lib/flow/flow.ts";
import { printable } from "../../lib/printable.ts";
import { monotonicNs } from "../../lib/sys/clock.ts";
import { exactLoss, fixed } from "../../lib/cli/numbers.ts";
import { complain, fail, print, reasonOf } from "../console.ts";
import { encodeGreeting, isEnd } from "../operf/protocol.ts";
import { type Conversation, serve } from "../serve.ts";
import {
  breathe,
  commandOf,
  Interim,
  leave,
  openProcess,
  pause,
  qosOf,
  Stop,
  stopAfter,
  tooLongFor,
  whyNoFlow,
} from "../session.ts";
import { type CbrReport, Meter, receivedLine, reportLine, sentLine } from "./meter.ts";
import { type OcbrOptions, parseOcbr, SIZE_BYTES_MAX } from "./options.ts";
import { Pacer } from "./pacer.ts";
import { mayBeOurs, totalOf } from "./report.ts";

/** Exit code when there is no flow, or one that does not carry the packets. */
const FAILED = 255;
/** How often the server looks at its clock, ms. */
const TICK_MS = 100;
/** A busy sender lets signals in this often, ns. */
const BREATH_NS = 20e6;
/** A sleep ends so much before its deadline, the rest is spun: timers come late, ns. */
const TIMER_LATE_NS = 1.5e6;

/** Runs `ocbr`; returns the exit code. */
export async function main(args: string[]): Promise<number> {
  const command = commandOf(args, parseOcbr);
  if (typeof command === "number") return command;
  const { options } = command;
  options.warnings.forEach(complain);
  using process = openProcess("ocbr", options.listen ? undefined : failureOf(options));
  if (!process) return 1;
  using stop = new Stop();
  if (!options.listen) return await client(options, stop);
  if (!options.json) {
    print(
      `Server started, interval is ${options.intervalS} s, timeout is ${options.timeoutS} s.\n`,
    );
  }
  return await serve({
    process,
    stop,
    packetBytesMax: SIZE_BYTES_MAX,
    tickMs: TICK_MS,
    once: options.once,
    maxFlows: options.maxFlows,
    begin: (flow, nowUs) => new Receiver(flow, nowUs, options),
  });
}

/** One flow at the server. */
class Receiver implements Conversation {
  readonly #meter: Meter;
  /** Whether the client may be one of ours; undefined before its first packet. */
  #greeted: boolean | undefined;

  constructor(readonly flow: Flow, nowUs: number, readonly options: OcbrOptions) {
    if (!options.json) print("New flow.\n");
    this.#meter = new Meter({
      fd: flow.fd,
      intervalUs: options.intervalS * 1e6,
      timeoutUs: options.idleMs === undefined ? options.timeoutS * 1e6 : options.idleMs * 1000,
      startUs: nowUs,
    });
  }

  onPacket(packet: Uint8Array<ArrayBuffer>, nowUs: number): "go on" | "done" {
    if (this.#greeted === undefined) {
      this.#greeted = mayBeOurs(packet);
      if (this.#greeted) this.#answer(encodeGreeting());
    }
    if (this.#greeted && isEnd(packet)) {
      this.#answer(new TextEncoder().encode(JSON.stringify(this.#meter.total())));
    } else this.#meter.onPacket(packet.length, nowUs);
    return this.onTick(nowUs);
  }

  /** To a client of ours; one that does not read has no room for more than a few of them. */
  #answer(packet: Uint8Array<ArrayBuffer>): void {
    this.flow.writeSync(packet, { nonblock: true });
  }

  onTick(nowUs: number): "go on" | "done" {
    const report = this.#meter.poll(nowUs);
    if (report) this.#tell(report);
    return this.#meter.timedOut ? "done" : "go on";
  }

  onDown(nowUs: number): void {
    // The prototype knows an end by silence alone; scripts wait for its words.
    this.#tell(this.#meter.finish(nowUs));
  }

  #tell(report: CbrReport): void {
    if (this.options.json) {
      const { fd, packets, bytes, final } = report;
      const elapsed_us = Math.round(report.elapsedUs);
      print(`${JSON.stringify({ fd, packets, bytes, elapsed_us, final })}\n`);
      return;
    }
    if (report.final) print(`Test on flow ${report.fd} timed out\n`);
    print(reportLine(report));
  }
}

/** The beginning of the JSON document of a run that did not take place. */
function failureOf(o: OcbrOptions): Record<string, unknown> | undefined {
  return o.json ? { tool: "ocbr", name: o.server, qos: o.qos } : undefined;
}

async function client(options: OcbrOptions, stop: Stop): Promise<number> {
  const { server, durationS, rate, sizeBytes } = options;
  if (!options.json) {
    print(`Client started, duration ${durationS}, rate ${rate} b/s, size ${sizeBytes} B.\n`);
  }
  using _deadline = stopAfter(options.deadlineMs, stop);
  let flow: Flow;
  try {
    const { signal } = stop;
    flow = await Flow.alloc(server, {
      qos: qosOf(options.qos),
      keepaliveMs: options.keepaliveMs,
      signal,
    });
  } catch (error) {
    const why = whyNoFlow(error, stop);
    if (!options.json) print("Failed to allocate flow.\n");
    fail(`Failed to allocate flow: ${why}`, failureOf(options));
    return FAILED;
  }
  const tooLong = tooLongFor(flow, sizeBytes);
  if (tooLong !== undefined) {
    fail(tooLong, failureOf(options));
    await leave(flow, stop);
    return FAILED;
  }
  const startNs = monotonicNs();
  const { sent, failed } = await send(flow, options, startNs, stop);
  const elapsedUs = (monotonicNs() - startNs) / 1000;
  const stopped = stop.requested;
  const total = stopped || failed !== 0 ? undefined : await totalOf(flow, startNs / 1000, stop);
  if (total === undefined && !stopped && failed === 0) {
    complain(`No report from ${printable(server)}: what it received is not known`);
  }
  if (options.json) {
    const document = {
      tool: "ocbr",
      name: server,
      qos: options.qos,
      size: sizeBytes,
      packets: sent,
      bytes: sent * sizeBytes,
      elapsed_us: Math.round(elapsedUs),
      bits_per_second: elapsedUs > 0 ? Math.round(sent * sizeBytes * 8e6 / elapsedUs) : 0,
      received: total?.received ?? null,
      loss_pct: total === undefined ? null : exactLoss(sent, total.received),
      receiver: total ?? null,
      error: failed,
      ...(failed === 0 ? {} : { failure: `Failed to send packet: ${reasonOf(failed)}` }),
      complete: failed === 0 && !stopped,
    };
    print(`${JSON.stringify(document)}\n`);
  } else {
    print(sentLine(sent, sizeBytes, elapsedUs));
    // On stdout is what the prototype prints.
    if (total !== undefined) complain(receivedLine(sent, total));
  }
  await leave(flow, stop);
  if (failed === 0) return total?.received === 0 && sent > 0 ? 1 : 0;
  return options.strictExit ? 2 : 1;
}

/** Sends until the time is over, a write fails or it is stopped. */
async function send(
  flow: Flow,
  options: OcbrOptions,
  startNs: number,
  stop: Stop,
): Promise<{ readonly sent: number; readonly failed: number }> {
  const { sizeBytes, durationS, packetsMax } = options;
  const gapNs = options.flood ? 0 : sizeBytes * 8e9 / options.rate;
  const pacer = new Pacer({ durationS, gapNs, startNs, packetsMax });
  const packet = new Uint8Array(sizeBytes);
  const head = new DataView(new ArrayBuffer(8));
  const headBytes = new Uint8Array(head.buffer, 0, Math.min(8, sizeBytes));
  let breathAtNs = startNs + BREATH_NS;
  let failed = 0;
  let last = { ns: startNs, sent: 0 };
  using _interim = new Interim(options.reportMs, () => {
    const now = { ns: monotonicNs(), sent: pacer.sent };
    const times = [last.ns, now.ns].map((ns) => fixed((ns - startNs) / 1e9, 1)).join("-");
    const rest = sentLine(now.sent - last.sent, sizeBytes, (now.ns - last.ns) / 1000);
    last = now;
    const line = `${times} s: ${rest.replace(/^sent statistics: +/, "")}`;
    if (options.json) complain(line.trimEnd());
    else print(line);
  });
  while (!stop.requested) {
    const nowNs = monotonicNs();
    if (nowNs >= breathAtNs) {
      await breathe();
      breathAtNs = monotonicNs() + BREATH_NS;
      continue;
    }
    const step = pacer.step(nowNs);
    if (step.do === "end") break;
    if (step.do === "wait") {
      const sleepNs = step.untilNs - nowNs - (options.spin ? TIMER_LATE_NS : 0);
      if (sleepNs > 1e6 || !options.spin) {
        await pause(Math.max(0, sleepNs / 1e6), stop.signal);
        breathAtNs = monotonicNs() + BREATH_NS;
      }
      continue;
    }
    if (!options.flood) {
      head.setBigInt64(0, BigInt(pacer.sent), true);
      packet.set(headBytes);
    }
    const n = await write(flow, packet, stop);
    if (n < 0) {
      complain(`Failed to send packet: ${reasonOf(n)}`);
      failed = n;
      break;
    }
    pacer.onSent(nowNs);
  }
  return { sent: pacer.sent, failed };
}

/** Writes without blocking the thread for long; a negative number on failure. */
async function write(flow: Flow, packet: Uint8Array, stop: Stop): Promise<number> {
  const n = flow.writeSync(packet, { timeoutMs: 5 });
  if (n !== -110 && n !== -11) return n;
  try {
    return await flow.write(packet, { signal: stop.signal });
  } catch (error) {
    if (error instanceof OuroError) return error.code;
    if (stop.requested) return 0;
    throw error;
  }
}

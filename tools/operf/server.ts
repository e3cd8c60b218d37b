// deno-lint-ignore-file camelcase -- --json prints these names
/** The server of `operf` (spec 80 §3.4): every flow its own state machine, none waits for another. */

import { Errno } from "../../lib/errno.ts";
import type { Flow } from "../../lib/flow/flow.ts";
import type { OuroProcess } from "../../lib/flow/process.ts";
import { complain, print, reasonOf } from "../console.ts";
import { fixed } from "../../lib/cli/numbers.ts";
import { type Conversation, type Next, serve } from "../serve.ts";
import type { Stop } from "../session.ts";
import { type OperfOptions, SIZE_BYTES_MAX } from "./options.ts";
import {
  Counter,
  encodeEnd,
  encodeGreeting,
  encodeJson,
  isEnd,
  parseConfig,
  parseNumbers,
  parseSeqno,
  TestType,
} from "./protocol.ts";
import { sendPackets } from "./sender.ts";
import { megabits } from "./text.ts";

/**
 * Silence that ends a test, µs. A client that leaves is noticed at once, so this may be longer than the
 * prototype's 1 s and does not end the test of a client that had to wait for its processor.
 */
const IDLE_US = 3e6;
/** A C client sleeps 1 s between configuration and data, so the first packet may take longer, µs. */
const FIRST_US = 3e6;
/** How long a configuration may take, µs. */
const CONFIG_US = 15e6;
/** How long an echo that does not fit is kept, µs. */
const KEPT_US = 500e3;
/** How often idle flows are looked for, ms. */
const TICK_MS = 250;

/** Serves until it is stopped; returns the exit code. */
export async function server(o: OperfOptions, process: OuroProcess, stop: Stop): Promise<number> {
  if (!o.json) print("Ouroboros perf server started.\n");
  return await serve({
    process,
    stop,
    packetBytesMax: Math.min(SIZE_BYTES_MAX, process.packetBytesMax),
    tickMs: TICK_MS,
    once: o.once,
    maxFlows: o.maxFlows,
    begin: (flow, nowUs) => new Test(flow, nowUs, o, stop),
  });
}

/** One client. */
class Test implements Conversation {
  #type: number | undefined;
  #deadlineUs: number;
  #sending = false;
  readonly #counter = new Counter();

  constructor(
    readonly flow: Flow,
    nowUs: number,
    readonly o: OperfOptions,
    readonly stop: Stop,
  ) {
    this.#say(`New flow ${flow.fd}.\n`);
    this.#deadlineUs = nowUs + CONFIG_US;
  }

  get #idleUs(): number {
    return this.o.idleMs === undefined ? IDLE_US : this.o.idleMs * 1000;
  }

  #say(text: string): void {
    if (!this.o.json) print(text);
  }

  onPacket(packet: Uint8Array<ArrayBuffer>, nowUs: number): Next {
    if (this.#type === undefined) return this.#configure(packet, nowUs);
    this.#deadlineUs = nowUs + this.#idleUs;
    switch (this.#type) {
      case TestType.BI:
        this.#counter.onPacket(packet, nowUs);
        return this.#echo(packet, nowUs);
      case TestType.REVERSE:
        return this.#reverse(packet);
      case TestType.REPORT:
        if (isEnd(packet)) {
          this.#answer(encodeJson(this.#counter.report()));
          return "go on";
        }
        this.#counter.onPacket(packet, nowUs);
        return "go on";
      case TestType.UNI:
        this.#counter.onPacket(packet, nowUs);
        if (this.o.verbose) this.#line(packet);
    }
    return "go on";
  }

  #configure(packet: Uint8Array<ArrayBuffer>, nowUs: number): "go on" | "done" {
    const type = parseConfig(packet);
    if (type === undefined) {
      this.#say("Invalid config message.\n");
      return "done";
    }
    this.#type = type;
    this.#deadlineUs = nowUs + Math.max(FIRST_US, this.#idleUs);
    this.#say(
      type === TestType.BI
        ? "Doing a bidirectional test.\n"
        : type === TestType.REVERSE
        ? "Doing a reverse test.\n"
        : "Doing a unidirectional test.\n",
    );
    if (type === TestType.REPORT || type === TestType.REVERSE) this.#answer(encodeGreeting());
    return "go on";
  }

  #answer(packet: Uint8Array<ArrayBuffer>): void {
    const n = this.flow.writeSync(packet, { nonblock: true });
    if (n < 0) complain(`Failed to answer on flow ${this.flow.fd}: ${reasonOf(n)}`);
  }

  /** Sends a packet back. One that does not fit is kept, and nothing is read before it has gone. */
  #echo(packet: Uint8Array<ArrayBuffer>, nowUs: number): Next {
    const n = this.flow.writeSync(packet, { nonblock: true });
    if (n >= 0) return "go on";
    if (n === -Errno.EAGAIN) {
      this.#kept = packet.slice();
      this.#keptUntilUs = nowUs + KEPT_US;
      return "hold";
    }
    this.#say(`Error writing to flow (fd ${this.flow.fd}).\n`);
    complain(`Failed to write to flow ${this.flow.fd}: ${reasonOf(n)}`);
    return "done";
  }
  #kept: Uint8Array<ArrayBuffer> | undefined;
  #keptUntilUs = 0;

  onRetry(nowUs: number): Next {
    const kept = this.#kept;
    // A client that does not read loses the echo: it counts it as lost, nobody waits for ever.
    if (!kept || nowUs >= this.#keptUntilUs) return "go on";
    const untilUs = this.#keptUntilUs;
    const next = this.#echo(kept, nowUs);
    if (next === "hold") this.#keptUntilUs = untilUs;
    else this.#kept = undefined;
    return next;
  }

  #line(packet: Uint8Array<ArrayBuffer>): void {
    const us = Math.floor((performance.timeOrigin + performance.now()) * 1000);
    const seconds = Math.floor(us / 1e6);
    const rest = String(us % 1e6).padStart(6, "0");
    this.#say(
      `Seqno ${(parseSeqno(packet) ?? 0) | 0} from fd ${this.flow.fd}: ${seconds}.${rest}\n`,
    );
  }

  /** Sends what the client asks for, once. */
  #reverse(packet: Uint8Array<ArrayBuffer>): "go on" | "done" {
    if (this.#sending) return "go on";
    const asked = parseNumbers(packet, ["size", "rate", "duration_ms"]);
    if (!asked || asked.size < 4 || asked.size > SIZE_BYTES_MAX) {
      this.#say("Invalid config message.\n");
      return "done";
    }
    this.#sending = true;
    sendPackets({
      flow: this.flow,
      sizeBytes: Math.floor(asked.size),
      durationMs: asked.duration_ms,
      rate: asked.rate,
      sleep: true,
      stop: this.stop,
    }).then(async ({ sent, elapsedUs, failed }) => {
      this.#sending = false;
      if (failed !== 0 || this.flow.isClosed) return;
      const report = { received: sent, bytes: 0, elapsed_us: elapsedUs, out_of_order: 0 };
      try {
        await this.flow.write(encodeEnd(), { timeoutMs: 1000 });
        await this.flow.write(encodeJson(report), { timeoutMs: 1000 });
      } catch {
        // The client is gone; its flow ends the usual way.
      }
    });
    return "go on";
  }

  onTick(nowUs: number): "go on" | "done" {
    if (this.#sending || nowUs < this.#deadlineUs) return "go on";
    this.#say(
      this.#type === undefined
        ? "Failed to read config message.\n"
        : `Flow ${this.flow.fd} timed out.\n`,
    );
    this.#summary();
    return "done";
  }

  onDown(): void {
    this.#summary();
  }

  /** What was received in a test that tells the client nothing. */
  #summary(): void {
    const r = this.#counter.report();
    if (r.received === 0 || this.#type === TestType.BI && !this.o.json) return;
    if (this.o.json) {
      print(`${JSON.stringify({ fd: this.flow.fd, ...r })}\n`);
      return;
    }
    print(
      `Flow ${this.flow.fd}: ${r.received} packets (${r.bytes} bytes) in ` +
        `${fixed(r.elapsed_us / 1000, 3)} ms, ${r.out_of_order} out-of-order, ` +
        `bandwidth: ${fixed(megabits(r.bytes, 1, r.elapsed_us), 3)} Mb/s.\n`,
    );
  }
}

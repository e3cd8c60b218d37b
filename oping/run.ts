/**
 * The accounts of one client run (spec 80 §2.3, §2.4): makes requests, judges replies, and says what
 * to print about them. No I/O and no clock; the shell is client.ts. Pure.
 *
 * A reply counts when its type is 1 and its id was asked for. As in the prototype a duplicate counts
 * as received and out of order; it is counted apart as well. In the flood modes anything else is
 * skipped in silence, there is no order, and the length shown is the request's.
 */

import {
  encode,
  LENGTH,
  type OpingMsg,
  parse,
  TYPE_REPLY,
  TYPE_REQUEST,
} from "../lib/wire/oping_msg.ts";
import { fixed3, signed32, timeWithUnit } from "./numbers.ts";
import { RttStats } from "./rtt_stats.ts";

/** Requests of which we remember whether they were answered. */
const WINDOW = 65536;

/** Count of a run that nothing limits. */
export const COUNT_MAX = 2147483647;

/** What a run needs to know of the command line. */
export interface RunOptions {
  readonly name: string;
  readonly mode: "normal" | "flood" | "flood-busy";
  readonly count: number;
  readonly size: number;
  readonly quiet: boolean;
  readonly timeOfDay: boolean;
}

/** One reply, for the JSON document. */
export interface ReplyRecord {
  readonly id: number;
  readonly sentNs: number;
  readonly receivedNs: number;
  readonly length: number;
  readonly outOfOrder: boolean;
  readonly duplicate: boolean;
}

/** What became of a packet that was read. */
export type Verdict = "counted" | "ignored" | "invalid-type" | "invalid-id";

export class PingRun {
  sent = 0;
  received = 0;
  outOfOrder = 0;
  duplicates = 0;
  readonly rtt = new RttStats();
  /** The last counted reply, when `onPacket` said so. */
  lastId = 0;
  lastStampNs = 0;
  lastRttNs = 0;
  lastOutOfOrder = false;
  lastDuplicate = false;

  readonly #options: RunOptions;
  readonly #flood: boolean;
  readonly #msg: OpingMsg = { type: TYPE_REQUEST, id: 0, stampNs: 0 };
  readonly #answered = new Uint8Array(WINDOW);
  #expected = 0;
  /** What the last interim line said. */
  #reported = { us: 0, sent: 0, received: 0, sumMs: 0, count: 0 };

  constructor(options: RunOptions) {
    this.#options = options;
    this.#flood = options.mode !== "normal";
  }

  /** Every request of the run was sent. */
  get allSent(): boolean {
    return this.sent >= this.#options.count;
  }

  /** As many replies as requests: the prototype ends here. */
  get complete(): boolean {
    return this.received >= this.#options.count;
  }

  /** Writes the head of the next request, stamped with `nowNs`, into a buffer of the packet size. */
  request(into: Uint8Array, nowNs: number): void {
    const msg = this.#msg;
    msg.type = TYPE_REQUEST;
    msg.id = this.sent;
    msg.stampNs = nowNs;
    encode(into, 0, msg);
  }

  /** The request left (or in normal mode: was tried). */
  onSent(): void {
    this.#answered[this.sent % WINDOW] = 0;
    this.sent++;
  }

  /** Judges a packet of `length` bytes that was read at `nowNs`. */
  onPacket(packet: Uint8Array, length: number, nowNs: number): Verdict {
    const msg = this.#msg;
    if (length < LENGTH || parse(packet, 0, length, msg) < 0) return "ignored";
    if (msg.type !== TYPE_REPLY) return "invalid-type";
    const id = msg.id;
    if (id >= (this.#flood ? this.sent : this.#options.count)) return "invalid-id";
    const slot = id % WINDOW;
    const duplicate = this.sent - id <= WINDOW && this.#answered[slot] === 1;
    if (duplicate) this.duplicates++;
    else if (this.sent - id <= WINDOW) this.#answered[slot] = 1;
    this.received++;
    // Negative only for a stamp that was tampered with.
    const rttNs = Math.max(0, nowNs - msg.stampNs);
    this.rtt.add(rttNs);
    const late = !this.#flood && id < this.#expected;
    if (late) this.outOfOrder++;
    if (id >= this.#expected) this.#expected = id + 1;
    this.lastId = id;
    this.lastStampNs = msg.stampNs;
    this.lastRttNs = rttNs;
    this.lastOutOfOrder = late;
    this.lastDuplicate = duplicate;
    return "counted";
  }

  /** The line about the reply that was just counted. `realNs` is the time of day for `-D`. */
  replyLine(length: number, realNs: bigint): string {
    const { name, size, timeOfDay } = this.#options;
    const time = timeWithUnit(Math.trunc(this.lastRttNs / 1000) / 1000);
    const bytes = this.#flood ? size : length;
    const stamp = timeOfDay && !this.#flood ? timeOfDayPrefix(realNs) : "";
    const order = this.lastOutOfOrder ? " [out-of-order]" : "";
    return `${stamp}${bytes} bytes from ${name}: seq=${signed32(this.lastId)} time=${time}${order}`;
  }

  /** Lost packets in percent, rounded up; negative when duplicates exceed losses. */
  get lossPercent(): number {
    if (this.sent === 0) return 0;
    const exact = ((this.sent - this.received) * 100) / this.sent;
    const shown = Math.ceil(exact) + 0;
    // Not all is lost while something was received.
    return shown === 100 && this.received > 0 ? Math.floor(exact * 100) / 100 : shown;
  }

  /** The line about what happened since the last one. */
  intervalLine(elapsedUs: number): string {
    const { rtt } = this;
    const last = this.#reported;
    const now = { us: elapsedUs, sent: this.sent, received: this.received, sumMs: 0, count: 0 };
    now.sumMs = rtt.count === 0 ? 0 : rtt.mean * rtt.count;
    now.count = rtt.count;
    this.#reported = now;
    const [from, to] = [last.us, now.us].map((us) => fixed3(us / 1e6));
    const replies = now.count - last.count;
    // The mean of what was added, from two running means.
    const average = replies === 0
      ? ""
      : `, rtt avg ${timeWithUnit(Math.max(0, (now.sumMs - last.sumMs) / replies))}`;
    return `${from}-${to} s: ${now.sent - last.sent} packets transmitted, ` +
      `${now.received - last.received} received${average}`;
  }

  /** The line of counters, as it stands in the final statistics. */
  countersLine(elapsedUs: number): string {
    return `${signed32(this.sent)} packets transmitted, ${signed32(this.received)} received, ` +
      `${signed32(this.outOfOrder)} out-of-order, ${this.lossPercent}% packet loss, ` +
      `time: ${fixed3(elapsedUs / 1000)} ms`;
  }

  /** The final statistics; they begin with an empty line. */
  statistics(elapsedUs: number): string {
    const { rtt } = this;
    let text = `\n--- ${this.#options.name} ping statistics ---\n${this.countersLine(elapsedUs)}\n`;
    if (rtt.count > 0) {
      const [factor, unit] = rtt.mean < 0.1 ? [1000, "µs"] : [1, "ms"];
      const values = [rtt.min, rtt.mean, rtt.max, rtt.mdev].map((v) => fixed3(v * factor));
      text += `rtt min/avg/max/mdev = ${values.join("/")} ${unit}\n`;
    }
    return text;
  }
}

/** `[seconds.microseconds] ` of a real time. */
function timeOfDayPrefix(realNs: bigint): string {
  const us = realNs / 1000n;
  return `[${us / 1000000n}.${String(us % 1000000n).padStart(6, "0")}] `;
}

/** The lines that begin a run; they end with an empty one. */
export function header(
  options: RunOptions & { readonly durationText: string | undefined },
): string {
  const amount = options.durationText ??
    (options.count === COUNT_MAX ? "until interrupted" : `${options.count} packets`);
  const busy = options.mode === "flood-busy" ? ", busy-poll" : "";
  return `Pinging ${options.name} with ${options.size} bytes of data (${amount}${busy}):\n\n`;
}

// deno-lint-ignore-file camelcase -- totals travel as JSON
/**
 * What a server of `ocbr` counts of one flow and when it reports (spec 80 §4). Pure: time is given in
 * µs. Reports follow the interval's own grid, so none is lost when one comes late.
 */

import { exactLoss, fixed } from "../../lib/cli/numbers.ts";
import { right } from "../format.ts";

/** How a flow is measured. */
export interface MeterOptions {
  /** Descriptor of the flow, for the texts. */
  readonly fd: number;
  readonly intervalUs: number;
  /** Silence after which the test is over. */
  readonly timeoutUs: number;
  readonly startUs: number;
}

/** A report comes when the interval is over by this much. */
const LATE_US = 1000;

/** What came in all, as the client is told. */
export interface CbrTotal {
  readonly received: number;
  readonly bytes: number;
  /** From the first packet to the last, µs. */
  readonly elapsed_us: number;
}

/** Numbers of one interval. */
export interface CbrReport {
  readonly fd: number;
  readonly packets: number;
  readonly bytes: number;
  readonly elapsedUs: number;
  readonly final: boolean;
}

/** One flow's counters. */
export class Meter {
  readonly #options: MeterOptions;
  #packets = 0;
  #bytes = 0;
  #intervalStartUs: number;
  #aliveUs: number;
  #received = 0;
  #receivedBytes = 0;
  #firstUs = 0;
  #lastUs = 0;
  #timedOut = false;

  constructor(options: MeterOptions) {
    this.#options = options;
    this.#intervalStartUs = options.startUs;
    this.#aliveUs = options.startUs;
  }

  /** Whether the flow was silent for too long. */
  get timedOut(): boolean {
    return this.#timedOut;
  }

  /** Counts a packet. Empty ones do not count. */
  onPacket(bytes: number, nowUs: number): void {
    if (bytes <= 0) return;
    this.#packets++;
    this.#bytes += bytes;
    this.#aliveUs = nowUs;
    if (this.#received === 0) this.#firstUs = nowUs;
    this.#lastUs = nowUs;
    this.#received++;
    this.#receivedBytes += bytes;
  }

  /** All that came so far. */
  total(): CbrTotal {
    return {
      received: this.#received,
      bytes: this.#receivedBytes,
      elapsed_us: Math.round(this.#lastUs - this.#firstUs),
    };
  }

  /** The report that is due, if one is. After the final one, which silence brings, there is none. */
  poll(nowUs: number): CbrReport | undefined {
    if (this.#timedOut) return undefined;
    const { intervalUs, timeoutUs } = this.#options;
    if (nowUs - this.#aliveUs > timeoutUs) {
      this.#timedOut = true;
      return this.#report(nowUs, true);
    }
    const endUs = this.#intervalStartUs + intervalUs;
    if (nowUs < endUs + LATE_US) return undefined;
    const report = this.#report(nowUs, false);
    this.#intervalStartUs = endUs;
    return report;
  }

  /** The rest, when the flow ends otherwise. */
  finish(nowUs: number): CbrReport {
    this.#timedOut = true;
    return this.#report(nowUs, true);
  }

  #report(nowUs: number, final: boolean): CbrReport {
    const report = {
      fd: this.#options.fd,
      packets: this.#packets,
      bytes: this.#bytes,
      elapsedUs: nowUs - this.#intervalStartUs,
      final,
    };
    this.#packets = 0;
    this.#bytes = 0;
    return report;
  }
}

/** The line of a report. */
export function reportLine(r: CbrReport): string {
  const ms = Math.floor(r.elapsedUs / 1000);
  const pps = r.elapsedUs > 0 ? r.packets * 1e6 / r.elapsedUs : 0;
  const mbps = r.elapsedUs > 0 ? r.bytes * 8 / r.elapsedUs : 0;
  return `Flow ${right(r.fd, 4)}: ${right(r.packets, 9)} packets (${right(r.bytes, 12)} bytes) ` +
    `in ${right(ms, 9)} ms => ${right(fixed(pps, 4), 9)} pps, ${right(fixed(mbps, 4), 9)} Mbps\n`;
}

/** The line of a client at its end. `sizeBytes` is that of each packet. */
export function sentLine(packets: number, sizeBytes: number, elapsedUs: number): string {
  const ms = Math.floor(elapsedUs / 1000);
  const mbps = ms > 0 ? packets / (ms * 1000) * sizeBytes * 8 : 0;
  return `sent statistics: ${right(packets, 9)} packets, ${right(packets * sizeBytes, 12)} bytes ` +
    `in ${right(ms, 9)} ms, ${fixed(mbps, 4)} Mb/s\n`;
}

/** The line of what the server received of `sent` packets. */
export function receivedLine(sent: number, { received, bytes, elapsed_us }: CbrTotal): string {
  const mbps = elapsed_us > 0 ? bytes * 8 / elapsed_us : 0;
  return `received by the server: ${received} packets, ${bytes} bytes, ` +
    `${exactLoss(sent, received)}% packet loss, ${fixed(mbps, 4)} Mb/s`;
}

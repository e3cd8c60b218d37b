/** What the client of `operf` prints (spec 80 §3.3). Pure. */

import { fixed } from "../../lib/cli/numbers.ts";
import type { OperfOptions } from "./options.ts";

/** What a test gave. Times are µs. */
export interface OperfResult {
  readonly sent: number;
  /** Packets that came back, in a test where they should. */
  readonly received: number;
  /** From the first packet to the end of sending. */
  readonly elapsedUs: number;
}

/** The line before anything is sent. */
export function announcement(test: OperfOptions["test"]): string {
  switch (test) {
    case "bi":
      return "Doing a bidirectional test.\n";
    case "reverse":
      return "Doing a reverse test.\n";
    default:
      return "Doing a unidirectional test.\n";
  }
}

/** The lines before the first packet. */
export function header(o: OperfOptions): string {
  const seconds = Math.trunc(o.durationMs / 1000);
  return o.flood
    ? `Flooding ${o.server} with ${o.sizeBytes} byte packets for ${seconds} seconds.\n\n`
    : `Sending ${o.sizeBytes} byte packets for ${seconds} s to ${o.server} at ` +
      `${fixed(o.rate / 1e6, 3)} Mb/s.\n\n`;
}

/** Loss in percent: 100 less the whole percents received; parts of a percent where all but little is lost. */
export function lossPercent(sent: number, received: number): number {
  if (sent === 0) return 0;
  const shown = 100 - Math.floor(100 * received / sent);
  return shown === 100 && received > 0 ? Math.floor(10_000 * (1 - received / sent)) / 100 : shown;
}

/** Counts since the beginning of a test, and when, µs. */
export interface Progress {
  readonly us: number;
  readonly sent: number;
  readonly received: number;
}

/** An interim line: what happened since the last one. */
export function intervalLine(o: OperfOptions, last: Progress, now: Progress): string {
  const sent = now.sent - last.sent;
  const returned = o.test === "bi" ? `, ${now.received - last.received} received` : "";
  const rate = fixed(megabits(sent, o.sizeBytes, now.us - last.us), 3);
  const [from, to] = [last.us, now.us].map((us) => fixed(us / 1e6, 1));
  return `${from}-${to} s: ${sent} packets transmitted${returned}, ${rate} Mb/s`;
}

/** Mb/s of a number of packets. */
export function megabits(packets: number, sizeBytes: number, elapsedUs: number): number {
  return elapsedUs > 0 ? packets * sizeBytes * 8 / elapsedUs : 0;
}

/**
 * The statistics. A one-directional test has no returns to count: it shows what was sent, and nothing
 * when nothing was.
 */
export function statistics(o: OperfOptions, r: OperfResult): string {
  const title = `\n--- ${o.server} perf statistics ---\n`;
  const time = `time: ${fixed(r.elapsedUs / 1000, 3)} ms`;
  if (o.test === "bi") {
    const rate = fixed(megabits(r.received, o.sizeBytes, r.elapsedUs), 3);
    return `${title}${r.sent} packets transmitted, ${r.received} received, ` +
      `${lossPercent(r.sent, r.received)}% packet loss, ${time}, bandwidth: ${rate} Mb/s.\n`;
  }
  if (r.sent === 0) return "";
  const rate = fixed(megabits(r.sent, o.sizeBytes, r.elapsedUs), 3);
  return `${title}${r.sent} packets transmitted, ${time}, bandwidth: ${rate} Mb/s.\n`;
}

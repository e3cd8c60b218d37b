// deno-lint-ignore-file camelcase -- --json prints these names
/**
 * What `oping` says beyond the prototype: percentiles and histogram (`--stats`), and the JSON document
 * (`--json`, times in whole ns). Pure.
 */

import { exactLoss } from "../lib/cli/numbers.ts";
import { fixed3 } from "./numbers.ts";
import type { FlowFacts } from "./about.ts";
import type { PingRun, ReplyRecord } from "./run.ts";

const BAR_WIDTH = 40;

function duration(ns: number): string {
  if (ns < 1000) return `${ns} ns`;
  if (ns < 1e6) return `${ns / 1000} µs`;
  if (ns < 1e9) return `${trimmed(ns / 1e6)} ms`;
  return `${trimmed(ns / 1e9)} s`;
}

function trimmed(value: number): string {
  return value.toPrecision(3).replace(/\.?0+$/, "");
}

/** The lines of `--stats`: percentiles in the unit of the rtt line, then the histogram. */
export function statsText(run: PingRun, percentiles: readonly number[]): string {
  const { rtt } = run;
  if (rtt.count === 0) return "";
  const [divisor, unit] = rtt.mean < 0.1 ? [1e3, "µs"] : [1e6, "ms"];
  const names = percentiles.map((p) => `p${p}`).join("/");
  const values = percentiles.map((p) => fixed3(rtt.percentileNs(p) / divisor)).join("/");
  const rows = rtt.histogram();
  const most = Math.max(...rows.map((row) => row.count));
  const lines = rows.map((row) => {
    const range = `${duration(row.fromNs)} - ${duration(row.toNs)}`.padStart(20);
    const bar = "#".repeat(Math.ceil((row.count / most) * BAR_WIDTH)).padEnd(BAR_WIDTH);
    return `${range} |${bar}| ${row.count}`;
  });
  return `rtt ${names} = ${values} ${unit}\n\nrtt histogram:\n${lines.join("\n")}\n`;
}

/** What the document needs beside the run. */
export interface JsonInput {
  readonly version: string;
  readonly name: string;
  readonly qos: string;
  readonly size: number;
  readonly intervalMs: number;
  readonly mode: string;
  readonly percentiles: readonly number[];
  /** Real times, ns. */
  readonly startNs: bigint;
  readonly endNs: bigint;
  /** Counted replies; undefined when they were too many to keep. */
  readonly packets: readonly ReplyRecord[] | undefined;
  /** Why the run ended early. */
  readonly error: string | undefined;
  /** Whether all that was asked for was done. */
  readonly complete?: boolean | undefined;
  /** The flow; absent: there was none. */
  readonly about?: FlowFacts | undefined;
}

/** Times in the document are integers whatever their size, so they are written digit by digit. */
class Integer {
  constructor(readonly digits: string) {}
}

function ns(value: number | bigint): Integer | null {
  if (typeof value === "bigint") return new Integer(String(value));
  return Number.isFinite(value) ? new Integer(String(Math.round(value))) : null;
}

type Json = string | number | boolean | null | Integer | Json[] | { [key: string]: Json };

function write(value: Json): string {
  if (value instanceof Integer) return value.digits;
  if (Array.isArray(value)) return `[${value.map(write).join(",")}]`;
  if (value !== null && typeof value === "object") {
    const members = Object.entries(value).map(([k, v]) => `${JSON.stringify(k)}:${write(v)}`);
    return `{${members.join(",")}}`;
  }
  return JSON.stringify(value);
}

/** What is known of the flow; null where it is direct, not authenticated, not encrypted. */
function about(flow: FlowFacts | undefined): Record<string, Json> {
  const { layer, peer, cipher } = flow ?? {};
  return {
    layer: layer ?? null,
    peer: peer === undefined
      ? null
      : { name: peer.name, how: peer.how, fingerprint: peer.fingerprint.toHex() },
    cipher: cipher ?? null,
  };
}

/** One JSON document, ended by a newline. */
export function jsonText(run: PingRun, input: JsonInput): string {
  const { rtt } = run;
  const ms = (value: number) => ns(value * 1e6);
  const some = rtt.count > 0;
  const document: Json = {
    tool: "oping",
    version: input.version,
    name: input.name,
    qos: input.qos,
    mode: input.mode,
    size: input.size,
    ...about(input.about),
    interval_ns: ns(input.intervalMs * 1e6),
    start: ns(input.startNs),
    end: ns(input.endNs),
    sent: run.sent,
    received: run.received,
    duplicates: run.duplicates,
    out_of_order: run.outOfOrder,
    loss_pct: exactLoss(run.sent, run.received),
    rtt: some
      ? {
        min: ms(rtt.min),
        mean: ms(rtt.mean),
        max: ms(rtt.max),
        mdev: ms(rtt.mdev),
        jitter: ns(rtt.jitterNs),
        percentiles: Object.fromEntries(
          input.percentiles.map((p) => [String(p), ns(rtt.percentileNs(p))]),
        ),
        histogram: rtt.histogram().map((row) => ({
          from: ns(row.fromNs),
          to: ns(row.toNs),
          count: row.count,
        })),
      }
      : null,
    packets: input.packets === undefined ? null : input.packets.map((p) => ({
      id: p.id,
      sent: ns(p.sentNs),
      received: ns(p.receivedNs),
      rtt: ns(p.receivedNs - p.sentNs),
      length: p.length,
      flags: [...(p.outOfOrder ? ["out-of-order"] : []), ...(p.duplicate ? ["duplicate"] : [])],
    })),
    error: input.error ?? null,
    complete: input.complete ?? false,
  };
  return write(document) + "\n";
}

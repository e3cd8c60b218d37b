/**
 * The options that our tools have beyond the prototype (spec 80 §12): one table, one reading, so that a
 * word means the same everywhere. Pure.
 */

import {
  KEEPALIVE_FORM,
  parseKeepaliveMs,
  parseScaled,
  parseTimeMs,
  parseWhole,
  unitWarning,
} from "../lib/cli/numbers.ts";
import { qosRefusal } from "../lib/cli/words.ts";
import { oneOf } from "../lib/cli/manual.ts";
import { isQosWord, QOS_WORDS } from "../lib/qos.ts";
import type { OptionSpec } from "../lib/cli/options.ts";

/** What a command line asks for when there is nothing to run: what is printed (stdout, stderr), and the exit code. */
export interface Exit {
  readonly kind: "exit";
  readonly code: number;
  readonly out: string;
  readonly err?: string;
}

/** Times without unit below this were probably meant in seconds, ms. */
const SHORT_MS = 100;

/** Options of every tool. */
export const COMMON_TABLE = {
  qos: { words: ["-q", "--qos"], value: oneOf(QOS_WORDS) },
  json: { words: ["--json"], value: false },
  deadline: { words: ["--deadline"], value: true },
  strictExit: { words: ["--strict-exit"], value: false },
  version: { words: ["--version"], value: false },
} as const satisfies Record<string, OptionSpec>;

/** Options of tools whose flows have a peer. */
export const PEER_TABLE = {
  keepalive: { words: ["--keepalive"], value: true },
} as const satisfies Record<string, OptionSpec>;

/** Options of tools that serve. */
export const SERVER_TABLE = {
  once: { words: ["--once"], value: false },
  maxFlows: { words: ["--max-flows"], value: true },
  idle: { words: ["--idle"], value: true },
} as const satisfies Record<string, OptionSpec>;

/** Options of tools that send a stream of packets. */
export const SENDER_TABLE = {
  count: { words: ["--count"], value: true },
  bytes: { words: ["--bytes"], value: true },
  report: { words: ["--report"], value: true },
  silence: { words: ["--timeout"], value: true },
} as const satisfies Record<string, OptionSpec>;

/** What they say. Undefined means not said. */
export interface CommonOptions {
  /** A cube's word. */
  readonly qos: string;
  readonly json: boolean;
  /** The client ends after this time in any case, ms. */
  readonly deadlineMs: number | undefined;
  /** Exit 1 when nothing came back that should have, 2 after an error. */
  readonly strictExit: boolean;
  readonly once: boolean;
  readonly maxFlows: number | undefined;
  /** Silence after which the server drops a flow, ms. */
  readonly idleMs: number | undefined;
  /** Packets after which the client ends. */
  readonly packetsMax: number | undefined;
  /** Payload bytes after which the client ends. */
  readonly bytesMax: number | undefined;
  /** Time between interim reports of the client, ms. */
  readonly reportMs: number | undefined;
  /** Silence after which what is missing counts as lost, ms. */
  readonly silenceMs: number | undefined;
  /** Silence after which the peer counts as gone, ms; 0: never. */
  readonly keepaliveMs: number | undefined;
  /** What is odd, for stderr. */
  readonly warnings: readonly string[];
}

/** A key of the tables. */
export type CommonKey =
  | keyof typeof COMMON_TABLE
  | keyof typeof PEER_TABLE
  | keyof typeof SERVER_TABLE
  | keyof typeof SENDER_TABLE;

/** Reads them from what a command line said last of each; a string is what is wrong. */
export function readCommon(last: (key: CommonKey) => string | undefined): CommonOptions | string {
  let wrong: string | undefined;
  const read = <T>(key: CommonKey, what: string, parse: (text: string) => T | undefined) => {
    const text = last(key);
    if (text === undefined) return undefined;
    const value = parse(text);
    if (value === undefined) wrong ??= `${wordOf(key)} takes ${what}, not "${text}"`;
    return value;
  };
  const warnings: string[] = [];
  const warn = (key: CommonKey, text: string) => {
    const warning = unitWarning(wordOf(key), text, SHORT_MS);
    if (warning !== undefined) warnings.push(warning);
  };
  const time = (key: CommonKey) =>
    read(key, "a time such as 500ms or 2s", (text) => {
      warn(key, text);
      const parsed = parseTimeMs(text);
      return "ms" in parsed && parsed.ms > 0 ? parsed.ms : undefined;
    });
  const whole = (key: CommonKey) =>
    read(key, "a number from 1 to 10^9", (text) => parseWhole(text, 1, 1e9));
  const qos = last("qos") ?? "raw";
  if (!isQosWord(qos)) return qosRefusal(qos);
  const options: CommonOptions = {
    qos,
    json: last("json") !== undefined,
    deadlineMs: time("deadline"),
    strictExit: last("strictExit") !== undefined,
    once: last("once") !== undefined,
    maxFlows: whole("maxFlows"),
    idleMs: time("idle"),
    packetsMax: whole("count"),
    bytesMax: read("bytes", "a number of bytes such as 5M", (text) => parseScaled(text, 1, 1e15)),
    reportMs: time("report"),
    silenceMs: time("silence"),
    keepaliveMs: read("keepalive", KEEPALIVE_FORM, (text) => {
      warn("keepalive", text);
      return parseKeepaliveMs(text);
    }),
    warnings,
  };
  return wrong ?? options;
}

function wordOf(key: CommonKey): string {
  const { words }: OptionSpec = {
    ...COMMON_TABLE,
    ...PEER_TABLE,
    ...SERVER_TABLE,
    ...SENDER_TABLE,
  }[key];
  return words[words.length - 1]!;
}

/** Packets after which a sender ends, by number and by bytes. */
export function packetLimit(o: CommonOptions, sizeBytes: number): number | undefined {
  const byBytes = o.bytesMax === undefined
    ? Infinity
    : Math.ceil(o.bytesMax / Math.max(1, sizeBytes));
  const limit = Math.min(o.packetsMax ?? Infinity, byBytes);
  return limit === Infinity ? undefined : limit;
}

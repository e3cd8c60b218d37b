/**
 * The command line of `oping` (spec 80 §2.1): the prototype's words, defaults, order of checks and
 * texts, and our long options. Pure.
 */

import { NAME, oneOf } from "../lib/cli/manual.ts";
import {
  KEEPALIVE_FORM,
  parseDecimal,
  parseKeepaliveMs,
  parseTimeMs,
  parseWhole,
  unitWarning,
} from "../lib/cli/numbers.ts";
import {
  needsValue,
  type OptionSpec,
  parseOptions as parseWords,
  unknownWord,
} from "../lib/cli/options.ts";
import { versionText } from "../lib/cli/version.ts";
import { qosRefusal } from "../lib/cli/words.ts";
import { isQosWord, QOS_WORDS, type QosWord } from "../lib/qos.ts";
import { SIZE_MAX, SIZE_MIN } from "../lib/wire/oping_msg.ts";
import { COUNT_MAX } from "./run.ts";
import { MORE, USAGE } from "./usage.ts";

/** Largest interval, ms. */
const INTERVAL_MAX_MS = 10_000;
/** How long a server keeps a flow without requests, ms: more than the pause before the first and between two. */
const IDLE_MS = INTERVAL_MAX_MS + 2000;

/** How the client sends. */
export type Mode = "normal" | "flood" | "flood-busy";

export interface ClientOptions {
  readonly kind: "client";
  readonly name: string;
  readonly mode: Mode;
  readonly count: number;
  /** Ends a flood, ms; undefined: the count alone does. */
  readonly durationMs: number | undefined;
  /** The duration as typed when it is shown instead of a count. */
  readonly durationText: string | undefined;
  readonly intervalMs: number;
  readonly size: number;
  readonly qos: QosWord;
  readonly quiet: boolean;
  readonly timeOfDay: boolean;
  readonly stats: boolean;
  readonly percentiles: readonly number[];
  readonly json: boolean;
  readonly strictExit: boolean;
  /** Longest silence, ms. */
  readonly timeoutMs: number;
  /** Silence ends the run after replies, too: it was asked for. */
  readonly givesUp: boolean;
  readonly deadlineMs: number | undefined;
  readonly reportMs: number | undefined;
  /** Silence after which the peer counts as gone, ms; 0: never. */
  readonly keepaliveMs: number | undefined;
  /** Lines to print before anything else. */
  readonly notes: readonly string[];
  /** What is odd, for stderr. */
  readonly warnings: readonly string[];
}

export interface ServerOptions {
  readonly kind: "server";
  readonly mode: "wait" | "poll" | "busy";
  readonly quiet: boolean;
  readonly once: boolean;
  readonly flowsMax: number;
  readonly idleMs: number;
  readonly notes: readonly string[];
  readonly warnings: readonly string[];
}

/** A command line that ends at once. */
export interface ExitOptions {
  readonly kind: "exit";
  readonly code: number;
  readonly text: string;
  /** What is wrong, for stderr, where the text does not say it. */
  readonly reason?: string;
}

/** Several names to ping at once: a client for each. */
export interface SeveralOptions {
  readonly kind: "several";
  readonly names: readonly string[];
  /** The options of each. */
  readonly words: readonly string[];
}

export type OpingOptions = ClientOptions | ServerOptions | SeveralOptions | ExitOptions;

/** All its options. */
export const OPING_OPTIONS = {
  listen: { words: ["-l", "--listen"], value: false },
  poll: { words: ["--poll"], value: false },
  busy: { words: ["--busy"], value: false },
  count: { words: ["-c", "--count"], value: true },
  duration: { words: ["-d", "--duration"], value: true },
  flood: { words: ["-f", "--flood"], value: false },
  "flood-busy": { words: ["-F", "--flood-busy"], value: false },
  interval: { words: ["-i", "--interval"], value: true },
  name: { words: ["-n", "--server-name"], value: NAME },
  qos: { words: ["-q", "--qos"], value: oneOf(QOS_WORDS) },
  size: { words: ["-s", "--size"], value: true },
  quiet: { words: ["-Q", "--quiet"], value: false },
  timeofday: { words: ["-D", "--timeofday"], value: false },
  stats: { words: ["--stats"], value: false },
  percentiles: { words: ["--percentiles"], value: true },
  json: { words: ["--json"], value: false },
  timeout: { words: ["--timeout"], value: true },
  deadline: { words: ["--deadline"], value: true },
  report: { words: ["--report"], value: true },
  keepalive: { words: ["--keepalive"], value: true },
  "strict-exit": { words: ["--strict-exit"], value: false },
  once: { words: ["--once"], value: false },
  "max-flows": { words: ["--max-flows"], value: true },
  idle: { words: ["--idle"], value: true },
  version: { words: ["--version"], value: false },
  help: { words: ["-h", "--help"], value: false },
  "help-all": { words: ["--help-all"], value: false },
} as const satisfies Record<string, OptionSpec>;

type Key = keyof typeof OPING_OPTIONS;

/** Options that take a whole number, and the largest. */
const WHOLE: readonly (readonly [Key, number])[] = [
  ["count", COUNT_MAX],
  ["size", COUNT_MAX],
  ["max-flows", COUNT_MAX],
];

/** Options that take a time; below the number of ms seconds were probably meant, if there is no unit. */
const TIMES: ReadonlyMap<Key, number> = new Map<Key, number>([
  ["duration", 1000],
  ["interval", 5],
  ["timeout", 100],
  ["deadline", 1000],
  ["report", 100],
  ["idle", 100],
  ["keepalive", 100],
]);

/** Those of ours that make no sense when they are 0. */
const OWN_TIMES: ReadonlySet<Key> = new Set<Key>(["timeout", "deadline", "report", "idle"]);

/** One line that says what is wrong. */
function refuse(reason: string): ExitOptions {
  return { kind: "exit", code: 1, text: "", reason };
}

function usageExit(reason: string): ExitOptions {
  return { kind: "exit", code: 1, text: USAGE, reason };
}

interface Words {
  readonly flags: Set<Key>;
  readonly values: Map<Key, string>;
  readonly times: Map<Key, number>;
  /** What is odd, for stderr. */
  readonly warnings: string[];
  /** Names without -n. */
  names: readonly string[];
  /** The options but -n, as they may be given again. */
  readonly again: string[];
}

/** Collects the words; an early exit where the prototype exits while it reads them. */
function collect(args: readonly string[]): Words | ExitOptions {
  const words: Words = {
    flags: new Set(),
    values: new Map(),
    times: new Map(),
    warnings: [],
    names: [],
    again: [],
  };
  const parsed = parseWords(args, OPING_OPTIONS, true);
  for (const [key, value] of parsed.options) {
    if (key === "help") return { kind: "exit", code: 0, text: USAGE };
    if (key === "help-all") return { kind: "exit", code: 0, text: USAGE + MORE };
    if (key === "version") return { kind: "exit", code: 0, text: versionText("oping") };
    const { words: [word], value: takes } = OPING_OPTIONS[key];
    if (key !== "name") words.again.push(word, ...(takes === false ? [] : [value]));
    if (takes === false) {
      words.flags.add(key);
      continue;
    }
    words.values.set(key, value);
    const shortMs = TIMES.get(key);
    if (shortMs === undefined) continue;
    const time = parseTimeMs(value);
    if ("unit" in time) {
      const text = `Unknown time unit: ${time.unit}.\n`;
      return { ...refuse(`--${key} takes a time such as 500ms or 2s, not "${value}"`), text };
    }
    if ("wrong" in time) {
      return refuse(`--${key} takes a time such as 500ms or 2s, not "${value}": ${time.wrong}`);
    }
    if (time.ms === 0 && OWN_TIMES.has(key)) {
      return refuse(`--${key} takes a time above 0 such as 500ms or 2s, not "${value}"`);
    }
    const warning = unitWarning(word, value, shortMs);
    if (warning !== undefined) words.warnings.push(warning);
    if (key === "keepalive" && parseKeepaliveMs(value) === undefined) {
      return refuse(`--keepalive takes ${KEEPALIVE_FORM}, not "${value}"`);
    }
    words.times.set(key, key === "keepalive" ? parseKeepaliveMs(value)! : time.ms);
  }
  if (parsed.kind === "unknown") return usageExit(unknownWord(parsed.word, OPING_OPTIONS));
  if (parsed.kind === "missing") return usageExit(needsValue(parsed.word));
  words.names = parsed.operands;
  return words;
}

function percentilesOf(list: string | undefined): number[] | undefined {
  const parts = (list ?? "50,90,99,99.9").split(",").map((p) => parseDecimal(p.trim(), 0, 100));
  const numbers = parts.filter((p) => p !== undefined && p > 0) as number[];
  return numbers.length === parts.length ? numbers : undefined;
}

/** Understands a command line. */
export function parseOptions(args: readonly string[]): OpingOptions {
  const words = collect(args);
  if ("kind" in words) return words;
  const notes: string[] = [];
  let qos: QosWord = "raw";
  const cube = words.values.get("qos");
  if (cube !== undefined) {
    if (!isQosWord(cube)) return refuse(qosRefusal(cube));
    qos = cube;
  }
  for (const [key, most] of WHOLE) {
    const value = words.values.get(key);
    const least = key === "max-flows" ? 1 : 0;
    if (value === undefined || parseWhole(value, least, most) !== undefined) continue;
    return refuse(`--${key} takes a whole number from ${least} to ${most}, not "${value}"`);
  }
  return words.flags.has("listen") ? serverOptions(words, notes) : clientOptions(words, qos, notes);
}

function serverOptions(words: Words, notes: string[]): OpingOptions {
  const { flags, values, times, names, warnings } = words;
  if (names.length > 0) {
    return refuse(
      `A server takes no name, "${names[0]}" is bound to it: irm bind program oping name NAME`,
    );
  }
  const flowsMax = values.get("max-flows");
  return {
    kind: "server",
    mode: flags.has("busy") ? "busy" : flags.has("poll") ? "poll" : "wait",
    quiet: flags.has("quiet"),
    once: flags.has("once"),
    flowsMax: flowsMax === undefined ? Infinity : Number(flowsMax),
    idleMs: times.get("idle") ?? IDLE_MS,
    notes,
    warnings,
  };
}

function clientOptions(words: Words, qos: QosWord, notes: string[]): OpingOptions {
  const { flags, values, times, again } = words;
  const names = [
    ...new Set([...words.values.has("name") ? [values.get("name")!] : [], ...words.names]),
  ];
  const text = (line: string) => notes.map((note) => `${note}\n`).join("") + line;
  const [name = ""] = names;
  if (names.length === 0 || names.includes("")) {
    return { kind: "exit", code: 1, text: text(`No server specified.\n${USAGE}`) };
  }
  const percentiles = percentilesOf(values.get("percentiles"));
  if (percentiles === undefined) {
    return { kind: "exit", code: 1, text: text("Percentiles are numbers above 0 up to 100.\n") };
  }
  const mode: Mode = flags.has("flood-busy")
    ? "flood-busy"
    : flags.has("flood")
    ? "flood"
    : "normal";
  let intervalMs = times.get("interval") ?? 1000;
  const durationMs = times.get("duration") ?? 0;
  const limitFlood = durationMs > 0 && mode !== "normal";
  // From the interval as given, before it is cut (vectors oping.duration).
  const count = countOf(values.get("count"), intervalMs, mode === "normal" ? durationMs : 0);
  if (intervalMs > INTERVAL_MAX_MS) {
    notes.push("Ping interval truncated to 10s.");
    intervalMs = INTERVAL_MAX_MS;
  }
  const size = sizeOf(values.get("size"), notes);
  if (names.length > 1) return { kind: "several", names, words: again };
  return {
    kind: "client",
    name,
    mode,
    count,
    durationMs: limitFlood ? durationMs : undefined,
    durationText: limitFlood && !values.has("count") ? values.get("duration") : undefined,
    intervalMs,
    size,
    qos,
    quiet: flags.has("quiet"),
    timeOfDay: flags.has("timeofday"),
    stats: flags.has("stats") || values.has("percentiles"),
    percentiles,
    json: flags.has("json"),
    strictExit: flags.has("strict-exit"),
    timeoutMs: times.get("timeout") ?? (Math.floor(intervalMs / 1000) + 2) * 1000,
    givesUp: times.has("timeout"),
    deadlineMs: times.get("deadline"),
    reportMs: times.get("report"),
    keepaliveMs: times.get("keepalive"),
    notes,
    warnings: words.warnings,
  };
}

/** Pings to send: as many as asked for, or as fit in `durationMs`, if that is not 0. */
function countOf(word: string | undefined, intervalMs: number, durationMs: number): number {
  if (durationMs > 0) {
    const count = intervalMs > 0 ? Math.trunc(durationMs / intervalMs) : durationMs * 10;
    return Math.min(COUNT_MAX, count);
  }
  return word === undefined ? COUNT_MAX : Number(word);
}

function sizeOf(word: string | undefined, notes: string[]): number {
  const size = word === undefined ? SIZE_MIN : Number(word);
  if (size > SIZE_MAX) {
    notes.push(`Packet size truncated to ${SIZE_MAX} bytes.`);
    return SIZE_MAX;
  }
  if (size < SIZE_MIN) {
    notes.push(`Packet size set to ${SIZE_MIN} bytes.`);
    return SIZE_MIN;
  }
  return size;
}

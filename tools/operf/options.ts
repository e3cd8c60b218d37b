/** The command line of `operf` (spec 80 §3.1): options, their checks in the prototype's order, the usage. */

import { didYouMean } from "../../lib/cli/nearest.ts";
import { NAME, oneOf } from "../../lib/cli/manual.ts";
import { parseTimeMs, parseWhole, unitWarning } from "../../lib/cli/numbers.ts";
import { needsValue, type OptionSpec, parseOptions, unknownWord } from "../../lib/cli/options.ts";
import {
  COMMON_TABLE,
  type CommonOptions,
  type Exit,
  PEER_TABLE,
  readCommon,
  SENDER_TABLE,
  SERVER_TABLE,
} from "../common.ts";
import { versionText } from "../../lib/cli/version.ts";

export const OPERF_USAGE = `Usage: operf [OPTION]...
Measures bandwidth between a client and a server
  -l, --listen              Run in server mode
  -t, --test                The type of test [uni, bi] (default uni)
  -n, --server-name         Name of the operf server
  -d, --duration            Test duration (default 60s)
  -r, --rate                Rate (b/s)
  -s, --size                Payload size (B, default 1500)
  -f, --flood               Send packets as fast as possible
      --sleep               Sleep in between sending packets

      --help                Display this help text and exit
`;

/** Smallest and largest packet, bytes. */
export const SIZE_BYTES_MIN = 64;
export const SIZE_BYTES_MAX = 1048576;

/** A test that is shorter was probably meant in seconds, ms. */
const SHORT_MS = 1000;

/** Words of the tests; `report` and `reverse` need a server of ours. */
export const TESTS = ["uni", "bi", "report", "reverse"] as const;

/** A kind of test. */
export type OperfTest = typeof TESTS[number];

/** A command line that makes sense. */
export interface OperfOptions extends CommonOptions {
  readonly listen: boolean;
  readonly test: OperfTest;
  /** The test was asked for. */
  readonly testGiven: boolean;
  readonly server: string;
  readonly durationMs: number;
  /** Bits a second. */
  readonly rate: number;
  readonly sizeBytes: number;
  /** The size was asked for. */
  readonly sizeGiven: boolean;
  readonly flood: boolean;
  readonly sleep: boolean;
  /** Server: a line for each packet of a one-directional test, as the prototype prints. */
  readonly verbose: boolean;
  /** What the prototype says about a size out of bounds, for stdout. */
  readonly notice: string;
}

/** Options, or what to print (stdout, stderr) and exit with. */
export type OperfCommand =
  | { readonly kind: "run"; readonly options: OperfOptions }
  | Exit;

/** All its options. */
export const OPERF_OPTIONS = {
  listen: { words: ["-l", "--listen"], value: false },
  test: { words: ["-t", "--test"], value: oneOf(TESTS) },
  server: { words: ["-n", "--server-name"], value: NAME },
  duration: { words: ["-d", "--duration"], value: true },
  rate: { words: ["-r", "--rate"], value: true },
  size: { words: ["-s", "--size"], value: true },
  flood: { words: ["-f", "--flood"], value: false },
  sleep: { words: ["--sleep"], value: false },
  verbose: { words: ["--verbose"], value: false },
  ...COMMON_TABLE,
  ...PEER_TABLE,
  ...SERVER_TABLE,
  ...SENDER_TABLE,
  help: { words: ["--help"], value: false },
} as const satisfies Record<string, OptionSpec>;

/** Reads a command line. Pure. */
export function parseOperf(args: readonly string[]): OperfCommand {
  const parsed = parseOptions(args, OPERF_OPTIONS);
  if (parsed.kind === "unknown") {
    return {
      kind: "exit",
      code: 1,
      out: OPERF_USAGE,
      err: unknownWord(parsed.word, OPERF_OPTIONS),
    };
  }
  if (parsed.kind === "missing") {
    const out = parsed.key === "server" ? "No server specified.\n" : OPERF_USAGE;
    return { kind: "exit", code: 1, out, err: needsValue(parsed.word) };
  }
  let durationMs = 60_000;
  let rate = 1_000_000;
  const warnings: string[] = [];
  // Units are complained about as they come, before later options are looked at.
  for (const [key, text] of parsed.options) {
    if (key === "help") return { kind: "exit", code: 0, out: OPERF_USAGE };
    if (key === "version") return { kind: "exit", code: 0, out: versionText("operf") };
    if (key === "duration") {
      const time = parseTimeMs(text);
      const refusal = `-d takes a time such as 500ms or 2s, not "${text}"`;
      if ("unit" in time) {
        const out = `Unknown time unit: ${time.unit}.\n`;
        return { kind: "exit", code: 1, out, err: refusal };
      }
      if ("wrong" in time) {
        return { kind: "exit", code: 1, out: "", err: `${refusal}: ${time.wrong}` };
      }
      durationMs = time.ms;
      const warning = unitWarning("-d", text, SHORT_MS);
      if (warning !== undefined) warnings.push(warning);
    } else if (key === "rate") {
      const read = rateOf(text);
      if (read === undefined || "unit" in read) {
        const out = read === undefined ? "" : `Unknown rate unit: ${read.unit}.\n`;
        const err = `-r takes a rate such as 500k or 2M, not "${text}"`;
        return { kind: "exit", code: 1, out, err };
      }
      rate = read.rate;
      if (read.plain) {
        warnings.push(`-r ${text} means ${text} kb/s here; write ${text}k or ${text}b`);
      }
    }
  }
  const has = (key: keyof typeof OPERF_OPTIONS) => parsed.options.some(([k]) => k === key);
  const last = (key: keyof typeof OPERF_OPTIONS) =>
    parsed.options.findLast(([k]) => k === key)?.[1];
  const common = readCommon(last);
  if (typeof common === "string") return { kind: "exit", code: 1, out: "", err: common };
  const listen = has("listen");
  const server = last("server") ?? "";
  if (!listen && server === "") return { kind: "exit", code: 1, out: "No server specified.\n" };
  // A server of the prototype takes it for a one-directional test, one of ours tells what it received.
  const test = last("test") ?? "report";
  if (!listen && !isTest(test)) {
    const err = `"${test}" is no test (${TESTS.join(", ")})${didYouMean(test, TESTS)}`;
    return { kind: "exit", code: 1, out: "Invalid test type.\n", err };
  }
  const size = last("size");
  if (size !== undefined && parseWhole(size, 0, 2 ** 31 - 1) === undefined) {
    const err = `-s takes a number of bytes, not "${size}"`;
    return { kind: "exit", code: 1, out: "", err };
  }
  const { sizeBytes, notice } = sizeOf(size);
  return {
    kind: "run",
    options: {
      listen,
      test: isTest(test) ? test : "uni",
      testGiven: has("test"),
      server,
      durationMs,
      rate,
      sizeBytes,
      sizeGiven: last("size") !== undefined,
      flood: has("flood"),
      sleep: has("sleep"),
      verbose: has("verbose"),
      ...common,
      notice,
      warnings: [...warnings, ...common.warnings],
    },
  };
}

function isTest(word: string): word is OperfTest {
  return (TESTS as readonly string[]).includes(word);
}

function sizeOf(text: string | undefined): { sizeBytes: number; notice: string } {
  const size = text === undefined ? 1500 : Number(text);
  if (size > SIZE_BYTES_MAX) {
    const notice = `Packet size truncated to ${SIZE_BYTES_MAX} bytes.\n`;
    return { sizeBytes: SIZE_BYTES_MAX, notice };
  }
  if (size < SIZE_BYTES_MIN) {
    return { sizeBytes: SIZE_BYTES_MIN, notice: `Packet size set to ${SIZE_BYTES_MIN} bytes.\n` };
  }
  return { sizeBytes: size, notice: "" };
}

/** Bits a second for each suffix; without one the prototype counts thousands. */
const RATES: Readonly<Record<string, number>> = {
  "": 1e3,
  b: 1,
  k: 1e3,
  kbit: 1e3,
  M: 1e6,
  Mbit: 1e6,
  G: 1e9,
  Gbit: 1e9,
};

function rateOf(
  text: string,
): { readonly rate: number; readonly plain: boolean } | { readonly unit: string } | undefined {
  const found = /^([0-9]+)(.*)$/s.exec(text);
  if (!found || found[1]!.length > 15) return undefined;
  const [value, rest] = [Number(found[1]), found[2]!];
  if (!Object.hasOwn(RATES, rest)) return { unit: rest };
  return { rate: value * RATES[rest]!, plain: rest === "" && value !== 0 };
}

/** The command line of `ocbr` (spec 80 §4): options, their checks in the prototype's order, the usage. */

import { NAME } from "../../lib/cli/manual.ts";
import { parseScaled, parseSeconds, parseWhole } from "../../lib/cli/numbers.ts";
import { needsValue, type OptionSpec, parseOptions, unknownWord } from "../../lib/cli/options.ts";
import {
  COMMON_TABLE,
  type CommonOptions,
  type Exit,
  packetLimit,
  PEER_TABLE,
  readCommon,
  SENDER_TABLE,
  SERVER_TABLE,
} from "../common.ts";
import { versionText } from "../../lib/cli/version.ts";

export const OCBR_USAGE = `Usage: ocbr [OPTION]...
Sends packets from client to server at a constant bit rate.

  -l, --listen              Run in server mode

Server options:
  -i, --interval            Server report interval (s)
  -t, --timeout             Server timeout interval (s)

Client options:
  -n, --server_apn          Specify the name of the server.
  -d, --duration            Duration for sending (s)
  -f, --flood               Send packets as fast as possible
  -s, --size                packet size (B, max 524288 B)
  -r, --rate                Rate (b/s)
      --sleep               Sleep in between sending packets
      --spin                Spin CPU between sending packets


      --help                Display this help text and exit
`;

/** Largest packet, bytes. */
export const SIZE_BYTES_MAX = 524288;

/** A command line that makes sense. */
export interface OcbrOptions extends CommonOptions {
  readonly listen: boolean;
  /** Seconds between reports; at least 0.1. */
  readonly intervalS: number;
  /** Seconds of silence after which a test is over. */
  readonly timeoutS: number;
  readonly server: string;
  /** Whole seconds. */
  readonly durationS: number;
  readonly flood: boolean;
  readonly sizeBytes: number;
  /** Bits a second. */
  readonly rate: number;
  readonly spin: boolean;
}

/** Options, or what to print (stdout, stderr) and exit with. */
export type OcbrCommand =
  | { readonly kind: "run"; readonly options: OcbrOptions }
  | Exit;

/** All its options. */
export const OCBR_OPTIONS = {
  listen: { words: ["-l", "--listen"], value: false },
  interval: { words: ["-i", "--interval"], value: true },
  timeout: { words: ["-t", "--timeout"], value: true },
  server: { words: ["-n", "--server_apn", "--server-name"], value: NAME },
  duration: { words: ["-d", "--duration"], value: true },
  flood: { words: ["-f", "--flood"], value: false },
  size: { words: ["-s", "--size"], value: true },
  rate: { words: ["-r", "--rate"], value: true },
  sleep: { words: ["--sleep"], value: false },
  spin: { words: ["--spin"], value: false },
  ...COMMON_TABLE,
  ...PEER_TABLE,
  ...SERVER_TABLE,
  count: SENDER_TABLE.count,
  bytes: SENDER_TABLE.bytes,
  report: SENDER_TABLE.report,
  help: { words: ["--help"], value: false },
} as const satisfies Record<string, OptionSpec>;

/** The prototype floods its log with an interval of 0; ours has a floor. */
const INTERVAL_S_MIN = 0.1;

/** Reads a command line. Pure. */
export function parseOcbr(args: readonly string[]): OcbrCommand {
  const parsed = parseOptions(args, OCBR_OPTIONS);
  if (parsed.kind === "unknown") {
    return { kind: "exit", code: 1, out: OCBR_USAGE, err: unknownWord(parsed.word, OCBR_OPTIONS) };
  }
  if (parsed.kind === "missing") {
    const err = needsValue(parsed.word);
    if (parsed.key === "server") return { ...noServer(), err };
    return { kind: "exit", code: 1, out: OCBR_USAGE, err };
  }
  const has = (key: keyof typeof OCBR_OPTIONS) => parsed.options.some(([k]) => k === key);
  const last = (key: keyof typeof OCBR_OPTIONS) => parsed.options.findLast(([k]) => k === key)?.[1];
  const common = readCommon((key) => key === "silence" ? undefined : last(key));
  if (typeof common === "string") return { kind: "exit", code: 1, out: "", err: common };
  // A size below 0 has words of the prototype's, further down.
  const sizeText = last("size") ?? "1000";
  const sizeBytes = /^-[0-9]+$/.test(sizeText) ? -1 : Number(sizeText);
  let wrong: string | undefined;
  const number = (key: keyof typeof OCBR_OPTIONS, preset: number) => {
    const text = last(key);
    if (text === undefined) return preset;
    const seconds = parseSeconds(text);
    const value = Number.isInteger(seconds) ? seconds : undefined;
    if (value === undefined) {
      wrong ??= `--${key} takes whole seconds such as 5 or 2m, not "${text}"`;
    }
    return value ?? preset;
  };
  if (sizeBytes !== -1 && parseWhole(sizeText, 0, 2 ** 31 - 1) === undefined) {
    wrong ??= `--size takes a number of bytes, not "${sizeText}"`;
  }
  if (has("help")) return { kind: "exit", code: 0, out: OCBR_USAGE };
  if (has("version")) return { kind: "exit", code: 0, out: versionText("ocbr") };
  const rateWord = last("rate");
  const rate = rateWord === undefined ? 1_000_000 : parseScaled(rateWord, 0, 1e15);
  if (rate === undefined) wrong ??= `--rate takes a number such as 500k or 2M, not "${rateWord}"`;
  const options: OcbrOptions = {
    listen: has("listen"),
    intervalS: Math.max(INTERVAL_S_MIN, number("interval", 1)),
    timeoutS: Math.max(0, number("timeout", 1)),
    server: last("server") ?? "",
    durationS: number("duration", 60),
    flood: has("flood"),
    sizeBytes,
    rate: rate ?? 0,
    spin: parsed.options.findLast(([k]) => k === "spin" || k === "sleep")?.[0] === "spin",
    ...common,
    packetsMax: packetLimit(common, sizeBytes),
  };
  if (wrong !== undefined) return { kind: "exit", code: 1, out: "", err: wrong };
  if (options.listen) return { kind: "run", options };
  if (options.server === "") return noServer();
  const bad = options.sizeBytes > SIZE_BYTES_MAX
    ? `Maximum size: ${SIZE_BYTES_MAX}.\n`
    : options.sizeBytes < 0
    ? "Size overflow.\n"
    : options.rate <= 0
    ? "Invalid rate.\n"
    : undefined;
  return bad === undefined ? { kind: "run", options } : { kind: "exit", code: 1, out: bad };
}

function noServer() {
  return { kind: "exit", code: 1, out: `No server specified.\n${OCBR_USAGE}` } as const;
}

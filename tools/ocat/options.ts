/** The command line of `ocat`: which side of a flow, and what is joined to it. */

import { NAME, oneOf, PROGRAM } from "../../lib/cli/manual.ts";
import { parseWhole } from "../../lib/cli/numbers.ts";
import { needsValue, type OptionSpec, parseOptions, unknownWord } from "../../lib/cli/options.ts";
import { qosRefusal } from "../../lib/cli/words.ts";
import { versionText } from "../../lib/cli/version.ts";
import { isQosWord, QOS_WORDS } from "../../lib/qos.ts";
import { type Exit, PEER_TABLE, readCommon } from "../common.ts";

export const OCAT_USAGE = `Usage: ocat [OPTION]... NAME
       ocat -l [OPTION]... NAME
Joins a flow to standard input and output, to a command or to a TCP connection

  -l, --listen              Serve NAME; otherwise: allocate a flow to it
      --exec COMMAND        Join each flow to a command, run by sh
      --tcp-connect ADDR    Join each flow to a TCP connection to HOST:PORT
      --tcp-listen ADDR     Join each TCP connection to [HOST:]PORT to a flow
      --no-bind             Server: NAME is bound already (irm bind program ocat name NAME)
      --once                End after the first flow
      --max-flows N         Refuse more flows at once than that (default 256)
      --timeout TIME        Client: how long to wait for the flow
      --keepalive TIME      Client: notice a lost peer after so long (default 120s); the server, too
  -q, --qos WORD            data (default, reliable), raw, best, video, voice
      --version             Print the version
      --help                Display this help text and exit

The end of input on one side is told to the other, which may go on sending: the flow
ends when both have. On cubes that are not reliable no end can be told; there the
flow ends with the input. A server on standard input and output serves one flow.

  ocat -l web --tcp-connect 127.0.0.1:80       what listens on port 80 as the name web
  ocat web --tcp-listen 8080                   and a port for it on another node
  ocat -l date --exec date                     a command for each flow
  ocat date                                    and what it says
  tar c dir | ocat backup                      ocat -l backup > dir.tar

Exit codes: 0 when both sides had said all, 1 when the flow or the connection broke;
a client with --exec ends as its command does.
`;

/** All its options. */
export const OCAT_OPTIONS = {
  listen: { words: ["-l", "--listen"], value: false },
  exec: { words: ["--exec"], value: PROGRAM },
  tcpConnect: { words: ["--tcp-connect"], value: true },
  tcpListen: { words: ["--tcp-listen"], value: true },
  noBind: { words: ["--no-bind"], value: false },
  once: { words: ["--once"], value: false },
  maxFlows: { words: ["--max-flows"], value: true },
  timeout: { words: ["--timeout"], value: true },
  ...PEER_TABLE,
  qos: { words: ["-q", "--qos"], value: oneOf(QOS_WORDS) },
  version: { words: ["--version"], value: false },
  help: { words: ["-h", "--help"], value: false },
} as const satisfies Record<string, OptionSpec>;

/** The word before the options. */
export const OCAT_OPERAND = NAME;

/** Where a TCP side is. */
export interface Address {
  readonly hostname: string;
  readonly port: number;
}

/** What flows are joined to. */
export type Side =
  | { readonly kind: "stdio" }
  | { readonly kind: "exec"; readonly command: string }
  | { readonly kind: "tcp-connect"; readonly address: Address }
  | { readonly kind: "tcp-listen"; readonly address: Address };

/** A command line that makes sense. */
export interface OcatOptions {
  readonly name: string;
  readonly listen: boolean;
  readonly side: Side;
  readonly bind: boolean;
  readonly once: boolean;
  readonly maxFlows: number;
  readonly timeoutMs: number | undefined;
  readonly keepaliveMs: number | undefined;
  readonly qos: string;
  /** What is odd, for stderr. */
  readonly warnings: readonly string[];
}

/** Options, or what to print (stdout, stderr) and exit with. */
export type OcatCommand =
  | { readonly kind: "run"; readonly options: OcatOptions }
  | Exit;

function refuse(err: string): OcatCommand {
  return { kind: "exit", code: 1, out: "", err: `${err} (ocat --help)` };
}

/** Reads a command line. */
export function parseOcat(args: readonly string[]): OcatCommand {
  const parsed = parseOptions(args, OCAT_OPTIONS, true);
  if (parsed.kind === "unknown") return refuse(unknownWord(parsed.word, OCAT_OPTIONS));
  if (parsed.kind === "missing") return refuse(needsValue(parsed.word));
  const last = (key: keyof typeof OCAT_OPTIONS) => parsed.options.findLast(([k]) => k === key)?.[1];
  if (last("help") !== undefined) return { kind: "exit", code: 0, out: OCAT_USAGE };
  if (last("version") !== undefined) return { kind: "exit", code: 0, out: versionText("ocat") };
  const [name, ...more] = parsed.operands;
  if (name === undefined || name === "") return refuse("No name given");
  if (more.length > 0) return refuse(`"${more[0]}" is too much: one name`);
  const side = sideOf(last("exec"), last("tcpConnect"), last("tcpListen"));
  if (typeof side === "string") return refuse(side);
  const maxFlows = parseWhole(last("maxFlows") ?? "256", 1, 4000);
  if (maxFlows === undefined) {
    return refuse(`--max-flows takes a number from 1 to 4000, not "${last("maxFlows")}"`);
  }
  const said = readCommon((key) =>
    key === "silence" ? last("timeout") : key === "keepalive" ? last("keepalive") : undefined
  );
  if (typeof said === "string") return refuse(said);
  const qos = last("qos") ?? "data";
  if (!isQosWord(qos)) return refuse(qosRefusal(qos));
  return {
    kind: "run",
    options: {
      name,
      listen: last("listen") !== undefined,
      side,
      bind: last("noBind") === undefined,
      once: last("once") !== undefined,
      maxFlows,
      timeoutMs: said.silenceMs,
      keepaliveMs: said.keepaliveMs,
      qos,
      warnings: said.warnings,
    },
  };
}

function sideOf(
  command: string | undefined,
  connect: string | undefined,
  listen: string | undefined,
): Side | string {
  if ([command, connect, listen].filter((word) => word !== undefined).length > 1) {
    return "One of --exec, --tcp-connect and --tcp-listen, not more";
  }
  if (command !== undefined) {
    return command === "" ? "--exec needs a command" : { kind: "exec", command };
  }
  const text = connect ?? listen;
  if (text === undefined) return { kind: "stdio" };
  const address = addressOf(text, connect === undefined);
  if (address === undefined) {
    const form = connect === undefined ? "[HOST:]PORT" : "HOST:PORT";
    return `--tcp-${connect === undefined ? "listen" : "connect"} takes ${form}, not "${text}"`;
  }
  return { kind: connect === undefined ? "tcp-listen" : "tcp-connect", address };
}

/** `HOST:PORT`, `[IPv6]:PORT`, and a port alone where one listens; port 0 there is any free one. */
function addressOf(text: string, listens: boolean): Address | undefined {
  const found = /^(?:(?:\[([^\]]+)\]|([^:[\]]+)):)?([0-9]{1,5})$/.exec(text);
  if (!found) return undefined;
  const hostname = found[1] ?? found[2];
  const port = Number(found[3]);
  if (port > 65535 || (!listens && (port === 0 || hostname === undefined))) return undefined;
  // What is forwarded is for this host alone unless somebody says otherwise.
  return { hostname: hostname ?? "127.0.0.1", port };
}

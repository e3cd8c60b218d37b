// deno-lint-ignore-file camelcase -- --json prints these names
/** `oecho`: says hi to the name `oecho` and prints the answer, or answers (spec 80 §5). */

import { Flow } from "../lib/flow/flow.ts";
import { needsValue, parseOptions, unknownWord } from "../lib/cli/options.ts";
import { complain, cText, fail, print, reasonOf } from "./console.ts";
import { type Conversation, serve } from "./serve.ts";
import {
  COMMON_TABLE,
  type CommonOptions,
  type Exit,
  PEER_TABLE,
  readCommon,
  SENDER_TABLE,
  SERVER_TABLE,
} from "./common.ts";
import { commandOf, leave, openProcess, qosOf, Stop, stopAfter, whyNoFlow } from "./session.ts";
import { versionText } from "../lib/cli/version.ts";

export const OECHO_USAGE = `Usage: oecho [OPTION]...
Sends an echo between a server and a client

  -l, --listen              Run in server mode
      --help                Display this help text and exit
`;

/** The name that both sides agree on. */
const NAME = "oecho";
/** What is read of a packet, bytes; the rest of a longer one is not echoed. */
const BUFFER_BYTES = 256;
/** A client that says nothing for so long is sent away, µs. */
const SILENCE_US = 10e6;
/** How long the client waits for the answer, ms. */
const ANSWER_MS = 10_000;
/** Exit code of every failure. */
const FAILED = 255;

/** All its options. */
export const OECHO_OPTIONS = {
  listen: { words: ["-l", "--listen"], value: false },
  ...COMMON_TABLE,
  ...PEER_TABLE,
  ...SERVER_TABLE,
  silence: SENDER_TABLE.silence,
  help: { words: ["--help"], value: false },
} as const;

/** A command line that makes sense, or what to print and exit with. */
export type OechoCommand =
  | { readonly kind: "run"; readonly listen: boolean; readonly common: CommonOptions }
  | Exit;

/** Reads a command line. Pure. */
export function parseOecho(args: readonly string[]): OechoCommand {
  const parsed = parseOptions(args, OECHO_OPTIONS);
  if (parsed.kind === "unknown") {
    return {
      kind: "exit",
      code: 1,
      out: OECHO_USAGE,
      err: unknownWord(parsed.word, OECHO_OPTIONS),
    };
  }
  if (parsed.kind === "missing") {
    return { kind: "exit", code: 1, out: OECHO_USAGE, err: needsValue(parsed.word) };
  }
  const last = (wanted: string) => parsed.options.findLast(([key]) => key === wanted)?.[1];
  if (last("help") !== undefined) return { kind: "exit", code: 0, out: OECHO_USAGE };
  if (last("version") !== undefined) return { kind: "exit", code: 0, out: versionText("oecho") };
  const common = readCommon(last);
  if (typeof common === "string") return { kind: "exit", code: 1, out: "", err: common };
  return { kind: "run", listen: last("listen") !== undefined, common };
}

/** Runs `oecho`; returns the exit code. */
export async function main(args: string[]): Promise<number> {
  const command = commandOf(args, parseOecho);
  if (typeof command === "number") return command;
  const { common } = command;
  common.warnings.forEach(complain);
  using process = openProcess("oecho", command.listen ? undefined : failureOf(common));
  if (!process) return 1;
  using stop = new Stop();
  if (!command.listen) {
    using _deadline = stopAfter(common.deadlineMs, stop);
    return await client(common, stop);
  }
  if (!common.json) print("Starting the server.\n");
  return await serve({
    process,
    stop,
    packetBytesMax: process.packetBytesMax,
    tickMs: 1000,
    once: common.once,
    maxFlows: common.maxFlows,
    begin: (flow, nowUs) => new Echo(flow, nowUs, common),
  });
}

/** One client at the server: a packet, its echo, the end. */
class Echo implements Conversation {
  constructor(
    readonly flow: Flow,
    readonly sinceUs: number,
    readonly o: CommonOptions,
  ) {
    if (!o.json) print("New flow.\n");
  }

  onPacket(packet: Uint8Array<ArrayBuffer>): "done" {
    const echo = packet.subarray(0, BUFFER_BYTES);
    const message = cText(echo);
    if (this.o.json) print(`${JSON.stringify({ fd: this.flow.fd, message })}\n`);
    else print(`Message from client is ${message}.\n`);
    const n = this.flow.writeSync(echo, { nonblock: true });
    if (n < 0) {
      if (!this.o.json) print("Failed to write packet.\n");
      complain(`Failed to write packet: ${reasonOf(n)}`);
    }
    return "done";
  }

  onTick(nowUs: number): "go on" | "done" {
    const idleUs = this.o.idleMs === undefined ? SILENCE_US : this.o.idleMs * 1000;
    if (nowUs - this.sinceUs < idleUs) return "go on";
    this.onDown();
    return "done";
  }

  onDown(): void {
    if (!this.o.json) print("Failed to read packet.\n");
  }
}

/** The beginning of the JSON document of an echo that failed. */
function failureOf(o: CommonOptions): Record<string, unknown> | undefined {
  return o.json ? { tool: "oecho", name: NAME, qos: o.qos } : undefined;
}

async function client(o: CommonOptions, stop: Stop): Promise<number> {
  const { signal } = stop;
  let flow: Flow | undefined;
  let what = "Failed to allocate flow";
  try {
    flow = await Flow.alloc(NAME, {
      qos: qosOf(o.qos),
      keepaliveMs: o.keepaliveMs,
      signal,
    });
    what = "Failed to write packet";
    const sentMs = performance.now();
    await flow.write(new TextEncoder().encode("Client says hi!\0"), { signal });
    what = "Failed to read packet";
    const answer = await flow.read({ timeoutMs: o.silenceMs ?? ANSWER_MS, signal });
    const reply = cText(answer.subarray(0, BUFFER_BYTES));
    const rtt_ns = Math.round((performance.now() - sentMs) * 1e6);
    if (o.json) {
      print(`${JSON.stringify({ tool: "oecho", name: NAME, qos: o.qos, reply, rtt_ns })}\n`);
    } else print(`Server replied with ${reply}\n`);
    return 0;
  } catch (error) {
    const why = whyNoFlow(error, stop);
    if (!o.json) print(`${what}.\n`);
    fail(`${what}: ${why}`, failureOf(o));
    return FAILED;
  } finally {
    if (flow !== undefined) await leave(flow, stop);
  }
}

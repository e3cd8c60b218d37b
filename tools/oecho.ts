/** `oecho`: says hi to the name `oecho` and prints the answer, or answers (spec 80 §5). */

import { OuroError } from "../lib/errno.ts";
import { Flow } from "../lib/flow/flow.ts";
import { takePrefix } from "../lib/prefix.ts";
import type { QosSpec } from "../lib/qos.ts";
import { parseOptions } from "./args.ts";
import { complain, cText, print, reason, reasonOf } from "./console.ts";
import { type Conversation, serve } from "./serve.ts";
import { openProcess, qosOf, Stop } from "./session.ts";

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

const OPTIONS = {
  listen: { words: ["-l", "--listen"], value: false },
  qos: { words: ["-q", "--qos"], value: true },
  once: { words: ["--once"], value: false },
  help: { words: ["--help"], value: false },
} as const;

/** A command line that makes sense, or what to print and exit with. */
export type OechoCommand =
  | { readonly kind: "run"; readonly listen: boolean; readonly once: boolean; readonly qos: string }
  | { readonly kind: "exit"; readonly code: number; readonly out: string; readonly err?: string };

/** Reads a command line. Pure. */
export function parseOecho(args: readonly string[]): OechoCommand {
  const parsed = parseOptions(args, OPTIONS);
  if (parsed.kind === "unknown") {
    return { kind: "exit", code: 0, out: OECHO_USAGE, err: `Unknown option: ${parsed.word}` };
  }
  if (parsed.kind === "missing") {
    return { kind: "exit", code: 1, out: OECHO_USAGE, err: `Option --${parsed.key} needs a value` };
  }
  const last = (wanted: string) => parsed.options.findLast(([key]) => key === wanted)?.[1];
  if (last("help") !== undefined) return { kind: "exit", code: 0, out: OECHO_USAGE };
  return {
    kind: "run",
    listen: last("listen") !== undefined,
    once: last("once") !== undefined,
    qos: last("qos") ?? "raw",
  };
}

/** Runs `oecho`; returns the exit code. */
export async function main(args: string[]): Promise<number> {
  const words = takePrefix(args);
  if (!words) return 1;
  const command = parseOecho(words);
  if (command.kind === "exit") {
    if (command.err !== undefined) complain(command.err);
    print(command.out);
    return command.code;
  }
  const qos = qosOf(command.qos);
  using process = openProcess("oecho");
  if (!process) return 1;
  if (!command.listen) return await client(qos);
  using stop = new Stop();
  print("Starting the server.\n");
  return await serve({
    process,
    stop,
    packetBytesMax: process.pool.payloadBytesMax,
    tickMs: 1000,
    once: command.once,
    begin: (flow, nowUs) => new Echo(flow, nowUs),
  });
}

/** One client at the server: a packet, its echo, the end. */
class Echo implements Conversation {
  constructor(readonly flow: Flow, readonly sinceUs: number) {
    print("New flow.\n");
  }

  onPacket(packet: Uint8Array<ArrayBuffer>): "done" {
    const echo = packet.subarray(0, BUFFER_BYTES);
    print(`Message from client is ${cText(echo)}.\n`);
    const n = this.flow.writeSync(echo, { nonblock: true });
    if (n < 0) {
      print("Failed to write packet.\n");
      complain(`Failed to write packet: ${reasonOf(n)}`);
    }
    return "done";
  }

  onTick(nowUs: number): "go on" | "done" {
    if (nowUs - this.sinceUs < SILENCE_US) return "go on";
    this.onDown();
    return "done";
  }

  onDown(): void {
    print("Failed to read packet.\n");
  }
}

async function client(qos: QosSpec): Promise<number> {
  let flow: Flow;
  try {
    flow = await Flow.alloc(NAME, { qos });
  } catch (error) {
    print("Failed to allocate flow.\n");
    complain(`Failed to allocate flow: ${reason(error)}`);
    return FAILED;
  }
  try {
    await flow.write(new TextEncoder().encode("Client says hi!\0"));
  } catch (error) {
    return await failed(flow, "Failed to write packet", error);
  }
  try {
    const answer = await flow.read({ timeoutMs: ANSWER_MS });
    print(`Server replied with ${cText(answer.subarray(0, BUFFER_BYTES))}\n`);
  } catch (error) {
    return await failed(flow, "Failed to read packet", error);
  }
  await flow.dealloc();
  return 0;
}

async function failed(flow: Flow, what: string, error: unknown): Promise<number> {
  if (!(error instanceof OuroError)) throw error;
  print(`${what}.\n`);
  complain(`${what}: ${reason(error)}`);
  await flow.dealloc();
  return FAILED;
}

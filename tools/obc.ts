/** `obc`: sends a message to a broadcast layer, or prints what is sent there (spec 80 §6). */

import { stdout } from "../lib/cli/outlet.ts";
import { OuroError } from "../lib/errno.ts";
import { Flow } from "../lib/flow/flow.ts";
import { LAYER } from "../lib/cli/manual.ts";
import { needsValue, parseOptions, unknownWord } from "../lib/cli/options.ts";
import { complain, cText, print, reason } from "./console.ts";
import { COMMON_TABLE, type CommonOptions, type Exit, readCommon } from "./common.ts";
import { commandOf, leave, openProcess, qosOf, Stop, stopAfter, whyNoFlow } from "./session.ts";
import { versionText } from "../lib/cli/version.ts";

export const OBC_USAGE = `Usage: obc [OPTION]...
Sends a message to a broadcast network

  -n --name                 Name of the broadcast layer
  -m --message              A message to send
  [-l, --listen             Listen mode]
      --help                Display this help text and exit
`;

const MESSAGE = "Ouroboros multicast rocks!";
/** Exit code of every failure. */
const FAILED = 255;

/** All its options. */
export const OBC_OPTIONS = {
  name: { words: ["-n", "--name"], value: LAYER },
  message: { words: ["-m", "--message"], value: true },
  listen: { words: ["-l", "--listen"], value: false },
  ...COMMON_TABLE,
  help: { words: ["--help"], value: false },
} as const;

/** A command line that makes sense, or what to print and exit with. */
export type ObcCommand =
  | {
    readonly kind: "run";
    readonly listen: boolean;
    readonly name: string;
    readonly message: string;
    readonly common: CommonOptions;
  }
  | Exit;

/** Reads a command line. Pure. */
export function parseObc(args: readonly string[]): ObcCommand {
  const parsed = parseOptions(args, OBC_OPTIONS);
  if (parsed.kind === "unknown") {
    return { kind: "exit", code: 1, out: OBC_USAGE, err: unknownWord(parsed.word, OBC_OPTIONS) };
  }
  const noName = { kind: "exit", code: 1, out: `Please specify a name.\n\n${OBC_USAGE}` } as const;
  if (parsed.kind === "missing") {
    const err = needsValue(parsed.word);
    return parsed.key === "name"
      ? { ...noName, err }
      : { kind: "exit", code: 1, out: OBC_USAGE, err };
  }
  const last = (wanted: string) => parsed.options.findLast(([key]) => key === wanted)?.[1];
  if (last("help") !== undefined) return { kind: "exit", code: 0, out: OBC_USAGE };
  if (last("version") !== undefined) return { kind: "exit", code: 0, out: versionText("obc") };
  const common = readCommon(last);
  if (typeof common === "string") return { kind: "exit", code: 1, out: "", err: common };
  const name = last("name");
  if (!name) return noName;
  return {
    kind: "run",
    listen: last("listen") !== undefined,
    name,
    message: last("message") ?? MESSAGE,
    common,
  };
}

/** Runs `obc`; returns the exit code. */
export async function main(args: string[]): Promise<number> {
  const command = commandOf(args, parseObc);
  if (typeof command === "number") return command;
  const { common } = command;
  common.warnings.forEach(complain);
  const text = command.message === "-" ? await standardInput() : command.message;
  using process = openProcess("obc");
  if (!process) return 1;
  using stop = new Stop();
  using _deadline = stopAfter(common.deadlineMs, stop);
  if (command.listen && !common.json) print("Starting a reader.\n");
  let flow: Flow;
  try {
    flow = await Flow.join(command.name, {
      qos: qosOf(common.qos),
      process,
      signal: stop.signal,
    });
  } catch (error) {
    const why = whyNoFlow(error, stop);
    if (!common.json) print("Failed to join broadcast.\n");
    complain(`Failed to join broadcast: ${why}`);
    return FAILED;
  }
  const code = command.listen ? await listen(flow, common, stop) : await send(flow, text, common);
  await leave(flow, stop);
  return code;
}

async function standardInput(): Promise<string> {
  return (await new Response(Deno.stdin.readable).text()).replace(/\n$/, "");
}

async function send(flow: Flow, text: string, o: CommonOptions): Promise<number> {
  try {
    await flow.write(new TextEncoder().encode(`${text}\0`));
    return 0;
  } catch (error) {
    if (!(error instanceof OuroError)) throw error;
    if (!o.json) print("Failed to write packet.\n");
    complain(`Failed to write packet: ${reason(error)}`);
    return FAILED;
  }
}

async function listen(flow: Flow, o: CommonOptions, stop: Stop): Promise<number> {
  if (!o.json) print("New flow.\n");
  while (!stop.requested) {
    try {
      await stdout.room();
      const message = cText(await flow.read({ signal: stop.signal }));
      print(o.json ? `${JSON.stringify({ message })}\n` : `Message is ${message}.\n`);
    } catch (error) {
      if (stop.requested) break;
      if (!(error instanceof OuroError)) throw error;
      if (!o.json) print("Failed to read.\n");
      complain(`Failed to read: ${reason(error)}`);
      break;
    }
  }
  return 0;
}

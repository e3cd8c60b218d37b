/** `operf`: bandwidth between a client and a server (spec 80 §3). */

import { complain } from "../console.ts";
import { commandOf, openProcess, Stop } from "../session.ts";
import { client, failureOf } from "./client.ts";
import { parseOperf } from "./options.ts";
import { server } from "./server.ts";

/** Runs `operf`; returns the exit code. */
export async function main(args: string[]): Promise<number> {
  const command = commandOf(args, parseOperf);
  if (typeof command === "number") return command;
  const { options } = command;
  options.warnings.forEach(complain);
  using process = openProcess("operf", options.listen ? undefined : failureOf(options));
  if (!process) return 1;
  using stop = new Stop();
  return options.listen ? await server(options, process, stop) : await client(options, stop);
}

/**
 * The `irm` program: takes its flags out, connects the commands to the daemon, the system and the
 * standard streams, and turns every failure into an exit code and a line.
 */

import { AdminClient } from "../lib/irm/admin.ts";
import { stderr, stdout } from "../lib/cli/outlet.ts";
import { IrmCode } from "../lib/codes.ts";
import { run } from "./commands.ts";
import type { Context } from "./context.ts";
import { splitFlags } from "./flags.ts";
import { realSystem } from "./system.ts";

/** How long the IRMd may take for what it answers from what it knows, ms. */
const ANSWER_MS = 10_000;
/** How long for what other processes and nodes have a part in, ms. */
const WORK_MS = 120_000;
const WORK: readonly number[] = [
  IrmCode.IRM_CREATE_IPCP,
  IrmCode.IRM_DESTROY_IPCP,
  IrmCode.IRM_BOOTSTRAP_IPCP,
  IrmCode.IRM_ENROLL_IPCP,
  IrmCode.IRM_CONNECT_IPCP,
  IrmCode.IRM_DISCONNECT_IPCP,
  IrmCode.IRM_REG_NAME,
  IrmCode.IRM_UNREG_NAME,
];

function limitMs(code: number): number {
  return WORK.includes(code) ? WORK_MS : ANSWER_MS;
}

/**
 * Runs `irm` with these words; returns the exit code (0, 1, or 255 without words).
 * @param ownTools names of the tools that are in this binary
 */
export async function main(args: string[], ownTools: readonly string[]): Promise<number> {
  const words = splitFlags(args);
  if (words.missingPrefix) {
    complain("--prefix needs a directory.");
    return 1;
  }
  if (words.prefix !== undefined) Deno.env.set("OURO_PREFIX", words.prefix);
  const context: Context = {
    admin: new AdminClient(undefined, { limitMs }),
    system: { ...realSystem, ownTools },
    json: words.json,
    print: (text) => stdout.writeSync(encoder.encode(text)),
    complain,
  };
  return await run(context, words.args);
}

const encoder = new TextEncoder();

/** Writes a line to stderr; a closed one is nobody's trouble. */
function complain(line: string): void {
  stderr.offer(encoder.encode(`${line}\n`));
}

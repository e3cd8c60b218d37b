/**
 * The `irm` program: takes its flags out, connects the commands to the daemon, the system and the
 * standard streams, and turns every failure into an exit code and a line.
 */

import { AdminClient } from "../lib/irm/admin.ts";
import { run } from "./commands.ts";
import type { Context } from "./context.ts";
import { splitFlags } from "./flags.ts";
import { realSystem } from "./system.ts";

/** Runs `irm` with these words; returns the exit code (0, 1, or 255 without words). */
export async function main(args: string[]): Promise<number> {
  const words = splitFlags(args);
  if (words.missingPrefix) {
    complain("--prefix needs a directory.");
    return 1;
  }
  if (words.prefix !== undefined) Deno.env.set("OURO_PREFIX", words.prefix);
  const context: Context = {
    admin: new AdminClient(),
    system: realSystem,
    json: words.json,
    print: (text) => writeAll(Deno.stdout, text),
    complain,
  };
  return await run(context, words.args);
}

const encoder = new TextEncoder();

/** Writes everything. A closed stdout raises `BrokenPipe`, which ends the program with 141. */
function writeAll(stream: { writeSync(bytes: Uint8Array): number }, text: string): void {
  const bytes = encoder.encode(text);
  for (let at = 0; at < bytes.length;) at += stream.writeSync(bytes.subarray(at));
}

/** Writes a line to stderr; a closed one is nobody's trouble. */
function complain(line: string): void {
  try {
    writeAll(Deno.stderr, `${line}\n`);
  } catch {
    // Nobody reads it.
  }
}

/**
 * `irm bind program | process | ipcp` (spec 21 A4). The word after `bind` is read twice: it chooses
 * the command and is the first key of its options, so `bind name N program P` works too.
 */

import { Errno } from "../lib/errno.ts";
import type { BoundFor } from "../lib/irm/messages.ts";
import { attempt, type Context, printable, unknownWord, unreachable, usage } from "./context.ts";
import { lastValue, type Pair, parsePairs, whatIsMissing } from "./grammar.ts";
import { findProgram } from "./program_path.ts";
import { ofIpcp, pidOf } from "./target.ts";

/** `program PROG name NAME [auto] [user U | group G | any] [-- ARG…]`; `args` begins with the word `program`. */
export async function program(ctx: Context, args: readonly string[]): Promise<number> {
  const split = endOfOptions(args);
  const words = args.slice(0, split);
  const argv = args.slice(split + 1);
  const parsed = parsePairs(words, {
    keys: ["name", "program", "auto", "user", "group", "any"],
    exact: ["auto", "any"],
    flags: ["auto", "any"],
  });
  if (parsed.kind === "unknown") return unknownWord(ctx, parsed.word, "bind program", parsed.known);
  const prog = lastValue(parsed.pairs, "program");
  const name = lastValue(parsed.pairs, "name");
  if (parsed.kind === "missing" || prog === undefined || name === undefined) {
    const why = whatIsMissing(parsed, [["program", "PROG"], ["name", "NAME"]]);
    return usage(ctx, "bind program", why);
  }
  const auto = lastValue(parsed.pairs, "auto") !== undefined;
  const action = `bind program ${prog} to "${name}"`;
  const found = findProgram(prog, ctx.system);
  const text = (code: number): string => {
    if (code === -Errno.ENOENT) return `${prog} does not exist.\n`;
    // Printed for every refusal by the daemon too; the line on stderr says what it really was.
    if (code === -Errno.EPERM) return `Cannot execute ${prog}, please check permissions.\n`;
    return unreachable(code);
  };
  if ("code" in found) {
    ctx.print(text(found.code));
    ctx.complain(printable(`Failed to ${action}: ${found.code}: ${found.cause}`));
    return 1;
  }
  const request = ctx.admin.bindProgram([found.path, ...argv], name, auto, boundFor(parsed.pairs));
  return await attempt(ctx, action, request, text) ? 1 : 0;
}

const FLAGS = new Set(["auto", "any"]);

/** Whose processes are meant; undefined when nothing says so. */
function boundFor(
  pairs: readonly Pair<"user" | "group" | "any" | "name" | "program" | "process" | "auto">[],
): BoundFor | undefined {
  const user = lastValue(pairs, "user");
  const group = lastValue(pairs, "group");
  const any = lastValue(pairs, "any") === undefined ? undefined : 1;
  return user === undefined && group === undefined && !any ? undefined : { user, group, any };
}

/** Where `--` stands in place of a key, or the end. */
function endOfOptions(args: readonly string[]): number {
  let at = 0;
  while (at < args.length && args[at] !== "--") at += FLAGS.has(args[at]!) ? 1 : 2;
  return Math.min(at, args.length);
}

/** `process PID name NAME [user U | group G]`. */
export async function process(ctx: Context, args: readonly string[]): Promise<number> {
  const parsed = parsePairs(args, { keys: ["name", "process", "user", "group"] });
  // A bad pid is told before anything that follows it.
  for (const { key, value } of parsed.pairs) {
    const pid = key === "process" ? pidOf(value) : 1;
    if (pid !== undefined && (key !== "process" || ctx.system.processExists(pid))) continue;
    ctx.print(`"${value}" is not a valid process id.\n`);
    return 1;
  }
  if (parsed.kind === "unknown" && parsed.hasValue) {
    return unknownWord(ctx, parsed.word, "bind process", parsed.known);
  }
  const word = lastValue(parsed.pairs, "process");
  const name = lastValue(parsed.pairs, "name");
  if (parsed.kind !== "pairs" || word === undefined || name === undefined) {
    const why = whatIsMissing(parsed, [["process", "PID"], ["name", "NAME"]]);
    return usage(ctx, "bind process", why);
  }
  const pid = Number(word);
  const request = ctx.admin.bindProcess(pid, name, boundFor(parsed.pairs));
  return await attempt(ctx, `bind process ${pid} to "${name}"`, request, unreachable) ? 1 : 0;
}

/** `ipcp IPCP name NAME`. */
export function ipcp(ctx: Context, args: readonly string[]): Promise<number> {
  return ofIpcp(ctx, args, "bind ipcp", (pid, name) => ctx.admin.bindProcess(pid, name));
}

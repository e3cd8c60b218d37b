/** `irm unbind program | process | ipcp` (spec 21 A5). The verb is the first key here too. */

import {
  attempt,
  attemptList,
  type Context,
  printable,
  unknownWord,
  unreachable,
  usage,
} from "./context.ts";
import { lastValue, parsePairs, whatIsMissing } from "./grammar.ts";
import { ofIpcp, pidOf } from "./target.ts";

/**
 * `program PROG name NAME`. The usage promises all names when there is no `name`, but the prototype
 * refuses it, and scripts may lean on that; `--all` in place of the name does it.
 */
export async function program(ctx: Context, args: readonly string[]): Promise<number> {
  const parsed = parsePairs(args, {
    keys: ["program", "name", "--all"],
    exact: ["--all"],
    flags: ["--all"],
  });
  if (parsed.kind === "unknown") {
    return unknownWord(ctx, parsed.word, "unbind program", parsed.known);
  }
  const prog = lastValue(parsed.pairs, "program");
  if (prog === undefined) {
    return usage(ctx, "unbind program", whatIsMissing(parsed, [["program", "PROG"]]));
  }
  const all = lastValue(parsed.pairs, "--all") !== undefined;
  const name = all ? undefined : lastValue(parsed.pairs, "name");
  if (!all && name === undefined) {
    ctx.complain(
      `Failed to unbind program ${printable(prog)}: -22: no name given (name NAME, or --all)`,
    );
    return 1;
  }
  if (prog.includes("/")) return await refusePath(ctx, prog);
  const action = `unbind program ${prog} from ${name === undefined ? "all names" : `"${name}"`}`;
  return await attempt(ctx, action, ctx.admin.unbindProgram(prog, name), unreachable) ? 1 : 0;
}

/**
 * The daemon of the prototype knows programs by their base name and refuses a path, and scripts may lean
 * on that; so we refuse it as well and say what to type.
 */
async function refusePath(ctx: Context, prog: string): Promise<1> {
  const base = prog.slice(prog.lastIndexOf("/") + 1);
  const action = `unbind program ${prog}`;
  // The prototype asks the daemon first.
  const names = await attemptList(ctx, action, ctx.admin.listNames(), unreachable);
  if (names === undefined) return 1;
  ctx.complain(
    printable(`Failed to ${action}: -1: programs are unbound by their base name (${base})`),
  );
  return 1;
}

/** `process PID name NAME`. */
export async function process(ctx: Context, args: readonly string[]): Promise<number> {
  const parsed = parsePairs(args, { keys: ["name", "process"] });
  if (parsed.kind === "unknown" && !parsed.hasValue) {
    ctx.complain(`Failed to unbind process: -22: "${printable(parsed.word)}" is unknown`);
    return 1;
  }
  if (parsed.kind === "unknown") {
    return unknownWord(ctx, parsed.word, "unbind process", parsed.known);
  }
  const word = lastValue(parsed.pairs, "process");
  const name = lastValue(parsed.pairs, "name");
  if (word === undefined) {
    return usage(ctx, "unbind process", whatIsMissing(parsed, [["process", "PID"]]));
  }
  if (name === undefined) {
    ctx.complain(
      `Failed to unbind process ${printable(word)}: -22: no name given (name NAME)`,
    );
    return 1;
  }
  const pid = pidOf(word);
  if (pid === undefined) {
    ctx.complain(`Failed to unbind process: -22: "${printable(word)}" is not a process id`);
    return 1;
  }
  const request = ctx.admin.unbindProcess(pid, name);
  const action = `unbind process ${pid} from "${name}"`;
  return await attempt(ctx, action, request, unreachable) ? 1 : 0;
}

/** `ipcp IPCP name NAME`. */
export function ipcp(ctx: Context, args: readonly string[]): Promise<number> {
  return ofIpcp(ctx, args, "unbind ipcp", (pid, name) => ctx.admin.unbindProcess(pid, name));
}

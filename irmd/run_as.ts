/**
 * Running a bound program as the user of its binding: a child of the daemon becomes that user, with all its groups, and
 * then the program, so the pid is that of the program. Nothing of the daemon's privileges or environment gets there, and
 * nothing of the user's counts before.
 */

import { printable } from "../lib/cli/reason.ts";
import { execute } from "../lib/sys/exec.ts";
import { SysError } from "../lib/sys/ffi.ts";
import { limitProgram } from "../lib/sys/process.ts";
import { becomeUser, groupsOf, userByUid } from "../lib/sys/users.ts";
import type { User } from "./registry/mod.ts";

/** First word of the child's command line, for nobody else. */
export const RUN_AS_WORD = "--run-as";

/** Whom a program runs as. */
export type RunAs = User;

/** A user of the database as one that programs run as; undefined: the database has no such uid. */
export function runAsUser(uid: number): RunAs | undefined {
  const user = userByUid(uid);
  return user === undefined ? undefined : { uid, gid: user.gid, gids: groupsOf(user) };
}

/** The words behind {@linkcode RUN_AS_WORD}. */
export function runAsWords(as: RunAs, argv: readonly string[]): string[] {
  return [RUN_AS_WORD, JSON.stringify(as), ...argv];
}

/** Where our runtime keeps what it has compiled: nothing for others. */
const OUR_CACHES = ["DENO_DIR", "XDG_CACHE_HOME", "OURO_CACHE"];

/** Environment of a user's program, of ours: with the user's own variables, without what is ours alone. */
export function programVariables(
  uid: number,
  ours: Readonly<Record<string, string>>,
): Record<string, string> {
  const user = userByUid(uid);
  const own = user === undefined
    ? { HOME: "/" }
    : { HOME: user.home, USER: user.name, LOGNAME: user.name };
  const env: Record<string, string> = { ...ours, ...own };
  for (const name of OUR_CACHES) delete env[name];
  return env;
}

/** The child: becomes the user, then the program. Gives an exit code only when that fails. */
export function runAsMain(words: readonly string[], env: Readonly<Record<string, string>>): number {
  const [who, path, ...args] = words;
  if (who === undefined || path === undefined) return 1;
  // deno-lint-ignore no-console -- the process ends, and has no log yet
  const complain = (why: string) => console.error(`irmd: ${printable(path)}: ${why}`);
  try {
    const as = JSON.parse(who) as RunAs;
    const its = programVariables(as.uid, env);
    becomeUser(as.uid, as.gid, as.gids);
    Deno.umask(0o022);
    // The runtime has raised them.
    limitProgram(Deno.pid);
    complain(new SysError(-execute(path, [path, ...args], its), "execve", path).message);
  } catch (e) {
    complain(e instanceof Error ? e.message : String(e));
  }
  return 126;
}

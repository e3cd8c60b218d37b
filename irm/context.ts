/**
 * What every `irm` command is given: the daemon, the system around it and the two output streams,
 * and how a failure is told (spec 21 A1): the prototype's texts on stdout stay, the reason goes to
 * stderr in one line.
 */

import { nearest } from "../lib/cli/nearest.ts";
import { printable, reasonOf } from "../lib/cli/reason.ts";
import { Errno, OuroError } from "../lib/errno.ts";
import type { Admin } from "./admin.ts";
import { USAGE, type UsageOf } from "./usage.ts";

/** The files and processes that commands look at. Failures are errno values. */
export interface System {
  /** The value of PATH, or undefined when it is unset. */
  readonly path: string | undefined;
  /** The absolute path without links, or the errno name such as `ENOENT`. */
  realPath(path: string): { readonly path: string } | { readonly errno: string };
  /** What kind of file it is and whether its owner may execute it; undefined if there is none. */
  stat(
    path: string,
  ): { readonly directory: boolean; readonly ownerMayExecute: boolean } | undefined;
  processExists(pid: number): boolean;
  /** Writes a file as a whole or not at all; why it could not. */
  writeFile(path: string, text: string): string | undefined;
  /** Tools of this binary, which can be bound without a path. */
  readonly ownTools: readonly string[];
  /** Directory of the running ouro binary and of the links to it, if it is known. */
  readonly binaryDir: string | undefined;
}

/** The surroundings of one command. */
export interface Context {
  readonly admin: Admin;
  readonly system: System;
  /** `--json`: lists are one JSON document. */
  readonly json: boolean;
  /** Writes to stdout as it is. */
  print(text: string): void;
  /** Writes one line to stderr. */
  complain(line: string): void;
}

/** The text that stands on stdout when the daemon does not answer. */
export const UNREACHABLE =
  "Failed to communicate with the Ouroboros IPC Resource Manager daemon.\n";

/** Error number of "cannot talk to the IRMd". */
export const EIRMD = -Errno.EIRMD;

/**
 * Prints a usage and returns the exit code of a command line that makes no sense. `why` follows on stderr;
 * it is left out when a line on stdout has said it already.
 */
export function usage(ctx: Context, of: UsageOf, why?: string): 1 {
  ctx.print(USAGE[of]);
  if (why) ctx.complain(printable(`irm ${of}: ${why}`));
  return 1;
}

/** Says that a command has no such word and returns its exit code; on stderr the one that was probably meant. */
export function unknownWord(
  ctx: Context,
  word: string,
  command: string,
  known: readonly string[] = [],
): 1 {
  ctx.print(`"${word}" is unknown, try "irm ${command}".\n`);
  suggest(ctx, word, known);
  return 1;
}

/** Says on stderr which word was probably meant, if one is near. */
export function suggest(ctx: Context, word: string, known: readonly string[]): void {
  const meant = nearest(word, known);
  if (meant !== undefined) ctx.complain(`Did you mean "${meant}"?`);
}

export { printable };

/**
 * Runs a request. A failure is told on stderr as `Failed to <action>: <number>: <cause>` and comes
 * back as its negative number; anything but an `OuroError` is a defect of ours and is thrown on.
 * @param text what stands on stdout for a failure of that number, before the reason
 */
export async function attempt(
  ctx: Context,
  action: string,
  request: Promise<void>,
  text: (code: number) => string = () => "",
): Promise<number> {
  try {
    await request;
    return 0;
  } catch (error) {
    if (!(error instanceof OuroError)) throw error;
    const said = text(error.code);
    if (said !== "") ctx.print(said);
    tell(ctx, action, error);
    return error.code;
  }
}

/** Says on stderr why an action failed. */
export function tell(ctx: Context, action: string, error: OuroError): void {
  ctx.complain(`Failed to ${printable(action)}: ${reasonOf(error)}`);
}

/** A list, or undefined after a failure that is told as {@linkcode attempt} does. */
export async function attemptList<T>(
  ctx: Context,
  action: string,
  request: Promise<T[]>,
  text: (code: number) => string = () => "",
): Promise<T[] | undefined> {
  const list = await listOrError(request);
  if (!(list instanceof OuroError)) return list;
  const said = text(list.code);
  if (said !== "") ctx.print(said);
  tell(ctx, action, list);
  return undefined;
}

/** A list, or why there is none. */
export async function listOrError<T>(request: Promise<T[]>): Promise<T[] | OuroError> {
  try {
    return await request;
  } catch (error) {
    if (error instanceof OuroError) return error;
    throw error;
  }
}

/** The text on stdout of a command that says there only that the daemon is unreachable. */
export function unreachable(code: number): string {
  return code === EIRMD ? UNREACHABLE : "";
}

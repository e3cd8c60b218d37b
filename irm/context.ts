/**
 * What every `irm` command is given: the daemon, the system around it and the two output streams,
 * and how a failure is told (spec 21 A1): the prototype's texts on stdout stay, the reason goes to
 * stderr in one line.
 */

import { Errno, errnoText, OuroError } from "../lib/errno.ts";
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

/** Prints a usage and returns the exit code of a command line that makes no sense. */
export function usage(ctx: Context, of: UsageOf): 1 {
  ctx.print(USAGE[of]);
  return 1;
}

/** One line without control characters, so that a hostile name cannot steer the terminal. */
export function printable(text: string): string {
  return text.replace(
    /\p{Cc}/gu,
    (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, "0")}`,
  );
}

/** Why a request failed, as `-1007: unknown name` and who says so if it is neither the IRMd nor we. */
export function reasonOf(error: OuroError): string {
  let cause = error.detail?.cause;
  if (!cause) {
    if (error.code === EIRMD) cause = "IRMd is not running (start it with `ouro irmd`)";
    // -1 is "failed" and "not permitted" in one; a daemon that sends no cause leaves it open.
    else if (error.code === -1) cause = "refused by the IRMd, its log says why";
    else cause = errnoText(error.code);
  }
  const detail = error.detail;
  const who = detail && detail.process && detail.process !== "irmd" && detail.process !== "irm"
    ? ` (${detail.process}${detail.stage ? `, ${detail.stage}` : ""})`
    : "";
  return printable(`${error.code}: ${cause}${who}`);
}

/**
 * Runs a request. A failure is told on stderr as `Failed to <action>: <number>: <cause>` and comes
 * back as its negative number; anything but an `OuroError` is a defect of ours and is thrown on.
 */
export async function attempt(
  ctx: Context,
  action: string,
  request: Promise<void>,
): Promise<number> {
  try {
    await request;
    return 0;
  } catch (error) {
    if (!(error instanceof OuroError)) throw error;
    tell(ctx, action, error);
    return error.code;
  }
}

/** Says on stderr why an action failed. */
export function tell(ctx: Context, action: string, error: OuroError): void {
  ctx.complain(`Failed to ${printable(action)}: ${reasonOf(error)}`);
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

/** Exit code of a command whose only text on stdout is that the daemon is unreachable. */
export function exitOf(ctx: Context, result: number): 0 | 1 {
  if (result === EIRMD) ctx.print(UNREACHABLE);
  return result === 0 ? 0 : 1;
}

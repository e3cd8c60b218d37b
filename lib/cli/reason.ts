/**
 * Why something failed, in one line for a person: the same words in every program. Pure.
 *
 * The texts of the prototype come first and say what failed; these lines follow and say why.
 */

import { Errno, errnoText, type OuroError } from "../errno.ts";
import { printable } from "../printable.ts";

export { printable };

/** Why nobody answers where the socket of an IRMd should be. */
export const NOT_RUNNING = "IRMd is not running (start it with `ouro irmd`)";

/** Why a request failed, as `-1007: unknown name` and who says so if it is neither the IRMd nor we. */
export function reasonOf(error: OuroError): string {
  const { code, detail } = error;
  const who = detail?.process && detail.process !== "irmd" && detail.process !== "irm"
    ? ` (${detail.process}${detail.stage ? `, ${detail.stage}` : ""})`
    : "";
  return printable(`${code}: ${detail?.cause || causeOf(code)}${who}`);
}

/** What a number alone says. */
function causeOf(code: number): string {
  if (code === -Errno.EIRMD) return NOT_RUNNING;
  // -1 is "failed" and "not permitted" in one; a daemon that sends no cause leaves it open.
  if (code === -Errno.EPERM) return "refused by the IRMd, its log says why";
  return errnoText(code);
}

/** The line of the C library when a program cannot start, for what {@linkcode OuroProcess.open} threw. */
export function startFailureText(error: OuroError): string {
  const opening = error.message.startsWith("Cannot open");
  return `FATAL: Could not ${opening ? "open packet buffer" : "announce to IRMd"}.`;
}

/** What an unexpected failure says, in one line: the path that the runtime names first, and no number of its. */
export function lineOf(error: unknown): string {
  const text = error instanceof Error ? error.message || error.name : String(error);
  const path = / \(os error \d+\).*?'(.*)'/.exec(text.split("\n", 1)[0]!)?.[1];
  return path === undefined ? fileCause(text) : `${printable(path)}: ${fileCause(text)}`;
}

/** What went wrong with a file, without the runtime's number, call and path. */
export function fileCause(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return printable(text.split("\n", 1)[0]!.replace(/ \(os error \d+\).*$/, ""));
}

/**
 * What the tools print: texts of the prototype on stdout, reasons for failures on stderr, everything
 * at once while somebody reads, so that a tool killed by a signal has lost nothing. A closed stdout raises `BrokenPipe`.
 */

import { stderr, stdout } from "../lib/cli/outlet.ts";
import { printable, reasonOf as reasonOfError } from "../lib/cli/reason.ts";
import { errnoText, OuroError } from "../lib/errno.ts";

const encoder = new TextEncoder();

/** Writes to stdout as it is. */
export function print(text: string): void {
  stdout.writeSync(encoder.encode(text));
}

/** Writes one line to stderr; a closed stderr is nobody's trouble. */
export function complain(line: string): void {
  stderr.offer(encoder.encode(`${printable(line)}\n`));
}

/**
 * Says why a client did nothing: one line on stderr and, where the result would have been a JSON document, a
 * document that holds the line as `failure`.
 */
export function fail(line: string, document: Record<string, unknown> | undefined): void {
  complain(line);
  if (document !== undefined) {
    print(`${JSON.stringify({ ...document, failure: line, complete: false })}\n`);
  }
}

/** Number and cause of a failure, for one line. */
export function reason(error: unknown): string {
  if (error instanceof OuroError) return reasonOfError(error);
  return error instanceof Error ? error.message : String(error);
}

/** The sentence for a negative result of a read or write. */
export function reasonOf(code: number): string {
  return `${code}: ${errnoText(code)}`;
}

/** A text up to its first NUL, as C programs see it. */
export function cText(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end));
}

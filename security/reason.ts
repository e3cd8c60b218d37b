/**
 * The line of a refusal: the prototype's words, then the cause, so that one line at EE says it all.
 * Pure.
 */

/** `Failed to authenticate server. Reason: the signature is wrong.` */
export function withReason(line: string, reason: string): string {
  if (reason === line) return line;
  return `${line} Reason: ${/[.?]$/.test(reason) ? reason : `${reason}.`}`;
}

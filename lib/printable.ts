/** Text that others have named, made safe for a line. Pure. */

/** One line without control characters: what others have named must not forge lines or talk to the terminal. */
export function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, "0")}`);
}

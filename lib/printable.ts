/** Text that others have named, made safe for a line. Pure. */

/**
 * One line of what a reader sees: what others have named must not forge lines, talk to the terminal or turn the
 * direction of the text. Control characters become `\xNN`; formats, separators of lines, private ones and lone surrogates
 * `\u{N}`.
 */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Zl}\p{Zp}]/gu, (c) => {
    const code = c.codePointAt(0)!.toString(16);
    return /\p{Cc}/u.test(c) ? `\\x${code.padStart(2, "0")}` : `\\u{${code}}`;
  });
}

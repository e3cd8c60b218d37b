/** Names from certificates in log lines. Pure. */

/** Text from outside, safe in a log line. */
export function printable(s: string): string {
  return s.replace(/[\p{Cc}\p{Cf}\p{Co}\p{Cs}]/gu, (c) => {
    return `\\u{${c.codePointAt(0)!.toString(16)}}`;
  });
}

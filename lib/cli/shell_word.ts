/** Words for a shell, so that a command that is recommended works when it is pasted. Pure. */

/** A word as sh, bash, zsh and fish read it back; control characters are for `printable()`. */
export function shellWord(text: string): string {
  if (/^[A-Za-z0-9_@%+=:,./-]+$/.test(text)) return text;
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** PEM (RFC 7468): the blocks of a file, and one written. Pure. */

/** One block: its label and contents. */
export interface PemBlock {
  readonly label: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Whether header lines say that the contents are encrypted (`Proc-Type: 4,ENCRYPTED`). */
  readonly encrypted: boolean;
}

const BEGIN = /^-----BEGIN ([A-Z0-9 ]+)-----\s*$/;

/** The well-formed blocks of a text in order; damaged ones are left out. */
export function parsePem(text: string): PemBlock[] {
  const blocks: PemBlock[] = [];
  const lines = text.split(/\r\n|\n|\r/);
  for (let i = 0; i < lines.length; i++) {
    const label = BEGIN.exec(lines[i]!)?.[1];
    if (!label) continue;
    let encrypted = false;
    let body = "";
    let j = i + 1;
    const end = `-----END ${label}-----`;
    for (; j < lines.length && lines[j]!.trimEnd() !== end; j++) {
      const line = lines[j]!.trim();
      if (line.includes(":")) encrypted ||= /^Proc-Type:.*ENCRYPTED/.test(line);
      else body += line;
    }
    if (j === lines.length) break;
    i = j;
    try {
      blocks.push({ label, bytes: Uint8Array.fromBase64(body), encrypted });
    } catch {
      // Not base64: no block.
    }
  }
  return blocks;
}

/** A block as text with newline at the end. */
export function encodePem(label: string, bytes: Uint8Array): string {
  const body = bytes.toBase64().replace(/.{1,64}/g, "$&\n");
  return `-----BEGIN ${label}-----\n${body}-----END ${label}-----\n`;
}

/** PEM (RFC 7468): the blocks of a file, and one written. Pure. */

/** One block: its label and contents. */
export interface PemBlock {
  readonly label: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Whether header lines say that the contents are encrypted (`Proc-Type: 4,ENCRYPTED`). */
  readonly encrypted: boolean;
}

const BEGIN = /^-----BEGIN ([A-Z0-9 ]+)-----\s*$/;
/**
 * Outside of blocks, what was the mark of one, with whatever dashes and letters, or a line of the contents of one. Words
 * that stand around it make it a comment.
 */
const LOST =
  /-----\s*(BEGIN|END)\b|^[^A-Z0-9]*(BEGIN|END)\s+([A-Z0-9]+ )*(CERTIFICATE|KEY|CRL|REQUEST|PKCS7)[^A-Z0-9]*$/i;
const LOST_CONTENTS = /^\s*[A-Za-z0-9+/]{48,}={0,2}\s*$/;

/** The blocks of a text, and what in it is none. */
export interface PemText {
  readonly blocks: readonly PemBlock[];
  /** Why something that begins like a block is none; undefined if all are good. */
  readonly damage: string | undefined;
}

/** The blocks of a text in order; whoever must not pass over anything looks at `damage`. */
export function readPem(text: string): PemText {
  const blocks: PemBlock[] = [];
  let damage: string | undefined;
  const lines = text.split(/\r\n|\n|\r/);
  for (let i = 0; i < lines.length; i++) {
    const label = BEGIN.exec(lines[i]!)?.[1];
    if (!label) {
      if (LOST.test(lines[i]!) || LOST_CONTENTS.test(lines[i]!)) {
        damage ??= `line ${i + 1} is no part of a PEM block`;
      }
      continue;
    }
    let encrypted = false;
    let body = "";
    let j = i + 1;
    const end = `-----END ${label}-----`;
    for (; j < lines.length && lines[j]!.trimEnd() !== end; j++) {
      const line = lines[j]!.trim();
      if (line.includes(":")) encrypted ||= /^Proc-Type:.*ENCRYPTED/.test(line);
      else body += line;
    }
    if (j === lines.length) {
      damage ??= `the block that begins in line ${i + 1} has no end`;
      break;
    }
    try {
      blocks.push({ label, bytes: Uint8Array.fromBase64(body), encrypted });
    } catch {
      damage ??= `the block that begins in line ${i + 1} is not base64`;
    }
    i = j;
  }
  return { blocks, damage };
}

/** The well-formed blocks of a text in order; damaged ones are left out. */
export function parsePem(text: string): readonly PemBlock[] {
  return readPem(text).blocks;
}

/** Why a text does not have the block that is asked for. */
export interface PemRefusal {
  readonly reason: string;
}

/** Whether {@linkcode onePem} found none. */
export function isPemRefusal(x: Uint8Array | PemRefusal): x is PemRefusal {
  return !(x instanceof Uint8Array);
}

/** The first block of a kind, or why there is none. */
export function onePem(text: string, label: string): Uint8Array<ArrayBuffer> | PemRefusal {
  const { blocks, damage } = readPem(text);
  const block = blocks.find((b) => b.label === label);
  return block?.bytes ?? { reason: damage ?? `no PEM ${label.toLowerCase()} in it` };
}

/** A block as text with newline at the end. */
export function encodePem(label: string, bytes: Uint8Array): string {
  const body = bytes.toBase64().replace(/.{1,64}/g, "$&\n");
  return `-----BEGIN ${label}-----\n${body}-----END ${label}-----\n`;
}

/**
 * A ustar archive of regular files, always the same bytes for the same files: owner 0, time 0, in
 * the given order. Directories are not listed; tar makes them.
 */

const BLOCK = 512;

/** One file of an archive. */
export interface Entry {
  /** Relative path of at most 100 bytes ASCII. */
  readonly path: string;
  readonly bytes: Uint8Array;
  /** Permission bits. */
  readonly mode: number;
}

function field(header: Uint8Array, at: number, text: string): void {
  header.set(new TextEncoder().encode(text), at);
}

function octal(value: number, width: number): string {
  return value.toString(8).padStart(width - 1, "0") + "\0";
}

function header(entry: Entry): Uint8Array {
  if (entry.path.length > 100) throw new Error(`path too long for ustar: ${entry.path}`);
  const h = new Uint8Array(BLOCK);
  field(h, 0, entry.path);
  field(h, 100, octal(entry.mode, 8));
  field(h, 108, octal(0, 8));
  field(h, 116, octal(0, 8));
  field(h, 124, octal(entry.bytes.length, 12));
  field(h, 136, octal(0, 12));
  field(h, 148, " ".repeat(8));
  field(h, 156, "0");
  field(h, 257, "ustar\x0000");
  let sum = 0;
  for (const byte of h) sum += byte;
  field(h, 148, sum.toString(8).padStart(6, "0") + "\0 ");
  return h;
}

/** The archive of the given files. */
export function tar(entries: readonly Entry[]): Uint8Array {
  const padded = (n: number) => Math.ceil(n / BLOCK) * BLOCK;
  const size = entries.reduce((n, e) => n + BLOCK + padded(e.bytes.length), 2 * BLOCK);
  const out = new Uint8Array(size);
  let at = 0;
  for (const entry of entries) {
    out.set(header(entry), at);
    out.set(entry.bytes, at + BLOCK);
    at += BLOCK + padded(entry.bytes.length);
  }
  return out;
}

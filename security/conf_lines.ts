/**
 * The lines of an `enc.conf` before anybody knows what they mean (spec 40 §12). Pure.
 *
 * The prototype reads 255 bytes at a time, stops at a NUL and passes over whatever it does not know. A file that
 * sets security must not be misread in silence: what is not plain text, what the prototype would cut to something
 * else, and what looks like a slip of the hand in a policy keyword is refused with its line.
 */

/** Longest line that the prototype reads in one piece, newline included, bytes. */
export const PROTOTYPE_LINE_BYTES = 255;

/** A line that is refused: its number and the reason. */
export class LineRefusal {
  constructor(readonly line: number, readonly reason: string) {}
}

/** A line with its number. */
export interface ConfLine {
  readonly number: number;
  /** Without its newline; cut at a NUL, behind which nothing but blanks stood. */
  readonly text: string;
  /** Bytes with the newline. */
  readonly bytes: number;
  /** A byte-order mark stood before it. */
  readonly marked: boolean;
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The lines of a file; a refusal in place of a line that cannot be read as text. */
export function* confLines(bytes: Uint8Array): Generator<ConfLine | LineRefusal> {
  if ((bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff)) {
    yield new LineRefusal(1, "the file is UTF-16: save it as plain text (UTF-8)");
    return;
  }
  let number = 0;
  for (let at = 0; at < bytes.length;) {
    number++;
    const newline = bytes.indexOf(0x0a, at);
    const end = newline < 0 ? bytes.length : newline;
    const next = newline < 0 ? end : end + 1;
    let from = at;
    const marked = number === 1 && bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf;
    if (marked) from += 3;
    const nul = bytes.indexOf(0, from);
    const cut = nul >= 0 && nul < end ? nul : end;
    if (bytes.subarray(cut, end).some((b) => b > 0x20)) {
      yield new LineRefusal(number, "a NUL byte cuts the line (is the file UTF-16?)");
    } else if (bytes[from] === 0x23 && hidesLines(bytes.subarray(from, cut))) {
      yield new LineRefusal(
        number,
        "a carriage return is in the comment: end lines with a newline",
      );
    } else {
      try {
        const text = utf8.decode(bytes.subarray(from, cut));
        yield { number, text, bytes: next - at, marked };
      } catch {
        // Comments may be in any encoding.
        if (bytes[from] === 0x23) yield { number, text: "#", bytes: next - at, marked };
        else yield new LineRefusal(number, "the line is not UTF-8");
      }
    }
    at = next;
  }
}

/** Whether a comment goes on behind a carriage return, which an editor may have shown as the end of its line. */
function hidesLines(comment: Uint8Array): boolean {
  const end = comment.indexOf(0x0d);
  return end >= 0 && comment.subarray(end).some((b) => b > 0x20);
}

/** What the prototype reads of a long line as lines of their own, after its first. */
export function tailsOf(text: string): string[] {
  const bytes = new TextEncoder().encode(text);
  const tails: string[] = [];
  for (let at = PROTOTYPE_LINE_BYTES; at < bytes.length; at += PROTOTYPE_LINE_BYTES) {
    tails.push(new TextDecoder().decode(bytes.subarray(at, at + PROTOTYPE_LINE_BYTES)));
  }
  return tails;
}

/** Trims what C's `isspace` takes for space. */
export function trimC(s: string): string {
  return s.replace(/^[ \t\n\v\f\r]+|[ \t\n\v\f\r]+$/g, "");
}

/** The first character that nobody types into a keyword; shown as `U+00A0`. */
export function oddCharacter(s: string): string | undefined {
  // deno-lint-ignore no-control-regex -- they are what is refused
  const odd = /[^\x09-\x0d\x20-\x7e]/u.exec(s)?.[0];
  return odd === undefined ? undefined : codePoint(odd);
}

/** The first character of a value that cannot be seen or is no ordinary space or hyphen. */
export function hiddenCharacter(s: string): string | undefined {
  const odd = /(?! )[\p{Z}\p{C}\u2010-\u2015\u2212\uff0d]/u.exec(s)?.[0];
  return odd === undefined ? undefined : codePoint(odd);
}

function codePoint(c: string): string {
  return `U+${c.codePointAt(0)!.toString(16).toUpperCase().padStart(4, "0")}`;
}

/** Words that only a wish for security has. */
const TELLING = [
  ...["auth", "peer", "refuse", "require", "strict", "allow", "deny", "minkex", "kexmin", "minim"],
  ...[
    "bind",
    "encap",
    "ctr",
    "crt",
    "cert",
    "verif",
    "trust",
    "permit",
    "forbid",
    "reject",
    "mutual",
  ],
  ...["access", "encrypt", "static", "must", "enforce", "secur", "integrity", "identity", "tls"],
];

/**
 * The keyword that a line without effect probably means; `undefined` if it means none of them.
 * @param line the line, trimmed; @param keywords ours
 */
export function probablyMeant(line: string, keywords: readonly string[]): string | undefined {
  const letters = (s: string) => s.toLowerCase().replace(/[^a-z0-9]/g, "");
  const key = letters(line.split(/[=:]/, 1)[0]!);
  const all = letters(line);
  // Where nothing ends the key, its value may follow at once.
  const open = !/[=:]/.test(line);
  let best: string | undefined;
  let least = 3;
  for (const k of keywords) {
    const wanted = letters(k);
    if (all.startsWith(wanted)) return k;
    const cut = open ? [-1, 0, 1].map((more) => key.slice(0, wanted.length + more)) : [];
    for (const typed of [key, ...cut]) {
      const d = distance(typed, wanted, least);
      if (d < least) [best, least] = [k, d];
    }
  }
  if (best !== undefined) return best;
  const telling = TELLING.find((w) => all.includes(w));
  return telling && keywords.find((k) => letters(k).includes(telling)) || telling;
}

/** Edit distance with exchanged neighbours as one step; anything from `limit` on is `limit`. */
function distance(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) >= limit) return limit;
  let before: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let d = Math.min(last[j]! + 1, row[j - 1]! + 1, last[j - 1]! + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        d = Math.min(d, before[j - 2]! + 1);
      }
      row.push(d);
    }
    [before, last] = [last, row];
  }
  return Math.min(last[b.length]!, limit);
}

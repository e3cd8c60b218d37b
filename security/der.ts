/**
 * The little DER that key exchange keys need: reading and writing tag-length-value (X.690).
 *
 * Pure. Reading never throws and never looks outside `[at, end)`; certificates go through pkijs.
 */

/** Tags used here. */
export const Tag = {
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  oid: 0x06,
  sequence: 0x30,
} as const;

/** One element: its tag, contents `[from, to)` and the whole `[at, to)` in `bytes`. */
export interface Tlv {
  readonly bytes: Uint8Array;
  readonly tag: number;
  readonly at: number;
  readonly from: number;
  readonly to: number;
}

/** The element at `at`; `undefined` when it does not lie in `[at, end)` or has an odd length form. */
export function readTlv(bytes: Uint8Array, at = 0, end: number = bytes.length): Tlv | undefined {
  if (at < 0 || end > bytes.length || end - at < 2) return undefined;
  const tag = bytes[at]!;
  if ((tag & 0x1f) === 0x1f) return undefined; // No long tags here.
  let from = at + 2;
  let length = bytes[at + 1]!;
  if (length >= 0x80) {
    const n = length & 0x7f;
    if (n === 0 || n > 3 || end - from < n) return undefined;
    length = 0;
    for (let i = 0; i < n; i++) length = length * 256 + bytes[from++]!;
  }
  if (length > end - from) return undefined;
  return { bytes, tag, at, from, to: from + length };
}

/** The elements inside a constructed one, `undefined` when they don't fill it exactly. */
export function children(t: Tlv): Tlv[] | undefined {
  const found: Tlv[] = [];
  for (let at = t.from; at < t.to;) {
    const c = readTlv(t.bytes, at, t.to);
    if (!c || found.length >= 32) return undefined;
    found.push(c);
    at = c.to;
  }
  return found;
}

/** The contents of an element, a view. */
export function contents(t: Tlv): Uint8Array {
  return t.bytes.subarray(t.from, t.to);
}

/** The bytes of a BIT STRING without unused bits; `undefined` otherwise. */
export function bitStringBytes(t: Tlv): Uint8Array | undefined {
  if (t.tag !== Tag.bitString || t.to === t.from || t.bytes[t.from] !== 0) return undefined;
  return t.bytes.subarray(t.from + 1, t.to);
}

/** Identifiers that were met, by their bytes: a certificate repeats few. */
const oids = new Map<string, string>();
const OIDS_MAX = 256;
const OID_BYTES_MAX = 64;

/** An OBJECT IDENTIFIER as dotted numbers; `undefined` when it is none. */
export function oidText(t: Tlv): string | undefined {
  const c = contents(t);
  if (t.tag !== Tag.oid || c.length === 0 || c.length > OID_BYTES_MAX) return undefined;
  const key = String.fromCharCode.apply(undefined, c as never);
  const known = oids.get(key);
  if (known !== undefined) return known;
  const text = dotted(c);
  if (text !== undefined && oids.size < OIDS_MAX) oids.set(key, text);
  return text;
}

function dotted(c: Uint8Array): string | undefined {
  if (c.at(-1)! >= 0x80) return undefined;
  const arcs: number[] = [];
  let n = 0;
  for (const x of c) {
    n = n * 128 + (x & 0x7f);
    if (n > Number.MAX_SAFE_INTEGER / 256) return undefined;
    if (x < 0x80) {
      arcs.push(n);
      n = 0;
    }
  }
  const first = arcs[0]!;
  const top = first < 40 ? 0 : first < 80 ? 1 : 2;
  return [top, first - 40 * top, ...arcs.slice(1)].join(".");
}

/** A non-negative INTEGER; `undefined` when it is none. */
export function unsigned(t: Tlv): bigint | undefined {
  const c = contents(t);
  if (t.tag !== Tag.integer || c.length === 0 || c[0]! >= 0x80) return undefined;
  return BigInt("0x" + c.toHex());
}

/** An element with the given contents. */
export function tlv(tag: number, ...parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const length = parts.reduce((n, p) => n + p.length, 0);
  const head = length < 0x80
    ? [tag, length]
    : length < 0x100
    ? [tag, 0x81, length]
    : length < 0x10000
    ? [tag, 0x82, length >> 8, length & 0xff]
    : [tag, 0x83, length >> 16, (length >> 8) & 0xff, length & 0xff];
  const out = new Uint8Array(head.length + length);
  out.set(head);
  let at = head.length;
  for (const p of parts) {
    out.set(p, at);
    at += p.length;
  }
  return out;
}

/** An OBJECT IDENTIFIER from dotted numbers. */
export function oid(text: string): Uint8Array<ArrayBuffer> {
  const arcs = text.split(".").map(Number);
  const body: number[] = [];
  for (const arc of [arcs[0]! * 40 + arcs[1]!, ...arcs.slice(2)]) {
    const groups = [arc % 128];
    for (let n = Math.floor(arc / 128); n > 0; n = Math.floor(n / 128)) {
      groups.unshift(128 + (n % 128));
    }
    body.push(...groups);
  }
  return tlv(Tag.oid, new Uint8Array(body));
}

/** A non-negative INTEGER from big-endian bytes of any width. */
export function integer(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const at = bytes.findIndex((x) => x !== 0);
  const body = at < 0 ? new Uint8Array(1) : bytes.subarray(at);
  return tlv(Tag.integer, body[0]! >= 0x80 ? new Uint8Array([0, ...body]) : body);
}

/** Big-endian bytes of a number, left-padded to `width` if given. */
export function bigintBytes(n: bigint, width = 0): Uint8Array<ArrayBuffer> {
  const hex = n.toString(16);
  return Uint8Array.fromHex(hex.padStart(Math.max(width * 2, hex.length + (hex.length & 1)), "0"));
}

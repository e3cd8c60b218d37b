/**
 * The header that two IRMds exchange while a flow is allocated (OAP, spec 40 §2). Pure.
 *
 * Big-endian, no padding, no type field: request and response have the same layout and the receiver
 * knows which it expects.
 *
 * | offset | size | field |
 * |---|---|---|
 * | 0 | 16 | id: random in a request, copied into the response |
 * | 16 | 8 | timestamp, ns since the epoch |
 * | 24 | 2 | cipher id, 0 none |
 * | 26 | 2 | kdf id (a digest), 0 none |
 * | 28 | 2 | digest id of the signature, 0 the key type's default |
 * | 30 | 2 | certificate length |
 * | 32 | 2 | key exchange: bit 15 raw/hybrid, bit 14 client encapsulates, bits 0-13 length |
 * | 34 | 2 | data length |
 * | 36 | | certificate, key exchange, data, then (response only) the hash of the request, then signature |
 *
 * The signature has no length field: it is what remains. An unsigned header (no certificate) must end
 * exactly. Smallest 36 bytes; largest by its length fields. Flags with length 0 are accepted.
 */

import { WireError } from "./mod.ts";
import { cipherByNid, digestByNid } from "./oap_ids.ts";

/** Bytes before the variable part. */
export const LENGTH = 36;
/** Bytes of the id. */
export const ID_BYTES = 16;
/** Largest certificate and data, bytes. */
export const FIELD_BYTES_MAX = 65535;
/** Largest key exchange field, bytes. */
export const KEX_BYTES_MAX = 0x3fff;

const KEX_RAW = 0x8000;
const KEX_CLIENT_ENCAP = 0x4000;

const AT = { id: 0, timestamp: 16, cipher: 24, kdf: 26, digest: 28, crt: 30, kex: 32, data: 34 };

/** A header taken apart. From {@linkcode parse} its arrays are views of the parsed buffer. */
export interface OapHeader {
  readonly id: Uint8Array;
  /** ns since the epoch, unsigned 64 bits. */
  readonly timestampNs: bigint;
  readonly cipherNid: number;
  readonly kdfNid: number;
  readonly digestNid: number;
  readonly crt: Uint8Array;
  readonly kex: Uint8Array;
  /** The `F` flag: key exchange data is raw (hybrid). */
  readonly raw: boolean;
  /** The `R` flag: the client encapsulates. */
  readonly clientEncap: boolean;
  readonly data: Uint8Array;
  /** Hash of the request; empty in a request. */
  readonly reqHash: Uint8Array;
  readonly signature: Uint8Array;
}

/** A parsed header with the bytes that its signature covers. */
export interface ParsedOapHeader extends OapHeader {
  /** Everything before the signature. */
  readonly signed: Uint8Array;
}

/**
 * Takes `b[at, end)` apart. `hashBytes` is 0 for a request, else the size of the request hash.
 * The arrays of the result are views of `b`.
 */
export function parse(
  b: Uint8Array,
  at: number,
  end: number,
  hashBytes: number,
): ParsedOapHeader | WireError {
  if (at < 0 || end > b.length || end - at < LENGTH) {
    return new WireError("header", `short: ${Math.max(0, end - at)} of ${LENGTH} bytes`);
  }
  const v = new DataView(b.buffer, b.byteOffset + at, end - at);
  const cipherNid = v.getUint16(AT.cipher);
  const kdfNid = v.getUint16(AT.kdf);
  const digestNid = v.getUint16(AT.digest);
  if (cipherNid !== 0 && !cipherByNid(cipherNid)) {
    return new WireError("cipher", `unknown id ${cipherNid}`);
  }
  if (kdfNid !== 0 && !digestByNid(kdfNid)) return new WireError("kdf", `unknown id ${kdfNid}`);
  if (digestNid !== 0 && !digestByNid(digestNid)) {
    return new WireError("digest", `unknown id ${digestNid}`);
  }
  const crtBytes = v.getUint16(AT.crt);
  const kexField = v.getUint16(AT.kex);
  const kexBytes = kexField & KEX_BYTES_MAX;
  const dataBytes = v.getUint16(AT.data);
  const signedBytes = LENGTH + crtBytes + kexBytes + dataBytes + hashBytes;
  if (end - at < signedBytes) {
    return new WireError("lengths", `short: ${end - at} of ${signedBytes} bytes`);
  }
  if (crtBytes === 0 && end - at !== signedBytes) {
    return new WireError("signature", `${end - at - signedBytes} bytes without a certificate`);
  }
  let p = at + LENGTH;
  const take = (n: number) => b.subarray(p, p += n);
  return {
    id: b.subarray(at + AT.id, at + AT.id + ID_BYTES),
    timestampNs: v.getBigUint64(AT.timestamp),
    cipherNid,
    kdfNid,
    digestNid,
    crt: take(crtBytes),
    kex: take(kexBytes),
    raw: (kexField & KEX_RAW) !== 0,
    clientEncap: (kexField & KEX_CLIENT_ENCAP) !== 0,
    data: take(dataBytes),
    reqHash: take(hashBytes),
    signature: b.subarray(p, end),
    signed: b.subarray(at, at + signedBytes),
  };
}

/** Bytes that {@linkcode encode} writes for a header. */
export function encodedLength(h: OapHeader): number {
  return LENGTH + h.crt.length + h.kex.length + h.data.length + h.reqHash.length +
    h.signature.length;
}

/** Writes a header at `at`; the bytes written, or an error with nothing written. */
export function encode(h: OapHeader, out: Uint8Array, at: number): number | WireError {
  if (h.id.length !== ID_BYTES) return new WireError("id", `${h.id.length} of ${ID_BYTES} bytes`);
  if (h.crt.length > FIELD_BYTES_MAX) return new WireError("crt", `long: ${h.crt.length} bytes`);
  if (h.kex.length > KEX_BYTES_MAX) return new WireError("kex", `long: ${h.kex.length} bytes`);
  if (h.data.length > FIELD_BYTES_MAX) return new WireError("data", `long: ${h.data.length} bytes`);
  if (h.crt.length === 0 && h.signature.length !== 0) {
    return new WireError("signature", "without a certificate");
  }
  const total = encodedLength(h);
  if (out.length - at < total) {
    return new WireError("buffer", `short: ${out.length - at} of ${total} bytes`);
  }
  const v = new DataView(out.buffer, out.byteOffset + at, total);
  out.set(h.id, at);
  v.setBigUint64(AT.timestamp, BigInt.asUintN(64, h.timestampNs));
  v.setUint16(AT.cipher, h.cipherNid);
  v.setUint16(AT.kdf, h.kdfNid);
  v.setUint16(AT.digest, h.digestNid);
  v.setUint16(AT.crt, h.crt.length);
  const flags = h.kex.length === 0
    ? 0
    : (h.raw ? KEX_RAW : 0) | (h.clientEncap ? KEX_CLIENT_ENCAP : 0);
  v.setUint16(AT.kex, h.kex.length | flags);
  v.setUint16(AT.data, h.data.length);
  let p = at + LENGTH;
  for (const part of [h.crt, h.kex, h.data, h.reqHash, h.signature]) {
    out.set(part, p);
    p += part.length;
  }
  return total;
}

/** First 8 bytes of an id as log lines show it, e.g. `[87b8f329370276a9]`. */
export function idTag(id: Uint8Array): string {
  return `[${id.subarray(0, 8).toHex()}]`;
}

/** The dump of a header in the prototype's form, a line each (spec 40 §17). */
export function describeLines(h: OapHeader, direction: "-->" | "<--"): string[] {
  const time = new Date(Number(h.timestampNs / 1_000_000n));
  const stamp = time.toISOString().slice(0, 19).replace("T", " ");
  const field = (b: Uint8Array) => b.length === 0 ? "<none>" : `[${b.length} bytes]`;
  const encaps = h.kex.length > 0 && (h.raw || h.clientEncap)
    ? h.clientEncap ? " [Client encaps]" : " [Server encaps]"
    : "";
  const kdf = digestByNid(h.kdfNid)?.word;
  return [
    `OAP_HDR [${h.id.subarray(0, 8).toHex()} @ ${stamp} (UTC) ] ${direction}`,
    `  crt: ${field(h.crt)}`,
    `  Key Exchange Data: ${field(h.kex)}${encaps}`,
    `  Cipher: ${cipherByNid(h.cipherNid)?.word ?? "<none>"}`,
    `  KDF: ${kdf ? `HKDF-${kdf}` : "<none>"}`,
    `  Digest: ${digestByNid(h.digestNid)?.word ?? "<none>"}`,
    `  Data: ${field(h.data)}`,
    `  Req Hash: ${field(h.reqHash)}`,
    `  Signature: ${field(h.signature)}`,
  ];
}

/** Any bytes as one line, taken as a request; never throws. */
export function describe(b: Uint8Array): string {
  const h = parse(b, 0, b.length, 0);
  if (h instanceof WireError) return `OAP header of ${b.length} bytes: ${h}`;
  return describeLines(h, "<--").map((l) => l.trim()).join(", ");
}

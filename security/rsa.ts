/**
 * Verifying RSA signatures: PKCS#1 v1.5 and PSS with any digest, mask digest, salt and modulus up to 16384 bits
 * (RFC 8017 §8). Pure but for the digests.
 *
 * The runtime's own verification knows the maximal salt, one digest for both and moduli up to 4096 bits alone. Nothing
 * secret is computed with here, so big integers of the language do.
 */

import { createHash } from "node:crypto";
import { children, contents, readTlv, Tag } from "./der.ts";
import { parseSpki } from "./kex/spki.ts";
import { RSA_BITS_MAX } from "./key_kind.ts";
import type { PssParams } from "./pss_params.ts";

/** Longest public exponent, bits (FIPS 186-5 §A.1.1). */
const EXPONENT_BITS_MAX = 256;

/** DigestInfo up to the digest, by digest (RFC 8017 §9.2, note 1). */
const DIGEST_INFO: Readonly<Record<string, string>> = {
  md5: "3020300c06082a864886f70d020505000410",
  sha1: "3021300906052b0e03021a05000414",
  sha224: "302d300d06096086480165030402040500041c",
  sha256: "3031300d060960864801650304020105000420",
  sha384: "3041300d060960864801650304020205000430",
  sha512: "3051300d060960864801650304020305000440",
  "sha512-224": "302d300d06096086480165030402050500041c",
  "sha512-256": "3031300d060960864801650304020605000420",
  "sha3-224": "302d300d06096086480165030402070500041c",
  "sha3-256": "3031300d060960864801650304020805000420",
  "sha3-384": "3041300d060960864801650304020905000430",
  "sha3-512": "3051300d060960864801650304020a05000440",
};

/** A public key. */
export interface RsaKey {
  readonly n: bigint;
  readonly e: bigint;
  readonly bits: number;
  readonly exponentBits: number;
}

/** The RSA key in a SubjectPublicKeyInfo, or undefined. */
export function rsaKeyOf(spki: Uint8Array): RsaKey | undefined {
  const parsed = parseSpki(spki);
  const sequence = parsed && readTlv(parsed.key);
  if (sequence?.tag !== Tag.sequence) return undefined;
  const [nTlv, eTlv] = children(sequence) ?? [];
  if (nTlv?.tag !== Tag.integer || eTlv?.tag !== Tag.integer) return undefined;
  const n = BigInt("0x0" + contents(nTlv).toHex());
  const e = BigInt("0x0" + contents(eTlv).toHex());
  const bits = n === 0n ? 0 : n.toString(2).length;
  if (bits < 512 || bits > RSA_BITS_MAX || (e & 1n) === 0n || e < 3n || e >= n) return undefined;
  // Large exponents cost seconds with large moduli (OpenSSL has the same bound), and above FIPS 186-5's nobody has one.
  const exponentBits = e.toString(2).length;
  if (exponentBits > (bits > 3072 ? 64 : EXPONENT_BITS_MAX)) return undefined;
  return { n, e, bits, exponentBits };
}

function power(base: bigint, exponent: bigint, modulus: bigint): bigint {
  let result = 1n;
  for (const bit of exponent.toString(2)) {
    result = result * result % modulus;
    if (bit === "1") result = result * base % modulus;
  }
  return result;
}

/** The message representative of a signature, as long as the modulus; undefined if it is out of range. */
function open(key: RsaKey, signature: Uint8Array): Uint8Array | undefined {
  const bytes = (key.bits + 7) >> 3;
  if (signature.length !== bytes) return undefined;
  const s = BigInt("0x" + signature.toHex());
  if (s >= key.n) return undefined;
  return Uint8Array.fromHex(power(s, key.e, key.n).toString(16).padStart(2 * bytes, "0"));
}

function digestOf(word: string, ...parts: Uint8Array[]): Uint8Array {
  const hash = createHash(word);
  for (const part of parts) hash.update(part);
  return new Uint8Array(hash.digest());
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((x, i) => x === b[i]);
}

/** Whether a PKCS#1 v1.5 signature is good. */
export function verifyPkcs1(
  key: RsaKey,
  digest: string,
  data: Uint8Array,
  signature: Uint8Array,
): boolean {
  const prefix = DIGEST_INFO[digest];
  const em = prefix === undefined ? undefined : open(key, signature);
  if (em === undefined || prefix === undefined) return false;
  const info = Uint8Array.fromHex(prefix + digestOf(digest, data).toHex());
  // The whole block is built and compared, so nothing is parsed that could be forged.
  const want = new Uint8Array(em.length).fill(0xff);
  if (em.length < info.length + 11) return false;
  want[0] = 0;
  want[1] = 1;
  want[em.length - info.length - 1] = 0;
  want.set(info, em.length - info.length);
  return same(em, want);
}

function mask(seed: Uint8Array, length: number, digest: string): Uint8Array {
  const out: number[] = [];
  for (let counter = 0; out.length < length; counter++) {
    out.push(
      ...digestOf(digest, seed, Uint8Array.of(counter >> 24, counter >> 16, counter >> 8, counter)),
    );
  }
  return Uint8Array.from(out.slice(0, length));
}

/** Whether a PSS signature is good. */
export function verifyPss(
  key: RsaKey,
  params: PssParams,
  data: Uint8Array,
  signature: Uint8Array,
): boolean {
  const opened = open(key, signature);
  if (opened === undefined) return false;
  const emBits = key.bits - 1;
  const emBytes = (emBits + 7) >> 3;
  // One byte less than the modulus when that has 8n+1 bits.
  if (opened.length > emBytes && opened[0] !== 0) return false;
  const em = opened.subarray(opened.length - emBytes);
  const hash = digestOf(params.digest, data);
  if (em.length < hash.length + 2 || em.at(-1) !== 0xbc) return false;
  const dbLength = em.length - hash.length - 1;
  const h = em.subarray(dbLength, em.length - 1);
  const top = 0xff >> (8 * emBytes - emBits);
  if ((em[0]! & ~top & 0xff) !== 0) return false;
  const pad = mask(h, dbLength, params.maskDigest);
  const db = em.subarray(0, dbLength).map((b, i) => b ^ pad[i]!);
  db[0]! &= top;
  const one = db.findIndex((b) => b !== 0);
  if (one < 0 || db[one] !== 1) return false;
  const salt = db.subarray(one + 1);
  if (params.saltBytes !== undefined && salt.length !== params.saltBytes) return false;
  return same(digestOf(params.digest, new Uint8Array(8), hash, salt), h);
}

/**
 * The digests of OAP by id, HKDF over them and the two salts of the key derivation (spec 40 §3, §9).
 * Pure.
 *
 * Synchronous, through `node:crypto`, which has all eight digests (WebCrypto has no BLAKE2).
 */

import { createHash, createHmac, hkdfSync } from "node:crypto";
import { digestByNid } from "../lib/wire/oap_ids.ts";

/** Bytes of a session key and of a salt. */
export const KEY_BYTES = 32;

/** The digest of `parts` in order under a digest id; `undefined` for an unknown id. */
export function digest(nid: number, ...parts: Uint8Array[]): Uint8Array | undefined {
  const info = digestByNid(nid);
  if (!info) return undefined;
  const hash = createHash(info.word);
  for (const part of parts) hash.update(part);
  return new Uint8Array(hash.digest());
}

/** SHA-256 of `parts` in order. */
export function sha256(...parts: Uint8Array[]): Uint8Array {
  return digest(672, ...parts)!;
}

/** HKDF (RFC 5869) to 32 bytes; kdf id 0 or unknown means SHA-256. */
export function hkdf(
  kdfNid: number,
  ikm: Uint8Array,
  salt: Uint8Array,
  info: string,
): Uint8Array {
  const word = digestByNid(kdfNid)?.word ?? "sha256";
  if (!word.startsWith("blake2")) {
    return new Uint8Array(hkdfSync(word, ikm, salt, info, KEY_BYTES));
  }
  // Deno's HKDF has no BLAKE2; 32 bytes are one block of the expansion.
  const prk = hmac(word, salt, ikm);
  const block = hmac(word, prk, new TextEncoder().encode(info), new Uint8Array([1]));
  prk.fill(0);
  return block.slice(0, KEY_BYTES);
}

function hmac(word: string, key: Uint8Array, ...parts: Uint8Array[]): Uint8Array {
  const h = createHmac(word, key);
  for (const part of parts) h.update(part);
  return new Uint8Array(h.digest());
}

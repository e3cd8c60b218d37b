/**
 * Hashes of names (spec 20 §3 `str_hash`): what IPCPs register, query and route by. Pure.
 *
 * The input is the UTF-8 text of the name without terminator. CRC32 is given as four bytes, most
 * significant first (spec 70 §2).
 */

import { builtin } from "./builtin.ts";
import { Errno } from "./errno.ts";
import { crc32 } from "./crc32.ts";
import { HASH_BYTES } from "./codes.ts";

const NODE_NAMES = ["sha3-224", "sha3-256", "sha3-384", "sha3-512", "", "md5"] as const;
const encoder = new TextEncoder();

/** Bytes of a hash of this algorithm, 0 for an unknown one. */
export function hashBytes(algo: number): number {
  return HASH_BYTES[algo] ?? 0;
}

/** Hash of bytes, or -EINVAL for an unknown algorithm. */
export function hashOf(algo: number, data: Uint8Array): Uint8Array | number {
  if (algo === 4) {
    const c = crc32(data);
    return Uint8Array.of(c >>> 24, c >>> 16 & 0xff, c >>> 8 & 0xff, c & 0xff);
  }
  const name = NODE_NAMES[algo];
  if (!name) return -Errno.EINVAL;
  return new Uint8Array(builtin("node:crypto").createHash(name).update(data).digest());
}

/** Hash of a name, or -EINVAL for an unknown algorithm. */
export function nameHash(algo: number, name: string): Uint8Array | number {
  return hashOf(algo, encoder.encode(name));
}

/** First four bytes in hex, as log lines show a hash. */
export function hashPrefix(hash: Uint8Array): string {
  let s = "";
  for (let i = 0; i < 4 && i < hash.length; i++) s += hash[i]!.toString(16).padStart(2, "0");
  return s;
}

/**
 * CRC-32 (reflected polynomial 0xedb88320, as in Ethernet and zlib): name hashes of that algorithm
 * and the check field of FRCT packets. Pure.
 *
 * Long inputs go to zlib, which takes 95 ns for 1400 bytes with the view that it needs; short ones, for which that view
 * costs more than the sum, through tables made once, eight bytes a step.
 */

import { builtin } from "./builtin.ts";

let zlibCrc32: ((bytes: Uint8Array, seed: number) => number) | undefined;

/** Inputs from this length on are zlib's, bytes. */
const ZLIB_BYTES_MIN = 96;

const TABLES = 8;
const table = new Uint32Array(256 * TABLES);
for (let n = 0; n < 256; n++) {
  let c = n;
  for (let k = 0; k < 8; k++) c = c & 1 ? (c >>> 1) ^ 0xedb88320 : c >>> 1;
  table[n] = c >>> 0;
}
for (let t = 1; t < TABLES; t++) {
  for (let n = 0; n < 256; n++) {
    const c = table[(t - 1) * 256 + n]!;
    table[t * 256 + n] = (c >>> 8) ^ table[c & 0xff]!;
  }
}

/**
 * CRC-32 of `bytes[at, end)`. `seed` continues an earlier result, so
 * `crc32(b, k, n, crc32(b, 0, k))` equals `crc32(b, 0, n)`. Offsets must lie in the buffer.
 */
export function crc32(bytes: Uint8Array, at = 0, end: number = bytes.length, seed = 0): number {
  if (end - at >= ZLIB_BYTES_MIN) {
    zlibCrc32 ??= builtin("node:zlib").crc32 as (bytes: Uint8Array, seed: number) => number;
    const part = at === 0 && end === bytes.length ? bytes : bytes.subarray(at, end);
    return zlibCrc32(part, seed);
  }
  let c = ~seed;
  let i = at;
  for (const last = end - 8; i <= last; i += 8) {
    c ^= bytes[i]! | bytes[i + 1]! << 8 | bytes[i + 2]! << 16 | bytes[i + 3]! << 24;
    c = table[1792 + (c & 0xff)]! ^ table[1536 + (c >>> 8 & 0xff)]! ^
      table[1280 + (c >>> 16 & 0xff)]! ^ table[1024 + (c >>> 24)]! ^
      table[768 + bytes[i + 4]!]! ^ table[512 + bytes[i + 5]!]! ^
      table[256 + bytes[i + 6]!]! ^ table[bytes[i + 7]!]!;
  }
  for (; i < end; i++) c = (c >>> 8) ^ table[(c ^ bytes[i]!) & 0xff]!;
  return ~c >>> 0;
}

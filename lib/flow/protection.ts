/**
 * What goes around a packet between the flow and the ring: encryption, then CRC-32 (spec 30 §9, §10).
 *
 *     | IV | ciphertext | tag | CRC32 big-endian, only when ber is 0 |
 *
 * Works on one block of the pool in place when writing; when reading it leaves the plaintext where
 * {@linkcode Protection.u8} and {@linkcode Protection.at} say. Every length is checked before a
 * trailer is stripped (spec 30 §18.6). Empty packets are keepalives and get nothing.
 */

import { crc32 } from "../crc32.ts";
import type { PacketCipher } from "../crypt/mod.ts";
import { Errno } from "../errno.ts";
import type { Pool } from "../shm/pool.ts";

const CRC_BYTES = 4;

/** The protection of one flow's packets; belongs to one thread. */
export class Protection {
  /** Where the last accepted packet's payload is. */
  u8: Uint8Array<ArrayBuffer>;
  at = 0;
  #scratch = new Uint8Array(2048);

  constructor(
    private readonly pool: Pool,
    private readonly crc: boolean,
    private readonly cipher: PacketCipher | null,
  ) {
    this.u8 = pool.u8;
  }

  /** Bytes that protection adds to a packet. */
  get overheadBytes(): number {
    const cipher = this.cipher;
    return (cipher === null ? 0 : cipher.headroom + cipher.tailroom) + (this.crc ? CRC_BYTES : 0);
  }

  /** Protects the packet in a block in place. 0, or a negative errno when it has no room. */
  seal(off: number): number {
    const pool = this.pool;
    let n = pool.inspect(off);
    if (n <= 0) return n;
    const cipher = this.cipher;
    if (cipher !== null) {
      const at = pool.at;
      if (pool.headAlloc(off, cipher.headroom) < 0) return -Errno.EMSGSIZE;
      if (cipher.tailroom > 0 && pool.tailAlloc(off, cipher.tailroom) < 0) return -Errno.EMSGSIZE;
      n = cipher.encryptInto(pool.u8, at, n, pool.u8, at - cipher.headroom);
      if (n < 0) return n;
    }
    if (this.crc) {
      const at = pool.tailAlloc(off, CRC_BYTES);
      if (at < 0) return -Errno.EMSGSIZE;
      const sum = crc32(pool.u8, at - n, at);
      pool.u8[at] = sum >>> 24;
      pool.u8[at + 1] = sum >>> 16;
      pool.u8[at + 2] = sum >>> 8;
      pool.u8[at + 3] = sum;
    }
    return 0;
  }

  /**
   * Checks and opens the packet in a held block. Returns the payload's bytes (at {@linkcode at} of
   * {@linkcode u8}), 0 for a keepalive, -EINVAL for a block that is not held (don't remove it),
   * -EMSGSIZE or -ECRYPT for a packet to drop.
   */
  open(off: number): number {
    const pool = this.pool;
    let n = pool.inspect(off);
    if (n <= 0) return n;
    this.u8 = pool.u8;
    this.at = pool.at;
    if (this.crc) {
      n -= CRC_BYTES;
      if (n < 0) return -Errno.EMSGSIZE;
      const u8 = pool.u8;
      const end = this.at + n;
      const sum = u8[end]! * 0x1000000 + (u8[end + 1]! << 16 | u8[end + 2]! << 8 | u8[end + 3]!);
      if (crc32(u8, this.at, end) !== sum) return -Errno.EMSGSIZE;
    }
    if (this.cipher !== null) {
      if (this.#scratch.length < n) this.#scratch = new Uint8Array(n + (n >> 1));
      n = this.cipher.decryptInto(pool.u8, this.at, n, this.#scratch, 0);
      this.u8 = this.#scratch;
      this.at = 0;
      // An authentic packet without content is as good as a keepalive.
      if (n < 0) return -Errno.ECRYPT;
    }
    return n;
  }

  /** The cipher's state, for the thread that goes on with it; undefined without encryption. */
  takeCipherState(): Uint8Array<ArrayBuffer> | undefined {
    return this.cipher?.takeState();
  }

  /** Wipes keys and plaintext. */
  wipe(): void {
    this.cipher?.wipe();
    this.#scratch.fill(0);
  }
}

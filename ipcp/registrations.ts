/**
 * The names registered at an IPCP, by their hashes. Names may come before the layer is known: they are kept until
 * {@linkcode Registrations.settle} says how long a hash is there. Pure.
 */

import { Errno } from "../lib/errno.ts";

/** Names that one IPCP takes. */
export const REGISTRATIONS_MAX = 65536;

export class Registrations {
  readonly #hashes = new Set<string>();
  /** Bytes of a hash, once known. */
  #bytes: number | undefined;

  /** REG: 0 (twice is success), -22 for a hash of another length, -12 if there is no room. */
  register(hash: Uint8Array): number {
    if (this.#bytes !== undefined && hash.length !== this.#bytes) return -Errno.EINVAL;
    return this.add(hash) ? 0 : -Errno.ENOMEM;
  }

  /** The hashes of the layer have `bytes` bytes: others are forgotten. */
  settle(bytes: number): void {
    this.#bytes = bytes;
    for (const key of this.#hashes) if (key.length !== bytes * 2) this.#hashes.delete(key);
  }

  /** Add; false if there is no room. Adding twice is success. */
  add(hash: Uint8Array): boolean {
    const key = hash.toHex();
    if (this.#hashes.size >= REGISTRATIONS_MAX && !this.#hashes.has(key)) return false;
    this.#hashes.add(key);
    return true;
  }
  /** Remove; whether it was there. */
  remove(hash: Uint8Array): boolean {
    return this.#hashes.delete(hash.toHex());
  }
  has(hash: Uint8Array): boolean {
    return this.#hashes.has(hash.toHex());
  }
  /** All of them. */
  list(): Uint8Array[] {
    return [...this.#hashes].map((key) => Uint8Array.fromHex(key));
  }
  get size(): number {
    return this.#hashes.size;
  }
}

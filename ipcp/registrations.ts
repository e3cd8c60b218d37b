/** The names registered at an IPCP, by their hashes. Pure. */

/** Names that one IPCP takes. */
export const REGISTRATIONS_MAX = 65536;

export class Registrations {
  readonly #hashes = new Set<string>();

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
  get size(): number {
    return this.#hashes.size;
  }
  /** Give the hashes of `bytes` bytes to another set: those registered before the layer was known. */
  moveTo(other: Registrations, bytes: number): void {
    for (const key of this.#hashes) {
      if (key.length === bytes * 2) other.add(Uint8Array.fromHex(key));
    }
    this.#hashes.clear();
  }
}

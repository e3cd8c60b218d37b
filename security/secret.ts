/**
 * Key material with a short, visible life: wiped when its scope ends, never printed.
 *
 * What the runtime cannot promise: copies that WebCrypto, `node:crypto` or the garbage collector made.
 */
export class Secret implements Disposable {
  #bytes: Uint8Array<ArrayBuffer>;

  /** Takes the array over; the caller must not keep it. */
  constructor(bytes: Uint8Array<ArrayBuffer>) {
    this.#bytes = bytes;
  }

  /** The bytes themselves, valid until disposed of. */
  get bytes(): Uint8Array<ArrayBuffer> {
    return this.#bytes;
  }

  /** Wipes the bytes. */
  [Symbol.dispose](): void {
    this.#bytes.fill(0);
    this.#bytes = new Uint8Array(0);
  }

  toString(): string {
    return "<secret>";
  }

  toJSON(): string {
    return "<secret>";
  }

  [Symbol.for("Deno.customInspect")](): string {
    return "<secret>";
  }
}

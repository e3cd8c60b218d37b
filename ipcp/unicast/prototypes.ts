/** Members that rejoin no pieces, as prototypes do: believed for a while, a bounded number of them. Pure. */

/** How long a member is taken for a prototype that did not say that it takes pieces, µs, and how many are known. */
const PROTOTYPE_US = 600e6;
const PROTOTYPES_MAX = 1024;

/** See the file's comment. */
export class Prototypes {
  /** Until when that is believed of an address, µs; oldest first. */
  readonly #untilUs = new Map<number, number>();

  has(nowUs: number, addr: number): boolean {
    return nowUs < (this.#untilUs.get(addr) ?? 0);
  }

  /** It gave no sign that it takes pieces. */
  add(nowUs: number, addr: number): void {
    this.#untilUs.delete(addr);
    this.#untilUs.set(addr, nowUs + PROTOTYPE_US);
    if (this.#untilUs.size <= PROTOTYPES_MAX) return;
    this.#untilUs.delete(this.#untilUs.keys().next().value!);
  }

  /** It sends pieces itself. */
  forget(addr: number): void {
    this.#untilUs.delete(addr);
  }
}

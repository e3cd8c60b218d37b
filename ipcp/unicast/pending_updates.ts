/**
 * Link-state updates that wait a moment to be passed on together, and which neighbours have them already. In flat
 * memory, since a large layer holds many and none of them long. Pure.
 *
 * Neighbours are told apart by a bit each; those beyond the 32nd have none, and are known as senders by address only.
 */

const CAPACITY_FIRST = 16;

export class PendingUpdates {
  #size = 0;
  #src = new Uint32Array(CAPACITY_FIRST);
  #dst = new Uint32Array(CAPACITY_FIRST);
  #seqno = new Float64Array(CAPACITY_FIRST);
  /** Address of the neighbour that it came from, and bits of all that have it. */
  #from = new Uint32Array(CAPACITY_FIRST);
  #has = new Uint32Array(CAPACITY_FIRST);

  /** How many wait. */
  get size(): number {
    return this.#size;
  }

  /** One more: its number, from 0. */
  add(src: number, dst: number, seqno: number, from: number, bit: number): number {
    if (this.#size === this.#src.length) this.#grow();
    const i = this.#size++;
    this.#src[i] = src;
    this.#dst[i] = dst;
    this.#seqno[i] = seqno;
    this.#from[i] = from;
    this.#has[i] = bit;
    return i;
  }

  #grow(): void {
    const n = this.#src.length * 2;
    const wider = (from: Uint32Array) => {
      const to = new Uint32Array(n);
      to.set(from);
      return to;
    };
    this.#src = wider(this.#src);
    this.#dst = wider(this.#dst);
    this.#from = wider(this.#from);
    this.#has = wider(this.#has);
    const seqno = new Float64Array(n);
    seqno.set(this.#seqno);
    this.#seqno = seqno;
  }

  src(i: number): number {
    return this.#src[i]!;
  }
  dst(i: number): number {
    return this.#dst[i]!;
  }
  seqno(i: number): number {
    return this.#seqno[i]!;
  }

  /** The neighbour with `bit` sent the same: if it is number `i` still. */
  alsoHas(i: number, seqno: number, bit: number): void {
    if (i >= 0 && i < this.#size && this.#seqno[i] === seqno) this.#has[i]! |= bit;
  }

  /** Whether a neighbour has it. */
  has(i: number, addr: number, bit: number): boolean {
    return this.#from[i] === addr || (this.#has[i]! & bit) !== 0;
  }

  /** All have been passed on. Large room is given back. */
  clear(): void {
    this.#size = 0;
    if (this.#src.length <= 1024) return;
    this.#src = new Uint32Array(CAPACITY_FIRST);
    this.#dst = new Uint32Array(CAPACITY_FIRST);
    this.#seqno = new Float64Array(CAPACITY_FIRST);
    this.#from = new Uint32Array(CAPACITY_FIRST);
    this.#has = new Uint32Array(CAPACITY_FIRST);
  }
}

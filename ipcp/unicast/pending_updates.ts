/**
 * Link-state updates that wait a moment to be passed on together, and which neighbours have them already. In flat
 * memory, since a large layer holds many and none of them long. Pure.
 *
 * Neighbours are told apart by a bit each; those beyond the 32nd have none, and are known as senders by address only.
 */

import type { LinkState } from "../../lib/wire/link_state.ts";

const CAPACITY_FIRST = 16;

const LIVE = 0;
const WITHDRAWN = 1;
/** A later one of the same link was passed on or waits. */
const OVERTAKEN = 2;

export class PendingUpdates {
  #size = 0;
  #src = new Uint32Array(CAPACITY_FIRST);
  #dst = new Uint32Array(CAPACITY_FIRST);
  #seqno = new Float64Array(CAPACITY_FIRST);
  /** Address of the neighbour that it came from, and bits of all that have it. */
  #from = new Uint32Array(CAPACITY_FIRST);
  #has = new Uint32Array(CAPACITY_FIRST);
  #state = new Uint8Array(CAPACITY_FIRST);

  /** How many wait. */
  get size(): number {
    return this.#size;
  }

  /** One more: its number, from 0. */
  add({ src, dst, seqno, withdrawn }: LinkState, from: number, bit: number): number {
    if (this.#size === this.#src.length) this.#grow();
    const i = this.#size++;
    this.#src[i] = src;
    this.#dst[i] = dst;
    this.#seqno[i] = seqno;
    this.#from[i] = from;
    this.#has[i] = bit;
    this.#state[i] = withdrawn ? WITHDRAWN : LIVE;
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
    const state = new Uint8Array(n);
    state.set(this.#state);
    this.#state = state;
  }

  /** Number `i`. */
  get(i: number): LinkState {
    const withdrawn = this.#state[i] === WITHDRAWN;
    return { src: this.#src[i]!, dst: this.#dst[i]!, seqno: this.#seqno[i]!, withdrawn };
  }
  /** Whether a later one of the same link came. */
  isOvertaken(i: number): boolean {
    return this.#state[i] === OVERTAKEN;
  }

  /** Whether number `i` is of this link: numbers that somebody kept may be of a time before {@linkcode clear}. */
  #isOf(i: number, src: number, dst: number): boolean {
    return i >= 0 && i < this.#size && this.#src[i] === src && this.#dst[i] === dst;
  }

  /** The neighbour with `bit` sent the same as number `i`, if that is what it sent. */
  alsoHas(i: number, { src, dst, seqno }: LinkState, bit: number): void {
    if (this.#isOf(i, src, dst) && this.#seqno[i] === seqno) this.#has[i]! |= bit;
  }

  /** Another one of the link of number `i` came, if that is its link. */
  overtake(i: number, { src, dst }: LinkState): void {
    if (this.#isOf(i, src, dst)) this.#state[i] = OVERTAKEN;
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
    this.#state = new Uint8Array(CAPACITY_FIRST);
  }
}

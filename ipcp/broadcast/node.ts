/**
 * What a member of a broadcast layer does with packets: everything to everybody, once (spec 50 §16). Pure.
 *
 * Neighbours are applications that joined, members of the prototype, which get and send bare packets, and members of our
 * own, between which a header (`lib/wire/broadcast_pci.ts`) says where a packet entered. A packet goes to every
 * neighbour but the one it came from; one that was here before is dropped, so our members may be connected in loops, as
 * many as keep the layer together when one fails. Through a member of the prototype no header passes: whoever mixes them
 * must see to it that no loop leads through one, as among prototypes.
 *
 * The caller moves the bytes: {@linkcode BroadcastNode.arrive} judges a packet, {@linkcode BroadcastNode.header} is what
 * to write before it where a target is one of our own. Neighbours are numbers of the caller.
 */

import {
  type BroadcastPci,
  encode,
  FAREWELL,
  LENGTH,
  parse,
} from "../../lib/wire/broadcast_pci.ts";
import { Seen } from "./seen.ts";

/** Which way packets of a neighbour come and go. */
export type NeighbourKind =
  /** A process that joined the layer, here. */
  | "application"
  /** A member that knows bare packets alone. */
  | "bare"
  /** A member of our kind. */
  | "own";

/** What to do with a packet. */
export const Verdict = {
  /** Give it to all neighbours but the one it came from. */
  flood: 0,
  /** Free it. */
  drop: 1,
  /** It was here before: free it. */
  again: 2,
  /** The neighbour ends the connection; free it. */
  farewell: 3,
} as const;

/** A neighbour. */
export interface Neighbour {
  readonly id: number;
  readonly kind: NeighbourKind;
}

export class BroadcastNode {
  readonly #originHi: number;
  readonly #originLo: number;
  #seq: number;
  readonly #neighbours: Neighbour[] = [];
  readonly #kinds = new Map<number, NeighbourKind>();
  readonly #seen = new Seen();
  readonly #pci: BroadcastPci = { originHi: 0, originLo: 0, seq: 0 };
  /** Bytes before the application's packet of the one that was judged last. */
  headerBytes = 0;

  /** @param random uniform 32-bit numbers: three are taken, for our own origin and where its numbers begin */
  constructor(random: () => number) {
    this.#originHi = random() >>> 0;
    // Origin 0 is nobody's.
    this.#originLo = (random() | 1) >>> 0;
    this.#seq = random() >>> 0;
  }

  /** All neighbours, in the order they were added. */
  get neighbours(): readonly Neighbour[] {
    return this.#neighbours;
  }

  has(id: number): boolean {
    return this.#kinds.has(id);
  }

  /** Adds a neighbour; one that is there already stays as it is. */
  add(id: number, kind: NeighbourKind): void {
    if (this.#kinds.has(id)) return;
    this.#kinds.set(id, kind);
    this.#neighbours.push({ id, kind });
  }

  remove(id: number): void {
    if (!this.#kinds.delete(id)) return;
    this.#neighbours.splice(this.#neighbours.findIndex((n) => n.id === id), 1);
  }

  /**
   * Judges the packet `[at, end)` of neighbour `from`; {@linkcode headerBytes} is how much of its beginning is no
   * longer the application's, {@linkcode header} what it has for members of our kind.
   */
  arrive(from: number, u8: Uint8Array, at: number, end: number): number {
    this.headerBytes = 0;
    const kind = this.#kinds.get(from);
    if (kind === undefined) return Verdict.drop;
    const pci = this.#pci;
    if (kind !== "own") {
      // An empty packet is a sign of life in the layer below.
      if (end <= at) return Verdict.drop;
      pci.originHi = this.#originHi;
      pci.originLo = this.#originLo;
      pci.seq = this.#seq;
      this.#seq = (this.#seq + 1) >>> 0;
      return Verdict.flood;
    }
    if (parse(u8, at, end, pci) !== undefined) return Verdict.drop;
    if (pci.originHi === 0 && pci.originLo === 0) {
      return pci.seq === FAREWELL ? Verdict.farewell : Verdict.drop;
    }
    if (end - at === LENGTH) return Verdict.drop;
    if (pci.originHi === this.#originHi && pci.originLo === this.#originLo) return Verdict.again;
    if (!this.#seen.first(pci.originHi, pci.originLo, pci.seq)) return Verdict.again;
    this.headerBytes = LENGTH;
    return Verdict.flood;
  }

  /** Writes the header of the packet that was judged last at `at`, where {@linkcode LENGTH} bytes are free. */
  header(u8: Uint8Array, at: number): void {
    encode(this.#pci, u8, at);
  }

  /** Whether what a neighbour of our kind sent is its farewell. */
  static isFarewell(bytes: Uint8Array): boolean {
    const pci: BroadcastPci = { originHi: 0, originLo: 0, seq: 0 };
    return parse(bytes, 0, bytes.length, pci) === undefined && pci.originHi === 0 &&
      pci.originLo === 0 && pci.seq === FAREWELL;
  }

  /** Writes a farewell, {@linkcode LENGTH} bytes. */
  static farewell(): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(LENGTH);
    encode({ originHi: 0, originLo: 0, seq: FAREWELL }, bytes, 0);
    return bytes;
  }
}

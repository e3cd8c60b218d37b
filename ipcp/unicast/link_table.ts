/**
 * The database of links in flat memory: what a node of a large layer looks at for every update, so a look touches one
 * record of 32 bytes. Pure.
 *
 * Open addressing, probed in line. A slot is good until the next {@linkcode LinkTable.insert} or
 * {@linkcode LinkTable.remove}.
 */

/** Slots of a new table, a power of two. */
const CAPACITY_FIRST = 16;

/** A record: words of 32 bits, of which the middle four are two doubles. */
const WORDS = 8;
const SRC = 0;
const DST = 1;
const STATE = 6;
const NOTE = 7;
const DOUBLES = 4;
const SEQNO = 1;
const HEARD = 2;

const FREE = 0;
const LIVE = 1;
const WITHDRAWN = 2;

/** A multiplicative hash of both addresses. */
function hash(src: number, dst: number): number {
  let h = Math.imul(src ^ (src >>> 15), 0x2c1b3c6d) ^ Math.imul(dst ^ (dst >>> 13), 0x297a2d39);
  h = Math.imul(h ^ (h >>> 12), 0x45d9f3b);
  return (h ^ (h >>> 16)) >>> 0;
}

export class LinkTable {
  #mask = CAPACITY_FIRST - 1;
  #size = 0;
  #words = new Uint32Array(CAPACITY_FIRST * WORDS);
  #doubles = new Float64Array(this.#words.buffer);
  readonly #countOf = new Map<number, number>();

  /** Links, withdrawn ones too. */
  get size(): number {
    return this.#size;
  }
  /** Links of one source, withdrawn ones too. */
  countOf(src: number): number {
    return this.#countOf.get(src) ?? 0;
  }

  /** The slot of a link, or -1. */
  find(src: number, dst: number): number {
    const words = this.#words;
    const mask = this.#mask;
    for (let slot = hash(src, dst) & mask;; slot = (slot + 1) & mask) {
      const at = slot * WORDS;
      if (words[at + STATE] === FREE) return -1;
      if (words[at + SRC] === src && words[at + DST] === dst) return slot;
    }
  }

  /** A slot for a link that has none. */
  insert(src: number, dst: number): number {
    if (this.#size * 3 >= this.#mask * 2) this.#grow();
    const slot = this.#free(src, dst);
    const at = slot * WORDS;
    this.#words[at + SRC] = src;
    this.#words[at + DST] = dst;
    this.#words[at + STATE] = LIVE;
    this.#words[at + NOTE] = 0;
    this.#size += 1;
    this.#countOf.set(src, this.countOf(src) + 1);
    return slot;
  }

  #free(src: number, dst: number): number {
    let slot = hash(src, dst) & this.#mask;
    while (this.#words[slot * WORDS + STATE] !== FREE) slot = (slot + 1) & this.#mask;
    return slot;
  }

  /** Takes the link in a slot away. */
  remove(slot: number): void {
    const words = this.#words;
    const mask = this.#mask;
    const src = words[slot * WORDS + SRC]!;
    const left = this.countOf(src) - 1;
    if (left === 0) this.#countOf.delete(src);
    else this.#countOf.set(src, left);
    this.#size -= 1;
    // Those behind move up, as far as their own place lets them.
    let hole = slot;
    for (let next = (slot + 1) & mask;; next = (next + 1) & mask) {
      const at = next * WORDS;
      if (words[at + STATE] === FREE) break;
      const home = hash(words[at + SRC]!, words[at + DST]!) & mask;
      if (((next - home) & mask) < ((next - hole) & mask)) continue;
      words.copyWithin(hole * WORDS, at, at + WORDS);
      hole = next;
    }
    words[hole * WORDS + STATE] = FREE;
  }

  #grow(): void {
    const old = this.#words;
    this.#mask = this.#mask * 2 + 1;
    this.#words = new Uint32Array((this.#mask + 1) * WORDS);
    this.#doubles = new Float64Array(this.#words.buffer);
    for (let at = 0; at < old.length; at += WORDS) {
      if (old[at + STATE] === FREE) continue;
      const slot = this.#free(old[at + SRC]!, old[at + DST]!);
      this.#words.set(old.subarray(at, at + WORDS), slot * WORDS);
    }
  }

  src(slot: number): number {
    return this.#words[slot * WORDS + SRC]!;
  }
  dst(slot: number): number {
    return this.#words[slot * WORDS + DST]!;
  }
  seqno(slot: number): number {
    return this.#doubles[slot * DOUBLES + SEQNO]!;
  }
  /** When it was heard last, µs. */
  heardUs(slot: number): number {
    return this.#doubles[slot * DOUBLES + HEARD]!;
  }
  /** Withdrawn links stay until they age out, for their numbers. */
  isWithdrawn(slot: number): boolean {
    return this.#words[slot * WORDS + STATE] === WITHDRAWN;
  }
  /** A number of the owner's about the link in a slot, 0 at first. */
  note(slot: number): number {
    return this.#words[slot * WORDS + NOTE]!;
  }
  setNote(slot: number, note: number): void {
    this.#words[slot * WORDS + NOTE] = note;
  }

  /** What an update said of the link in a slot. */
  set(slot: number, seqno: number, heardUs: number, withdrawn: boolean): void {
    this.#doubles[slot * DOUBLES + SEQNO] = seqno;
    this.#doubles[slot * DOUBLES + HEARD] = heardUs;
    this.#words[slot * WORDS + STATE] = withdrawn ? WITHDRAWN : LIVE;
  }

  /** Slots in use, in no order. */
  slots(): number[] {
    const slots: number[] = [];
    for (let i = 0; i <= this.#mask; i++) {
      if (this.#words[i * WORDS + STATE] !== FREE) slots.push(i);
    }
    return slots;
  }

  /** When the link that was heard longest ago was heard, µs, or Infinity. */
  oldestUs(): number {
    let at = Infinity;
    for (let i = 0; i <= this.#mask; i++) {
      if (this.#words[i * WORDS + STATE] !== FREE) {
        at = Math.min(at, this.#doubles[i * DOUBLES + HEARD]!);
      }
    }
    return at;
  }
}

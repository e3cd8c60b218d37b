/**
 * Which packets of which members have been here: how a layer of our members may have loops although its packets are
 * flooded. Pure.
 *
 * For each origin the highest sequence number and a window of bits behind it; what lies before the window counts as
 * seen. Origins are bounded: when there are too many, those heard least recently are forgotten, so that a member that
 * invents origins costs memory to nobody. A packet of an origin that was forgotten may pass once more.
 */

/** Packets of one origin that may overtake each other. */
export const WINDOW = 1024;
/** Origins that are remembered. */
export const ORIGINS_MAX = 4096;

const WORDS = WINDOW / 32;

interface Origin {
  highest: number;
  /** Bit `seq % WINDOW`: seen. */
  readonly bits: Uint32Array;
}

export class Seen {
  /** By high word, then by low word: both numbers, so that nothing is put together for a look-up. */
  readonly #origins = new Map<number, Map<number, Origin>>();
  /** Those of the generation before, which go when the present one is full. */
  #old = new Map<number, Map<number, Origin>>();
  #size = 0;

  /** Origins that are remembered. */
  get size(): number {
    let n = this.#size;
    for (const of of this.#old.values()) n += of.size;
    return n;
  }

  /** Whether this is the first time that a packet comes by; it is remembered. */
  first(hi: number, lo: number, seq: number): boolean {
    const known = this.#origins.get(hi)?.get(lo) ?? this.#recall(hi, lo);
    if (known === undefined) {
      const origin = { highest: seq, bits: new Uint32Array(WORDS) };
      mark(origin.bits, seq);
      this.#add(hi, lo, origin);
      return true;
    }
    const ahead = (seq - known.highest) | 0;
    if (ahead > 0) {
      forget(known.bits, known.highest, ahead);
      known.highest = seq;
      mark(known.bits, seq);
      return true;
    }
    // The highest is seen always, so 0 falls to the bits as well.
    if (ahead <= -WINDOW || isMarked(known.bits, seq)) return false;
    mark(known.bits, seq);
    return true;
  }

  #recall(hi: number, lo: number): Origin | undefined {
    const of = this.#old.get(hi);
    const origin = of?.get(lo);
    if (origin === undefined) return undefined;
    of!.delete(lo);
    this.#add(hi, lo, origin);
    return origin;
  }

  #add(hi: number, lo: number, origin: Origin): void {
    if (this.#size >= ORIGINS_MAX / 2) {
      this.#old = new Map(this.#origins);
      this.#origins.clear();
      this.#size = 0;
    }
    let of = this.#origins.get(hi);
    if (of === undefined) this.#origins.set(hi, of = new Map());
    of.set(lo, origin);
    this.#size++;
  }
}

function mark(bits: Uint32Array, seq: number): void {
  const i = seq & (WINDOW - 1);
  bits[i >>> 5]! |= 1 << (i & 31);
}

function isMarked(bits: Uint32Array, seq: number): boolean {
  const i = seq & (WINDOW - 1);
  return (bits[i >>> 5]! & (1 << (i & 31))) !== 0;
}

/** Clears the places of the `n` numbers after `from`. */
function forget(bits: Uint32Array, from: number, n: number): void {
  if (n >= WINDOW) return void bits.fill(0);
  for (let i = 1; i <= n; i++) {
    const at = (from + i) & (WINDOW - 1);
    bits[at >>> 5]! &= ~(1 << (at & 31));
  }
}

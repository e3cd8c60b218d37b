/**
 * A ring of messages from the main thread to the data worker, in shared memory: the worker never returns to its event
 * loop while it runs, so nothing posted would reach it. One writer, one reader. Pure.
 *
 * Words 0 and 1 are the positions of writer and reader in words since the beginning; records of a length in bytes,
 * three words that mean something to both sides, and the bytes follow, none of them wrapping around the end: a length
 * of -1 says that the rest of the ring is empty.
 */

const HEAD = 0;
const TAIL = 1;
const RING = 4;
/** Words of a record before its bytes. */
const RECORD = 4;
/** Words of the ring: 1 MiB. */
const WORDS = 1 << 18;

/** Kinds of letters that every worker of a member takes; each type adds its own from 16 on. */
export const Mail = {
  /** Take a lower flow: its description as the IRMd's message. */
  lower: 1,
  /** Let a lower flow go: b is its id. */
  release: 2,
} as const;

/** What a record says; a, b, c are its words. */
export interface Letter {
  kind: number;
  b: number;
  c: number;
  /** A view of the ring, valid until the next {@linkcode Mailbox.take}. */
  bytes: Uint8Array;
}

export class Mailbox {
  readonly buffer: SharedArrayBuffer;
  readonly #words: Int32Array;
  readonly #bytes: Uint8Array;

  constructor(buffer?: SharedArrayBuffer) {
    this.buffer = buffer ?? new SharedArrayBuffer((RING + WORDS) * 4);
    this.#words = new Int32Array(this.buffer);
    this.#bytes = new Uint8Array(this.buffer);
  }

  /** Adds a record; false if there is no room. */
  put(kind: number, b: number, c: number, bytes: Uint8Array): boolean {
    const words = this.#words;
    const need = RECORD + ((bytes.length + 3) >> 2);
    let head = Atomics.load(words, HEAD);
    const free = WORDS - ((head - Atomics.load(words, TAIL)) | 0);
    let at = (head >>> 0) % WORDS;
    const skip = at + need > WORDS ? WORDS - at : 0;
    if (need + skip > free) return false;
    if (skip > 0) {
      words[RING + at] = -1;
      head = (head + skip) | 0;
      at = 0;
    }
    words[RING + at] = bytes.length;
    words[RING + at + 1] = kind;
    words[RING + at + 2] = b;
    words[RING + at + 3] = c;
    this.#bytes.set(bytes, (RING + at + RECORD) * 4);
    Atomics.store(words, HEAD, (head + need) | 0);
    return true;
  }

  /** Whether there is a record to take. For the reader. */
  get isEmpty(): boolean {
    const tail = this.#taken ? this.#next : Atomics.load(this.#words, TAIL);
    return tail === Atomics.load(this.#words, HEAD);
  }

  /** Takes the oldest record into `out`; false if there is none. */
  take(out: Letter): boolean {
    const words = this.#words;
    this.#free();
    let tail = Atomics.load(words, TAIL);
    if (tail === Atomics.load(words, HEAD)) return false;
    let at = (tail >>> 0) % WORDS;
    if (words[RING + at] === -1) {
      tail = (tail + WORDS - at) | 0;
      Atomics.store(words, TAIL, tail);
      at = 0;
    }
    const length = words[RING + at]!;
    out.kind = words[RING + at + 1]!;
    out.b = words[RING + at + 2]!;
    out.c = words[RING + at + 3]!;
    const from = (RING + at + RECORD) * 4;
    out.bytes = this.#bytes.subarray(from, from + length);
    this.#next = (tail + RECORD + ((length + 3) >> 2)) | 0;
    this.#taken = true;
    return true;
  }

  /** Gives back the record that was taken last. */
  #free(): void {
    if (!this.#taken) return;
    this.#taken = false;
    Atomics.store(this.#words, TAIL, this.#next);
  }
  #taken = false;
  #next = 0;
}

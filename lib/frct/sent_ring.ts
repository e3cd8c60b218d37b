/**
 * Packets sent and not yet acknowledged: a ring indexed by sequence number that holds a private copy of each payload.
 * It grows with what is outstanding, up to the window, so that an idle flow costs next to nothing.
 * Pure.
 *
 * Invariant: slots are in use exactly for the sequence numbers the sender has outstanding.
 */
import { type BufferPool, copyBytes } from "./buffers.ts";
import { WINDOW_PACKETS } from "./constants.ts";

const CAPACITY_FIRST = 8;
/** Beside the packet's flags, all below it: sent again because it seemed lost. */
const RESENT = 0x80;
/** In the place of a flag that is never sent: a message of no bytes. */
export const EMPTY = 0x40;

/** Retransmission copies, by sequence number. */
export class SentRing {
  readonly #buffers: BufferPool;
  #mask = -1;
  #payload: (Uint8Array | null)[] = [];
  #bytes = new Int32Array(0);
  #flags = new Uint8Array(0);
  #firstUs = new Float64Array(0);
  #lastUs = new Float64Array(0);

  constructor(buffers: BufferPool) {
    this.#buffers = buffers;
  }

  /** Stores packet `seqno`; `lwe` is the oldest one held. The caller keeps `seqno - lwe` below the window. */
  put(
    lwe: number,
    seqno: number,
    flags: number,
    src: Uint8Array,
    from: number,
    len: number,
    nowUs: number,
  ): void {
    if (((seqno - lwe) | 0) > this.#mask) this.#grow(lwe, seqno);
    const i = seqno & this.#mask;
    const copy = this.#buffers.take(len);
    copyBytes(src, from, len, copy, 0);
    this.#payload[i] = copy;
    this.#bytes[i] = len;
    this.#flags[i] = flags;
    this.#firstUs[i] = nowUs;
    this.#lastUs[i] = nowUs;
  }

  /** Forgets packet `seqno`. */
  drop(seqno: number): void {
    const i = seqno & this.#mask;
    const copy = this.#payload[i];
    if (copy != null) this.#buffers.give(copy);
    this.#payload[i] = null;
  }

  /** Payload bytes of a packet held. */
  bytes(seqno: number): number {
    return this.#bytes[seqno & this.#mask]!;
  }

  /** Flags of its first transmission. */
  flags(seqno: number): number {
    return this.#flags[seqno & this.#mask]! & ~RESENT;
  }

  /** Notes that it was sent again because it seemed lost. */
  markResent(seqno: number): void {
    this.#flags[seqno & this.#mask]! |= RESENT;
  }

  /** Whether {@linkcode markResent} was called for it. */
  wasResent(seqno: number): boolean {
    return (this.#flags[seqno & this.#mask]! & RESENT) !== 0;
  }

  /** When it was sent first, µs. */
  firstUs(seqno: number): number {
    return this.#firstUs[seqno & this.#mask]!;
  }

  /** When it was sent last, µs. */
  lastUs(seqno: number): number {
    return this.#lastUs[seqno & this.#mask]!;
  }

  /** Copies the payload to `out[at…]` and notes the time of this transmission. */
  resend(seqno: number, nowUs: number, out: Uint8Array, at: number): void {
    const i = seqno & this.#mask;
    this.#lastUs[i] = nowUs;
    copyBytes(this.#payload[i]!, 0, this.#bytes[i]!, out, at);
  }

  #grow(lwe: number, seqno: number): void {
    const n = Math.min(WINDOW_PACKETS, Math.max(CAPACITY_FIRST, (this.#mask + 1) * 2));
    const mask = n - 1;
    const payload: (Uint8Array | null)[] = new Array(n).fill(null);
    const bytes = new Int32Array(n);
    const flags = new Uint8Array(n);
    const firstUs = new Float64Array(n);
    const lastUs = new Float64Array(n);
    for (let s = lwe; s !== seqno; s = (s + 1) >>> 0) {
      const from = s & this.#mask;
      const to = s & mask;
      payload[to] = this.#payload[from]!;
      bytes[to] = this.#bytes[from]!;
      flags[to] = this.#flags[from]!;
      firstUs[to] = this.#firstUs[from]!;
      lastUs[to] = this.#lastUs[from]!;
    }
    this.#mask = mask;
    this.#payload = payload;
    this.#bytes = bytes;
    this.#flags = flags;
    this.#firstUs = firstUs;
    this.#lastUs = lastUs;
  }
}

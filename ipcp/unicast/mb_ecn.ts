/**
 * Multi-bit ECN: how fast a flow may send, from the queues that its packets met (spec 60 §9). Pure.
 *
 * Every hop ORs a mark into the packet that grows with the queue it joins; the receiver averages the marks and tells
 * the sender, whose limit of bytes a slot of time grows or shrinks. Slots are a power of two of ns long, so that 8 to
 * 64 packets fall into one. Nothing here allocates: this runs for every packet.
 *
 * What is ours, all at the sender and nothing on the wire (spec 60 §19; figures in `docs/simulation.md`): the slot of a
 * flow does not grow without end ({@linkcode SLOT_EXP_MAX}); a told value is clamped, since a forged one would lift the
 * limit. A flow that was told of congestion spreads its bytes over the slot, as bursts alone make queues; it is lowered
 * by a told value once, at most every {@linkcode LOWER_NS}, since a full queue delays the news, from what it really
 * sent; it gains by the second, not by the slot; it forgets what it was told after time as well as packets, for at a
 * full queue packets are many and news few. The prototype's rules (`asPrototype`) lose most packets there.
 */

import type { CongestionContext } from "./congestion.ts";

/** Packets of the average, as a power of two. */
const AVERAGE_EXP = 5;
const AVERAGE = 1 << AVERAGE_EXP;
/** A receiver tells of every so many marked packets. */
const UPDATE_PACKETS = 8;
/** First slot: 2^24 ns = 16.8 ms; bytes that may go in it, and by which it grows. */
const SLOT_EXP = 24;
const LIMIT_BYTES = 65_536;
/** Our increment, bytes/s a second: what makes flows equal; and the part of its rate that a flow gains a second. */
const STEP_BYTES = 120_000;
const STEP_PART = 0.5;
/** Queues of less than about 128 packets on the way are no congestion yet: bursts of others alone make them. */
const ECE_SMALL = 256;
/** Part of a slot's bytes that may go at once; the rest is spread over the slot. */
const BURST = 1 / 8;
/** Pauses shorter than this are not worth a timer, ns. */
const PAUSE_MIN_NS = 50_000;
/** A flow may always send so much in a slot: who sends nothing is told nothing. */
const LIMIT_BYTES_MIN = 2048;
/** Shortest time between two times that the limit is lowered, ns: the first has to be felt by then. */
const LOWER_NS = 1.2e8;
/** How long a told value is kept at least, ns. */
const FORGET_NS = 5e8;
/** Packets of a slot. */
const SLOT_PACKETS_MIN = 8;
const SLOT_PACKETS_MAX = 64;
/** Longest slot, 2^27 ns = 134 ms: what an idle flow may send at once stays small, and no flow is slow to yield. */
export const SLOT_EXP_MAX = 27;
/** Shortest slot, 2^10 ns. */
const SLOT_EXP_MIN = 10;
/** Largest value that the formula understands. */
export const ECE_MAX = 8191;
/** Longest pause before one packet, ns. */
const PAUSE_MAX_NS = 1e9;

/** The mark of a packet that joins a queue of so many, to be ORed with what it carries. */
export function mark(queued: number): number {
  return (queued >> 4) & 0xff;
}

/** The state of one flow at one end. */
export class MbEcn implements CongestionContext {
  readonly #asPrototype: boolean;
  readonly #slotExpMax: number;
  // Sender: what the peer told, packets since; bytes and packets of the slot; the limit and its increment.
  ece = 0;
  #sinceUpdate = 0;
  /** The value was told since the limit was last lowered. */
  #fresh = false;
  #nowNs: number;
  #loweredNs = -Infinity;
  #toldNs: number;
  #bytes = 0;
  #packets = 0;
  #limit = LIMIT_BYTES;
  #avoiding = false;
  #exp = SLOT_EXP;
  #increment = LIMIT_BYTES;
  #slot: number;
  // Receiver.
  #seen = 0;
  #seenCount = 0;

  /** `asPrototype`: without what is ours but the clamp, for comparing with it. */
  constructor(nowNs: number, asPrototype = false) {
    this.#asPrototype = asPrototype;
    this.#slotExpMax = asPrototype ? Infinity : SLOT_EXP_MAX;
    this.#nowNs = this.#toldNs = nowNs;
    this.#slot = Math.floor(nowNs / 2 ** SLOT_EXP);
  }

  /** A packet of `bytes` is to be sent: ns to wait before it goes, 0 … 1 s. */
  onSend(nowNs: number, bytes: number): number {
    const slot = Math.floor(nowNs / 2 ** this.#exp);
    this.#sinceUpdate += 1;
    this.#packets += 1;
    this.#bytes += bytes;
    this.#nowNs = nowNs;
    // Not told for long: forget.
    const isOld = this.#asPrototype || nowNs - this.#toldNs > FORGET_NS;
    if (this.#sinceUpdate > AVERAGE && isOld) this.ece = 0;
    if (slot > this.#slot) this.#nextSlot(slot);
    if (this.#avoiding && !this.#asPrototype) return this.#pace(nowNs, bytes);
    if (this.#bytes <= this.#limit) return 0;
    const wait = (this.#slot + 1) * 2 ** this.#exp - nowNs;
    return Math.max(0, Math.min(wait, PAUSE_MAX_NS));
  }

  /** The bytes of a slot, evenly over it but for a small burst. */
  #pace(nowNs: number, bytes: number): number {
    const slotNs = 2 ** this.#exp;
    const beganNs = this.#slot * slotNs;
    const early = Math.max(2 * bytes, this.#limit * BURST);
    const waitNs = beganNs + (this.#bytes - early) / this.#limit * slotNs - nowNs;
    return waitNs < PAUSE_MIN_NS ? 0 : Math.min(waitNs, PAUSE_MAX_NS);
  }

  #nextSlot(slot: number): void {
    this.#slot = slot;
    if (!this.#avoiding) {
      if (this.#bytes > this.#limit) this.#limit *= 2;
    } else if (this.ece > (this.#asPrototype ? 0 : ECE_SMALL)) {
      const isDue = this.#fresh && this.#nowNs - this.#loweredNs >= LOWER_NS;
      if (isDue || this.#asPrototype) {
        const limit = this.#asPrototype ? this.#limit : Math.min(this.#limit, this.#bytes);
        const part = this.#asPrototype
          ? this.ece / 8192
          : Math.min((this.ece - ECE_SMALL) / 3072, 0.5);
        this.#limit = limit - Math.floor(limit * part);
        if (!this.#asPrototype) this.#limit = Math.max(this.#limit, LIMIT_BYTES_MIN);
        this.#loweredNs = this.#nowNs;
        this.#fresh = false;
      }
    } else if (this.#asPrototype) this.#limit = this.#bytes + this.#increment;
    else {
      const sec = 2 ** this.#exp / 1e9;
      this.#limit = Math.min(this.#limit, this.#bytes + this.#increment);
      this.#limit += this.#limit * STEP_PART * sec + STEP_BYTES * sec * sec;
    }
    let carry = false;
    if (this.#packets < SLOT_PACKETS_MIN) carry = this.#longer();
    else if (this.#packets > SLOT_PACKETS_MAX) this.#shorter();
    if (carry) return;
    this.#bytes = 0;
    this.#packets = 0;
  }

  /** Longer slots until enough packets fall into one. Whether what was counted belongs to the slot that begins. */
  #longer(): boolean {
    let f = 0;
    // A slot without packets counts as one: nothing else makes the loop end.
    while (Math.max(this.#packets, 1) * 2 ** f < SLOT_PACKETS_MIN) f += 1;
    f = Math.min(f, this.#slotExpMax - this.#exp);
    if (f <= 0) return false;
    this.#exp += f;
    this.#slot = Math.floor(this.#slot / 2 ** f);
    const carry = this.#slot % 2 ** f === 0;
    if (carry) this.#slot += 1;
    this.#limit *= 2 ** f;
    this.#increment *= 2 ** f;
    return carry;
  }

  #shorter(): void {
    let f = 0;
    while (Math.floor(this.#packets / 2 ** f) > SLOT_PACKETS_MAX) f += 1;
    f = Math.min(f, this.#exp - SLOT_EXP_MIN);
    if (f <= 0) return;
    this.#exp -= f;
    this.#slot *= 2 ** f;
    this.#limit = Math.floor(this.#limit / 2 ** f);
    this.#increment = Math.floor(this.#increment / 2 ** f);
  }

  /** A packet came with a mark: the value to tell the sender now, or -1. */
  onReceive(_bytes: number, ecn: number): number {
    if (this.#seen === 0 && ecn === 0) return -1;
    if (ecn === 0) {
      this.#seen >>= 2;
      return this.#seen === 0 ? 0 : -1;
    }
    if (this.#seen === 0) {
      this.#seen = ecn;
      this.#seenCount = 0;
      return this.#seen;
    }
    this.#seen += ecn - (this.#seen >> AVERAGE_EXP);
    const tell = (this.#seenCount & (UPDATE_PACKETS - 1)) === 1;
    this.#seenCount += 1;
    return tell ? Math.min(this.#seen, 0xffff) : -1;
  }

  /** The receiver told what our packets met. */
  onUpdate(ece: number): void {
    this.ece = Math.min(ece, ECE_MAX);
    this.#sinceUpdate = 0;
    this.#toldNs = this.#nowNs;
    this.#fresh = true;
    this.#avoiding = true;
  }

  /** The sender's state: ece, packets since an update, bytes, packets, limit, avoiding, exponent, increment, slot. */
  get state(): readonly number[] {
    const avoiding = this.#avoiding ? 1 : 0;
    return [
      this.ece,
      this.#sinceUpdate,
      this.#bytes,
      this.#packets,
      this.#limit,
      avoiding,
      this.#exp,
      this.#increment,
      this.#slot,
    ];
  }
  /** The receiver's state: average of marks, packets counted. */
  get received(): readonly number[] {
    return [this.#seen, this.#seenCount];
  }
}

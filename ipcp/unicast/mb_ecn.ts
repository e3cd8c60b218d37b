/**
 * Multi-bit ECN: how fast a flow may send, from the queues that its packets met (spec 60 §9). Pure.
 *
 * Every hop ORs a mark into the packet that grows with the queue it joins; the receiver averages the marks and tells the
 * sender. That is the prototype's, and all that is on the wire. The sender's rules are ours (why, and what they reach:
 * `docs/simulation.md`; the prototype's: `sim/prototype_sender.ts`): a rate instead of a limit of bytes a slot, so that
 * no bursts make queues, moved by two things:
 *
 * - At once by the last marks: rate = share / (1 + mark / {@linkcode MARK_HALF}). The receiver tells a long average;
 *   what the packets since its last word met is worked out of two such averages, as a long average makes rates swing.
 * - Slowly, the share: it grows with its root and shrinks with itself and about the root of the mark, so flows that meet
 *   the same queues come to equal shares, whatever they had, and a growing number of flows meets a slowly growing queue.
 *   A little less than the root: a flow through several queues, whose marks are ORed, loses less by that.
 *
 * The share looks at the least mark of a short time, since at a fast link bursts make queues that do not stay; and it
 * grows faster while the queue is met empty.
 *
 * What nobody uses does not grow. Nothing here allocates: this runs for every packet.
 */

import { type CongestionContext, CongestionReport as R } from "./congestion.ts";

/** Packets of the receiver's average, as a power of two. */
const AVERAGE_EXP = 5;
/** A receiver tells of every so many marked packets. */
const UPDATE_PACKETS = 8;
/** What is left of an average after so many packets, and what one mark in each of them adds to it. */
const LEFT = (1 - 2 ** -AVERAGE_EXP) ** UPDATE_PACKETS;
const ADDED = 2 ** AVERAGE_EXP * (1 - LEFT);
/** Largest value that means something: 8 bits of mark, averaged. */
export const ECE_MAX = 8191;

/** The mark at which a flow sends half its share. */
const MARK_HALF = 20;
/** Growth of a share a second for each of its root's units, (bytes/s)^½. */
const GROW = 450;
/** Its loss a second at a mark of 1, which grows with this power of the mark; and what each mark adds to it. */
const LOSE = 0.265;
const LOSE_POWER = 0.4;
const LOSE_EACH = 0.015;
/** Growth of a share a second, by itself, while the queue is met empty. */
const GROW_FREE = 0.2;
/** A queue that was short once in this time or twice that is a burst, not congestion, ns. */
const BURST_WINDOW_NS = 1.5e7;
/** First share, bytes/s; it doubles every {@linkcode DOUBLE_NS} until the first word of congestion. */
const SHARE_FIRST = 1e6;
const DOUBLE_NS = 2 ** 24;
/** Smallest share, bytes/s: who sends nothing is told nothing. */
const SHARE_MIN = 4000;
/** How often the share is looked at, ns; a longer pause counts as so much. */
const STEP_NS = 1e7;
const STEP_MAX_NS = 2e8;
/** How long a told value is believed, ns. */
const FORGET_NS = 1e9;
/** What may go at once after a pause, bytes, or ns of the rate. */
const BURST_BYTES = 4000;
const BURST_NS = 2e6;
/** Pauses shorter than this are not worth a timer, ns; the longest. */
const PAUSE_MIN_NS = 50_000;
const PAUSE_MAX_NS = 1e9;

/** The mark of a packet that joins a queue of so many, to be ORed with what it carries. */
export function mark(queued: number): number {
  return (queued >> 4) & 0xff;
}

/** What a receiver makes of marks (spec 60 §9.5). */
export class Marks {
  #average = 0;
  #count = 0;

  /** A packet with a mark: the value to tell the sender now, or -1. */
  onPacket(ecn: number): number {
    if (this.#average === 0 && ecn === 0) return -1;
    if (ecn === 0) {
      this.#average >>= 2;
      return this.#average === 0 ? 0 : -1;
    }
    if (this.#average === 0) {
      this.#average = ecn;
      this.#count = 0;
      return ecn;
    }
    this.#average += ecn - (this.#average >> AVERAGE_EXP);
    const tell = (this.#count & (UPDATE_PACKETS - 1)) === 1;
    this.#count += 1;
    return tell ? Math.min(this.#average, 0xffff) : -1;
  }

  /** Says the same without making anything. */
  report(into: Float64Array, at: number): void {
    into[at + R.seen] = this.#average;
    into[at + R.seenPackets] = this.#count;
  }

  /** Average of marks, packets counted. */
  get state(): readonly number[] {
    return [this.#average, this.#count];
  }
}

/** The state of one flow at one end. */
export class MbEcn implements CongestionContext {
  readonly #marks = new Marks();
  /** Bytes a second. */
  #share = SHARE_FIRST;
  #starting = true;
  /** What packets met lately, as a mark; the last value told; when, ns. */
  #mark = 0;
  /** The least that was met since the window began, and in the one before. */
  #least = 0;
  #leastBefore = 0;
  #windowNs = -Infinity;
  #told = 0;
  #toldNs = -Infinity;
  #nowNs: number;
  /** When the next packet may go at the rate. */
  #nextNs: number;
  /** When the share was looked at; whether the rate held anything up since. */
  #stepNs: number;
  #limited = false;

  constructor(nowNs: number) {
    this.#nowNs = this.#nextNs = this.#stepNs = nowNs;
  }

  /** Bytes a second that may go now. */
  get rate(): number {
    return this.#share / (1 + this.#mark / MARK_HALF);
  }

  /** A packet of `bytes` is to be sent: ns to wait before it goes, 0 … 1 s. */
  onSend(nowNs: number, bytes: number): number {
    this.#nowNs = nowNs;
    if (nowNs - this.#stepNs >= STEP_NS) this.#step(nowNs);
    const nsPerByte = 1e9 / this.rate;
    const burstNs = Math.max(BURST_NS, BURST_BYTES * nsPerByte);
    const atNs = Math.max(this.#nextNs, nowNs - burstNs);
    this.#nextNs = atNs + bytes * nsPerByte;
    const waitNs = atNs - nowNs;
    if (waitNs < PAUSE_MIN_NS) return 0;
    this.#limited = true;
    return Math.min(waitNs, PAUSE_MAX_NS);
  }

  /** The share after some time. */
  #step(nowNs: number): void {
    const sec = Math.min(nowNs - this.#stepNs, STEP_MAX_NS) / 1e9;
    this.#stepNs = nowNs;
    if (nowNs - this.#toldNs > FORGET_NS) this.#mark = 0;
    const least = Math.min(this.#least, this.#leastBefore, this.#mark);
    // What nobody uses does not grow.
    const grows = this.#limited;
    this.#limited = false;
    if (grows && this.#starting) this.#share *= 2 ** (sec * 1e9 / DOUBLE_NS);
    else if (grows) {
      this.#share += sec * GROW * Math.sqrt(this.#share);
      if (least === 0) this.#share += sec * GROW_FREE * this.#share;
    }
    const loss = LOSE * least ** LOSE_POWER + LOSE_EACH * least;
    this.#share = Math.max(this.#share * (1 - sec * loss), SHARE_MIN);
  }

  /** A packet came with a mark: the value to tell the sender now, or -1. */
  onReceive(_bytes: number, ecn: number): number {
    return this.#marks.onPacket(ecn);
  }

  report(into: Float64Array, at: number): void {
    into[at + R.told] = this.#told;
    into[at + R.rate] = this.rate;
    into[at + R.regime] = this.#starting ? 0 : this.#told > 0 ? 1 : 2;
    this.#marks.report(into, at);
    into[at + R.said] = 1;
  }

  /** The receiver told what our packets met. */
  onUpdate(ece: number): void {
    const told = Math.min(ece, ECE_MAX);
    const last = this.#nowNs - this.#toldNs < FORGET_NS ? this.#told : 0;
    const met = told === 0 ? 0 : Math.max(0, Math.min((told - LEFT * last) / ADDED, 255));
    this.#mark = told === 0 ? 0 : (this.#mark + met) / 2;
    if (this.#nowNs - this.#windowNs >= BURST_WINDOW_NS) {
      this.#leastBefore = this.#nowNs - this.#windowNs < 2 * BURST_WINDOW_NS
        ? this.#least
        : Infinity;
      this.#least = met;
      this.#windowNs = this.#nowNs;
    } else this.#least = Math.min(this.#least, met);
    this.#told = told;
    this.#toldNs = this.#nowNs;
    if (told === 0 || !this.#starting) return;
    this.#starting = false;
    this.#share = Math.max(this.#share / 2, SHARE_MIN);
  }
}

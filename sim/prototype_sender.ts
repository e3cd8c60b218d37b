/**
 * The prototype's sender of multi-bit ECN (spec 60 §9.4), beside which ours must live: for simulated layers of both kinds
 * and for the vectors. Pure.
 */

import type { Congestion, CongestionContext } from "../ipcp/unicast/congestion.ts";
import { ECE_MAX, mark, Marks } from "../ipcp/unicast/mb_ecn.ts";

/** Packets without an update after which a told value is forgotten. */
const FORGET_PACKETS = 32;
/** First slot: 2^24 ns = 16.8 ms; bytes that may go in it, and by which it grows. */
const SLOT_EXP = 24;
const LIMIT_BYTES = 65_536;
/** Packets of a slot. */
const SLOT_PACKETS_MIN = 8;
const SLOT_PACKETS_MAX = 64;
/** Longest pause before one packet, ns. */
const PAUSE_MAX_NS = 1e9;

/** The state of one flow at one end; a told value is clamped, as a larger one would lift the limit. */
export class PrototypeMbEcn implements CongestionContext {
  ece = 0;
  #sinceUpdate = 0;
  #bytes = 0;
  #packets = 0;
  #limit = LIMIT_BYTES;
  #avoiding = false;
  #exp = SLOT_EXP;
  #increment = LIMIT_BYTES;
  #slot: number;
  readonly #marks = new Marks();

  constructor(nowNs: number) {
    this.#slot = Math.floor(nowNs / 2 ** SLOT_EXP);
  }

  onSend(nowNs: number, bytes: number): number {
    const slot = Math.floor(nowNs / 2 ** this.#exp);
    this.#sinceUpdate += 1;
    this.#packets += 1;
    this.#bytes += bytes;
    if (this.#sinceUpdate > FORGET_PACKETS) this.ece = 0;
    if (slot > this.#slot) this.#nextSlot(slot);
    if (this.#bytes <= this.#limit) return 0;
    const wait = (this.#slot + 1) * 2 ** this.#exp - nowNs;
    return Math.max(0, Math.min(wait, PAUSE_MAX_NS));
  }

  #nextSlot(slot: number): void {
    this.#slot = slot;
    if (!this.#avoiding) {
      if (this.#bytes > this.#limit) this.#limit *= 2;
    } else if (this.ece > 0) this.#limit -= Math.floor(this.#limit * (this.ece / 8192));
    else this.#limit = this.#bytes + this.#increment;
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
    this.#exp -= f;
    this.#slot *= 2 ** f;
    this.#limit = Math.floor(this.#limit / 2 ** f);
    this.#increment = Math.floor(this.#increment / 2 ** f);
  }

  onReceive(_bytes: number, ecn: number): number {
    return this.#marks.onPacket(ecn);
  }

  onUpdate(ece: number): void {
    this.ece = Math.min(ece, ECE_MAX);
    this.#sinceUpdate = 0;
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
  /** The receiver's state. */
  get received(): readonly number[] {
    return this.#marks.state;
  }
}

/** Congestion avoidance as prototypes do it. */
export const PROTOTYPE_MB_ECN: Congestion = { flow: (nowNs) => new PrototypeMbEcn(nowNs), mark };

/**
 * One direction of a simulated path: delay, jitter, loss (independent and in bursts), duplication, reordering, rate,
 * outages. Everything random comes from the seed; what it did to packets is counted. Pure.
 */
import type { EventQueue } from "./event_queue.ts";
import type { Prng } from "./prng.ts";

/** How bad a path is. */
export interface LinkOptions {
  /** One-way delay, µs. */
  delayUs: number;
  /** Uniform addition to it; larger than the spacing of packets it reorders. */
  jitterUs?: number;
  /** Probability of independent loss. */
  loss?: number;
  /** Probability that a burst of loss begins at a packet, and its mean length in packets. */
  burst?: number;
  burstPackets?: number;
  /** Probability of a second copy. */
  duplicate?: number;
  /** Probability of an extra delay of up to `reorderUs`. */
  reorder?: number;
  reorderUs?: number;
  /** Bits a second. */
  rate?: number;
  /** Packets that may wait for their turn at that rate; more are dropped. No limit when absent. */
  queuePackets?: number;
  /** What is sent at one instant stays together and in order: one draw of delay, one event for all of it. */
  together?: boolean;
  /** Nothing passes in these spans of virtual time, µs. */
  outages?: readonly (readonly [number, number])[];
  /** From this time on the path only delays. */
  healUs?: number;
}

/** Carries packets to `deliver`. */
export class Link {
  sent = 0;
  dropped = 0;
  duplicated = 0;
  reordered = 0;
  readonly #queue: EventQueue;
  readonly #random: Prng;
  readonly #o: LinkOptions;
  readonly #deliver: (packet: Uint8Array) => void;
  readonly #deliverAll: ((packets: readonly Uint8Array[]) => void) | undefined;
  /** What was sent last that stays together, when. */
  #group: Uint8Array[] = [];
  #groupUs = -1;
  /** Nothing passes: the path is cut. */
  cut = false;
  /** Packets dropped because the queue was full, and the longest that it was. */
  overflowed = 0;
  queuedMost = 0;
  #queued = 0;
  #burstLeft = 0;
  #busyUs = 0;
  /** It loses, doubles and reorders nothing. */
  readonly #faithful: boolean;

  /** `deliverAll` takes what stays together, when it should not come one by one. */
  constructor(
    queue: EventQueue,
    random: Prng,
    o: LinkOptions,
    deliver: (p: Uint8Array) => void,
    deliverAll?: (packets: readonly Uint8Array[]) => void,
  ) {
    this.#deliverAll = deliverAll;
    this.#queue = queue;
    this.#random = random;
    this.#o = o;
    this.#faithful = [o.loss, o.burst, o.duplicate, o.reorder, o.outages?.length].every((x) => !x);
    this.#deliver = deliver;
  }

  /** Packets that wait for their turn. */
  get queued(): number {
    return this.#queued;
  }

  /** Takes a packet; the bytes become the link's. */
  send(packet: Uint8Array): void {
    this.sent++;
    const o = this.#o;
    const now = this.#queue.nowUs;
    if (this.cut) {
      this.dropped++;
      return;
    }
    let start = now;
    if (o.rate !== undefined) {
      if (this.#queued >= (o.queuePackets ?? Infinity)) {
        this.dropped++;
        this.overflowed++;
        return;
      }
      start = this.#busyUs = Math.max(now, this.#busyUs) + (packet.length * 8e6) / o.rate;
      this.#queued++;
      this.queuedMost = Math.max(this.queuedMost, this.#queued);
      this.#queue.at(start, () => void this.#queued--);
    }
    const healed = this.#faithful || now >= (o.healUs ?? Infinity);
    if (!healed && this.#lost(now)) {
      this.dropped++;
      return;
    }
    this.#schedule(start, packet, healed);
    if (!healed && this.#random.chance(o.duplicate ?? 0)) {
      this.duplicated++;
      // Whoever gets the first copy may edit it in place.
      this.#schedule(start, packet.slice(), healed);
    }
  }

  #schedule(start: number, packet: Uint8Array, healed: boolean): void {
    const o = this.#o;
    if (o.together && o.rate === undefined) return this.#join(start, packet);
    let delay = o.delayUs + this.#random.next() * (o.jitterUs ?? 0);
    if (!healed && this.#random.chance(o.reorder ?? 0)) {
      this.reordered++;
      delay += this.#random.next() * (o.reorderUs ?? o.delayUs);
    }
    this.#queue.at(start + delay, () => {
      if (!this.cut) this.#deliver(packet);
    });
  }

  #join(nowUs: number, packet: Uint8Array): void {
    if (this.#groupUs === nowUs) {
      this.#group.push(packet);
      return;
    }
    const group = this.#group = [packet];
    this.#groupUs = nowUs;
    const delay = this.#o.delayUs + this.#random.next() * (this.#o.jitterUs ?? 0);
    this.#queue.at(nowUs + delay, () => {
      // Without delay, whoever is told may send at this very instant.
      if (this.#group === group) this.#groupUs = -1;
      if (this.cut) return;
      if (this.#deliverAll !== undefined) return this.#deliverAll(group);
      for (const p of group) this.#deliver(p);
    });
  }

  #lost(now: number): boolean {
    const o = this.#o;
    for (const [from, to] of o.outages ?? []) if (now >= from && now < to) return true;
    if (this.#burstLeft > 0) {
      this.#burstLeft--;
      return true;
    }
    if (this.#random.chance(o.burst ?? 0)) {
      this.#burstLeft = Math.floor(2 * (o.burstPackets ?? 4) * this.#random.next());
      return true;
    }
    return this.#random.chance(o.loss ?? 0);
  }
}

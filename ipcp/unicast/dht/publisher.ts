/**
 * How what is registered gets to the nodes that should hold it, and stays there: our own names, and what others stored
 * here. Source: spec 70 §8, §13.1. Pure.
 *
 * A name of ours goes to all that are known while those are few, else to the nearest, who are searched; it is renewed in
 * time. What others stored is sent on when nobody else did. A node that is new is told what it should hold.
 */

import type { DhtContact, DhtMsg } from "../../../lib/wire/dht_msg.ts";
import type { DhtSettings } from "../settings.ts";
import { type Contacts, SMALL } from "./contacts.ts";
import type { Registration, Value, Values } from "./values.ts";

/** While so many nodes or fewer are known, each holds every name. */
const FULL_COPY_CONTACTS = 20;
/** Shortest time between two looks at what is to be renewed, µs. */
const RENEW_MIN_US = 100_000;
/** Names renewed in one look. */
const RENEW_MOST = 64;
/** A layer that grew by this factor since names were made known has other nodes nearest to them. */
const GROWTH = 1.25;
/** How long after it grew its new nodes may still be joining the directory, µs. */
const GROWING_US = 2e6;

/** What the directory gives. */
export interface PublisherParts {
  readonly self: DhtContact;
  readonly settings: DhtSettings;
  readonly values: Values;
  readonly contacts: Contacts;
  /** The nodes nearest to a key that are known and can be reached. */
  closest(key: Uint8Array, most: number): readonly DhtContact[];
  /** Seconds since 1970. */
  unixSec(nowUs: number): number;
  /** A time that differs a little from node to node. */
  jitter(us: number): number;
  send(dst: number, m: DhtMsg): void;
  /** Look for the nodes nearest to a key, unless that is under way; {@linkcode Publisher.storeAt} follows. */
  searchNearest(nowUs: number, key: Uint8Array): void;
}

/** See the file's comment. */
export class Publisher {
  readonly #parts: PublisherParts;
  #renewAtUs = Infinity;
  /** How many were members when the layer last counted as grown, and when that was, µs. */
  #grownTo = 0;
  #grownUs = -Infinity;

  constructor(parts: PublisherParts) {
    this.#parts = parts;
  }

  /** How long a value of ours is believed, s: three renewals, or what the layer allows. */
  get lifeSec(): number {
    const { expireSec, replicateSec } = this.#parts.settings;
    return Math.min(expireSec, 3 * replicateSec);
  }

  /** Makes a registration of ours known. */
  publish(nowUs: number, hash: Uint8Array): void {
    const { values, settings, jitter } = this.#parts;
    const own = values.own.get(hash);
    if (own === undefined) return;
    // Among nodes that are still joining, the nearest cannot be found for sure yet.
    const isGrowing = nowUs - this.#grownUs < GROWING_US;
    const lifeUs = isGrowing ? GROWING_US : settings.replicateSec * 1e6;
    this.#publishAt(own, nowUs + jitter(lifeUs));
    const reachable = this.#parts.closest(hash, FULL_COPY_CONTACTS + 1);
    if (reachable.length > FULL_COPY_CONTACTS) this.#parts.searchNearest(nowUs, hash);
    else this.storeAt(nowUs, hash, reachable);
  }

  #publishAt(own: Registration, atUs: number): void {
    own.publishAtUs = atUs;
    this.#renewAtUs = Math.min(this.#renewAtUs, atUs);
  }

  /** These nodes are to hold a name of ours, if it still is. */
  storeAt(nowUs: number, key: Uint8Array, nodes: readonly DhtContact[]): void {
    const { self, values, send } = this.#parts;
    if (values.own.get(key) === undefined) return;
    const expires = Math.floor(this.#parts.unixSec(nowUs)) + this.lifeSec;
    for (const { addr } of nodes) {
      send(addr, { kind: "store", src: self, key, value: self.addr, expires });
    }
  }

  /** A name is ours no more. */
  withdraw(key: Uint8Array): void {
    const { self, send } = this.#parts;
    // Over in every clock: those of members differ.
    const expires = 0;
    for (const { addr } of this.#parts.closest(key, SMALL)) {
      send(addr, { kind: "store", src: self, key, value: self.addr, expires });
    }
  }

  /** A value of somebody was stored here. */
  stored(nowUs: number): void {
    const { replicateSec } = this.#parts.settings;
    this.#renewAtUs = Math.min(this.#renewAtUs, nowUs + replicateSec * 1e6);
  }

  /** A node that is new gets what it should hold. */
  welcome(nowUs: number, to: DhtContact): void {
    const { contacts, settings, values } = this.#parts;
    const everything = contacts.size <= FULL_COPY_CONTACTS;
    const isItsOwn = (key: Uint8Array) =>
      everything || contacts.isAmongClosest(key, to.id, settings.k);
    let most = RENEW_MOST;
    for (const [key] of values.own) {
      if (most === 0) break;
      if (!isItsOwn(key)) continue;
      this.storeAt(nowUs, key, [to]);
      most -= 1;
    }
    for (const [key, stored] of values.stored) {
      if (most === 0) break;
      if (!isItsOwn(key)) continue;
      most -= 1;
      this.#sendOn(nowUs, key, stored, [to]);
    }
  }

  #sendOn(
    nowUs: number,
    key: Uint8Array,
    values: readonly Value[],
    to: readonly DhtContact[],
  ): void {
    const { self, send } = this.#parts;
    for (const { addr: value, expiresUs } of values) {
      if (expiresUs <= nowUs) continue;
      const expires = Math.floor(this.#parts.unixSec(expiresUs));
      for (const { addr: dst } of to) {
        if (dst !== value) send(dst, { kind: "store", src: self, key, value, expires });
      }
    }
  }

  /** The layer has so many members: when it grew, the nodes nearest to our names are others now. */
  members(nowUs: number, count: number): void {
    if (count <= this.#grownTo * GROWTH) return;
    this.#grownTo = count;
    this.#grownUs = nowUs;
    for (const [, own] of this.#parts.values.own) {
      const atUs = nowUs + this.#parts.jitter(GROWING_US / 2);
      if (atUs < own.publishAtUs) this.#publishAt(own, atUs);
    }
  }

  /** Publishes own names that are due, and sends on values of others that nobody else did. */
  onTimer(nowUs: number): void {
    if (nowUs < this.#renewAtUs) return;
    this.#renewAtUs = Infinity;
    const { settings, values } = this.#parts;
    // Owners of our kind renew in time; this is for those of prototypes, and for owners that fell silent.
    const silenceUs = settings.replicateSec * 1e6 * 1.5;
    let most = RENEW_MOST;
    let nextUs = Infinity;
    for (const [key, own] of values.own) {
      if (own.publishAtUs <= nowUs && most > 0) {
        most -= 1;
        this.publish(nowUs, key);
      }
      nextUs = Math.min(nextUs, own.publishAtUs);
    }
    for (const [key, stored] of values.stored) {
      const due = stored.filter((v) => nowUs - v.storedUs >= silenceUs);
      if (due.length > 0 && most > 0) {
        most -= 1;
        this.#sendOn(nowUs, key, due, this.#parts.closest(key, settings.k));
        for (const v of due) v.storedUs = nowUs;
      }
      for (const v of stored) nextUs = Math.min(nextUs, v.storedUs + silenceUs);
    }
    if (nextUs < Infinity) this.#renewAtUs = Math.max(nextUs, nowUs + RENEW_MIN_US);
  }

  /** When {@linkcode onTimer} has something to do next, µs, or Infinity. */
  deadlineUs(): number {
    return this.#renewAtUs;
  }
}

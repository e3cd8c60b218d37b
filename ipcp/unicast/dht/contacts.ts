/**
 * The other nodes that a directory knows: one bucket for each length of prefix that an id shares with ours, and some in
 * reserve behind a full one. Source: spec 70 §7.1, improvements §13.1. Pure.
 *
 * A contact is somebody that was heard itself, by address; what others say of a node is hearsay and kept elsewhere. A
 * bucket is full at {@linkcode BUCKET}, but not before {@linkcode SMALL} contacts are known in all, since in a small
 * layer everybody should know everybody. Who does not answer twice is asked last, after five times it leaves for one in
 * reserve.
 */

import type { DhtContact } from "../../../lib/wire/dht_msg.ts";
import { nearer, sharedBits } from "./keys.ts";

/** Contacts of a bucket, when the layer's `k` is not more: those of far away save a round of a lookup. */
export const BUCKET = 20;
/** Up to so many contacts in all, no bucket is full. */
export const SMALL = 32;
/** Unanswered requests in a row after which a contact is doubtful, and after which it leaves. */
export const DOUBTFUL_FAILURES = 2;
export const LOST_FAILURES = 5;

/** An address that says another id within so long is not new again, µs: who is new is sent what it should hold. */
const NEW_US = 10e6;

/** A node that was heard. */
export interface Contact extends DhtContact {
  /** When it was heard last, µs, and when it counted as new. */
  heardUs: number;
  readonly newUs: number;
  /** Requests in a row that it did not answer. */
  failures: number;
}

export class Contacts {
  readonly #self: DhtContact;
  readonly #most: number;
  readonly #byAddr = new Map<number, Contact>();
  /** By shared bits: contacts, least recently heard first, and those in reserve. */
  readonly #buckets = new Map<number, { in: Contact[]; reserve: Contact[] }>();

  constructor(self: DhtContact, k: number) {
    this.#self = self;
    this.#most = Math.max(k, BUCKET);
  }

  get size(): number {
    return this.#byAddr.size;
  }

  has(addr: number): boolean {
    return this.#byAddr.has(addr);
  }
  get(addr: number): Contact | undefined {
    return this.#byAddr.get(addr);
  }
  all(): IterableIterator<Contact> {
    return this.#byAddr.values();
  }

  #bucket(id: Uint8Array): { in: Contact[]; reserve: Contact[] } {
    const bits = sharedBits(this.#self.id, id);
    let bucket = this.#buckets.get(bits);
    if (bucket === undefined) this.#buckets.set(bits, bucket = { in: [], reserve: [] });
    return bucket;
  }

  /** A node was heard: whether it is a contact now that was none. */
  heard(nowUs: number, { id, addr }: DhtContact): boolean {
    if (addr === this.#self.addr) return false;
    const known = this.#byAddr.get(addr);
    if (known !== undefined) {
      // An id that changes is a node that began anew.
      this.#take(known);
      if (nearer(id, known.id, id) === 0) {
        known.heardUs = nowUs;
        known.failures = 0;
        this.#put(known);
        return false;
      }
      this.#byAddr.delete(addr);
    }
    const isNew = known === undefined || nowUs - known.newUs >= NEW_US;
    const newUs = isNew ? nowUs : known.newUs;
    const contact: Contact = { id: id.slice(), addr, heardUs: nowUs, newUs, failures: 0 };
    const bucket = this.#bucket(id);
    if (bucket.in.length >= this.#most && this.size >= SMALL) {
      const doubtful = bucket.in.findIndex((c) => c.failures >= DOUBTFUL_FAILURES);
      if (doubtful < 0) {
        bucket.reserve = bucket.reserve.filter((c) => c.addr !== addr);
        bucket.reserve.push(contact);
        if (bucket.reserve.length > this.#most) bucket.reserve.shift();
        return false;
      }
      const [gone] = bucket.in.splice(doubtful, 1);
      this.#byAddr.delete(gone!.addr);
    }
    this.#byAddr.set(addr, contact);
    this.#put(contact);
    return isNew;
  }

  #put(c: Contact): void {
    this.#bucket(c.id).in.push(c);
  }

  #take(c: Contact): void {
    const bucket = this.#bucket(c.id);
    bucket.in = bucket.in.filter((x) => x !== c);
  }

  /** A contact did not answer: whether it left for it. */
  failed(addr: number): boolean {
    const c = this.#byAddr.get(addr);
    if (c === undefined || ++c.failures < LOST_FAILURES) return false;
    this.remove(addr);
    return true;
  }

  /** A contact leaves; one in reserve takes its place. */
  remove(addr: number): void {
    const c = this.#byAddr.get(addr);
    if (c === undefined) return;
    this.#byAddr.delete(addr);
    this.#take(c);
    const next = this.#bucket(c.id).reserve.pop();
    if (next === undefined || this.#byAddr.has(next.addr)) return;
    this.#byAddr.set(next.addr, next);
    this.#put(next);
  }

  /** The `most` contacts nearest to a key, nearest first; those that fail behind the others. */
  closest(key: Uint8Array, most: number, usable?: (addr: number) => boolean): Contact[] {
    const all = usable === undefined
      ? [...this.#byAddr.values()]
      : [...this.#byAddr.values()].filter((c) => usable(c.addr));
    const doubtful = (c: Contact) => c.failures >= DOUBTFUL_FAILURES ? 1 : 0;
    all.sort((a, b) => doubtful(a) - doubtful(b) || nearer(key, a.id, b.id));
    return all.slice(0, most);
  }

  /** Whether an id is among the `n` nodes nearest to a key, as far as we know, us included. */
  isAmongClosest(key: Uint8Array, id: Uint8Array, n: number): boolean {
    let before = nearer(key, this.#self.id, id) < 0 ? 1 : 0;
    for (const c of this.#byAddr.values()) {
      if (nearer(key, c.id, id) < 0 && ++before >= n) return false;
    }
    return before < n;
  }

  /** Numbers of shared bits for which there may be nodes: 0 … the longest prefix that a contact shares. */
  bucketsInUse(): number {
    let most = 0;
    for (const [bits, { in: contacts }] of this.#buckets) {
      if (contacts.length > 0) most = Math.max(most, bits + 1);
    }
    return most;
  }
}

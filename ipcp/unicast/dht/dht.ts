/**
 * The directory of a unicast layer as a Kademlia-like DHT among its nodes. Source: spec 70, improvements §13. Pure.
 *
 * Reading first: spec 70 §6 (messages), §8 (procedures), §13.1. Parts: `contacts.ts` (who is known), `values.ts` (what is
 * stored), `publisher.ts` (who is told it), `searches.ts` (who is asked), `answers.ts` (what searches gave), `sources.ts`
 * (who is answered how often). What it does beyond the prototype, which lives with it in one layer:
 *
 * - Lookups iterate; what is nowhere is said as soon as nobody is left to ask, and remembered a moment.
 * - A name is stored at the k nodes nearest to its hash, and at all that are known while those are few, because a
 *   prototype asks its first contacts only. A node that is new is told what it should hold.
 * - Values have a short expiry and are renewed; whoever unregisters withdraws with an expiry of now, which prototypes
 *   take for nothing new.
 * - Routing says who can be reached: others are not asked, and their values not given while there are better ones.
 * - What others say of nodes is hearsay until those answer; answers count from the address that was asked alone.
 * - Answers are limited by source, memory in all things.
 */

import { type DhtContact, type DhtMsg, encode, parse } from "../../../lib/wire/dht_msg.ts";
import { Fifo } from "../../../lib/fifo.ts";
import { isWireError } from "../../../lib/wire/mod.ts";
import type { Directory, DirectoryEffect } from "../directory.ts";
import type { DhtSettings } from "../settings.ts";
import { Answers } from "./answers.ts";
import { Contacts, SMALL } from "./contacts.ts";
import { Publisher } from "./publisher.ts";
import { type Search, Searches } from "./searches.ts";
import { Sources } from "./sources.ts";
import { Values, VALUES_TOLD_MAX } from "./values.ts";

/** Longest message, bytes: fits one Ethernet frame below (spec 70 §5). */
const MESSAGE_BYTES_MAX = 1481;
/** Tokens that wait for one search. */
const WAITERS_MAX = 256;
/** Join tries: first pause, last pause, µs. */
const JOIN_FIRST_US = 100_000;
const JOIN_LAST_US = 10e6;
/** How often values that have expired are dropped, µs. */
const SWEEP_US = 10e6;

/** What a directory has done, for people and the RIB. */
export interface DhtCounters {
  malformed: number;
  received: number;
  sent: number;
  /** Answers to nothing that was asked. */
  unasked: number;
  /** Requests not answered, because there were too many. */
  limited: number;
  stores: number;
  refused: number;
  lookups: number;
  found: number;
}

const NONE: readonly number[] = [];

export class Dht implements Directory {
  readonly counters: DhtCounters = {
    malformed: 0,
    received: 0,
    sent: 0,
    unasked: 0,
    limited: 0,
    stores: 0,
    refused: 0,
    lookups: 0,
    found: 0,
  };
  readonly self: DhtContact;
  readonly #settings: DhtSettings;
  readonly #hashBytes: number;
  readonly #random: () => number;
  readonly #contacts: Contacts;
  readonly #values = new Values();
  readonly #publisher: Publisher;
  readonly #searches: Searches;
  readonly #answers = new Answers();
  readonly #sources = new Sources();
  readonly #out = new Fifo<DirectoryEffect>();
  /** Who can be reached, as routing says; undefined: it has not said. */
  #members: Set<number> | undefined;
  /** Seconds since 1970 at time 0 of the machine's clock. */
  #epochSec: number;
  #seeds: number[];
  #joined = false;
  #joinAtUs: number;
  #joinPauseUs = JOIN_FIRST_US;
  #sweepAtUs: number;
  #refreshAtUs: number;

  /**
   * @param id ours, uniformly random, as long as the layer's hashes
   * @param unixSec seconds since 1970, at `nowUs`
   * @param random uniform 32-bit numbers
   */
  constructor(
    nowUs: number,
    self: DhtContact,
    settings: DhtSettings,
    unixSec: number,
    random: () => number,
  ) {
    this.self = self;
    this.#settings = settings;
    this.#hashBytes = self.id.length;
    this.#random = random;
    this.#contacts = new Contacts(self, settings.k);
    this.#searches = new Searches({
      self,
      alpha: settings.alpha,
      k: settings.k,
      random,
      closest: (key, most) => this.#closest(key, most),
      send: (dst, m) => this.#send(dst, m),
      failed: (addr) => this.#contacts.failed(addr),
      ended: (now, search) => this.#ended(now, search),
    });
    this.#publisher = new Publisher({
      self,
      settings,
      values: this.#values,
      contacts: this.#contacts,
      closest: (key, most) => this.#closest(key, most),
      unixSec: (us) => this.#unix(us),
      jitter: (us) => this.#jitter(us),
      send: (dst, m) => this.#send(dst, m),
      searchNearest: (now, key) => {
        if (this.#searches.get("node", key) === undefined) {
          this.#search(now, key, "node", "publish", []);
        }
      },
    });
    this.#epochSec = unixSec - nowUs / 1e6;
    this.#seeds = settings.peer === 0 || settings.peer === self.addr ? [] : [settings.peer];
    this.#joinAtUs = this.#seeds.length === 0 ? Infinity : nowUs;
    this.#sweepAtUs = nowUs + SWEEP_US;
    this.#refreshAtUs = nowUs + this.#jitter(settings.refreshSec * 1e6);
  }

  /** The wall clock was looked at again. */
  onClock(nowUs: number, unixSec: number): void {
    this.#epochSec = unixSec - nowUs / 1e6;
  }

  /** The next thing to do, oldest first. */
  poll(): DirectoryEffect | undefined {
    return this.#out.shift();
  }

  // What is known, for people and tests.

  /** The nodes that were heard. */
  get contacts(): Contacts {
    return this.#contacts;
  }
  /** What is stored here. */
  get values(): Values {
    return this.#values;
  }
  /** Searches under way. */
  get searches(): number {
    return this.#searches.size;
  }

  #jitter(us: number): number {
    return us * (0.9 + 0.2 * (this.#random() / 0x100000000));
  }

  #reaches(addr: number): boolean {
    return this.#members?.has(addr) ?? true;
  }

  #closest(key: Uint8Array, most: number): readonly DhtContact[] {
    return this.#contacts.closest(key, most, (a) => this.#reaches(a));
  }

  #unix(nowUs: number): number {
    return nowUs / 1e6 + this.#epochSec;
  }

  #send(dst: number, m: DhtMsg): void {
    this.counters.sent += 1;
    this.#out.push({ kind: "send", dst, bytes: encode(m) });
  }

  // Commands.

  register(nowUs: number, hash: Uint8Array): void {
    if (this.#values.own.get(hash) === undefined) {
      this.#values.own.set(hash.slice(), { publishAtUs: nowUs });
    }
    this.#answers.forget(hash);
    this.#publisher.publish(nowUs, hash);
  }

  unregister(_nowUs: number, hash: Uint8Array): boolean {
    if (!this.#values.own.delete(hash)) return false;
    this.#publisher.withdraw(hash);
    return true;
  }

  query(nowUs: number, hash: Uint8Array, token: number): void {
    const known = this.#good(nowUs, hash, this.#values.get(hash));
    if (known.length > 0) return this.#found(token, known);
    const kept = this.#answers.get(nowUs, hash);
    if (kept !== undefined) return this.#found(token, kept);
    const under = this.#searches.get("value", hash);
    if (under !== undefined) {
      if (under.waiters.length >= WAITERS_MAX) return this.#found(token, NONE);
      under.waiters.push(token);
      return;
    }
    this.#search(nowUs, hash, "value", "nothing", [token]);
  }

  #found(token: number, addrs: readonly number[]): void {
    if (addrs.length > 0) this.counters.found += 1;
    this.#out.push({ kind: "found", token, addrs });
  }

  /** Addresses of others that can be reached. */
  #good(nowUs: number, key: Uint8Array, addrs: readonly number[]): number[] {
    return addrs.filter((a) => {
      return a !== this.self.addr && this.#reaches(a) && !this.#answers.isWrong(nowUs, key, a);
    });
  }

  // Searches.

  #search(
    nowUs: number,
    key: Uint8Array,
    wants: "value" | "node",
    then: Search["then"],
    waiters: number[],
  ): void {
    if (this.#searches.begin(nowUs, key, wants, then, waiters)) this.counters.lookups += 1;
    else for (const token of waiters) this.#found(token, NONE);
  }

  /** Nobody is left to ask. */
  #ended(nowUs: number, { lookup, waiters, then }: Search): void {
    if (lookup.wants === "value") {
      this.#answers.keep(nowUs, lookup.key, NONE);
      for (const token of waiters) this.#found(token, NONE);
    }
    if (then === "publish") {
      this.#publisher.storeAt(nowUs, lookup.key, lookup.closest(this.#settings.k));
    }
  }

  // Messages.

  onMessage(nowUs: number, bytes: Uint8Array): void {
    const m = parse(bytes, this.#hashBytes);
    if (isWireError(m) || m.src.addr === this.self.addr) {
      this.counters.malformed += 1;
      return;
    }
    this.counters.received += 1;
    switch (m.kind) {
      case "store":
        this.#onStore(nowUs, m);
        return this.#heard(nowUs, m.src);
      case "find_node_req":
      case "find_value_req":
        if (!this.#sources.take(nowUs, m.src.addr)) {
          this.counters.limited += 1;
          return;
        }
        this.#heard(nowUs, m.src);
        return this.#respond(m);
      case "find_node_rsp":
      case "find_value_rsp":
        return this.#onAnswer(nowUs, m);
    }
  }

  #heard(nowUs: number, src: DhtContact): void {
    if (!this.#reaches(src.addr)) return;
    if (!this.#contacts.heard(nowUs, src)) return;
    this.#publisher.welcome(nowUs, src);
  }

  #onStore(nowUs: number, m: DhtMsg & { readonly kind: "store" }): void {
    const { key, value, expires, src } = m;
    this.counters.stores += 1;
    // Our own, sent on by somebody.
    if (value === this.self.addr && this.#values.own.get(key) !== undefined) return;
    let lifeSec = Math.min(expires - Math.floor(this.#unix(nowUs)), this.#settings.expireSec);
    if (value === src.addr) {
      if (expires === 0) return this.#withdrawn(key, value);
      this.#answers.believed(key, value);
      // Who has the name renews it, whatever its clock or ours says.
      lifeSec = Math.max(lifeSec, this.#publisher.lifeSec);
    }
    const near = () => this.#contacts.isAmongClosest(key, this.self.id, this.#settings.k);
    if (lifeSec < 0 || !this.#values.store(nowUs, key, value, nowUs + lifeSec * 1e6, near)) {
      this.counters.refused += 1;
      return;
    }
    this.#publisher.stored(nowUs);
    this.#answers.appeared(key);
    // Whoever searches it here need not wait for the others.
    const search = this.#searches.get("value", key);
    const good = this.#reaches(value) && !this.#answers.isWrong(nowUs, key, value);
    if (search !== undefined && good) this.#settle(nowUs, search, [value]);
  }

  #withdrawn(key: Uint8Array, value: number): void {
    this.#values.withdraw(key, value);
    this.#answers.failed(key, value);
  }

  #respond(m: DhtMsg & { readonly kind: "find_node_req" | "find_value_req" }): void {
    const { cookie, key } = m;
    const src = this.self;
    const values: number[] = [];
    if (m.kind === "find_value_req") {
      if (this.#values.own.get(key) !== undefined) values.push(this.self.addr);
      const stored = this.#values.get(key);
      const good = stored.filter((a) => this.#reaches(a));
      values.push(...(good.length > 0 ? good : stored));
      values.length = Math.min(values.length, VALUES_TOLD_MAX);
    }
    // Ids and addresses take at most 10 bytes beside the hash, values 10 each.
    const room = MESSAGE_BYTES_MAX - 60 - 2 * this.#hashBytes - 10 * values.length;
    const most = Math.min(this.#settings.k, Math.floor(room / (this.#hashBytes + 12)));
    const contacts = this.#closest(key, most);
    if (m.kind === "find_node_req") {
      return this.#send(m.src.addr, { kind: "find_node_rsp", src, cookie, key, contacts });
    }
    this.#send(m.src.addr, { kind: "find_value_rsp", src, cookie, key, contacts, values });
  }

  #onAnswer(
    nowUs: number,
    m: DhtMsg & { readonly kind: "find_node_rsp" | "find_value_rsp" },
  ): void {
    const search = this.#searches.answered(nowUs, m);
    if (search === undefined) {
      this.counters.unasked += 1;
      return;
    }
    this.#joined = true;
    this.#joinAtUs = Infinity;
    this.#heard(nowUs, m.src);
    search.lookup.offer(m.contacts.filter((c) => this.#reaches(c.addr)));
    if (m.kind === "find_value_rsp") {
      const good = this.#good(nowUs, m.key, m.values);
      if (good.length > 0) return this.#settle(nowUs, search, good);
    }
    this.#searches.goOn(nowUs, search);
  }

  /** A search has found addresses. */
  #settle(nowUs: number, search: Search, addrs: readonly number[]): void {
    const { key } = search.lookup;
    this.#searches.end(search);
    this.#answers.keep(nowUs, key, [...new Set(addrs)]);
    for (const token of search.waiters) this.#found(token, addrs);
  }

  // Routing.

  onMembers(nowUs: number, addrs: readonly number[]): void {
    const before = this.#members;
    this.#members = new Set(addrs);
    this.#members.delete(this.self.addr);
    for (const c of [...this.#contacts.all()]) {
      if (!this.#members.has(c.addr)) this.#contacts.remove(c.addr);
    }
    const left = [...before ?? []].filter((addr) => !this.#members!.has(addr));
    this.#searches.unreachable(nowUs, left);
    this.#publisher.members(nowUs, this.#members.size);
    // In a small layer everybody should know everybody; in a large one a few doors are enough, others for each.
    const strangers = [...this.#members].filter((a) => !this.#contacts.has(a));
    this.#seeds = this.#some(strangers, SMALL - this.#contacts.size);
    if (this.#seeds.length === 0) {
      this.#joinAtUs = Infinity;
      return;
    }
    this.#joinPauseUs = JOIN_FIRST_US;
    this.#joinAtUs = Math.min(this.#joinAtUs, nowUs + 1000);
  }

  /** At most `most` of them, by chance; reorders them. */
  #some(of: number[], most: number): number[] {
    const n = Math.max(0, Math.min(most, of.length));
    for (let i = 0; i < n; i++) {
      const j = i + Math.floor(this.#random() / 0x100000000 * (of.length - i));
      [of[i], of[j]] = [of[j]!, of[i]!];
    }
    of.length = n;
    return of;
  }

  onUnanswered(_nowUs: number, hash: Uint8Array, addr: number): void {
    this.#answers.failed(hash, addr);
    this.#contacts.failed(addr);
  }

  onDenied(nowUs: number, hash: Uint8Array, addr: number): void {
    this.#withdrawn(hash, addr);
    this.#answers.denied(nowUs, hash, addr);
  }

  /** Ask for our own id those whom we know by address alone. */
  #join(nowUs: number): void {
    const unknown = this.#seeds.filter((a) => this.#reaches(a) && !this.#contacts.has(a));
    if (unknown.length === 0 && (this.#joined || this.#contacts.size > 0)) {
      this.#joinAtUs = Infinity;
      return;
    }
    this.#joinAtUs = nowUs + this.#jitter(this.#joinPauseUs);
    this.#joinPauseUs = Math.min(this.#joinPauseUs * 2, JOIN_LAST_US);
    this.#searches.join(nowUs, unknown);
  }

  // Time.

  onTimer(nowUs: number): void {
    if (nowUs >= this.#joinAtUs) this.#join(nowUs);
    this.#searches.onTimer(nowUs);
    if (nowUs >= this.#sweepAtUs) {
      this.#values.sweep(nowUs);
      this.#sweepAtUs = nowUs + SWEEP_US;
    }
    this.#publisher.onTimer(nowUs);
    if (nowUs >= this.#refreshAtUs) this.#refresh(nowUs);
  }

  /** Search an id of each bucket, so that nodes that came and went are noticed. */
  #refresh(nowUs: number): void {
    this.#refreshAtUs = nowUs + this.#jitter(this.#settings.refreshSec * 1e6);
    const buckets = Math.min(this.#contacts.bucketsInUse(), 24);
    for (let bits = 0; bits < buckets; bits++) {
      const id = this.self.id.slice();
      for (let i = bits >> 3; i < id.length; i++) {
        const random = this.#random() & 0xff;
        const keep = i === bits >> 3 ? 0xff00 >> (bits & 7) & 0xff : 0;
        id[i] = (id[i]! & keep) | (random & ~keep);
      }
      const bit = 0x80 >> (bits & 7); // The first that differs.
      id[bits >> 3] = (id[bits >> 3]! & ~bit) | (~this.self.id[bits >> 3]! & bit);
      this.#search(nowUs, id, "node", "nothing", []);
    }
  }

  deadlineUs(): number {
    const ownUs = Math.min(this.#joinAtUs, this.#sweepAtUs, this.#refreshAtUs);
    return Math.min(ownUs, this.#publisher.deadlineUs(), this.#searches.deadlineUs());
  }
}

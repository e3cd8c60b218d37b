/**
 * The searches of a directory that are under way, for values and for nodes: each asks on until somebody settles it or
 * nobody is left to ask (`lookup.ts`). Source: spec 70 §8.4, §13.1. Pure.
 */

import type { DhtContact, DhtMsg } from "../../../lib/wire/dht_msg.ts";
import { KeyMap } from "./keys.ts";
import { Lookup, type LookupRequest } from "./lookup.ts";

/** Searches under way. */
const LOOKUPS_MAX = 1024;
/** Longest search, µs. */
const LOOKUP_LIFE_US = 5e6;
/** How long an answer may take: four smoothed round trips within these bounds, µs. */
const PATIENCE_MIN_US = 40_000;
const PATIENCE_MAX_US = 250_000;

/** One of them. */
export interface Search {
  readonly lookup: Lookup;
  /** Tokens of queries that wait for it. */
  readonly waiters: number[];
  /** What happens to the nearest nodes when it ends. */
  readonly then: "publish" | "nothing";
}

/** What the directory gives. */
export interface SearchesParts {
  readonly self: DhtContact;
  /** Requests under way in a search, and nodes that it ends at. */
  readonly alpha: number;
  readonly k: number;
  readonly random: () => number;
  /** The nodes nearest to a key that are known and can be reached. */
  closest(key: Uint8Array, most: number): readonly DhtContact[];
  send(dst: number, m: DhtMsg): void;
  /** A node does not answer. */
  failed(addr: number): void;
  /** Nobody is left to ask; the search is over. */
  ended(nowUs: number, search: Search): void;
}

/** See the file's comment. */
export class Searches {
  readonly #parts: SearchesParts;
  readonly #value = new KeyMap<Search>();
  readonly #node = new KeyMap<Search>();
  #roundTripUs = PATIENCE_MAX_US / 4;

  constructor(parts: SearchesParts) {
    this.#parts = parts;
  }

  get size(): number {
    return this.#value.size + this.#node.size;
  }
  /** The search for a value, or for nodes near to a key. */
  get(wants: Lookup["wants"], key: Uint8Array): Search | undefined {
    return this.#of(wants).get(key);
  }

  #of(wants: Lookup["wants"]): KeyMap<Search> {
    return wants === "value" ? this.#value : this.#node;
  }

  *#all(): IterableIterator<Search> {
    for (const [, search] of [...this.#value]) yield search;
    for (const [, search] of [...this.#node]) yield search;
  }

  #cookie(): bigint {
    const { random } = this.#parts;
    const n = (BigInt(random() >>> 0) << 32n) | BigInt(random() >>> 0);
    return n === 0n ? 1n : n;
  }

  #patience(): number {
    return Math.max(PATIENCE_MIN_US, Math.min(PATIENCE_MAX_US, this.#roundTripUs * 4));
  }

  /** Begins one, which may be over at once; false: too many are under way. */
  begin(
    nowUs: number,
    key: Uint8Array,
    wants: Lookup["wants"],
    then: Search["then"],
    waiters: number[],
  ): boolean {
    if (this.#of(wants).size >= LOOKUPS_MAX) return false;
    const { alpha, k } = this.#parts;
    const search = this.#add(nowUs, key.slice(), wants, alpha, k, then, waiters);
    search.lookup.offer(this.#parts.closest(key, Math.max(k, alpha)));
    this.goOn(nowUs, search);
    return true;
  }

  #add(
    nowUs: number,
    key: Uint8Array,
    wants: Lookup["wants"],
    alpha: number,
    k: number,
    then: Search["then"],
    waiters: number[],
  ): Search {
    const { addr } = this.#parts.self;
    const lookup = new Lookup(nowUs, key, wants, addr, alpha, k, () => this.#cookie());
    const search = { lookup, waiters, then };
    this.#of(wants).set(key, search);
    return search;
  }

  /** Searches our own id, from nodes that are known by address alone: their ids do not matter until they answer. */
  join(nowUs: number, addrs: readonly number[]): void {
    const { self: { id }, alpha, k } = this.#parts;
    const most = Math.max(alpha, addrs.length);
    const search = this.#node.get(id) ??
      this.#add(nowUs, id, "node", most, Math.max(k, most), "nothing", []);
    search.lookup.offer(addrs.map((addr) => ({ id, addr })));
    search.lookup.offer(this.#parts.closest(id, k));
    this.goOn(nowUs, search);
  }

  #ask(lookup: Lookup, requests: readonly LookupRequest[]): void {
    const kind = lookup.wants === "value" ? "find_value_req" : "find_node_req";
    const { self: src, send } = this.#parts;
    for (const { to, cookie } of requests) send(to.addr, { kind, src, cookie, key: lookup.key });
  }

  /** Ask on, or end the search when nobody is left. */
  goOn(nowUs: number, search: Search): void {
    const { lookup } = search;
    this.#ask(lookup, lookup.next(nowUs, this.#patience()));
    if (!lookup.isExhausted && nowUs - lookup.sinceUs <= LOOKUP_LIFE_US) return;
    this.end(search);
    this.#parts.ended(nowUs, search);
  }

  /** It is under way no more. */
  end({ lookup }: Search): void {
    this.#of(lookup.wants).delete(lookup.key);
  }

  /** The search that an answer is for; undefined: nothing was asked there with that cookie. */
  answered(
    nowUs: number,
    m: DhtMsg & { readonly kind: "find_node_rsp" | "find_value_rsp" },
  ): Search | undefined {
    const search = this.get(m.kind === "find_value_rsp" ? "value" : "node", m.key);
    const took = search?.lookup.answered(nowUs, m.src.addr, m.cookie) ?? -1;
    if (took < 0) return undefined;
    this.#roundTripUs += (took - this.#roundTripUs) / 8;
    return search;
  }

  /** Nodes that cannot be reached any more are not waited for. */
  unreachable(nowUs: number, addrs: readonly number[]): void {
    for (const search of this.#all()) {
      for (const addr of addrs) search.lookup.unreachable(addr);
      this.goOn(nowUs, search);
    }
  }

  /** Ask again where an answer is late, and others where it does not come. */
  onTimer(nowUs: number): void {
    for (const search of this.#all()) {
      const { lookup } = search;
      if (lookup.deadlineUs() > nowUs) continue;
      this.#ask(lookup, lookup.late(nowUs, this.#patience(), (addr) => this.#parts.failed(addr)));
      this.goOn(nowUs, search);
    }
  }

  /** When {@linkcode onTimer} has something next, µs, or Infinity. */
  deadlineUs(): number {
    let at = Infinity;
    for (const searches of [this.#value, this.#node]) {
      if (searches.size === 0) continue;
      for (const [, { lookup }] of searches) at = Math.min(at, lookup.deadlineUs());
    }
    return at;
  }
}

/**
 * The cache of names of a shim IPCP: where they were found, and the queries that are under way. Pure.
 *
 * Source: spec 50 §8 and §10.1, and the improvements of §18: S6 (an answer is believed only while
 * somebody asks, entries expire, everything is bounded), R9 (questions are repeated within the 200 ms
 * that the IRMd waits, all waiters are woken, the question stays open in the background).
 */

import { Deadlines } from "../deadlines.ts";

/** A lower address as raw bytes: 6 of a MAC, or a socket address. */
export type Addr = Uint8Array;

/** Limits and times; µs. */
export const NAMES_MAX = 4096;
export const NAME_LIFE_US = 60e6;
export const QUERIES_MAX = 256;
export const QUERY_WAITERS_MAX = 64;
export const QUERY_LIFE_US = 2e6;
/** When a question on the wire is repeated, µs after the first. */
export const QUERY_REPEATS_US: readonly number[] = [50_000, 100_000];
/** The IRMd stops waiting for QUERY after 200 ms; a resolver that is slower helps the next query. */
export const RESOLVE_ANSWER_US = 170_000;

/** Whether two addresses are the same bytes. */
export function sameAddr(a: Addr, b: Addr): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** Where names were found. */
export class NameCache {
  readonly #entries = new Map<string, { addr: Addr; untilUs: number }>();

  get size(): number {
    return this.#entries.size;
  }

  /** Remember; the oldest entry goes when there is no room. */
  set(nowUs: number, hash: Uint8Array, addr: Addr): void {
    const key = hash.toHex();
    this.#entries.delete(key);
    if (this.#entries.size >= NAMES_MAX) {
      const oldest = this.#entries.keys().next().value;
      if (oldest !== undefined) this.#entries.delete(oldest);
    }
    this.#entries.set(key, { addr: addr.slice(), untilUs: nowUs + NAME_LIFE_US });
  }

  get(nowUs: number, hash: Uint8Array): Addr | undefined {
    const key = hash.toHex();
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    if (entry.untilUs <= nowUs) {
      this.#entries.delete(key);
      return undefined;
    }
    return entry.addr;
  }

  /** Forget all: other stations may be there now. */
  clear(): void {
    this.#entries.clear();
  }

  /** Forget one name: the address did not answer. */
  forget(hash: Uint8Array): void {
    this.#entries.delete(hash.toHex());
  }
}

interface Query {
  readonly key: string;
  readonly hash: Uint8Array;
  readonly sinceUs: number;
  repeats: number;
  readonly waiters: Set<number>;
}

/** How questions are asked. */
export interface QueryRules {
  /** When a question is repeated, µs after the first. */
  readonly repeatsUs: readonly number[];
  /** How long one who asked waits, µs. */
  readonly patienceUs: number;
  /** What one gets who waited for nothing. */
  readonly late: number;
  /** The same in words, if there is more to say. */
  readonly why?: string;
}

/** Questions under way. Waiters are tokens of the caller. */
export class Queries {
  readonly #rules: QueryRules;
  readonly #queries = new Map<string, Query>();
  readonly #byWaiter = new Map<number, Query>();
  /** Of questions by key, of waiters by token. */
  readonly #deadlines = new Deadlines<string | number>();

  constructor(rules: QueryRules) {
    this.#rules = rules;
  }

  get size(): number {
    return this.#queries.size;
  }

  has(hash: Uint8Array): boolean {
    return this.#queries.has(hash.toHex());
  }

  /** Ask: "new" if the question must be sent, "joined" if it is under way, "full" if there is no room. */
  ask(nowUs: number, hash: Uint8Array, waiter: number): "new" | "joined" | "full" {
    const key = hash.toHex();
    let query = this.#queries.get(key);
    const isNew = query === undefined;
    if (query === undefined) {
      if (this.#queries.size >= QUERIES_MAX) return "full";
      query = { key, hash: hash.slice(), sinceUs: nowUs, repeats: 0, waiters: new Set() };
      this.#queries.set(key, query);
      this.#arm(query);
    } else if (query.waiters.size >= QUERY_WAITERS_MAX) return "full";
    query.waiters.add(waiter);
    this.#byWaiter.set(waiter, query);
    this.#deadlines.set(waiter, nowUs + this.#rules.patienceUs);
    return isNew ? "new" : "joined";
  }

  #arm(query: Query): void {
    const next = this.#rules.repeatsUs[query.repeats] ?? QUERY_LIFE_US;
    this.#deadlines.set(query.key, query.sinceUs + next);
  }

  /** The question is answered: its waiters, or undefined if nobody asked. */
  answer(hash: Uint8Array): number[] | undefined {
    const query = this.#queries.get(hash.toHex());
    return query === undefined ? undefined : this.#end(query);
  }

  #end(query: Query): number[] {
    this.#queries.delete(query.key);
    this.#deadlines.delete(query.key);
    const waiters = [...query.waiters];
    for (const waiter of waiters) this.#leave(query, waiter);
    return waiters;
  }

  #leave(query: Query, waiter: number): void {
    query.waiters.delete(waiter);
    this.#byWaiter.delete(waiter);
    this.#deadlines.delete(waiter);
  }

  /** What is due: hashes to ask again, and waiters whose time is up. */
  due(nowUs: number): { repeat: Uint8Array[]; expired: number[] } {
    const repeat: Uint8Array[] = [];
    const expired: number[] = [];
    for (;;) {
      const key = this.#deadlines.take(nowUs);
      if (key === undefined) return { repeat, expired };
      if (typeof key === "number") {
        const query = this.#byWaiter.get(key);
        if (query !== undefined) this.#leave(query, key);
        expired.push(key);
        continue;
      }
      const query = this.#queries.get(key);
      if (query === undefined) continue;
      if (this.#rules.repeatsUs[query.repeats] === undefined) {
        expired.push(...this.#end(query));
        continue;
      }
      query.repeats++;
      repeat.push(query.hash);
      this.#arm(query);
    }
  }

  /** When {@linkcode due} has something next, µs, or Infinity. */
  deadlineUs(): number {
    return this.#deadlines.nextUs;
  }

  /** Forget all: the waiters. */
  clear(): number[] {
    return [...this.#queries.values()].flatMap((query) => this.#end(query));
  }
}

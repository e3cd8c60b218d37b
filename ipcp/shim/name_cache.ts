/**
 * The cache of names of a shim IPCP: where they were found, and the queries that are under way. Pure.
 *
 * Source: spec 50 §8 and §10.1, and the improvements of §18: S6 (an answer is believed only while
 * somebody asks, entries expire, everything is bounded), R9 (questions are repeated within the 200 ms
 * that the IRMd waits, all waiters are woken, the question stays open in the background).
 */

/** A lower address as raw bytes: 6 of a MAC, or a socket address. */
export type Addr = Uint8Array;

/** Limits and times; ms. */
export const DIRECTORY_ENTRIES_MAX = 4096;
export const DIRECTORY_ENTRY_LIFE_MS = 60_000;
export const QUERIES_MAX = 256;
export const QUERY_WAITERS_MAX = 64;
export const QUERY_LIFE_MS = 2000;
/** When a question is repeated, ms after the first. */
export const QUERY_REPEATS_MS = [50, 100] as const;

/** Whether two addresses are the same bytes. */
export function sameAddr(a: Addr, b: Addr): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** Where names were found. */
export class NameCache {
  readonly #entries = new Map<string, { addr: Addr; untilMs: number }>();

  get size(): number {
    return this.#entries.size;
  }

  /** Remember; the oldest entry goes when there is no room. */
  set(nowMs: number, hash: Uint8Array, addr: Addr): void {
    const key = hash.toHex();
    this.#entries.delete(key);
    if (this.#entries.size >= DIRECTORY_ENTRIES_MAX) {
      const oldest = this.#entries.keys().next().value;
      if (oldest !== undefined) this.#entries.delete(oldest);
    }
    this.#entries.set(key, { addr: addr.slice(), untilMs: nowMs + DIRECTORY_ENTRY_LIFE_MS });
  }

  get(nowMs: number, hash: Uint8Array): Addr | undefined {
    const key = hash.toHex();
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    if (entry.untilMs <= nowMs) {
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
  readonly hash: Uint8Array;
  readonly sinceMs: number;
  repeats: number;
  readonly waiters: number[];
}

/** Questions under way. Waiters are tokens of the caller. */
export class Queries {
  readonly #queries = new Map<string, Query>();

  get size(): number {
    return this.#queries.size;
  }

  has(hash: Uint8Array): boolean {
    return this.#queries.has(hash.toHex());
  }

  /** Ask: "new" if the question must be sent, "joined" if it is under way, "full" if there is no room. */
  ask(nowMs: number, hash: Uint8Array, waiter: number): "new" | "joined" | "full" {
    const key = hash.toHex();
    const query = this.#queries.get(key);
    if (query !== undefined) {
      if (query.waiters.length >= QUERY_WAITERS_MAX) return "full";
      query.waiters.push(waiter);
      return "joined";
    }
    if (this.#queries.size >= QUERIES_MAX) return "full";
    this.#queries.set(key, { hash: hash.slice(), sinceMs: nowMs, repeats: 0, waiters: [waiter] });
    return "new";
  }

  /** The question is answered: its waiters, or undefined if nobody asked. */
  answer(hash: Uint8Array): number[] | undefined {
    const key = hash.toHex();
    const query = this.#queries.get(key);
    this.#queries.delete(key);
    return query?.waiters;
  }

  /** What is due: hashes to ask again, and waiters whose time is up. */
  due(nowMs: number): { repeat: Uint8Array[]; expired: number[] } {
    const repeat: Uint8Array[] = [], expired: number[] = [];
    for (const [key, query] of this.#queries) {
      const age = nowMs - query.sinceMs;
      if (age >= QUERY_LIFE_MS) {
        this.#queries.delete(key);
        expired.push(...query.waiters);
        continue;
      }
      const next = QUERY_REPEATS_MS[query.repeats];
      if (next !== undefined && age >= next) {
        query.repeats++;
        repeat.push(query.hash);
      }
    }
    return { repeat, expired };
  }

  /** When {@linkcode due} has something next, ms, or Infinity. */
  deadlineMs(): number {
    let at = Infinity;
    for (const query of this.#queries.values()) {
      at = Math.min(at, query.sinceMs + (QUERY_REPEATS_MS[query.repeats] ?? QUERY_LIFE_MS));
    }
    return at;
  }
}

/**
 * One iterative lookup: asks the nodes nearest to a key, learns of nearer ones, ends when a value is found or the `k`
 * nearest have all answered or failed. Source: spec 70 §8.4, §13.1. Pure.
 *
 * At most `alpha` requests are under way that are not late. A late one is sent once more and does not hold up the next
 * candidate; a second time late it has failed.
 */

import type { DhtContact } from "../../../lib/wire/dht_msg.ts";
import { nearer } from "./keys.ts";

/** Candidates that one lookup remembers. */
const CANDIDATES_MAX = 256;

/** A node that a lookup may ask. */
interface Candidate extends DhtContact {
  state: "new" | "asked" | "late" | "answered" | "failed";
  cookie: bigint;
  sentUs: number;
  /** When the request is late, µs. */
  lateUs: number;
}

/** A request to be sent. */
export interface LookupRequest {
  readonly to: DhtContact;
  readonly cookie: bigint;
}

export class Lookup {
  readonly key: Uint8Array;
  readonly wants: "value" | "node";
  /** When it began, µs. */
  readonly sinceUs: number;
  readonly #alpha: number;
  readonly #k: number;
  readonly #self: number;
  readonly #cookie: () => bigint;
  /** Nearest first. */
  readonly #candidates: Candidate[] = [];
  readonly #byAddr = new Map<number, Candidate>();

  constructor(
    nowUs: number,
    key: Uint8Array,
    wants: "value" | "node",
    self: number,
    alpha: number,
    k: number,
    cookie: () => bigint,
  ) {
    this.sinceUs = nowUs;
    this.key = key;
    this.wants = wants;
    this.#self = self;
    this.#alpha = alpha;
    this.#k = k;
    this.#cookie = cookie;
  }

  /** Nodes that may be asked; known ones are passed over. */
  offer(contacts: Iterable<DhtContact>): void {
    for (const { id, addr } of contacts) {
      if (addr === this.#self || this.#byAddr.has(addr)) continue;
      if (this.#candidates.length >= CANDIDATES_MAX) return;
      const c: Candidate = { id, addr, state: "new", cookie: 0n, sentUs: 0, lateUs: 0 };
      this.#byAddr.set(addr, c);
      let lo = 0;
      let hi = this.#candidates.length;
      while (lo < hi) {
        const mid = (lo + hi) >> 1;
        if (nearer(this.key, this.#candidates[mid]!.id, id) <= 0) lo = mid + 1;
        else hi = mid;
      }
      this.#candidates.splice(lo, 0, c);
    }
  }

  /** Requests to send now; `patienceUs` is how long an answer may take. */
  next(nowUs: number, patienceUs: number): LookupRequest[] {
    const requests: LookupRequest[] = [];
    let waiting = 0;
    let alive = 0;
    for (const c of this.#candidates) {
      if (c.state === "failed") continue;
      if (alive === this.#k) break;
      alive += 1;
      if (c.state === "asked") waiting += 1;
      else if (c.state === "new" && waiting + requests.length < this.#alpha) {
        c.state = "asked";
        c.cookie = this.#cookie();
        c.sentUs = nowUs;
        c.lateUs = nowUs + patienceUs;
        requests.push({ to: c, cookie: c.cookie });
      }
    }
    return requests;
  }

  /** An answer: µs that it took, or -1 if nothing was asked there with that cookie. */
  answered(nowUs: number, addr: number, cookie: bigint): number {
    const c = this.#byAddr.get(addr);
    if (c === undefined || c.cookie !== cookie) return -1;
    if (c.state !== "asked" && c.state !== "late" && c.state !== "failed") return -1;
    c.state = "answered";
    return nowUs - c.sentUs;
  }

  /** Requests whose time is up: to be sent once more. Addresses that have failed go to `failed`. */
  late(nowUs: number, patienceUs: number, failed: (addr: number) => void): LookupRequest[] {
    const again: LookupRequest[] = [];
    for (const c of this.#candidates) {
      if ((c.state !== "asked" && c.state !== "late") || c.lateUs > nowUs) continue;
      if (c.state === "late") {
        c.state = "failed";
        failed(c.addr);
        continue;
      }
      c.state = "late";
      c.lateUs = nowUs + 2 * patienceUs;
      again.push({ to: c, cookie: c.cookie });
    }
    return again;
  }

  /** A node cannot be reached at all. */
  unreachable(addr: number): void {
    const c = this.#byAddr.get(addr);
    if (c !== undefined && c.state !== "answered") c.state = "failed";
  }

  /** When {@linkcode late} has something next, µs. */
  deadlineUs(): number {
    let at = Infinity;
    for (const c of this.#candidates) {
      if (c.state === "asked" || c.state === "late") at = Math.min(at, c.lateUs);
    }
    return at;
  }

  /** Whether the nearest `k` have all answered or failed. */
  get isExhausted(): boolean {
    let alive = 0;
    for (const c of this.#candidates) {
      if (c.state === "failed") continue;
      if (c.state !== "answered") return false;
      if (++alive === this.#k) return true;
    }
    return true;
  }

  /** The nearest nodes that answered. */
  closest(most: number): DhtContact[] {
    return this.#candidates.filter((c) => c.state === "answered").slice(0, most);
  }
}

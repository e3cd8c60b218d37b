/**
 * Which flow requests of the network may go to the IRMd: not more than some at a time, in all and from one source,
 * and no copy of a recent one; a number of others wait for their turn, since no requester sends again. Each holds an accept slot of the IRMd, and source addresses can be forged, so this is
 * the door that a flood has to pass (spec 50 §18 S8). Pure.
 */

import type { Addr } from "./name_cache.ts";

/** Requests under way at the IRMd, in all and from one source. */
export const ASKING_MAX = 64;
export const ASKING_PER_SOURCE_MAX = 16;
/** Requests that wait for their turn, in all and from one source. */
export const WAITING_MAX = 4096;
export const WAITING_PER_SOURCE_MAX = 1024;
/** Who asked longer ago has given up, ms (the IRMd does after 20 s). */
export const WAITING_LIFE_MS = 20_000;
/** Recent requests that are remembered to drop copies of them. */
export const RECENT_MAX = 2048;
export const RECENT_LIFE_MS = 10_000;

/** A request that the IRMd considers: whom to answer. */
export interface Asking {
  readonly peer: Addr;
  readonly requesterEid: number;
  readonly source: string;
}

/** A request that waits for its turn. */
interface Waiting<R> {
  readonly from: Addr;
  readonly requesterEid: number;
  readonly source: string;
  readonly untilMs: number;
  readonly request: R;
}

/** See the head of this file; `R` is what is asked. */
export class RequestGate<R> {
  readonly #asking = new Map<number, Asking>();
  readonly #perSource = new Map<string, number>();
  /** By source, oldest first; the sources take turns. */
  readonly #waiting = new Map<string, Waiting<R>[]>();
  #waitingCount = 0;
  /** When each recent request came, ms; oldest first (a Map keeps the order of insertion). */
  readonly #recent = new Map<string, number>();
  #next = 1;

  /** Requests under way. */
  get size(): number {
    return this.#asking.size;
  }

  /** Requests that wait for their turn. */
  get waitingCount(): number {
    return this.#waitingCount;
  }

  /** Let a request in: its number, or why not. `bytes` is the whole message, `request` keeps what is needed of it. */
  enter(
    nowMs: number,
    from: Addr,
    requesterEid: number,
    bytes: Uint8Array,
    request: () => R,
  ): number | "waiting" | "flooded" | "replayed" {
    const source = from.toHex();
    const waiting = this.#waiting.get(source) ?? [];
    const turn = waiting.length === 0 && this.#hasRoom(source);
    if (
      !turn && (this.#waitingCount >= WAITING_MAX || waiting.length >= WAITING_PER_SOURCE_MAX)
    ) return "flooded";
    if (this.#isReplay(nowMs, source, bytes)) return "replayed";
    if (turn) return this.#admit(from, requesterEid, source);
    const untilMs = nowMs + WAITING_LIFE_MS;
    waiting.push({ from: from.slice(), requesterEid, source, untilMs, request: request() });
    this.#waiting.set(source, waiting);
    this.#waitingCount += 1;
    return "waiting";
  }

  /** The next request whose turn it is, let in, or undefined. To be asked for when one has left. */
  next(
    nowMs: number,
  ): { readonly ask: number; readonly from: Addr; readonly request: R } | undefined {
    for (const [source, waiting] of this.#waiting) {
      while (waiting.length > 0 && waiting[0]!.untilMs <= nowMs) this.#takeFirst(waiting);
      const has = waiting.length > 0 && this.#hasRoom(source);
      const first = has ? this.#takeFirst(waiting) : undefined;
      // To the end of the line, or out of it.
      if (first !== undefined || waiting.length === 0) this.#waiting.delete(source);
      if (waiting.length > 0 && first !== undefined) this.#waiting.set(source, waiting);
      if (first === undefined) continue;
      const { from, requesterEid, request } = first;
      return { ask: this.#admit(from, requesterEid, source), from, request };
    }
    return undefined;
  }

  #takeFirst(waiting: Waiting<R>[]): Waiting<R> {
    this.#waitingCount -= 1;
    return waiting.shift()!;
  }

  #hasRoom(source: string): boolean {
    return this.#asking.size < ASKING_MAX &&
      (this.#perSource.get(source) ?? 0) < ASKING_PER_SOURCE_MAX;
  }

  #admit(from: Addr, requesterEid: number, source: string): number {
    const ask = this.#next++;
    this.#perSource.set(source, (this.#perSource.get(source) ?? 0) + 1);
    this.#asking.set(ask, { peer: from.slice(), requesterEid, source });
    return ask;
  }

  /** Whether the same bytes came from the same source a moment ago; remembers them if not. */
  #isReplay(nowMs: number, source: string, bytes: Uint8Array): boolean {
    for (const [key, sinceMs] of this.#recent) {
      if (nowMs - sinceMs < RECENT_LIFE_MS && this.#recent.size < RECENT_MAX) break;
      this.#recent.delete(key);
    }
    const key = `${source}:${bytes.toHex()}`;
    if (this.#recent.has(key)) return true;
    this.#recent.set(key, nowMs);
    return false;
  }

  /** The IRMd has answered a request: what was let in, or undefined for a number that is not under way. */
  leave(ask: number): Asking | undefined {
    const asking = this.#asking.get(ask);
    if (asking === undefined) return undefined;
    this.#asking.delete(ask);
    const left = (this.#perSource.get(asking.source) ?? 1) - 1;
    if (left > 0) this.#perSource.set(asking.source, left);
    else this.#perSource.delete(asking.source);
    return asking;
  }

  /** Forget what is under way. */
  clear(): void {
    this.#asking.clear();
    this.#perSource.clear();
    this.#waiting.clear();
    this.#waitingCount = 0;
  }
}

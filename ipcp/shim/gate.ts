/**
 * Which flow requests of the network may go to the IRMd: not more than some at a time, in all and from one source,
 * and no copy of a recent one. Each holds an accept slot of the IRMd, and source addresses can be forged, so this is
 * the door that a flood has to pass (spec 50 §18 S8). Pure.
 */

import type { Addr } from "./directory.ts";

/** Requests under way at the IRMd, in all and from one source. */
export const ASKING_MAX = 64;
export const ASKING_PER_SOURCE_MAX = 16;
/** Recent requests that are remembered to drop copies of them. */
export const RECENT_MAX = 2048;
export const RECENT_LIFE_MS = 10_000;

/** A request that the IRMd considers: whom to answer. */
export interface Asking {
  readonly peer: Addr;
  readonly requesterEid: number;
  readonly source: string;
}

export class RequestGate {
  readonly #asking = new Map<number, Asking>();
  readonly #perSource = new Map<string, number>();
  /** When each recent request came, ms; oldest first (a Map keeps the order of insertion). */
  readonly #recent = new Map<string, number>();
  #next = 1;

  /** Requests under way. */
  get size(): number {
    return this.#asking.size;
  }

  /** Let a request in: its number, or why not. `bytes` is the whole message. */
  enter(
    nowMs: number,
    from: Addr,
    requesterEid: number,
    bytes: Uint8Array,
  ): number | "flooded" | "replayed" {
    const source = from.toHex();
    const perSource = this.#perSource.get(source) ?? 0;
    if (this.#asking.size >= ASKING_MAX || perSource >= ASKING_PER_SOURCE_MAX) return "flooded";
    if (this.#isReplay(nowMs, source, bytes)) return "replayed";
    const ask = this.#next++;
    this.#perSource.set(source, perSource + 1);
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
  }
}

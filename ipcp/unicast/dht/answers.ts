/**
 * What a directory remembers of its searches: addresses that were found, names that were missing, and values that proved
 * wrong. Each for a while, in bounded memory. Pure.
 */

import { KeyMap } from "./keys.ts";
import { VALUES_TOLD_MAX } from "./values.ts";

/** How long a found and a missing name are remembered, µs. */
const FOUND_LIFE_US = 10e6;
const MISSING_LIFE_US = 1e6;
const ANSWERS_KEPT_MAX = 4096;
/** How long a value that proved wrong is not believed, µs; how many of them are remembered. */
const WRONG_LIFE_US = 5e6;
const WRONG_MAX = 1024;

interface KeptAnswer {
  readonly addrs: readonly number[];
  readonly untilUs: number;
}

/** See the file's comment. */
export class Answers {
  readonly #kept = new KeyMap<KeptAnswer>();
  /** Addresses that do not have a name, and until when they are not believed, µs. */
  readonly #wrong = new KeyMap<Map<number, number>>();

  /** What a search for it gave, nothing included; undefined: it is to be searched. */
  get(nowUs: number, key: Uint8Array): readonly number[] | undefined {
    const kept = this.#kept.get(key);
    return kept !== undefined && kept.untilUs > nowUs ? kept.addrs : undefined;
  }

  /** A search has ended: with addresses, or with none. */
  keep(nowUs: number, key: Uint8Array, addrs: readonly number[]): void {
    if (this.#kept.size >= ANSWERS_KEPT_MAX) forgetOldest(this.#kept);
    const untilUs = nowUs + (addrs.length === 0 ? MISSING_LIFE_US : FOUND_LIFE_US);
    this.#kept.set(key, { addrs, untilUs });
  }

  /** Search for it anew. */
  forget(key: Uint8Array): void {
    this.#kept.delete(key);
  }

  /** It is there now: that it was missing counts no more. */
  appeared(key: Uint8Array): void {
    if (this.#kept.get(key)?.addrs.length === 0) this.#kept.delete(key);
  }

  /** An address was of no use for it. */
  failed(key: Uint8Array, addr: number): void {
    if (this.#kept.get(key)?.addrs.includes(addr)) this.#kept.delete(key);
  }

  /** An address says that it does not have it, whoever says otherwise. */
  denied(nowUs: number, key: Uint8Array, addr: number): void {
    let wrong = this.#wrong.get(key);
    if (wrong === undefined) {
      if (this.#wrong.size >= WRONG_MAX) forgetOldest(this.#wrong);
      this.#wrong.set(key.slice(), wrong = new Map());
    }
    if (wrong.size >= VALUES_TOLD_MAX * 4) wrong.clear();
    wrong.set(addr, nowUs + WRONG_LIFE_US);
  }

  /** It says itself that it has it. */
  believed(key: Uint8Array, addr: number): void {
    this.#wrong.get(key)?.delete(addr);
  }

  /** Whether it was denied lately. */
  isWrong(nowUs: number, key: Uint8Array, addr: number): boolean {
    return (this.#wrong.get(key)?.get(addr) ?? 0) > nowUs;
  }
}

function forgetOldest<T>(map: KeyMap<T>): void {
  for (const [oldest] of map) return void map.delete(oldest);
}

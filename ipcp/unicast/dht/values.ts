/**
 * What a directory stores: values of others, and our own registrations. Source: spec 70 §7.3, caps of §13.2. Pure.
 *
 * A value is an address with an expiry. Expiry never gets shorter, but by its owner, who withdraws. Bounded: values of
 * a key (the earliest expiry goes), keys in all (those far from us are refused when it is full).
 */

import { KeyMap } from "./keys.ts";

/** Values kept for one key. */
export const VALUES_PER_KEY_MAX = 16;
/** Values told for one key (spec 70 §4). */
export const VALUES_TOLD_MAX = 8;
/** Keys kept for others. */
export const KEYS_MAX = 65_536;

/** A value of somebody. */
export interface Value {
  readonly addr: number;
  /** µs of the machine's clock. */
  expiresUs: number;
  /** When it was stored or sent on last, µs. */
  storedUs: number;
}

/** An own registration. */
export interface Registration {
  /** When it is published next, µs. */
  publishAtUs: number;
}

export class Values {
  readonly #stored = new KeyMap<Value[]>();
  readonly #own = new KeyMap<Registration>();

  /** Keys with values of others. */
  get size(): number {
    return this.#stored.size;
  }
  /** Own registrations. */
  get ownSize(): number {
    return this.#own.size;
  }
  get own(): KeyMap<Registration> {
    return this.#own;
  }
  get stored(): KeyMap<Value[]> {
    return this.#stored;
  }

  /** Keep a value until `expiresUs`; `near` says whether the key is ours to keep when room is short. False: refused. */
  store(
    nowUs: number,
    key: Uint8Array,
    addr: number,
    expiresUs: number,
    near: () => boolean,
  ): boolean {
    if (expiresUs < nowUs) return false;
    const values = this.#stored.get(key);
    if (values === undefined) {
      if (this.#stored.size >= KEYS_MAX && !near()) return false;
      if (this.#stored.size >= 2 * KEYS_MAX) return false;
      this.#stored.set(key.slice(), [{ addr, expiresUs, storedUs: nowUs }]);
      return true;
    }
    const known = values.find((v) => v.addr === addr);
    if (known !== undefined) {
      known.expiresUs = Math.max(known.expiresUs, expiresUs);
      known.storedUs = nowUs;
      return true;
    }
    values.push({ addr, expiresUs, storedUs: nowUs });
    if (values.length > VALUES_PER_KEY_MAX) {
      let first = 0;
      values.forEach((v, i) => {
        if (v.expiresUs < values[first]!.expiresUs) first = i;
      });
      values.splice(first, 1);
    }
    return true;
  }

  /** The owner of a value withdraws it. */
  withdraw(key: Uint8Array, addr: number): void {
    const values = this.#stored.get(key);
    const left = values?.filter((v) => v.addr !== addr);
    if (left === undefined) return;
    if (left.length === 0) this.#stored.delete(key);
    else this.#stored.set(key, left);
  }

  /** Addresses stored for a key, the freshest first; served until they are swept. */
  get(key: Uint8Array): number[] {
    const values = [...this.#stored.get(key) ?? []];
    return values.sort((a, b) => b.expiresUs - a.expiresUs).map((v) => v.addr);
  }

  /** Drop what has expired. */
  sweep(nowUs: number): void {
    for (const [key, values] of [...this.#stored]) {
      const left = values.filter((v) => v.expiresUs >= nowUs);
      if (left.length === 0) this.#stored.delete(key);
      else if (left.length < values.length) this.#stored.set(key, left);
    }
  }
}

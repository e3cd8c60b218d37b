/**
 * A policy from a file, and the shipped one that takes its place once the file's does what it may not: everything is
 * passed to whichever of the two is in use. Pure.
 */

import type { Machine } from "../../machine.ts";
import { BROKEN, EFFECTS_MAX, type Guard, shown, TIMER_US } from "./guard.ts";

/** What differs between kinds of policy. */
export interface StandInParts<T, E> {
  /** What is guarded, as in the log, and with its article. */
  readonly kind: string;
  readonly aKind: string;
  /** What it must have. */
  readonly methods: readonly (keyof T & string)[];
  /** Methods of which the owner remembers what was said: what stands in has been told of a call in which the policy is left. */
  readonly known: ReadonlySet<string>;
  /** What is wrong with an effect, if anything is. */
  bad(effect: E): string | undefined;
  /** Makes what stands in, and tells it what it should know. */
  begin(nowUs: number): T;
}

/** See the file's comment. */
export class StandIn<T extends Machine<E>, E> {
  readonly #guard: Guard;
  readonly #parts: StandInParts<T, E>;
  #own: T | undefined;
  #instead: T | undefined;
  #timerUs = -Infinity;
  #given = 0;
  /** The time of the last call, µs. */
  nowUs: number;

  constructor(make: () => T, guard: Guard, nowUs: number, parts: StandInParts<T, E>) {
    this.#guard = guard;
    this.#parts = parts;
    this.nowUs = nowUs;
    const own = guard.call(parts.kind, () => {
      const made = make();
      for (const m of parts.methods) {
        if (typeof made[m] !== "function") throw new TypeError(`${parts.aKind} without ${m}`);
      }
      return made;
    });
    if (own === BROKEN) this.#replace();
    else this.#own = own;
  }

  /** What stands in for the policy, once it does. */
  get instead(): T | undefined {
    return this.#instead;
  }

  #replace(): T {
    this.#own = undefined;
    return this.#instead ??= this.#parts.begin(this.nowUs);
  }

  /** To the policy, or to what stands in for it; a call in which the policy is left may be known to that already. */
  tell(method: string, what: (t: T) => void): void {
    const own = this.#own;
    if (own === undefined) return what(this.#instead!);
    if (this.#guard.call(method, () => what(own)) !== BROKEN) return;
    const instead = this.#replace();
    if (!this.#parts.known.has(method)) what(instead);
  }

  /** What the policy wants next, if anything; what stands in is asked by `pollInstead`. */
  poll(take: (effect: E) => E, pollInstead: (instead: T) => E | undefined): E | undefined {
    const own = this.#own;
    if (own === undefined) return pollInstead(this.#instead!);
    const e = this.#guard.call("poll", () => own.poll());
    if (e !== BROKEN) {
      if (e === undefined) {
        this.#given = 0;
        return undefined;
      }
      const why = ++this.#given > EFFECTS_MAX
        ? `more than ${EFFECTS_MAX} things to do at once`
        : this.#parts.bad(e);
      if (why === undefined) return take(e);
      this.#guard.nonsense("poll", why);
    }
    return pollInstead(this.#replace());
  }

  onTimer(nowUs: number): void {
    this.nowUs = this.#timerUs = nowUs;
    this.tell("onTimer", (t) => t.onTimer(nowUs));
  }

  deadlineUs(): number {
    const own = this.#own;
    if (own === undefined) return this.#instead!.deadlineUs();
    const us = this.#guard.call("deadlineUs", () => own.deadlineUs());
    if (typeof us === "number" && !Number.isNaN(us)) return Math.max(us, this.#timerUs + TIMER_US);
    if (us !== BROKEN) this.#guard.nonsense("deadlineUs", `${shown(us)} is no time`);
    this.#replace();
    return this.nowUs;
  }
}

/** Whether a value is an address of a node. */
export function isAddress(x: unknown): boolean {
  return typeof x === "number" && Number.isInteger(x) && x > 0 && x <= 0xffffffff;
}

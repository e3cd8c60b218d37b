/**
 * A directory policy from a file, with the DHT to take its place. Pure.
 *
 * When the policy is left, the DHT gets the names that are registered here, the members, and the questions that wait.
 */

import type { Directory, DirectoryEffect } from "../directory.ts";
import { BROKEN, EFFECTS_MAX, type Guard, shown, TIMER_US } from "./guard.ts";

/** Longest message between directories, bytes. */
const MESSAGE_BYTES_MAX = 2048;
/** Addresses in an answer. */
const ADDRESSES_MAX = 64;

const METHODS = [
  "poll",
  "onTimer",
  "deadlineUs",
  "register",
  "unregister",
  "query",
  "onMessage",
  "onMembers",
  "onUnanswered",
  "onDenied",
] as const;

export class GuardedDirectory implements Directory {
  readonly #guard: Guard;
  readonly #makeInstead: (nowUs: number) => Directory;
  #own: Directory | undefined;
  #instead: Directory | undefined;
  #nowUs: number;
  #timerUs = -Infinity;
  #given = 0;
  /** By hash in hex. */
  readonly #names = new Map<string, Uint8Array>();
  #members: readonly number[] = [];
  readonly #waiting = new Map<number, Uint8Array>();

  constructor(
    make: () => Directory,
    guard: Guard,
    instead: (nowUs: number) => Directory,
    nowUs: number,
  ) {
    this.#guard = guard;
    this.#makeInstead = instead;
    this.#nowUs = nowUs;
    const own = guard.call("directory", () => {
      const made = make();
      for (const m of METHODS) {
        if (typeof made[m] !== "function") throw new TypeError(`a directory without ${m}`);
      }
      return made;
    });
    if (own === BROKEN) this.#replace();
    else this.#own = own;
  }

  /** What stands in for the policy, once it does. */
  get instead(): Directory | undefined {
    return this.#instead;
  }

  /** To the policy, or to what stands in for it; a call in which the policy is left is known to that already. */
  #tell(method: string, what: (d: Directory) => void): void {
    const own = this.#own;
    if (own === undefined) return what(this.#instead!);
    if (this.#guard.call(method, () => what(own)) !== BROKEN) return;
    this.#replace();
    if (!KNOWN.has(method)) what(this.#instead!);
  }

  #replace(): void {
    this.#own = undefined;
    if (this.#instead !== undefined) return;
    const now = this.#nowUs;
    const instead = this.#instead = this.#makeInstead(now);
    instead.onMembers(now, this.#members);
    for (const hash of this.#names.values()) instead.register(now, hash);
    for (const [token, hash] of this.#waiting) instead.query(now, hash, token);
    this.#waiting.clear();
  }

  poll(): DirectoryEffect | undefined {
    const own = this.#own;
    if (own === undefined) return this.#instead!.poll();
    const e = this.#guard.call("poll", () => own.poll());
    if (e !== BROKEN) {
      if (e === undefined) {
        this.#given = 0;
        return undefined;
      }
      const why = ++this.#given > EFFECTS_MAX
        ? `more than ${EFFECTS_MAX} things to do at once`
        : bad(e);
      if (why === undefined) {
        if (e.kind === "found") this.#waiting.delete(e.token);
        return e;
      }
      this.#guard.nonsense("poll", why);
    }
    this.#replace();
    return this.#instead!.poll();
  }

  onTimer(nowUs: number): void {
    this.#nowUs = this.#timerUs = nowUs;
    this.#tell("onTimer", (d) => d.onTimer(nowUs));
  }

  deadlineUs(): number {
    const own = this.#own;
    if (own === undefined) return this.#instead!.deadlineUs();
    const us = this.#guard.call("deadlineUs", () => own.deadlineUs());
    if (typeof us === "number" && !Number.isNaN(us)) return Math.max(us, this.#timerUs + TIMER_US);
    if (us !== BROKEN) this.#guard.nonsense("deadlineUs", `${shown(us)} is no time`);
    this.#replace();
    return this.#nowUs;
  }

  register(nowUs: number, hash: Uint8Array): void {
    this.#nowUs = nowUs;
    this.#names.set(hash.toHex(), hash.slice());
    this.#tell("register", (d) => d.register(nowUs, hash));
  }

  unregister(nowUs: number, hash: Uint8Array): boolean {
    this.#nowUs = nowUs;
    const was = this.#names.delete(hash.toHex());
    this.#tell("unregister", (d) => void d.unregister(nowUs, hash));
    return was;
  }

  query(nowUs: number, hash: Uint8Array, token: number): void {
    this.#nowUs = nowUs;
    if (this.#own !== undefined) this.#waiting.set(token, hash.slice());
    this.#tell("query", (d) => d.query(nowUs, hash, token));
  }

  onMessage(nowUs: number, bytes: Uint8Array): void {
    this.#nowUs = nowUs;
    this.#tell("onMessage", (d) => d.onMessage(nowUs, bytes));
  }

  onMembers(nowUs: number, addrs: readonly number[]): void {
    this.#nowUs = nowUs;
    this.#members = addrs;
    this.#tell("onMembers", (d) => d.onMembers(nowUs, addrs));
  }

  onUnanswered(nowUs: number, hash: Uint8Array, addr: number): void {
    this.#nowUs = nowUs;
    this.#tell("onUnanswered", (d) => d.onUnanswered(nowUs, hash, addr));
  }

  onDenied(nowUs: number, hash: Uint8Array, addr: number): void {
    this.#nowUs = nowUs;
    this.#tell("onDenied", (d) => d.onDenied(nowUs, hash, addr));
  }
}

/** Methods of which {@linkcode GuardedDirectory} remembers what they said. */
const KNOWN: ReadonlySet<string> = new Set(["register", "unregister", "query", "onMembers"]);

function bad(e: DirectoryEffect): string | undefined {
  if (typeof e !== "object" || e === null) return `${shown(e)} is no effect`;
  switch (e.kind) {
    case "send":
      if (!(e.bytes instanceof Uint8Array) || e.bytes.length > MESSAGE_BYTES_MAX) {
        return `a message that is no Uint8Array of at most ${MESSAGE_BYTES_MAX} bytes`;
      }
      return isAddress(e.dst) ? undefined : `a message to ${shown(e.dst)}, which is no address`;
    case "found":
      if (!Array.isArray(e.addrs) || e.addrs.length > ADDRESSES_MAX || !e.addrs.every(isAddress)) {
        return `an answer that is no list of at most ${ADDRESSES_MAX} addresses`;
      }
      return Number.isInteger(e.token) ? undefined : `an answer to ${shown(e.token)}`;
    default:
      return `${shown((e as { kind: unknown }).kind)} is no kind of effect`;
  }
}

function isAddress(x: unknown): boolean {
  return typeof x === "number" && Number.isInteger(x) && x > 0 && x <= 0xffffffff;
}

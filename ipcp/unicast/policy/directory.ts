/**
 * A directory policy from a file, with the DHT to take its place. Pure.
 *
 * When the policy is left, the DHT gets the names that are registered here, the members, and the questions that wait.
 */

import type { Directory, DirectoryEffect } from "../directory.ts";
import { type Guard, shown } from "./guard.ts";
import { isAddress, StandIn } from "./stand_in.ts";

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
  readonly #policy: StandIn<Directory, DirectoryEffect>;
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
    this.#policy = new StandIn(make, guard, nowUs, {
      kind: "directory",
      aKind: "a directory",
      methods: METHODS,
      known: KNOWN,
      bad,
      begin: (now) => this.#begin(instead(now), now),
    });
  }

  /** What stands in for the policy, once it does. */
  get instead(): Directory | undefined {
    return this.#policy.instead;
  }

  /** What stands in gets what is known. */
  #begin(instead: Directory, nowUs: number): Directory {
    instead.onMembers(nowUs, this.#members);
    for (const hash of this.#names.values()) instead.register(nowUs, hash);
    for (const [token, hash] of this.#waiting) instead.query(nowUs, hash, token);
    this.#waiting.clear();
    return instead;
  }

  #tell(nowUs: number, method: string, what: (d: Directory) => void): void {
    this.#policy.nowUs = nowUs;
    this.#policy.tell(method, what);
  }

  poll(): DirectoryEffect | undefined {
    const take = (e: DirectoryEffect) => {
      if (e.kind === "found") this.#waiting.delete(e.token);
      return e;
    };
    return this.#policy.poll(take, (instead) => instead.poll());
  }

  onTimer(nowUs: number): void {
    this.#policy.onTimer(nowUs);
  }

  deadlineUs(): number {
    return this.#policy.deadlineUs();
  }

  register(nowUs: number, hash: Uint8Array): void {
    this.#names.set(hash.toHex(), hash.slice());
    this.#tell(nowUs, "register", (d) => d.register(nowUs, hash));
  }

  unregister(nowUs: number, hash: Uint8Array): boolean {
    const was = this.#names.delete(hash.toHex());
    this.#tell(nowUs, "unregister", (d) => void d.unregister(nowUs, hash));
    return was;
  }

  query(nowUs: number, hash: Uint8Array, token: number): void {
    if (this.instead === undefined) this.#waiting.set(token, hash.slice());
    this.#tell(nowUs, "query", (d) => d.query(nowUs, hash, token));
  }

  onMessage(nowUs: number, bytes: Uint8Array): void {
    this.#tell(nowUs, "onMessage", (d) => d.onMessage(nowUs, bytes));
  }

  onMembers(nowUs: number, addrs: readonly number[]): void {
    this.#members = addrs;
    this.#tell(nowUs, "onMembers", (d) => d.onMembers(nowUs, addrs));
  }

  onUnanswered(nowUs: number, hash: Uint8Array, addr: number): void {
    this.#tell(nowUs, "onUnanswered", (d) => d.onUnanswered(nowUs, hash, addr));
  }

  onDenied(nowUs: number, hash: Uint8Array, addr: number): void {
    this.#tell(nowUs, "onDenied", (d) => d.onDenied(nowUs, hash, addr));
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

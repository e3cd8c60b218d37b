/**
 * Names: who is bound to them, who accepts for them, who waits for an acceptor (spec 20 §5, §8.3).
 * Pure.
 */

import { nameHash } from "../../lib/hash.ts";
import { PolLb } from "../../lib/irm/messages.ts";
import type { Reservation } from "./flow.ts";
import type { Waiter } from "./waiter.ts";

/** Paths of the keys and certificates of a name; absolute. */
export interface NamePaths {
  senc: string;
  scrt: string;
  skey: string;
  cenc: string;
  ccrt: string;
  ckey: string;
}

/** What ends the wait for an acceptor. */
export type AcceptorOutcome =
  /** An accept is kept for the requester until it delivers or releases. */
  | { kind: "reserved"; reservation: Reservation }
  /** The first acceptor is of another user or the requester itself: no direct flow (spec 20 §7.2). */
  | { kind: "foreign" }
  | { kind: "failed"; code: number };

/** A requester that waits for an acceptor. */
export interface AcceptorWait {
  readonly waiter: Waiter<AcceptorOutcome>;
  /** The process that wants a direct flow, undefined when any acceptor will do. */
  readonly direct: { readonly pid: number; readonly uid: number } | undefined;
}

interface Entry {
  readonly pid: number;
  prev: Entry | undefined;
  next: Entry | undefined;
}

/**
 * Active acceptors of a name: one entry per pending accept of a bound process. Round-robin appends at the
 * tail, spillover puts at the head; the choice is always the head. Every operation is O(1).
 */
export class ActiveQueue {
  readonly #polLb: number;
  #head: Entry | undefined;
  #tail: Entry | undefined;
  /** Entries of a process in queue order. */
  readonly #byPid = new Map<number, Entry[]>();
  #length = 0;

  constructor(polLb: number) {
    this.#polLb = polLb;
  }

  get length(): number {
    return this.#length;
  }

  /** Pid of the chosen acceptor, -1 when there is none. */
  head(): number {
    return this.#head?.pid ?? -1;
  }

  /** Entries of a process. */
  countOf(pid: number): number {
    return this.#byPid.get(pid)?.length ?? 0;
  }

  /** Adds an entry where the policy wants it; `front` puts it at the head whatever the policy. */
  add(pid: number, front = false): void {
    const e: Entry = { pid, prev: undefined, next: undefined };
    const mine = this.#byPid.get(pid) ?? [];
    this.#byPid.set(pid, mine);
    if (front || this.#polLb === PolLb.SPILLOVER) {
      e.next = this.#head;
      if (this.#head !== undefined) this.#head.prev = e;
      else this.#tail = e;
      this.#head = e;
      mine.unshift(e);
    } else {
      e.prev = this.#tail;
      if (this.#tail !== undefined) this.#tail.next = e;
      else this.#head = e;
      this.#tail = e;
      mine.push(e);
    }
    this.#length++;
  }

  /** Removes the first entry of a process; false when it has none. */
  remove(pid: number): boolean {
    const mine = this.#byPid.get(pid);
    const e = mine?.shift();
    if (e === undefined) return false;
    if (mine!.length === 0) this.#byPid.delete(pid);
    if (e.prev !== undefined) e.prev.next = e.next;
    else this.#head = e.next;
    if (e.next !== undefined) e.next.prev = e.prev;
    else this.#tail = e.prev;
    this.#length--;
    return true;
  }

  /** Removes all entries of a process. */
  removeAll(pid: number): void {
    while (this.remove(pid)) { /* until none is left */ }
  }

  /** Pids in queue order, for tests and inspection. */
  pids(): number[] {
    const out: number[] = [];
    for (let e = this.#head; e !== undefined; e = e.next) out.push(e.pid);
    return out;
  }
}

/** A user, with all its groups. */
export interface Asker {
  readonly uid: number;
  readonly gids: readonly number[];
}

/** A user as programs run as one. */
export interface User {
  readonly uid: number;
  readonly gid: number;
  /** All its groups. */
  readonly gids: readonly number[];
}

/** A program that is started on a request. */
export interface AutoStart {
  readonly argv: readonly string[];
  /** Whom it runs as; undefined: as the daemon. */
  readonly as: User | undefined;
}

/** A program that was started for a name. */
export interface Started {
  readonly pid: number;
  readonly path: string;
  /** How it ended. */
  status: number | undefined;
  /** Whether it, or what it has started in turn, has ever accepted for the name. */
  accepted: boolean;
  /** Until when whoever comes waits for this one, ms. */
  readonly untilMs: number;
}

/**
 * Requests of the network that may wait for an acceptor of one name while none accepts, and while some do: a flood for a
 * name must leave the seats of its IPCP to other names.
 */
export const SEATS_IDLE = 16;
export const SEATS_SERVING = 48;
/** How long a name counts as served after the last one, ms. */
export const SERVING_MS = 1000;

/** One name. Only the registry changes it. */
export class NameRecord {
  readonly name: string;
  /** One of `PolLb`, or a number unknown here: such a name cannot be accepted for. */
  readonly polLb: number;
  readonly paths: NamePaths;
  /** Programs to start on a request, newest first; only the first is used. */
  readonly autostart: AutoStart[] = [];
  /** Bound processes. */
  readonly procs = new Set<number>();
  readonly active: ActiveQueue;
  /** Who asked for its security paths, where that was not root (spec 40 §18.21). */
  asker: Asker | undefined;
  /** Programs that were started for it and have not ended, the latest last. */
  readonly started: Started[] = [];
  /** Starts in a row that came to nothing. */
  startFailures = 0;
  /** Until when none is started again, ms. */
  startPauseMs = 0;
  /** Requesters that wait for an acceptor, first come first served. */
  readonly waits: AcceptorWait[] = [];
  /** How often an acceptor was given to who waited for one. */
  served = 0;
  /** `served` when somebody last had to wait, and since when it is that, ms. */
  #seen = 0;
  #seenMs = -Infinity;

  constructor(name: string, polLb: number, paths: NamePaths) {
    this.name = name;
    this.polLb = polLb;
    this.paths = paths;
    this.active = new ActiveQueue(polLb);
  }

  /** Whether accepts for it can work. */
  get usable(): boolean {
    return this.polLb === PolLb.ROUND_ROBIN || this.polLb === PolLb.SPILLOVER;
  }

  /** Whether one more request of the network may wait. */
  hasSeat(nowMs: number): boolean {
    if (this.served !== this.#seen) {
      this.#seen = this.served;
      this.#seenMs = nowMs;
    }
    const waiting = this.waits.reduce((n, w) => n + (w.direct === undefined ? 1 : 0), 0);
    return waiting < (nowMs - this.#seenMs < SERVING_MS ? SEATS_SERVING : SEATS_IDLE);
  }

  /** A bound process accepts. One that was not started for the name itself is what the last of them has started. */
  acceptedBy(pid: number): void {
    const started = this.started.find((s) => s.pid === pid) ?? this.started.at(-1);
    if (started !== undefined) started.accepted = true;
  }

  /** Whether a program is started with this path. */
  hasProgram(path: string): boolean {
    return this.autostart.some(({ argv }) => argv[0] === path);
  }

  /** Adds a command line at the front. */
  addProgram(argv: readonly string[], as?: User): void {
    this.autostart.unshift({ argv: [...argv], as });
  }

  /** Removes the command lines for which `is` holds. */
  removePrograms(is: (path: string) => boolean): void {
    for (let i = this.autostart.length - 1; i >= 0; i--) {
      if (is(this.autostart[i]!.argv[0]!)) this.autostart.splice(i, 1);
    }
  }
}

/** All names, in the prototype's list order, by text and by hash. */
export class NameTable {
  readonly #list: NameRecord[] = [];
  readonly #byName = new Map<string, NameRecord>();
  /** By algorithm, then hash in hex: names of that hash. Filled for an algorithm on its first use. */
  readonly #byHash = new Map<number, Map<string, NameRecord[]>>();

  get count(): number {
    return this.#list.length;
  }

  get(name: string): NameRecord | undefined {
    return this.#byName.get(name);
  }

  has(name: string): boolean {
    return this.#byName.has(name);
  }

  /** Names in list order. */
  list(): readonly NameRecord[] {
    return this.#list;
  }

  /** Adds a name that is not there yet: behind the first greater one, or at the front (spec 20 §5). */
  add(record: NameRecord): void {
    const at = this.#list.findIndex((r) => compareBytes(r.name, record.name) > 0);
    this.#list.splice(at + 1, 0, record);
    this.#byName.set(record.name, record);
    for (const [algo, index] of this.#byHash) addHash(index, algo, record);
  }

  /** Removes a name; false when it is not there. */
  delete(name: string): boolean {
    const record = this.#byName.get(name);
    if (record === undefined) return false;
    this.#byName.delete(name);
    this.#list.splice(this.#list.indexOf(record), 1);
    for (const [algo, index] of this.#byHash) {
      const key = hashKey(algo, name);
      const rest = index.get(key)?.filter((r) => r !== record) ?? [];
      if (rest.length > 0) index.set(key, rest);
      else index.delete(key);
    }
    return true;
  }

  /** The first name in list order whose hash by this algorithm is `hash`. */
  byHash(algo: number, hash: Uint8Array): NameRecord | undefined {
    let index = this.#byHash.get(algo);
    if (index === undefined) {
      index = new Map();
      if (typeof nameHash(algo, "") === "number") return undefined;
      for (const r of this.#list) addHash(index, algo, r);
      this.#byHash.set(algo, index);
    }
    const found = index.get(hash.toHex());
    if (found === undefined || found.length === 1) return found?.[0];
    return found.reduce((a, b) => this.#list.indexOf(a) < this.#list.indexOf(b) ? a : b);
  }
}

function hashKey(algo: number, name: string): string {
  const h = nameHash(algo, name);
  return typeof h === "number" ? "" : h.toHex();
}

function addHash(index: Map<string, NameRecord[]>, algo: number, record: NameRecord): void {
  const key = hashKey(algo, record.name);
  const there = index.get(key);
  if (there === undefined) index.set(key, [record]);
  else there.push(record);
}

/** Order of the UTF-8 bytes of two strings (that of their code points, which UTF-16 order is not). */
export function compareBytes(a: string, b: string): number {
  const n = Math.min(a.length, b.length);
  for (let i = 0; i < n; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x === y) continue;
    const xs = x >= 0xd800 && x < 0xe000;
    const ys = y >= 0xd800 && y < 0xe000;
    return xs === ys ? x - y : xs ? 1 : -1;
  }
  return a.length - b.length;
}

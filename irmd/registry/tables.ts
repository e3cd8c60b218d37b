/**
 * The small tables of the registry: programs, processes, IPCPs, pools, children (spec 20 §5). Pure.
 */

import { IpcpState, NOT_ENROLLED } from "../../lib/codes.ts";
import { MESSAGE_BYTES_MAX } from "../../lib/limits.ts";
import { IpcpPlan } from "./plan.ts";
import type { Waiter } from "./waiter.ts";

/** Whose processes a binding is for. */
export type BoundTo =
  | { readonly kind: "user"; readonly uid: number }
  /** Whoever is in the group. */
  | { readonly kind: "group"; readonly gid: number }
  /** Whoever starts a program of that name. */
  | { readonly kind: "any" };

/** Every user; what a binding is for when nothing else is said. */
export const ANYBODY: BoundTo = Object.freeze({ kind: "any" });

/** How a program is bound to a name. */
export interface ProgramBinding {
  readonly to: BoundTo;
  /** Whether whom it names may also use the keys of the name: root, or the owner of the node, said so. */
  readonly trusted: boolean;
  /** Who made it; undefined: the owner of the node. */
  readonly by: number | undefined;
}

/** A program: what processes of that base name inherit. */
export interface ProgRecord {
  /** Base name. */
  readonly prog: string;
  readonly names: Map<string, ProgramBinding>;
}

/** Whether a binding is for a process. Only what the kernel says counts. */
export function isFor(to: BoundTo, proc: Pick<ProcRecord, "uid" | "gid" | "gids">): boolean {
  switch (to.kind) {
    case "user":
      return proc.uid === to.uid;
    case "group":
      return proc.gid === to.gid || proc.gids.includes(to.gid);
    case "any":
      return true;
  }
}

/** An announced process. */
export interface ProcRecord {
  readonly pid: number;
  /** Base name of its program, as it said. */
  readonly prog: string;
  /** As the kernel says. */
  readonly uid: number;
  readonly gid: number;
  /** Its groups when it announced itself. */
  readonly gids: readonly number[];
  /** When it was started, in ticks; pid and this are one process. Undefined where nobody looked. */
  readonly startTicks: number | undefined;
  /** 0 for a privileged process, else its uid: whose pool it uses, and who may be its direct peer. */
  readonly flowUid: number;
  /** Names it is bound to. */
  readonly names: Set<string>;
  /** Of these, those whose keys root, or the owner of the node, let it use. */
  readonly trusted: Set<string>;
  /** Ids of its accepts that nobody has reserved, oldest first; the latest is served first. */
  readonly accepts: number[];
  /** Whether it ever had ring buffers, and so a use for blocks of its pool. */
  hadFlow: boolean;
}

/** An IPCP. */
export interface IpcpRecord {
  readonly pid: number;
  type: number;
  name: string;
  /** One of `IpcpState`. */
  state: number;
  /** `Not enrolled.` before it has a layer. */
  layer: string;
  hashAlgo: number;
  /** Longest message that it reads, bytes. */
  messageBytesMax: number;
  /** What was asked of it. */
  readonly plan: IpcpPlan;
}

/** A packet pool: that of a uid, or the GSPP (uid 0). */
export interface PoolRecord {
  readonly uid: number;
  readonly gid: number;
  /** Processes that use it. */
  refs: number;
}

/** A child the daemon waits for. */
export interface SpawnedRecord {
  readonly pid: number;
  readonly kind: "ipcp" | "program";
  /** IPCP name or program path, for log lines. */
  readonly what: string;
}

/** IPCPs by pid and in ascending (type, pid). */
export class IpcpTable {
  readonly #list: IpcpRecord[] = [];
  readonly #byPid = new Map<number, IpcpRecord>();
  readonly #boots = new Map<number, Waiter<number>>();

  get count(): number {
    return this.#list.length;
  }

  get(pid: number): IpcpRecord | undefined {
    return this.#byPid.get(pid);
  }

  has(pid: number): boolean {
    return this.#byPid.has(pid);
  }

  /** In the order in which they are listed and asked. */
  list(): readonly IpcpRecord[] {
    return this.#list;
  }

  /** The IPCP of that name, if there is one. */
  byName(name: string): IpcpRecord | undefined {
    return this.#list.find((i) => i.name === name);
  }

  /** The first IPCP of a layer, in list order. */
  byLayer(layer: string): IpcpRecord | undefined {
    return this.#list.find((i) => i.layer === layer && layer !== NOT_ENROLLED);
  }

  /** A new IPCP in INIT without layer; false when the pid has one. */
  create(pid: number, type: number, name: string, plan = new IpcpPlan(type, name)): boolean {
    if (this.#byPid.has(pid)) return false;
    const r: IpcpRecord = {
      pid,
      type,
      name,
      state: IpcpState.INIT,
      layer: NOT_ENROLLED,
      hashAlgo: 0,
      messageBytesMax: MESSAGE_BYTES_MAX,
      plan,
    };
    this.#byPid.set(pid, r);
    this.#insert(r);
    return true;
  }

  /** Takes over what the IPCP says of itself; keeps the order. */
  update(r: IpcpRecord, type: number, name: string, state: number): void {
    this.#list.splice(this.#list.indexOf(r), 1);
    r.type = type;
    r.name = name;
    r.state = state;
    this.#insert(r);
  }

  delete(pid: number): IpcpRecord | undefined {
    const r = this.#byPid.get(pid);
    if (r === undefined) return undefined;
    this.#byPid.delete(pid);
    this.#list.splice(this.#list.indexOf(r), 1);
    return r;
  }

  /** Who waits for the boot of an IPCP. */
  get boots(): Map<number, Waiter<number>> {
    return this.#boots;
  }

  #insert(r: IpcpRecord): void {
    let lo = 0;
    let hi = this.#list.length;
    while (lo < hi) {
      const mid = (lo + hi) >>> 1;
      const m = this.#list[mid]!;
      if (m.type < r.type || (m.type === r.type && m.pid < r.pid)) lo = mid + 1;
      else hi = mid;
    }
    this.#list.splice(lo, 0, r);
  }
}

/** Pools by uid, counted by the processes that use them. */
export class PoolTable {
  readonly #byUid = new Map<number, PoolRecord>();

  get count(): number {
    return this.#byUid.size;
  }

  get(uid: number): PoolRecord | undefined {
    return this.#byUid.get(uid);
  }

  has(uid: number): boolean {
    return this.#byUid.has(uid);
  }

  all(): IterableIterator<PoolRecord> {
    return this.#byUid.values();
  }

  /** One more user; the record is made when the pool is new. Returns the number of users. */
  ref(uid: number, gid: number): number {
    const r = this.#byUid.get(uid);
    if (r !== undefined) return ++r.refs;
    this.#byUid.set(uid, { uid, gid, refs: 1 });
    return 1;
  }

  /** One user less; at 0 the record goes. Returns the number of users left, -1 for an unknown pool. */
  unref(uid: number): number {
    const r = this.#byUid.get(uid);
    if (r === undefined) return -1;
    if (--r.refs === 0) this.#byUid.delete(uid);
    return r.refs;
  }
}

/**
 * The record of one flow and the table of all flows (spec 20 §5, §8.1). Pure.
 *
 *     INIT ──over an IPCP──> ALLOC_PENDING ──response 0──────> ALLOCATED ──dealloc──> DEALLOC_PENDING
 *     INIT ──accept────────> ACCEPT_PENDING ──request arrived──┘                        │ IPCP confirms,
 *     ALLOC_PENDING, ACCEPT_PENDING ──deadline, refusal, process gone──> DEALLOCATED <──┘ second side
 *
 * A record in DEALLOCATED has left the table: its id is free and nothing refers to it any more. Who uses the
 * flow and what it waits for are tagged values, so that a waiter exists only where somebody waits.
 */

import { Errno } from "../../lib/errno.ts";
import { FLOW_IDS_MAX } from "../../lib/limits.ts";
import type { QosSpec } from "../../lib/qos.ts";
import { type FlowInfo, FlowState, NO_SDU_LIMITS, type SduLimits } from "../../lib/irm/messages.ts";
import type { Waiter } from "./waiter.ts";

/** What ends an accept. */
export type AcceptOutcome =
  | {
    kind: "request";
    /** OAP request, handed over once. */
    request: Uint8Array;
    /** The name that was asked for. */
    name: string;
    /** Whether the requester is a process of this host. */
    direct: boolean;
  }
  | Refused;

/** How a wait failed: a negative error number, and the reason where there is more to say. */
export interface Refused {
  readonly kind: "failed";
  readonly code: number;
  readonly why?: string | undefined;
}

/** What ends the wait of an allocation or join. */
export type AllocOutcome =
  | { kind: "response"; /** OAP response, handed over once. */ response: Uint8Array }
  | Refused;

/** What a flow record waits for. */
export type FlowWait =
  | { kind: "nothing" }
  | { kind: "accept"; waiter: Waiter<AcceptOutcome>; reserved: boolean }
  | { kind: "response"; waiter: Waiter<AllocOutcome> };

/**
 * What carries a flow, and which ends have left it: the upper end is `nPid`, the lower end the client of a
 * direct flow or the IPCP. A record goes when both have left.
 */
export type FlowBelow =
  | { kind: "nothing" }
  | { kind: "direct" | "ipcp"; upperGone: boolean; lowerGone: boolean };

/** A pending accept kept for one requester, so that no two get the same flow (spec 20 §19.10). */
export class Reservation {
  constructor(
    readonly flow: FlowRecord,
    /** The name asked for. */
    readonly name: string,
  ) {}
}

/** One flow. Only the registry changes it. */
export class FlowRecord {
  readonly id: number;
  /** The process: the acceptor of a direct flow. */
  readonly nPid: number;
  /** Whose pool the packets of `nPid` are in, 0 = GSPP. */
  readonly uid: number;
  /** The IPCP, or the client of a direct flow; 0 before there is one. */
  n1Pid = 0;
  /** Maximum packet lifetime, ms. */
  mpl = 0;
  qos: QosSpec;
  /** What the layer below carries, as the IPCP said. */
  sdu: SduLimits = NO_SDU_LIMITS;
  /** One of `FlowState`. */
  state: number = FlowState.INIT;
  /** The name it was requested by, "" for none. */
  name = "";
  wait: FlowWait = NOTHING_AWAITED;
  below: FlowBelow = NOTHING_BELOW;
  /** What the acceptor of a direct flow learnt of its client, for the one line of the flow in the log. */
  said: readonly string[] = [];
  /** Whether ring buffers (nPid, id) and (n1Pid, id) exist. */
  rings = false;
  /** When a record in DEALLOC_PENDING is given up, ms; Infinity for never. */
  expiresMs = Infinity;
  /** Its process closed it, and the IPCP keeps it for a while. */
  lingers = false;

  constructor(id: number, nPid: number, uid: number, qos: QosSpec) {
    this.id = id;
    this.nPid = nPid;
    this.uid = uid;
    this.qos = qos;
  }

  /** A record for a new flow; -EINVAL unless id and n_pid are set and all else is as at the start. */
  static of(info: FlowInfo): FlowRecord | number {
    if (info.id <= 0 || info.id >= FLOW_IDS_MAX || info.nPid === 0) return -Errno.EINVAL;
    if (info.n1Pid !== 0 || info.mpl !== 0 || info.state !== FlowState.INIT) return -Errno.EINVAL;
    return new FlowRecord(info.id, info.nPid, info.uid, info.qos);
  }

  /** Takes over state, lower end and MPL; gives what is stored, -EINVAL for another flow's info. */
  update(info: FlowInfo): FlowInfo | number {
    if (info.id !== this.id) return -Errno.EINVAL;
    this.state = info.state;
    this.n1Pid = info.n1Pid;
    this.mpl = info.mpl;
    return this.info(this.nPid);
  }

  /** As the process `pid` sees it: for the client of a direct flow with the pids swapped. */
  info(pid: number): FlowInfo {
    const client = this.below.kind === "direct" && pid === this.n1Pid && pid !== this.nPid;
    return {
      id: this.id,
      nPid: client ? this.n1Pid : this.nPid,
      n1Pid: client ? this.nPid : this.n1Pid,
      mpl: this.mpl,
      state: this.state,
      qos: this.qos,
      uid: this.uid,
      ...this.sdu,
    };
  }

  /** Whether `pid` is a process at an end of this flow (not an IPCP below it). */
  isUser(pid: number): boolean {
    return pid === this.nPid || (this.below.kind === "direct" && pid === this.n1Pid);
  }
}

/** Shared values of records that wait for nothing and have nothing below. */
export const NOTHING_AWAITED: FlowWait = Object.freeze({ kind: "nothing" });
export const NOTHING_BELOW: FlowBelow = Object.freeze({ kind: "nothing" });

/** Flow ids that only privileged processes get. */
export const FLOWS_KEPT = 256;

/** Ids 1 … 10239, the lowest free one first; both operations touch a few words. */
class IdPool {
  /** Bit set = taken; bit 0 of word 0 stands for id 0, which is never given. */
  readonly #words = new Uint32Array(FLOW_IDS_MAX / 32);
  /** No id below this word's first is free. */
  #from = 0;

  constructor() {
    this.#words[0] = 1;
  }

  take(): number | undefined {
    for (; this.#from < this.#words.length; this.#from++) {
      const free = ~this.#words[this.#from]!;
      if (free === 0) continue;
      const bit = 31 - Math.clz32(free & -free);
      this.#words[this.#from]! |= 1 << bit;
      return this.#from * 32 + bit;
    }
    return undefined;
  }

  free(id: number): void {
    const word = id >>> 5;
    this.#words[word]! &= ~(1 << (id & 31));
    if (word < this.#from) this.#from = word;
  }
}

/** All flows, by id and by the pids at their ends. */
export class FlowTable {
  readonly #ids = new IdPool();
  readonly #byId = new Map<number, FlowRecord>();
  readonly #byPid = new Map<number, Set<FlowRecord>>();
  /** How many flows each user holds, those that linger included. */
  readonly #byUid = new Map<number, number>();

  get count(): number {
    return this.#byId.size;
  }

  get(id: number): FlowRecord | undefined {
    return this.#byId.get(id);
  }

  has(id: number): boolean {
    return this.#byId.has(id);
  }

  /** Whether this very record is still in the table (its id may have been given again). */
  holds(flow: FlowRecord): boolean {
    return this.#byId.get(flow.id) === flow;
  }

  all(): IterableIterator<FlowRecord> {
    return this.#byId.values();
  }

  /** Flows with this process or IPCP at an end. */
  of(pid: number): readonly FlowRecord[] {
    const set = this.#byPid.get(pid);
    return set === undefined ? [] : [...set];
  }

  /** How many flows a user holds. */
  countOfUser(uid: number): number {
    return this.#byUid.get(uid) ?? 0;
  }

  /** How many flows have this process or IPCP at an end. */
  countOf(pid: number): number {
    return this.#byPid.get(pid)?.size ?? 0;
  }

  /**
   * A new record in INIT with the lowest free id; -EBADF when there is none. A user who is not privileged may hold at
   * most as many as are left, so no number of users takes all; the last {@linkcode FLOWS_KEPT} are the
   * administrators' (uid 0 here): -EBADF too.
   */
  create(nPid: number, uid: number, qos: QosSpec): FlowRecord | number {
    const held = this.#byUid.get(uid) ?? 0;
    const left = FLOW_IDS_MAX - 1 - this.#byId.size - FLOWS_KEPT;
    if (uid !== 0 && held >= left) return -Errno.EBADF;
    const id = this.#ids.take();
    if (id === undefined) return -Errno.EBADF;
    const flow = new FlowRecord(id, nPid, uid, qos);
    this.#byId.set(id, flow);
    this.#byUid.set(uid, held + 1);
    this.#index(nPid, flow);
    return flow;
  }

  /** Sets the lower end. */
  attach(flow: FlowRecord, n1Pid: number): void {
    flow.n1Pid = n1Pid;
    this.#index(n1Pid, flow);
  }

  /** Removes a record and frees its id; nothing happens when it is not there. */
  delete(flow: FlowRecord): void {
    if (!this.holds(flow)) return;
    this.#byId.delete(flow.id);
    const held = (this.#byUid.get(flow.uid) ?? 1) - 1;
    if (held === 0) this.#byUid.delete(flow.uid);
    else this.#byUid.set(flow.uid, held);
    this.#ids.free(flow.id);
    this.#unindex(flow.nPid, flow);
    this.#unindex(flow.n1Pid, flow);
  }

  #index(pid: number, flow: FlowRecord): void {
    const set = this.#byPid.get(pid);
    if (set === undefined) this.#byPid.set(pid, new Set([flow]));
    else set.add(flow);
  }

  #unindex(pid: number, flow: FlowRecord): void {
    const set = this.#byPid.get(pid);
    if (set === undefined) return;
    set.delete(flow);
    if (set.size === 0) this.#byPid.delete(pid);
  }
}

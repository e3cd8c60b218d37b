/**
 * The flows of a unicast node: found by their id and by the slot of their EID, each with what it waits for and until when;
 * and the tries that were given up and may still be answered. Pure.
 */

import type { Eid } from "../../lib/wire/fa_msg.ts";
import type { QosSpec } from "../../lib/qos.ts";
import type { Accepting } from "../acceptance.ts";
import { Deadlines } from "../deadlines.ts";
import { EidPool } from "./eids.ts";
import type { PublishedFlow } from "./flow_effects.ts";

/** EIDs of tries that were given up and may still be answered. */
const LATE_MAX = 1024;

/** What our process asked for. */
export interface Request {
  readonly hash: Uint8Array;
  readonly qos: QosSpec;
  readonly data: Uint8Array;
  /** Addresses not tried yet. */
  readonly others: number[];
  /** Addresses that were tried. */
  readonly tried: Set<number>;
}

/** `requested`: we asked, no answer yet; `arrived`: a node asked, the acceptor has not decided. */
export type FlowState = "requested" | "arrived" | "open";

/** What is said of a flow when it is entered. */
export interface NewFlow {
  readonly flowId: number;
  remoteEid: Eid;
  peer: number;
  readonly cube: number;
  state: FlowState;
  /** When a flow that is not open is given up, µs. */
  readonly untilUs: number;
  request: Request | undefined;
}

/** One flow. */
export interface Flow extends NewFlow, Accepting {
  state: FlowState;
  localEid: Eid;
  /** What the peer says of the refusal that it sends next. */
  why?: string | undefined;
  /** Our acceptance, while the far end is asked whether it takes pieces: the verdict is settled then. */
  answer?: Uint8Array | undefined;
}

/** See the file's comment. */
export class Flows {
  readonly #flows = new Map<number, Flow>();
  readonly #bySlot = new Map<number, Flow>();
  readonly #deadlines = new Deadlines<number>();
  readonly #eids: EidPool;
  /** Addresses asked with EIDs that were given up, by slot; oldest first. */
  readonly #late = new Map<number, { readonly eid: Eid; readonly addr: number }>();

  constructor(random: () => number) {
    this.#eids = new EidPool(random);
  }

  get size(): number {
    return this.#flows.size;
  }
  has(flowId: number): boolean {
    return this.#flows.has(flowId);
  }
  get(flowId: number): Flow | undefined {
    return this.#flows.get(flowId);
  }
  byEid(eid: Eid): Flow | undefined {
    const flow = this.#bySlot.get(eid.lo);
    return flow !== undefined && flow.localEid.hi === eid.hi ? flow : undefined;
  }
  values(): MapIterator<Flow> {
    return this.#flows.values();
  }

  /** Enters a flow, which has until `untilUs` to get open; undefined when all EIDs are taken. */
  add(made: NewFlow): Flow | undefined {
    const localEid = this.#eids.take();
    if (localEid === undefined) return undefined;
    const flow: Flow = { ...made, localEid, verdict: undefined };
    this.#flows.set(flow.flowId, flow);
    this.#bySlot.set(localEid.lo, flow);
    this.until(flow, flow.untilUs);
    return flow;
  }

  remove(flow: Flow): void {
    this.#flows.delete(flow.flowId);
    this.#bySlot.delete(flow.localEid.lo);
    this.#eids.give(flow.localEid);
    this.#deadlines.delete(flow.flowId);
  }

  /** Gives a flow a new EID, so that an answer tells which try it is for; false when all are taken. */
  renumber(flow: Flow): boolean {
    const eid = this.#eids.take();
    if (eid === undefined) return false;
    this.#bySlot.delete(flow.localEid.lo);
    this.#eids.give(flow.localEid);
    flow.localEid = eid;
    this.#bySlot.set(eid.lo, flow);
    return true;
  }

  /** Something becomes due with a flow. */
  until(flow: Flow, untilUs: number): void {
    this.#deadlines.set(flow.flowId, untilUs);
  }

  /** Nothing does any more. */
  settled(flow: Flow): void {
    this.#deadlines.delete(flow.flowId);
  }

  /** The next flow that is due, if any; then nothing is due with it. */
  due(nowUs: number): Flow | undefined {
    for (let id = this.#deadlines.take(nowUs); id !== undefined; id = this.#deadlines.take(nowUs)) {
      const flow = this.#flows.get(id);
      if (flow !== undefined) return flow;
    }
    return undefined;
  }

  deadlineUs(): number {
    return this.#deadlines.nextUs;
  }

  /** Whoever was asked for a flow that is given up may still answer. */
  keepLate(flow: Flow): void {
    const oldest = this.#late.keys().next().value;
    if (this.#late.size >= LATE_MAX && oldest !== undefined) this.#late.delete(oldest);
    this.#late.set(flow.localEid.lo, { eid: flow.localEid, addr: flow.peer });
  }

  /** Who was asked with that EID in a try that was given up; undefined: nobody. It answers once. */
  takeLate(eid: Eid): number | undefined {
    const late = this.#late.get(eid.lo);
    if (late === undefined || !sameEid(late.eid, eid)) return undefined;
    this.#late.delete(eid.lo);
    return late.addr;
  }
}

export function sameEid(a: Eid, b: Eid): boolean {
  return a.hi === b.hi && a.lo === b.lo;
}

/** What the data path needs of it. */
export function published(flow: Flow): PublishedFlow {
  const { flowId, localEid, remoteEid, peer, cube } = flow;
  return { flowId, localEid, remoteEid, peer, cube };
}

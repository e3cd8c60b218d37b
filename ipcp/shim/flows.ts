/**
 * The flows of a shim IPCP: found by their id and by their endpoint id, each with what it waits for and until when.
 * Pure.
 */

import type { Accepting } from "../acceptance.ts";
import { Deadlines } from "../deadlines.ts";
import type { ShimConfig } from "./effects.ts";
import { EidPool } from "./eids.ts";
import { type Addr, sameAddr } from "./name_cache.ts";

/** Bytes at the start of OAP data that request and answer share: its id. */
export const TAG_BYTES = 16;

/** `requested`: our process asked; `arrived`: a peer did; `ended`: closed at the other end, not here yet. */
export type ShimFlowState = "requested" | "arrived" | "open" | "ended";

/** What is said of a flow when it is entered. */
export interface NewShimFlow {
  readonly flowId: number;
  readonly pid: number;
  readonly localEid: number;
  remoteEid: number;
  readonly peer: Addr;
  state: ShimFlowState;
  /** Bytes of the answer that may go to the asker's address; see `ShimAsker`. */
  readonly freeBytes: number;
  /** The request goes in pieces alone: who rejoins none has not had it. */
  readonly inPieces: boolean;
  /** Start of the request's data, which the answer repeats; empty for a flow that arrived. */
  readonly tag: Uint8Array;
  /** The name that was asked for; empty for a flow that arrived. */
  readonly hash: Uint8Array;
}

/** One flow. */
export interface ShimFlow extends NewShimFlow, Accepting {
  state: ShimFlowState;
  /** On its way out by FLOW_DEALLOC. */
  leaving: "lingers" | "drains" | undefined;
}

/** See the file's comment. */
export class ShimFlows {
  readonly #flows = new Map<number, ShimFlow>();
  readonly #byEid = new Map<number, ShimFlow>();
  readonly #deadlines = new Deadlines<number>();
  readonly #eids: EidPool;

  constructor(eids: ShimConfig["eids"], random: () => number) {
    this.#eids = new EidPool(eids, random);
  }

  get size(): number {
    return this.#flows.size;
  }
  has(flowId: number): boolean {
    return this.#flows.has(flowId);
  }
  get(flowId: number): ShimFlow | undefined {
    return this.#flows.get(flowId);
  }
  byEid(eid: number): ShimFlow | undefined {
    return this.#byEid.get(eid);
  }
  values(): MapIterator<ShimFlow> {
    return this.#flows.values();
  }

  /**
   * The flow that a reply without the requester's id answers: a C responder sends one, to no address, when
   * the verdict overtakes its own bookkeeping. OAP's 16 random bytes tell whose it is.
   */
  requesterOf(from: Addr, data: Uint8Array): ShimFlow | undefined {
    if (data.length < TAG_BYTES) return undefined;
    const tag = data.subarray(0, TAG_BYTES);
    for (const flow of this.#flows.values()) {
      if (flow.state === "requested" && sameAddr(flow.peer, from) && sameAddr(flow.tag, tag)) {
        return flow;
      }
    }
    return undefined;
  }

  /** An endpoint id for a new flow; negative when all are taken. */
  takeEid(nowUs: number): number {
    return this.#eids.take(nowUs);
  }

  /** It is not used after all, or not any more: it rests. */
  giveEid(nowUs: number, eid: number): void {
    this.#eids.give(nowUs, eid);
  }

  /** Enters a flow, which has until `untilUs` to get open. */
  add(made: NewShimFlow, untilUs: number): ShimFlow {
    const flow: ShimFlow = { ...made, leaving: undefined, verdict: undefined };
    this.#flows.set(flow.flowId, flow);
    this.#byEid.set(flow.localEid, flow);
    this.#deadlines.set(flow.flowId, untilUs);
    return flow;
  }

  remove(nowUs: number, flow: ShimFlow): void {
    this.#flows.delete(flow.flowId);
    this.#byEid.delete(flow.localEid);
    this.#deadlines.delete(flow.flowId);
    this.#eids.give(nowUs, flow.localEid);
  }

  /** Something becomes due with a flow. */
  until(flow: ShimFlow, untilUs: number): void {
    this.#deadlines.set(flow.flowId, untilUs);
  }

  /** Nothing does any more. */
  settled(flow: ShimFlow): void {
    this.#deadlines.delete(flow.flowId);
  }

  /** The next flow that is due, if any; then nothing is due with it. */
  due(nowUs: number): ShimFlow | undefined {
    for (let id = this.#deadlines.take(nowUs); id !== undefined; id = this.#deadlines.take(nowUs)) {
      const flow = this.#flows.get(id);
      if (flow !== undefined) return flow;
    }
    return undefined;
  }

  deadlineUs(): number {
    return this.#deadlines.nextUs;
  }
}

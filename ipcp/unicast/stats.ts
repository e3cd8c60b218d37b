/**
 * What the data path of a unicast node counts, by endpoint and cube and by flow above, in memory that its thread writes
 * and the RIB reads (spec 80 §8.4). Pure; counting allocates nothing.
 *
 * Endpoints are lower flows, by flow id, and the components of the node, by EID ({@linkcode componentPlace}). One thread
 * writes; a number is 64 bits long and aligned, so the other never sees half of one. Pages of flows that never were stay
 * untouched and cost no memory.
 */

import { FLOW_IDS_MAX } from "../../lib/limits.ts";
import { CongestionReport } from "./congestion.ts";

/** What is counted of an endpoint and a cube: packets at the number, bytes behind it. */
export const Transfer = {
  sent: 0,
  received: 2,
  /** From components of this node. */
  localSent: 4,
  /** For components of this node, or, of a component, what it gave to be sent. */
  localReceived: 6,
  expired: 8,
  failedWrites: 10,
  noHop: 12,
} as const;
export type Transfer = typeof Transfer[keyof typeof Transfer];
const TRANSFER_WORDS = 14;
export const CUBES = 3;
/** Components that exist: flow allocator and directory. */
const COMPONENTS = 2;

/** What is counted of a flow above: packets at the number, bytes behind it; updates are packets alone. */
export const Above = {
  sent: 0,
  sendFailed: 2,
  received: 4,
  receiveFailed: 6,
  updatesSent: 8,
  updatesReceived: 9,
  /** Where congestion avoidance says how it is; see {@linkcode CongestionReport}. */
  congestion: 10,
} as const;
const ABOVE_WORDS = Above.congestion + CongestionReport.words;

/** The place of a component among the endpoints. */
export function componentPlace(eid: number): number {
  return FLOW_IDS_MAX + eid;
}

/** The counters; the same buffer is attached in each thread. */
export class DataStats {
  readonly buffer: SharedArrayBuffer;
  readonly #transfer: Float64Array;
  readonly #above: Float64Array;

  constructor(buffer?: SharedArrayBuffer) {
    const transfer = (FLOW_IDS_MAX + COMPONENTS) * CUBES * TRANSFER_WORDS;
    const above = FLOW_IDS_MAX * ABOVE_WORDS;
    this.buffer = buffer ?? new SharedArrayBuffer((transfer + above) * 8);
    this.#transfer = new Float64Array(this.buffer, 0, transfer);
    this.#above = new Float64Array(this.buffer, transfer * 8, above);
  }

  // The thread of the data path.

  /** Count a packet of an endpoint; a cube that nobody knows counts as the first. */
  transfer(place: number, cube: number, what: Transfer, bytes: number): void {
    const at = (place * CUBES + (cube < CUBES ? cube : 0)) * TRANSFER_WORDS + what;
    this.#transfer[at]! += 1;
    this.#transfer[at + 1]! += bytes;
  }

  /** Count a packet of a flow above. */
  above(flowId: number, what: number, bytes: number): void {
    const at = flowId * ABOVE_WORDS + what;
    this.#above[at]! += 1;
    this.#above[at + 1]! += bytes;
  }

  /** Count an update of congestion avoidance. */
  update(flowId: number, what: number): void {
    this.#above[flowId * ABOVE_WORDS + what]! += 1;
  }

  /** Where in {@linkcode words} congestion avoidance says how a flow is. */
  congestionAt(flowId: number): number {
    return flowId * ABOVE_WORDS + Above.congestion;
  }
  get words(): Float64Array {
    return this.#above;
  }

  /** A lower flow begins: nothing is counted yet. */
  clearTransfer(flowId: number): void {
    const at = flowId * CUBES * TRANSFER_WORDS;
    this.#transfer.fill(0, at, at + CUBES * TRANSFER_WORDS);
  }
  /** A flow above begins. */
  clearAbove(flowId: number): void {
    this.#above.fill(0, flowId * ABOVE_WORDS, (flowId + 1) * ABOVE_WORDS);
  }

  // Who reads.

  /** Packets and bytes of an endpoint in a cube. */
  transferred(place: number, cube: number, what: Transfer): readonly [number, number] {
    const at = (place * CUBES + cube) * TRANSFER_WORDS + what;
    return [this.#transfer[at]!, this.#transfer[at + 1]!];
  }
  /** Packets and bytes of a flow above. */
  counted(flowId: number, what: number): readonly [number, number] {
    const at = flowId * ABOVE_WORDS + what;
    return [this.#above[at]!, this.#above[at + 1]!];
  }
  /** What congestion avoidance said of a flow. */
  congestion(flowId: number): Float64Array {
    const at = this.congestionAt(flowId);
    return this.#above.slice(at, at + ABOVE_WORDS - Above.congestion);
  }
}

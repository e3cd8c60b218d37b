/**
 * Which flows have packets: events of the own flow set in, flows in turn out, each once however many events
 * it had. A flow that has more after its burst goes to the end, so all get their share.
 */

import { FLOW_IDS_MAX } from "../../lib/limits.ts";

/** More places than flows, a power of two. */
const PLACES = 16384;

export class ReadyQueue {
  readonly #ring = new Int32Array(PLACES);
  readonly #queued = new Uint8Array(FLOW_IDS_MAX);
  #head = 0;
  #tail = 0;

  get isEmpty(): boolean {
    return this.#head === this.#tail;
  }

  /** Add a flow unless it is in; numbers that are no flow id are ignored. Whether it was added. */
  add(flowId: number): boolean {
    if (flowId <= 0 || flowId >= FLOW_IDS_MAX || this.#queued[flowId] !== 0) return false;
    this.#queued[flowId] = 1;
    this.#ring[this.#head] = flowId;
    this.#head = (this.#head + 1) & (PLACES - 1);
    return true;
  }

  /** Take the next flow; the queue is not empty. */
  take(): number {
    const flowId = this.#ring[this.#tail]!;
    this.#tail = (this.#tail + 1) & (PLACES - 1);
    this.#queued[flowId] = 0;
    return flowId;
  }
}

/** The flows that the shell of an IPCP has taken up: their memory in the data plane, and the processes above. */

import type { DataPlane } from "../data/plane.ts";
import type { FlowOrder } from "../machine.ts";

export class HeldFlows {
  readonly #plane: DataPlane;
  /** Processes by flow, for the IRMd. */
  readonly #pids = new Map<number, number>();

  constructor(plane: DataPlane) {
    this.#plane = plane;
  }

  /** Take up a flow: 0 or why not, as {@linkcode DataPlane.hold}. */
  hold(flow: FlowOrder): number {
    const { flowId, pid, uid } = flow;
    const held = this.#plane.hold(flowId, pid, uid);
    if (held === 0) this.#pids.set(flowId, pid);
    return held;
  }

  /** The process above a flow; 0 if it is not held. */
  pid(flowId: number): number {
    return this.#pids.get(flowId) ?? 0;
  }

  /** The data plane has let go of a flow. */
  forget(flowId: number): void {
    this.#pids.delete(flowId);
  }

  /** Let go of a flow. */
  release(flowId: number): void {
    this.forget(flowId);
    void this.#plane.drop(flowId);
  }
}

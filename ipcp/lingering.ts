/**
 * Flows that their processes closed and that linger for a while, so that what is on its way still arrives. What it asks
 * for are flows whose time is over. Pure.
 */

import { Deadlines } from "./deadlines.ts";
import type { Machine } from "./machine.ts";

export class Lingering implements Machine<number> {
  readonly #deadlines = new Deadlines<number>();
  readonly #over: number[] = [];

  /** FLOW_DEALLOC: 0 s ends a flow at once, also one that lingers; a second time to linger changes nothing. */
  dealloc(nowUs: number, flowId: number, lingerSec: number): void {
    if (lingerSec > 0) {
      if (!this.#deadlines.has(flowId)) this.#deadlines.set(flowId, nowUs + lingerSec * 1e6);
      return;
    }
    this.#deadlines.delete(flowId);
    this.#over.push(flowId);
  }

  /** The flow has gone for another reason. */
  forget(flowId: number): void {
    this.#deadlines.delete(flowId);
  }

  poll(): number | undefined {
    return this.#over.shift();
  }

  onTimer(nowUs: number): void {
    for (let id = this.#deadlines.take(nowUs); id !== undefined; id = this.#deadlines.take(nowUs)) {
      this.#over.push(id);
    }
  }

  deadlineUs(): number {
    return this.#deadlines.nextUs;
  }
}

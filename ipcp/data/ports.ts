/**
 * The ports of one data worker: opened at a flow's first packet from what the table says, closed by order.
 * Generations keep two flows of the same id apart.
 */

import { FLOW_IDS_MAX } from "../../lib/limits.ts";
import { Port, type PortContext } from "./port.ts";
import type { FlowTable } from "./table.ts";

export class Ports {
  readonly #context: PortContext;
  readonly #table: FlowTable;
  readonly #ports: (Port | undefined)[] = new Array(FLOW_IDS_MAX).fill(undefined);
  readonly #generations = new Int32Array(FLOW_IDS_MAX);

  constructor(context: PortContext, table: FlowTable) {
    this.#context = context;
    this.#table = table;
  }

  /** The port of an open flow, or undefined. */
  get(flowId: number): Port | undefined {
    const generation = this.#table.generation(flowId);
    if (this.#generations[flowId] === generation) return this.#ports[flowId];
    if ((generation & 1) === 0) return undefined;
    this.close(flowId);
    this.#generations[flowId] = generation;
    return this.#ports[flowId] = this.#open(flowId);
  }

  #open(flowId: number): Port | undefined {
    try {
      return Port.open(this.#context, flowId, this.#table.pid(flowId), this.#table.uid(flowId));
    } catch {
      return undefined; // Its process is gone; the IRMd will say so.
    }
  }

  /**
   * The port of a flow that the main thread has closed, for the packets that its process wrote before; opened
   * if there were none until now. {@linkcode close} it afterwards.
   */
  last(flowId: number): Port | undefined {
    return this.#ports[flowId] ??= this.#open(flowId);
  }

  close(flowId: number): void {
    this.#ports[flowId]?.close();
    this.#ports[flowId] = undefined;
    this.#generations[flowId] = 0;
  }

  /** Call for each flow with a port. */
  forEach(call: (flowId: number) => void): void {
    for (let id = 1; id < FLOW_IDS_MAX; id++) if (this.#ports[id] !== undefined) call(id);
  }

  closeAll(): void {
    this.forEach((flowId) => this.close(flowId));
  }
}

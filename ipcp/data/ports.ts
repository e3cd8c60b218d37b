/**
 * The ports of one data worker: opened at a flow's first packet from what the table says, closed by order.
 * Generations keep two flows of the same id apart.
 */

import { FLOW_IDS_MAX } from "../../lib/limits.ts";
import type { LongPackets } from "./long_packets.ts";
import { Port, type PortContext } from "./port.ts";
import { type FlowTable, Order, type OrderRing } from "./table.ts";

/** What a data worker is made of. */
export interface ThreadParts {
  readonly context: PortContext;
  readonly table: FlowTable;
  readonly orders: OrderRing;
  readonly counters: Int32Array;
  /** Tells the main thread that this one has let go of a flow. */
  readonly closed: (flowId: number) => void;
  /** Tells the main thread of packets that were dropped for their size. */
  readonly tooLong: (report: LongPackets) => void;
}

export class Ports {
  readonly #parts: ThreadParts;
  readonly #table: FlowTable;
  readonly #ports: (Port | undefined)[] = new Array(FLOW_IDS_MAX).fill(undefined);
  readonly #generations = new Int32Array(FLOW_IDS_MAX);

  constructor(parts: ThreadParts) {
    this.#parts = parts;
    this.#table = parts.table;
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
    const { context, table } = this.#parts;
    try {
      return Port.open(context, flowId, table.pid(flowId), table.uid(flowId));
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

  /** Call for each open flow whose memory is there. */
  forEachOpen(call: (flowId: number, port: Port) => void): void {
    let left = this.#table.size;
    for (let id = 1; left > 0 && id < FLOW_IDS_MAX; id++) {
      if ((this.#table.generation(id) & 1) === 0) continue;
      left--;
      const port = this.get(id);
      if (port !== undefined) call(id, port);
    }
  }

  /**
   * Carry out the orders of the main thread; `before` is called for each flow that is to be closed. False after
   * the order to stop.
   */
  obey(before?: (flowId: number) => void): boolean {
    const { orders, closed } = this.#parts;
    for (let order = orders.take(); order !== 0; order = orders.take()) {
      const flowId = order & 0xffff;
      if (order >>> 16 === Order.stop) {
        for (let id = 1; id < FLOW_IDS_MAX; id++) this.close(id);
        return false;
      }
      before?.(flowId);
      this.close(flowId);
      closed(flowId);
    }
    return true;
  }
}

/**
 * The loop of a thread that takes packets from the processes: waits for events of the own flow set, serves the
 * flows in turn, carries out the orders of the main thread. What happens to the packets is left to {@linkcode
 * FlowLoop.move}.
 *
 * Fair: a flow moves at most {@linkcode BURST} packets before the next one that has some. Orders arrive as events
 * of a flow id that no flow has. What a process wrote before its flow was closed still goes (spec 50 §5).
 */

import { RBUFF_SLOTS } from "../../lib/limits.ts";
import { EVENTS_MAX, type FlowSetShm } from "../../lib/shm/flow_set.ts";
import type { Port } from "./port.ts";
import { Ports, type ThreadParts } from "./ports.ts";
import { ReadyQueue } from "./ready.ts";
import { Spinner } from "./spinner.ts";
import { DATA_QUEUE, ORDERS_FLOW } from "./table.ts";

/** Packets of one flow in a row. */
export const BURST = 8;

export abstract class FlowLoop {
  protected readonly ports: Ports;
  readonly #set: FlowSetShm;
  readonly #events = new Int32Array(EVENTS_MAX * 2);
  readonly #ready = new ReadyQueue();
  readonly #spinner: Spinner;

  constructor(parts: ThreadParts, set: FlowSetShm) {
    this.ports = new Ports(parts);
    this.#set = set;
    this.#spinner = new Spinner(() => set.pending(DATA_QUEUE) > 0);
  }

  /** Move at most `max` packets that the process above wrote; whether there may be more. */
  protected abstract move(port: Port, max: number): boolean;

  /** Send what {@linkcode move} has kept back. */
  protected flush(): void {}

  /** Run until the order to stop. */
  run(): void {
    while (this.turn(Infinity));
  }

  /** Wait for events, at most until `deadlineNs`, and handle them all. False after the order to stop. */
  turn(deadlineNs: number): boolean {
    this.#spinner.spin();
    const n = this.#set.wait(DATA_QUEUE, this.#events, deadlineNs);
    if (n < 0) return true;
    let orders = n === EVENTS_MAX;
    for (let i = 0; i < n; i++) {
      const flowId = this.#events[i * 2]!;
      if (flowId === ORDERS_FLOW) orders = true;
      else this.#ready.add(flowId);
    }
    // A full queue may have lost events.
    if (n === EVENTS_MAX) this.ports.forEach((flowId) => this.#ready.add(flowId));
    if (!this.#ready.isEmpty) {
      do {
        const flowId = this.#ready.take();
        const port = this.ports.get(flowId);
        if (port !== undefined && this.move(port, BURST)) this.#ready.add(flowId);
      } while (!this.#ready.isEmpty);
      this.flush();
      this.#spinner.busy();
    }
    return orders ? this.ports.obey((flowId) => this.#moveLast(flowId)) : true;
  }

  /** What is left in the ring of a closed flow. */
  #moveLast(flowId: number): void {
    const port = this.ports.last(flowId);
    if (port === undefined) return;
    this.move(port, RBUFF_SLOTS);
    this.flush();
  }
}

/**
 * The loop of a thread that takes packets from the processes: waits for events of the own flow set, serves the
 * flows in turn, carries out the orders of the main thread. What happens to the packets is left to {@linkcode
 * FlowLoop.move}.
 *
 * Fair: a flow moves at most {@linkcode BURST} packets before the next one that has some. Orders arrive as events
 * of a flow id that no flow has. What a process wrote before its flow was closed still goes (spec 50 §5).
 *
 * The flow set is writable by every user whose C programs use this IPCP, so events are hints: now and then all
 * flows are looked at, more often as long as that finds what no event told of.
 */

import { RBUFF_SLOTS } from "../../lib/limits.ts";
import { EVENTS_MAX, type FlowSetShm } from "../../lib/shm/flow_set.ts";
import { monotonicNs } from "../../lib/sys/clock.ts";
import type { Port } from "./port.ts";
import { Ports, type ThreadParts } from "./ports.ts";
import { ReadyQueue } from "./ready.ts";
import { Spinner } from "./spinner.ts";
import { DATA_QUEUE, ORDERS_FLOW } from "./table.ts";

/** Packets of one flow in a row. */
export const BURST = 8;

/** Flows served before the next look at events: a ring that never gets empty must not keep others waiting. */
export const ROUND = 256;

/** Longest and shortest time between two looks at all flows, ns. */
const SWEEP_MAX_NS = 1e9;
const SWEEP_MIN_NS = 1e6;

export abstract class FlowLoop {
  protected readonly ports: Ports;
  readonly #set: FlowSetShm;
  readonly #events = new Int32Array(EVENTS_MAX * 2);
  readonly #ready = new ReadyQueue();
  readonly #spinner: Spinner;
  #sweepEveryNs = SWEEP_MAX_NS;
  #sweepAtNs = monotonicNs() + SWEEP_MAX_NS;

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

  /**
   * Wait for events, at most until `deadlineNs`, and handle them, all but those of flows that never get empty. False after
   * the order to stop.
   */
  turn(deadlineNs: number): boolean {
    const rested = this.#ready.isEmpty;
    if (rested) this.#spinner.spin();
    const until = rested ? Math.min(deadlineNs, this.#sweepAtNs) : 0;
    const n = Math.max(0, this.#set.wait(DATA_QUEUE, this.#events, until));
    let orders = n === EVENTS_MAX;
    for (let i = 0; i < n; i++) {
      const flowId = this.#events[i * 2]!;
      if (flowId === ORDERS_FLOW) orders = true;
      else this.#ready.add(flowId);
    }
    // A full queue may have lost events.
    if (n === EVENTS_MAX || monotonicNs() >= this.#sweepAtNs) {
      this.#sweep();
      orders = true;
    }
    if (!this.#ready.isEmpty) {
      for (let k = 0; k < ROUND && !this.#ready.isEmpty; k++) {
        const flowId = this.#ready.take();
        const port = this.ports.get(flowId);
        if (port !== undefined && this.move(port, BURST)) this.#ready.add(flowId);
      }
      this.flush();
      this.#spinner.busy();
    }
    return orders ? this.ports.obey((flowId) => this.#moveLast(flowId)) : true;
  }

  /** Look at all flows. */
  #sweep(): void {
    let missed = this.#set.repair(DATA_QUEUE, ORDERS_FLOW);
    this.ports.forEachOpen((flowId, port) => {
      if (this.#set.repair(DATA_QUEUE, flowId)) missed = true;
      if (port.rx.queued() > 0 && this.#ready.add(flowId)) missed = true;
    });
    this.#sweepEveryNs = missed ? SWEEP_MIN_NS : Math.min(SWEEP_MAX_NS, this.#sweepEveryNs * 2);
    this.#sweepAtNs = monotonicNs() + this.#sweepEveryNs;
  }

  /** What is left in the ring of a closed flow. */
  #moveLast(flowId: number): void {
    const port = this.ports.last(flowId);
    if (port === undefined) return;
    this.move(port, RBUFF_SLOTS);
    this.flush();
  }
}

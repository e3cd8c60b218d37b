/**
 * The thread from the processes to the network: waits for events of the own flow set, reads the packets of
 * the flows in turn, wraps them and sends them in batches.
 *
 * Fair: a flow sends at most {@linkcode BURST} packets before the next one that has some. Orders of the main
 * thread arrive as events of flow id 0, which no flow has. A closed flow's packets are sent before it is
 * let go (spec 50 §5).
 */

import { Errno } from "../../lib/errno.ts";
import { EVENTS_MAX, type FlowSetShm } from "../../lib/shm/flow_set.ts";
import { MessageBatch, type NetSocket } from "../../lib/sys/netsock.ts";
import type { Framing } from "./framing.ts";
import type { Port, PortContext } from "./port.ts";
import { Ports } from "./ports.ts";
import { ReadyQueue } from "./ready.ts";
import { Spinner } from "./spinner.ts";
import { Counter, type FlowTable, Order, type OrderRing } from "./table.ts";

/** Queue of the own flow set that the data path waits at; index 0 is the library's (spec 10 §6.4). */
export const DATA_QUEUE = 1;
/** Flow id whose events mean "look at the orders". */
export const ORDERS_FLOW = 0;
/** Packets of one flow in a row. */
export const BURST = 8;
/** Messages of one sendmmsg. */
const BATCH = 32;

export class ShimTx {
  readonly #table: FlowTable;
  readonly #orders: OrderRing;
  readonly #counters: Int32Array;
  readonly #set: FlowSetShm;
  readonly #socket: NetSocket;
  readonly #framing: Framing;
  readonly #closed: (flowId: number) => void;
  readonly #events = new Int32Array(EVENTS_MAX * 2);
  readonly #ports: Ports;
  readonly #ready = new ReadyQueue();
  readonly #batch: MessageBatch;
  /** Where the payload of message i goes. */
  readonly #slots: Uint8Array<ArrayBuffer>[] = [];
  #filled = 0;
  readonly #spinner: Spinner;

  constructor(
    context: PortContext,
    table: FlowTable,
    orders: OrderRing,
    counters: Int32Array,
    set: FlowSetShm,
    socket: NetSocket,
    framing: Framing,
    closed: (flowId: number) => void,
  ) {
    this.#table = table;
    this.#orders = orders;
    this.#counters = counters;
    this.#set = set;
    this.#socket = socket;
    this.#framing = framing;
    this.#closed = closed;
    this.#ports = new Ports(context, table);
    this.#batch = new MessageBatch(BATCH, framing.slotBytes, framing.nameBytes);
    for (let i = 0; i < BATCH; i++) {
      const at = i * framing.slotBytes;
      this.#slots.push(
        this.#batch.data.subarray(at + framing.headerBytes, at + framing.slotBytes) as Uint8Array<
          ArrayBuffer
        >,
      );
    }
    this.#spinner = new Spinner(() => this.#set.pending(DATA_QUEUE) > 0);
  }

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
    if (n === EVENTS_MAX) this.#ports.forEach((flowId) => this.#ready.add(flowId));
    if (!this.#ready.isEmpty) {
      do {
        const flowId = this.#ready.take();
        const port = this.#ports.get(flowId);
        if (port !== undefined && this.#take(port, BURST) === BURST) this.#ready.add(flowId);
      } while (!this.#ready.isEmpty);
      this.#flush();
      this.#spinner.busy();
    }
    return orders ? this.#handleOrders() : true;
  }

  /** Move at most `max` packets of a flow into the batch; how many there were. */
  #take(port: Port, max: number): number {
    const payloadMax = this.#counters[Counter.payloadMax]!;
    let n = 0;
    while (n < max) {
      if (this.#filled === BATCH) this.#flush();
      const i = this.#filled;
      const length = port.readInto(this.#slots[i]!);
      if (length === -Errno.EAGAIN || length === -Errno.EFLOWDOWN || length === -Errno.EFLOWPEER) {
        return n;
      }
      n++;
      if (length < 0 || length > payloadMax) {
        if (length === -Errno.ENOTRECOVERABLE) return n;
        this.#counters[length === -Errno.EINVAL ? Counter.badPackets : Counter.tooLong]!++;
        continue;
      }
      this.#framing.wrap(this.#table, port.flowId, this.#batch, i, length);
      this.#filled++;
    }
    return n;
  }

  #flush(): void {
    const n = this.#filled;
    this.#filled = 0;
    let from = 0;
    while (from < n) {
      const sent = this.#socket.send(this.#batch, from, n - from);
      if (sent <= 0) {
        this.#counters[Counter.sendFailed]!++;
        from++; // The first one is refused: no route, link down, too long. The others get their try.
      } else {
        this.#counters[Counter.sent]! += sent;
        from += sent;
      }
    }
  }

  #handleOrders(): boolean {
    for (let order = this.#orders.take(); order !== 0; order = this.#orders.take()) {
      const flowId = order & 0xffff;
      if (order >>> 16 === Order.stop) {
        this.#ports.closeAll();
        return false;
      }
      const port = this.#ports.last(flowId);
      if (port !== undefined) {
        // What the process wrote before it closed goes out first; bounded by what a ring holds.
        this.#take(port, 1024);
        this.#flush();
      }
      this.#ports.close(flowId);
      this.#closed(flowId);
    }
    return true;
  }
}

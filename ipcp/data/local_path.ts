/**
 * The data path of the local IPCP: each packet of one flow goes to the other flow of its pair.
 *
 * Copies (spec 10 §8.2): none when both processes use the same pool, else exactly one, from pool to pool. The
 * prototype copies between two processes of one user too, because it opens the user's pool once a flow; we open
 * it once (spec 10 §11.19). Unpaired flows' packets are freed.
 */

import { Errno } from "../../lib/errno.ts";
import { EVENTS_MAX, type FlowSetShm } from "../../lib/shm/flow_set.ts";
import type { Port, PortContext } from "./port.ts";
import { Ports } from "./ports.ts";
import { ReadyQueue } from "./ready.ts";
import { BURST, DATA_QUEUE, ORDERS_FLOW } from "./shim_tx.ts";
import { Spinner } from "./spinner.ts";
import { Counter, type FlowTable, Order, type OrderRing } from "./table.ts";

export class LocalPath {
  readonly #table: FlowTable;
  readonly #orders: OrderRing;
  readonly #counters: Int32Array;
  readonly #set: FlowSetShm;
  readonly #closed: (flowId: number) => void;
  readonly #events = new Int32Array(EVENTS_MAX * 2);
  readonly #ports: Ports;
  readonly #ready = new ReadyQueue();
  readonly #spinner: Spinner;

  constructor(
    context: PortContext,
    table: FlowTable,
    orders: OrderRing,
    counters: Int32Array,
    set: FlowSetShm,
    closed: (flowId: number) => void,
  ) {
    this.#table = table;
    this.#orders = orders;
    this.#counters = counters;
    this.#set = set;
    this.#closed = closed;
    this.#ports = new Ports(context, table);
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
        if (this.#move(flowId, this.#ports.get(flowId), BURST)) this.#ready.add(flowId);
      } while (!this.#ready.isEmpty);
      this.#spinner.busy();
    }
    return orders ? this.#handleOrders() : true;
  }

  /** Move at most `max` packets to the partner; whether there may be more. */
  #move(flowId: number, from: Port | undefined, max: number): boolean {
    if (from === undefined) return false;
    const partner = this.#table.partner(flowId);
    const to = partner === 0 ? undefined : this.#ports.get(partner);
    for (let n = 0; n < max; n++) {
      const off = from.rx.read();
      if (off < 0) return false;
      this.#deliver(from, to, off);
    }
    return true;
  }

  #deliver(from: Port, to: Port | undefined, off: number): void {
    const pool = from.pool;
    const n = pool.inspect(off);
    if (n < 0) {
      if (n === -Errno.EMSGSIZE) pool.remove(off); // Held, but with forged bounds.
      this.#counters[Counter.badPackets]!++;
      return;
    }
    if (to === undefined || to.isFull()) {
      pool.remove(off);
      this.#counters[Counter.notDelivered]!++;
      return;
    }
    let give = off;
    if (to.pool !== pool) {
      give = this.#copy(from, to, pool.at, n);
      pool.remove(off);
    }
    if (give >= 0 && to.deliver(give) === 0) this.#counters[Counter.received]!++;
    else this.#counters[Counter.notDelivered]!++;
  }

  /**
   * A block of the other pool with the same bytes, or a negative errno. A pool of a user goes through its
   * descriptor: the kernel copies between it and the other mapping, and a file cut short gives an error.
   */
  #copy(from: Port, to: Port, at: number, n: number): number {
    const off = to.pool.alloc(n);
    if (off < 0) return off;
    if (to.pool.inspect(off) !== n) return -Errno.EINVAL;
    const toAt = to.pool.at;
    const source = from.pool.object, target = to.pool.object;
    let copied = n;
    if (source !== null) copied = source.pread(to.pool.u8.subarray(toAt, toAt + n), n, at);
    else if (target !== null) copied = target.pwrite(from.pool.u8.subarray(at, at + n), n, toAt);
    else to.pool.u8.set(from.pool.u8.subarray(at, at + n), toAt);
    if (copied !== n) {
      to.pool.remove(off);
      return -Errno.EINVAL;
    }
    this.#counters[Counter.copies]!++;
    return off;
  }

  #handleOrders(): boolean {
    for (let order = this.#orders.take(); order !== 0; order = this.#orders.take()) {
      const flowId = order & 0xffff;
      if (order >>> 16 === Order.stop) {
        this.#ports.closeAll();
        return false;
      }
      // What the process wrote before it closed still goes; bounded by what a ring holds.
      this.#move(flowId, this.#ports.last(flowId), 1024);
      this.#ports.close(flowId);
      this.#closed(flowId);
    }
    return true;
  }
}

/**
 * The main thread's side of the data path: it starts the workers, publishes flows to them, and lets flows go
 * only when every worker has let go.
 *
 * A flow is held (its shared memory can be opened), then published (packets flow), then dropped (what the
 * process wrote is sent, both rbuffs are marked down, everything is unmapped).
 */

import { Errno } from "../../lib/errno.ts";
import type { Instance } from "../../lib/instance.ts";
import { FlowEvent } from "../../lib/shm/layout.ts";
import { FlowSetShm } from "../../lib/shm/flow_set.ts";
import type { Pool } from "../../lib/shm/pool.ts";
import { WakeFd } from "../../lib/sys/netsock.ts";
import { SysError } from "../../lib/sys/ffi.ts";
import { crossed } from "./crossing.ts";
import type { LongPackets } from "./long_packets.ts";
import { Port, PortContext } from "./port.ts";
import {
  Counter,
  DATA_QUEUE,
  type FlowRow,
  FlowTable,
  Order,
  OrderRing,
  ORDERS_FLOW,
} from "./table.ts";

/** A data worker as its type hands it in. */
export interface WorkerSpec {
  /** For messages about it. */
  readonly name: string;
  /** The type names the file by a literal URL, which the bundler looks for. */
  readonly start: () => Worker;
}

/** What a worker needs to start; posted to it once. */
export interface WorkerInit {
  readonly instance: Instance;
  readonly pid: number;
  readonly table: SharedArrayBuffer;
  readonly orders: SharedArrayBuffer;
  readonly counters: SharedArrayBuffer;
  /** Readable when there are orders, for workers that wait for other descriptors. */
  readonly wakeFd: number;
  /** What the type of the IPCP gives its worker. */
  readonly extra: unknown;
}

/** What a worker says. */
export type WorkerReport =
  | { readonly say: "ready" }
  | { readonly say: "closed"; readonly flowId: number }
  | {
    readonly say: "mgmt";
    readonly from: Uint8Array;
    readonly bytes: Uint8Array;
    /** Whose share of the queue it had, where that is shared (`crossing.ts`). */
    readonly share?: number;
  }
  | { readonly say: "too_long"; readonly packets: LongPackets }
  /** Something other than a packet happened on a lower flow. */
  | { readonly say: "lower"; readonly flowId: number; readonly events: number }
  /** What the layer below carries on a lower flow is another size now. */
  | { readonly say: "carries"; readonly flowId: number; readonly bytes: number }
  /** The worker has let go of a lower flow. */
  | { readonly say: "released"; readonly flowId: number }
  /** A policy from a file is not asked any more; a line for people. */
  | { readonly say: "policy_left"; readonly line: string }
  | { readonly say: "stopped" }
  | { readonly say: "failed"; readonly why: string };

/** Where a plane is: the process that it serves. */
export interface PlaneHome {
  readonly instance: Instance;
  readonly pid: number;
  /** This thread, and those that it starts from now on, give up what the data path does not need. */
  confine(): void;
}

/** What the plane tells its owner. */
export interface PlaneEvents {
  mgmt(from: Uint8Array, bytes: Uint8Array): void;
  /** Packets were dropped because the layer does not carry their size. */
  tooLong(packets: LongPackets): void;
  /** A worker died: the data path is broken. */
  failed(why: string): void;
  /** Events of a lower flow that the worker has; {@linkcode FlowEvent} bits. */
  lower?(flowId: number, events: number): void;
  /** What the layer below carries on a lower flow, bytes. */
  carries?(flowId: number, bytes: number): void;
  released?(flowId: number): void;
  /** A policy from a file is not asked any more. */
  policyLeft?(line: string): void;
}

/** How long a worker may take to start, to let go of a flow and to stop, ms. */
const START_MS = 20_000;
const DROP_MS = 2000;
const STOP_MS = 1000;

interface Crew {
  readonly name: string;
  readonly worker: Worker;
  readonly orders: OrderRing;
  readonly ready: PromiseWithResolvers<void>;
  readonly stopped: PromiseWithResolvers<void>;
}

function within(promise: Promise<void>, ms: number): Promise<boolean> {
  let timer: ReturnType<typeof setTimeout>;
  const late = new Promise<boolean>((resolve) => timer = setTimeout(() => resolve(false), ms));
  return Promise.race([promise.then(() => true), late]).finally(() => clearTimeout(timer));
}

export class DataPlane {
  readonly table = new FlowTable();
  readonly counters = new Int32Array(new SharedArrayBuffer(Counter.words * 4));
  readonly #home: PlaneHome;
  readonly #events: PlaneEvents;
  readonly #context: PortContext;
  readonly #set: FlowSetShm;
  readonly #wake = new WakeFd();
  readonly #crew: Crew[] = [];
  readonly #ports = new Map<number, Port>();
  /** Flows that workers must let go of: how many of them have not. */
  readonly #closing = new Map<number, { left: number; done: () => void }>();
  /** Flows that are being let go, by id. */
  readonly #dropping = new Map<number, Promise<void>>();
  #stopping = false;

  /** Opens the own flow set and the global pool; throws a SysError. */
  constructor(home: PlaneHome, events: PlaneEvents) {
    const { instance, pid } = home;
    this.#home = home;
    this.#events = events;
    this.#context = new PortContext(instance, pid);
    this.#set = FlowSetShm.open(instance, pid);
    this.#set.add(DATA_QUEUE, ORDERS_FLOW);
  }

  /**
   * Start workers; whether all of them came up. The device is open by now, so this thread and the workers give
   * up every capability but the one that opens the memory of other users' processes.
   */
  async start(specs: readonly WorkerSpec[], extra?: unknown): Promise<boolean> {
    const { instance, pid } = this.#home;
    this.#home.confine();
    for (const { name, start } of specs) {
      const orders = new OrderRing();
      const worker = start();
      const crew: Crew = {
        name,
        worker,
        orders,
        ready: Promise.withResolvers<void>(),
        stopped: Promise.withResolvers<void>(),
      };
      this.#crew.push(crew);
      worker.onmessage = (e: MessageEvent<WorkerReport>) => this.#onReport(crew, e.data);
      worker.onerror = (e) => {
        e.preventDefault();
        this.#onReport(crew, { say: "failed", why: e.message });
      };
      const init: WorkerInit = {
        instance,
        pid,
        table: this.table.buffer,
        orders: orders.buffer,
        counters: this.counters.buffer as SharedArrayBuffer,
        wakeFd: this.#wake.fd,
        extra,
      };
      worker.postMessage(init);
    }
    const up = await Promise.all(this.#crew.map((c) => within(c.ready.promise, START_MS)));
    return up.every((x) => x);
  }

  #onReport(crew: Crew, r: WorkerReport): void {
    switch (r.say) {
      case "ready":
        return crew.ready.resolve();
      case "stopped":
        return crew.stopped.resolve();
      case "mgmt":
        if (r.share === undefined) Atomics.sub(this.counters, Counter.mgmtPending, 1);
        else crossed(this.counters, r.share);
        if (!this.#stopping) this.#events.mgmt(r.from, r.bytes);
        return;
      case "too_long":
        return this.#events.tooLong(r.packets);
      case "lower":
        if (!this.#stopping) this.#events.lower?.(r.flowId, r.events);
        return;
      case "carries":
        return this.#events.carries?.(r.flowId, r.bytes);
      case "released":
        return this.#events.released?.(r.flowId);
      case "policy_left":
        return this.#events.policyLeft?.(r.line);
      case "closed": {
        const closing = this.#closing.get(r.flowId);
        if (closing !== undefined && --closing.left === 0) closing.done();
        return;
      }
      case "failed":
        if (!this.#stopping) this.#events.failed(`${crew.name} worker: ${r.why}`);
    }
  }

  /** Flows that are held. */
  get size(): number {
    return this.#ports.size;
  }

  /** Take up a flow: 0, -EFLOWDOWN if its memory is not there, -ENOMEM if the user's pool is not. */
  hold(flowId: number, pid: number, uid: number): number {
    if (this.#ports.has(flowId)) return -Errno.EEXIST;
    try {
      this.#ports.set(flowId, Port.open(this.#context, flowId, pid, uid));
      return 0;
    } catch (e) {
      if (!(e instanceof SysError)) throw e;
      return e.object.includes(".pup.") ? -Errno.ENOMEM : -Errno.EFLOWDOWN;
    }
  }

  /**
   * Use the pool of another flow uid for a flow that is held and not published yet: for an accepted flow the
   * IRMd names it only in FLOW_ALLOC_RESP. Results as {@linkcode hold}; the flow stays held if it fails.
   */
  setUid(flowId: number, uid: number): number {
    const port = this.#ports.get(flowId);
    if (port === undefined || port.uid === uid) return 0;
    this.#ports.delete(flowId);
    const result = this.hold(flowId, port.pid, uid);
    if (result < 0) this.#ports.set(flowId, port);
    else port.close();
    return result;
  }

  /** Let packets flow. The flow is held. */
  publish(flowId: number, row: Omit<FlowRow, "pid" | "uid">): void {
    const port = this.#ports.get(flowId);
    if (port === undefined) return;
    this.table.open(flowId, { ...row, pid: port.pid, uid: port.uid });
    this.#set.repair(DATA_QUEUE, flowId);
    // What was written before the flow was in the set has no event.
    if (port.rx.queued() > 0) this.#set.notify(flowId, FlowEvent.PKT);
  }

  /**
   * Let go of a flow; resolves when nothing of it is mapped any more. The id may be held again at once: what
   * concerns the table and the flow set is done before the first wait.
   */
  drop(flowId: number): Promise<void> {
    const port = this.#ports.get(flowId);
    if (port === undefined) return Promise.resolve();
    this.#ports.delete(flowId);
    Atomics.add(this.counters, Counter.dropping, 1);
    const published = (this.table.generation(flowId) & 1) === 1;
    this.table.close(flowId);
    this.#set.del(DATA_QUEUE, flowId);
    const before = this.#dropping.get(flowId);
    const done = this.#letGo(port, published, before).finally(() => {
      Atomics.sub(this.counters, Counter.dropping, 1);
      if (this.#dropping.get(flowId) === done) this.#dropping.delete(flowId);
    });
    this.#dropping.set(flowId, done);
    return done;
  }

  async #letGo(port: Port, published: boolean, before: Promise<void> | undefined): Promise<void> {
    await before;
    if (published) {
      const done = Promise.withResolvers<void>();
      this.#closing.set(port.flowId, { left: this.#crew.length, done: done.resolve });
      this.#order(Order.close, port.flowId);
      await within(done.promise, DROP_MS);
      this.#closing.delete(port.flowId);
    }
    port.shut();
    port.close();
  }

  #order(order: number, flowId: number): void {
    for (const crew of this.#crew) crew.orders.put(order, flowId);
    this.poke();
  }

  /** Let the workers look at what the main thread has for them. */
  poke(): void {
    this.#set.notify(ORDERS_FLOW, FlowEvent.PKT);
    this.#wake.wake();
  }

  /** The pool of the process above a held flow. */
  poolOf(flowId: number): Pool | undefined {
    return this.#ports.get(flowId)?.pool;
  }

  /** Mark a flow down or up for the process above. */
  setDown(flowId: number, down: boolean): void {
    this.#ports.get(flowId)?.setDown(down);
  }

  /** The layer carries packets of `bytes` from now on: the processes above all flows that are held are told. */
  setPacketBytesMax(bytes: number): void {
    for (const port of this.#ports.values()) port.setPacketBytesMax(bytes);
  }

  /** Tell the process above that the other end has closed the flow; what came before can still be read. */
  end(flowId: number): void {
    this.#ports.get(flowId)?.end();
  }

  /** Stop the workers and drop every flow; each step is bounded. */
  async stop(): Promise<void> {
    if (this.#stopping) return;
    this.#stopping = true;
    await Promise.all(this.#dropping.values());
    this.#order(Order.stop, 0);
    await Promise.all(this.#crew.map(async (c) => {
      await within(c.stopped.promise, STOP_MS);
      c.worker.terminate();
    }));
    for (const port of this.#ports.values()) {
      this.#set.del(DATA_QUEUE, port.flowId);
      port.shut();
      port.close();
    }
    this.#ports.clear();
    this.#set.del(DATA_QUEUE, ORDERS_FLOW);
    this.#set.close();
    this.#context.close();
    this.#wake.close();
  }
}

// A data path in one process: pools, rbuffs and flow sets of an instance of its own, "processes" that are
// only numbers, and the loops of the data workers run turn by turn.

import type { Instance } from "../../lib/instance.ts";
import { FlowEvent } from "../../lib/shm/layout.ts";
import { EVENTS_MAX, FlowSetShm } from "../../lib/shm/flow_set.ts";
import { Pool } from "../../lib/shm/pool.ts";
import { Rbuff } from "../../lib/shm/rbuff.ts";
import type { LongPackets } from "../../ipcp/data/long_packets.ts";
import { PortContext } from "../../ipcp/data/port.ts";
import type { ThreadParts } from "../../ipcp/data/ports.ts";
import { Counter, DATA_QUEUE, FlowTable, OrderRing, ORDERS_FLOW } from "../../ipcp/data/table.ts";

/** The pid of the IPCP under test; any number that is no process of this test. */
export const IPCP_PID = 900001;

/** A process above the IPCP: its end of flows. */
export class App {
  readonly pool: Pool;
  readonly set: FlowSetShm;
  readonly #events = new Int32Array(EVENTS_MAX * 2);

  constructor(
    readonly i: Instance,
    readonly pid: number,
    readonly uid: number,
    readonly ipcpSet: FlowSetShm,
    defer: (f: () => void) => void,
  ) {
    this.pool = Pool.open(i, uid, false, pid);
    this.set = FlowSetShm.create(i, pid);
    defer(() => this.pool.close());
    defer(() => this.set.close());
  }

  /** Make the two rbuffs of a flow, as the IRMd does, and open them. */
  flow(flowId: number, defer: (f: () => void) => void): AppFlow {
    const mine = Rbuff.create(this.i, this.pid, flowId);
    const theirs = Rbuff.create(this.i, IPCP_PID, flowId);
    this.set.add(0, flowId);
    defer(() => mine.close());
    defer(() => theirs.close());
    for (const pid of [this.pid, IPCP_PID]) {
      defer(() => void Rbuff.unlink(this.i, pid, flowId));
    }
    return new AppFlow(this, flowId, mine, theirs);
  }

  /** Events waiting for this process. */
  events(): [number, number][] {
    const n = this.set.wait(0, this.#events, 0);
    return Array.from({ length: Math.max(0, n) }, (_, k) => [
      this.#events[2 * k]!,
      this.#events[2 * k + 1]!,
    ]);
  }
}

export class AppFlow {
  constructor(
    readonly app: App,
    readonly flowId: number,
    readonly rx: Rbuff,
    readonly tx: Rbuff,
  ) {}

  /** Write a packet as the library does; the block's offset. */
  write(bytes: Uint8Array): number {
    const { pool, ipcpSet } = this.app;
    const off = pool.alloc(bytes.length);
    if (off < 0 || pool.inspect(off) !== bytes.length) throw new Error(`alloc ${off}`);
    pool.u8.set(bytes, pool.at);
    const result = this.tx.write(off);
    if (result < 0) throw new Error(`write ${result}`);
    ipcpSet.notify(this.flowId, FlowEvent.PKT);
    return off;
  }

  /** Read a packet: its bytes and offset, or undefined. */
  read(): { bytes: Uint8Array; off: number } | undefined {
    const off = this.rx.read();
    if (off < 0) return undefined;
    const { pool } = this.app;
    const n = pool.inspect(off);
    if (n < 0) throw new Error(`bad block ${off}: ${n}`);
    const bytes = pool.u8.slice(pool.at, pool.at + n);
    pool.remove(off);
    return { bytes, off };
  }
}

/** The memory of an IPCP and its tables: what its loops are made of. */
export class IpcpMemory implements ThreadParts {
  readonly table = new FlowTable();
  readonly orders = new OrderRing();
  readonly counters = new Int32Array(Counter.words);
  readonly set: FlowSetShm;
  readonly context: PortContext;
  /** Flows that a loop has let go of. */
  readonly letGo: number[] = [];
  readonly closed = (flowId: number): void => void this.letGo.push(flowId);
  /** Reports of packets that were too long. */
  readonly long: LongPackets[] = [];
  readonly tooLong = (report: LongPackets): void => void this.long.push(report);

  /** Creates the global pool and user pools as well. */
  constructor(readonly i: Instance, uids: number[], defer: (f: () => void) => void) {
    const pool = Pool.create(i, 0);
    defer(() => pool.close());
    for (const uid of uids) {
      const pup = Pool.create(i, uid, { uid, gid: uid });
      defer(() => pup.close());
    }
    this.set = FlowSetShm.create(i, IPCP_PID);
    this.context = new PortContext(i, IPCP_PID);
    this.set.add(DATA_QUEUE, ORDERS_FLOW);
    defer(() => this.set.close());
    defer(() => this.context.close());
  }

  /** Publish a flow of an app. */
  publish(
    app: App,
    flowId: number,
    row: { localEid?: number; remoteEid?: number; partner?: number; peer?: Uint8Array },
  ): void {
    const { localEid = 0, remoteEid = 0, partner = 0, peer = new Uint8Array(0) } = row;
    this.table.open(flowId, { pid: app.pid, uid: app.uid, localEid, remoteEid, partner, peer });
    this.set.add(DATA_QUEUE, flowId);
  }

  order(order: number, flowId: number): void {
    this.orders.put(order, flowId);
    this.set.notify(ORDERS_FLOW, FlowEvent.PKT);
  }
}

/** Blocks in use of a pool. */
export function used(pool: Pool): number {
  return pool.stats().classes.reduce((n, c) => n + c.used, 0);
}

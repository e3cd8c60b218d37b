/** The data path of a unicast IPCP on shared memory of its own: flows of one process to another on one node. */

import { assertEquals } from "@std/assert";
import { Mailbox } from "../../ipcp/data/mailbox.ts";
import { Counter, Order } from "../../ipcp/data/table.ts";
import { NO_CONGESTION } from "../../ipcp/unicast/congestion.ts";
import { UnicastPath } from "../../ipcp/unicast/data/path.ts";
import { peerBytes } from "../../ipcp/unicast/data/start.ts";
import { SLOT_FIRST } from "../../ipcp/unicast/eids.ts";
import { Forwarder } from "../../ipcp/unicast/forward.ts";
import { BEST_HOP } from "../../ipcp/unicast/forwarding.ts";
import { DataStats } from "../../ipcp/unicast/stats.ts";
import { ForwardTable, HopStates } from "../../ipcp/unicast/table.ts";
import type { ProcessParts } from "../../lib/flow/process_parts.ts";
import { FLAT_LAYOUT } from "../../lib/wire/dt_pci.ts";
import { App, type AppFlow, IpcpMemory } from "./ipcp_memory.ts";
import { withShm } from "./shm.ts";

const SELF = 0x11111111;

/** Flows of one process to another on one node: each `from` to the `to` of the same place. */
export function withFlows(
  n: number,
  use: (from: AppFlow[], to: AppFlow[], m: IpcpMemory) => void,
): void {
  withShm((i, defer) => {
    const m = new IpcpMemory(i, [], defer);
    const ours = new App(i, 900101, 0, m.set, defer);
    const theirs = new App(i, 900102, 0, m.set, defer);
    const pair = (k: number): [AppFlow, AppFlow] => {
      const [a, b] = [1 + 2 * k, 2 + 2 * k];
      const row = (own: number, other: number) => ({
        localEid: SLOT_FIRST + own,
        remoteEid: SLOT_FIRST + other,
        partner: SELF,
        peer: peerBytes(own, other, 0),
      });
      const from = ours.flow(a, defer);
      const to = theirs.flow(b, defer);
      m.publish(ours, a, row(a, b));
      m.publish(theirs, b, row(b, a));
      return [from, to];
    };
    const flows = Array.from({ length: n }, (_, k) => pair(k));
    use(flows.map(([from]) => from), flows.map(([, to]) => to), m);
  });
}

/** Moves what was written, until there is no more. */
export function move(m: IpcpMemory, pool: App["pool"]): void {
  const table = new ForwardTable(16);
  const states = new HopStates(8);
  const forwarder = new Forwarder(SELF, FLAT_LAYOUT, 60, BEST_HOP, NO_CONGESTION, table, states);
  const process = { pool, uid: 0, deadlines: { wakeAtNs: () => Infinity, tick: () => {} } };
  const path = new UnicastPath(
    {
      parts: m,
      set: m.set,
      process: process as unknown as ProcessParts,
      mailbox: new Mailbox(),
      events: { lower: () => {}, carries: () => {}, released: () => {} },
    },
    SELF,
    forwarder,
    NO_CONGESTION,
    new DataStats(),
    () => {},
  );
  m.order(Order.stop, 0);
  path.run();
}

/** A flow that always has much beside `n` with a packet each, in rounds: all get theirs through, none of it is lost. */
export function assertFair(n: number): void {
  const round = 200;
  withFlows(n + 1, (from, to, m) => {
    const [greedy, ...modest] = from;
    for (let k = 0; k < modest.length; k += round) {
      for (let i = 0; i < round; i++) greedy!.write(Uint8Array.of(i));
      for (const flow of modest.slice(k, k + round)) flow.write(Uint8Array.of(7));
      move(m, to[0]!.app.pool);
      to[0]!.app.events();
      for (const flow of to.slice(k + 1, k + 1 + round)) {
        assertEquals(flow.read()?.bytes, Uint8Array.of(7));
      }
      for (let i = 0; i < round; i++) assertEquals(to[0]!.read()?.bytes, Uint8Array.of(i));
    }
    assertEquals(m.counters[Counter.notDelivered], 0);
  });
}

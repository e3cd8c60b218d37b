// The data path of a unicast IPCP: whoever does not take its packets stops nobody (spec 60 §19 W8).

import { assertEquals } from "@std/assert";
import { Mailbox } from "../../../../ipcp/data/mailbox.ts";
import { QUEUED_MAX } from "../../../../ipcp/data/port.ts";
import { Counter, Order } from "../../../../ipcp/data/table.ts";
import { NO_CONGESTION } from "../../../../ipcp/unicast/congestion.ts";
import { UnicastPath } from "../../../../ipcp/unicast/data/path.ts";
import { peerBytes } from "../../../../ipcp/unicast/data/start.ts";
import { SLOT_FIRST } from "../../../../ipcp/unicast/eids.ts";
import { Forwarder } from "../../../../ipcp/unicast/forward.ts";
import { BEST_HOP } from "../../../../ipcp/unicast/forwarding.ts";
import { DataStats } from "../../../../ipcp/unicast/stats.ts";
import { ForwardTable, HopStates } from "../../../../ipcp/unicast/table.ts";
import type { ProcessParts } from "../../../../lib/flow/process_parts.ts";
import { FLAT_LAYOUT } from "../../../../lib/wire/dt_pci.ts";
import { App, type AppFlow, IpcpMemory, used } from "../../../support/ipcp_memory.ts";
import { withShm } from "../../../support/shm.ts";

const SELF = 0x11111111;

/** Flows of one process to another on one node: each `from` to the `to` of the same place. */
function withFlows(n: number, use: (from: AppFlow[], to: AppFlow[], m: IpcpMemory) => void): void {
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
function move(m: IpcpMemory, pool: App["pool"]): void {
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
      events: { lower: () => {}, released: () => {} },
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

/** More packets than wait for one reader. */
const MANY = QUEUED_MAX + 100;

Deno.test("W8: a process that does not read loses packets, and the flows of others go on", () => {
  withFlows(2, ([idle, busy], [deaf, reader], m) => {
    for (let k = 0; k < MANY; k++) idle!.write(Uint8Array.of(k));
    for (let k = 0; k < 50; k++) busy!.write(Uint8Array.of(k));
    move(m, deaf!.app.pool);
    assertEquals(deaf!.rx.queued(), QUEUED_MAX);
    assertEquals(m.counters[Counter.notDelivered], MANY - QUEUED_MAX);
    for (let k = 0; k < 50; k++) assertEquals(reader!.read()?.bytes, Uint8Array.of(k));
    while (deaf!.read() !== undefined);
    assertEquals(used(deaf!.app.pool), 0);
  });
});

Deno.test("five hundred flows beside a greedy one: each gets its packets through", () => {
  withFlows(501, (from, to, m) => {
    const [greedy, ...modest] = from;
    for (let k = 0; k < modest.length; k += 250) {
      for (let n = 0; n < 250; n++) greedy!.write(Uint8Array.of(n));
      for (const flow of modest.slice(k, k + 250)) flow.write(Uint8Array.of(7));
      move(m, to[0]!.app.pool);
      to[0]!.app.events();
      for (const flow of to.slice(k + 1, k + 251)) {
        assertEquals(flow.read()?.bytes, Uint8Array.of(7));
      }
      for (let n = 0; n < 250; n++) assertEquals(to[0]!.read()?.bytes, Uint8Array.of(n));
    }
    assertEquals(m.counters[Counter.notDelivered], 0);
  });
});

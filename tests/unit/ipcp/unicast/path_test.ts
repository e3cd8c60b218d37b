// The data path of a unicast IPCP: whoever does not take its packets stops nobody (spec 60 §19 W8).

import { assertEquals } from "@std/assert";
import { QUEUED_MAX } from "../../../../ipcp/data/port.ts";
import { Counter, Order } from "../../../../ipcp/data/table.ts";
import { FLAT_LAYOUT } from "../../../../lib/wire/dt_pci.ts";
import { used } from "../../../support/ipcp_memory.ts";
import { withRelay } from "../../../support/relay.ts";
import { assertFair, move, withFlows } from "../../../support/unicast_path.ts";

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

Deno.test("a packet without bytes is a packet: it arrives in its place", () => {
  withFlows(1, ([writer], [reader], m) => {
    const packets = [Uint8Array.of(1), new Uint8Array(0), Uint8Array.of(2)];
    for (const packet of packets) writer!.write(packet);
    move(m, reader!.app.pool);
    assertEquals(packets.map(() => reader!.read()?.bytes), packets);
    assertEquals([m.counters[Counter.badPackets], used(reader!.app.pool)], [0, 0]);
  });
});

Deno.test("five hundred flows beside a greedy one: each gets its packets through", () => {
  assertFair(500);
});

Deno.test("a relay passes blocks on in order without a copy: only hops and mark of the header change", () => {
  withRelay((relay, m, left, right, packet) => {
    const offs = Array.from({ length: 100 }, () => left.write(packet));
    m.order(Order.stop, 0);
    relay.run();
    const passed = packet.slice();
    passed[FLAT_LAYOUT.ttlAt]! -= 1;
    for (const [k, off] of offs.entries()) {
      passed[FLAT_LAYOUT.ecnAt] = k >> 4;
      assertEquals(right.read(), { bytes: passed, off });
    }
    assertEquals([right.read(), used(left.app.pool)], [undefined, 0]);
  });
});

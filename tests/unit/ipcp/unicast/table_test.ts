/** The forwarding table against a map, its bounds, and the states of lower flows. */

import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { ForwardTable, HOPS_MAX, HopState, HopStates } from "../../../../ipcp/unicast/table.ts";

const address = fc.integer({ min: 1, max: 0xffffffff });
const hops = fc.array(fc.integer({ min: 0, max: 4095 }), { minLength: 1, maxLength: 12 });

function lookup(table: ForwardTable, addr: number): number[] {
  const into = new Int32Array(HOPS_MAX);
  return [...into.subarray(0, table.lookup(addr, into))];
}

Deno.test("ForwardTable knows the last routes and no others; a reader of the same memory agrees", () => {
  const routes = fc.uniqueArray(fc.tuple(address, hops), {
    maxLength: 32,
    selector: ([addr]) => addr,
  });
  fc.assert(fc.property(routes, routes, (before, after) => {
    const table = new ForwardTable(64);
    const reader = new ForwardTable(64, table.buffer);
    table.publish(new Map(before));
    assertEquals(table.publish(new Map(after)), 0);
    for (const [addr, list] of after) assertEquals(lookup(reader, addr), list.slice(0, HOPS_MAX));
    const known = new Set(after.map(([addr]) => addr));
    for (const [addr] of before) if (!known.has(addr)) assertEquals(lookup(reader, addr), []);
  }));
});

Deno.test("ForwardTable leaves out what goes beyond half its buckets, and says how many", () => {
  const table = new ForwardTable(16);
  const routes = new Map(Array.from({ length: 20 }, (_, i) => [i + 1, [i]]));
  assertEquals(table.publish(routes), 12);
  const known = [...routes.keys()].filter((addr) => lookup(table, addr).length > 0);
  assertEquals(known.length, 8);
});

Deno.test("HopStates keeps the state of descriptors in its range; others are absent", () => {
  const states = new HopStates(4);
  states.set(2, HopState.up);
  states.set(-1, HopState.up);
  states.set(4, HopState.up);
  assertEquals([-1, 0, 2, 4].map((fd) => states.get(fd)), [0, 0, HopState.up, 0]);
  assertEquals([states.isUp(2), states.isUp(3)], [true, false]);
});

/** The neighbours of a unicast node: when one is there, which of its flows is used, and what tells them apart. */

import { assertEquals } from "@std/assert";
import { Neighbours, newest, usable } from "../../../../ipcp/unicast/neighbours.ts";

Deno.test("each of 32 neighbours has a bit of its own, further ones have none until one leaves", () => {
  const all = new Neighbours();
  const bits = Array.from({ length: 34 }, (_, i) => all.addManagement(0, i + 1, i).bit);
  assertEquals(bits, [...Array.from({ length: 32 }, (_, i) => 2 ** i), 0, 0]);
  all.removeManagement(8, 7);
  assertEquals(all.has(8), false);
  assertEquals([all.addManagement(0, 40, 40).bit, all.addManagement(0, 41, 41).bit], [128, 0]);
});

Deno.test("a neighbour is there as long as it has a flow of either kind", () => {
  const all = new Neighbours();
  all.addManagement(1, 9, 3);
  all.addManagement(2, 9, 4);
  all.addTransfer(3, 9, 5);
  assertEquals([3, 4, 5].map((fd) => all.byManagement(fd)?.addr), [9, 9, undefined]);
  all.removeManagement(9, 3);
  all.removeManagement(9, 3); // It is gone already.
  assertEquals(all.byManagement(3), undefined);
  all.removeManagement(9, 4);
  assertEquals(all.list(), [{ addr: 9, mgmt: -1, dt: 5, up: true }]);
  assertEquals(all.removeTransfer(9, 4), undefined);
  assertEquals(all.removeTransfer(9, 5)?.addr, 9);
  assertEquals(all.has(9), false);
});

Deno.test("the newest Data Transfer flow that is up is used, and the newest at all when none is", () => {
  const all = new Neighbours();
  const { n, changed } = all.addTransfer(0, 9, 5);
  assertEquals([changed, all.addTransfer(0, 9, 6).changed, usable(n)], [true, true, 6]);
  n.dts[1]!.down = true;
  assertEquals([usable(n), newest(n), all.transferable()], [5, 5, [9]]);
  n.dts[0]!.down = true;
  assertEquals([usable(n), newest(n), all.transferable()], [-1, 6, []]);
  // What is said again is up again.
  assertEquals([all.addTransfer(0, 9, 5).changed, usable(n), n.dts.length], [true, 5, 2]);
});

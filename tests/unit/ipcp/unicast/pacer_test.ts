/** Which flows may go, against sorting. */

import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { Pacer } from "../../../../ipcp/unicast/pacer.ts";

Deno.test("Pacer gives flows in order of their times, and none before it", () => {
  fc.assert(fc.property(fc.array(fc.integer({ min: 0, max: 50 }), { maxLength: 150 }), (times) => {
    const pacer = new Pacer(1);
    times.forEach((at, flow) => pacer.add(flow, at));
    assertEquals(pacer.size, times.length);
    const out: number[] = [];
    for (let now = 0; now <= 50; now++) {
      for (let flow = pacer.take(now); flow >= 0; flow = pacer.take(now)) {
        assertEquals(times[flow], now, "too soon or too late");
        out.push(flow);
      }
    }
    assertEquals(out.sort((a, b) => a - b), times.map((_, i) => i));
    assertEquals([pacer.size, pacer.nextNs, pacer.take(1e9)], [0, Infinity, -1]);
  }));
});

Deno.test("Pacer says when the first may go", () => {
  const pacer = new Pacer();
  pacer.add(1, 300);
  pacer.add(2, 100);
  assertEquals(pacer.nextNs, 100);
  assertEquals(pacer.take(99), -1);
  assertEquals([pacer.take(100), pacer.nextNs], [2, 300]);
});

/** The virtual clock against a sorted list. */

import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { EventQueue } from "../../sim/event_queue.ts";

Deno.test("events run in order of time, then of insertion, also those that events add", () => {
  fc.assert(fc.property(fc.array(fc.nat(20), { maxLength: 300 }), (times) => {
    const queue = new EventQueue();
    const ran: { at: number; order: number }[] = [];
    let order = 0;
    const add = (at: number) => {
      const e = { at: Math.max(at, queue.nowUs), order: order++ };
      queue.at(at, () => {
        assertEquals(queue.nowUs, e.at);
        ran.push(e);
        if (e.at % 3 === 0 && order < 600) add(e.at + e.order % 5);
      });
    };
    times.forEach(add);
    while (queue.step()) { /* Until there is none. */ }
    assertEquals(queue.nextUs, Infinity);
    assertEquals(ran.length, order);
    assertEquals(ran, [...ran].sort((a, b) => a.at - b.at || a.order - b.order));
  }));
});

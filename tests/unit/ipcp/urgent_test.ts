// Turns of flows by urgency: more for the urgent, some for all.

import { assert, assertEquals } from "@std/assert";
import { CLASSES, UrgentQueues } from "../../../ipcp/data/urgent.ts";

/** Turns that flows 1, 2, 3 … of these classes get when each always has more. */
function turns(classes: readonly number[], rounds: number): number[] {
  const queues = new UrgentQueues();
  const got = classes.map(() => 0);
  classes.forEach((urgency, i) => queues.add(i + 1, urgency));
  for (let k = 0; k < rounds; k++) {
    const id = queues.take();
    got[id - 1]!++;
    queues.add(id, classes[id - 1]!);
  }
  return got;
}

Deno.test("flows of one class share alike, whichever it is", () => {
  for (let urgency = 0; urgency < CLASSES; urgency++) {
    assertEquals(turns([urgency, urgency, urgency, urgency], 400), [100, 100, 100, 100]);
  }
});

Deno.test("the more urgent has more turns, and nobody starves", () => {
  assertEquals(turns([0, 1, 2], 700), [100, 200, 400]);
  // However many there are of the urgent.
  const many = turns([0, ...new Array(50).fill(2)], 700);
  assert(many[0]! >= 100, `${many[0]} of 700`);
});

Deno.test("a class without flows gives its turns to the others", () => {
  assertEquals(turns([0, 2], 500), [100, 400]);
  assertEquals(turns([0, 1], 300), [100, 200]);
});

Deno.test("a flow is in its class once; numbers that are no flow or class are ignored", () => {
  const queues = new UrgentQueues();
  assertEquals(queues.add(7, 1), true);
  assertEquals(queues.add(7, 1), false);
  for (const [id, urgency] of [[0, 0], [-1, 0], [1 << 20, 0], [5, 3], [5, -1]] as const) {
    assertEquals(queues.add(id, urgency), false);
  }
  assertEquals(queues.take(), 7);
  assertEquals(queues.isEmpty, true);
});

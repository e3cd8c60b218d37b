// Flows that linger: until their time is over, or nobody lingers any more.

import { assertEquals } from "@std/assert";
import { Lingering } from "../../../ipcp/lingering.ts";
import { drain } from "../../support/machines.ts";

Deno.test("a flow lingers its first time, another ends at once", () => {
  const m = new Lingering();
  m.dealloc(0, 1, 3);
  m.dealloc(1e6, 1, 9);
  m.dealloc(1e6, 2, 0);
  assertEquals([drain(m), m.deadlineUs()], [[2], 3e6]);
  m.onTimer(3e6 - 1);
  assertEquals(drain(m), []);
  m.onTimer(3e6);
  assertEquals([drain(m), m.deadlineUs()], [[1], Infinity]);
});

Deno.test("a flow that lingers ends when its process has ended, or is forgotten with its flow", () => {
  const m = new Lingering();
  m.dealloc(0, 1, 60);
  m.dealloc(0, 2, 60);
  m.dealloc(1, 1, 0);
  m.forget(2);
  assertEquals([drain(m), m.deadlineUs()], [[1], Infinity]);
  m.onTimer(60e6);
  assertEquals(drain(m), []);
});

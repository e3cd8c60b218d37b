/** What is proved here: when crashed IPCPs are tried again, and what a plan remembers. */

import { assertEquals } from "@std/assert";
import { QOS } from "../../../../lib/qos.ts";
import {
  IpcpPlan,
  RESTART_CALM_MS,
  RESTART_FIRST_MS,
  RESTART_MOST_MS,
  Restarts,
} from "../../../../irmd/registry/mod.ts";

Deno.test("Restarts: pauses double up to the longest, and start anew after a calm time", () => {
  const r = new Restarts();
  const plan = new IpcpPlan(1, "a");
  let now = 0;
  const pauses: number[] = [];
  for (let i = 0; i < 12; i++) {
    const pause = r.failed(plan, now);
    pauses.push(pause);
    assertEquals(r.due(now + pause - 1), []);
    assertEquals(r.deadlineMs(), now + pause);
    now += pause;
    assertEquals(r.due(now), [plan]);
    assertEquals(r.due(now), [], "at work already");
    assertEquals(r.deadlineMs(), Infinity);
  }
  assertEquals(pauses.slice(0, 4), [1, 2, 4, 8].map((x) => x * RESTART_FIRST_MS));
  assertEquals(pauses.at(-1), RESTART_MOST_MS);
  assertEquals(r.failed(plan, now + RESTART_CALM_MS), RESTART_FIRST_MS);
  assertEquals(r.named("a"), plan);
  r.forget(plan);
  assertEquals([r.named("a"), r.deadlineMs(), r.plans()], [undefined, Infinity, []]);
});

Deno.test("IpcpPlan remembers a connection once and forgets it when it is torn down", () => {
  const plan = new IpcpPlan(1, "a");
  const c = { dst: "b", comp: "Management", qos: QOS.raw };
  plan.connected(c);
  plan.connected(c);
  plan.connected({ ...c, comp: "Data Transfer" });
  assertEquals(plan.connections.length, 2);
  plan.missing = [...plan.connections];
  plan.disconnected("b", "Management");
  assertEquals([plan.connections, plan.missing].map((l) => l.map((x) => x.comp)), [
    ["Data Transfer"],
    ["Data Transfer"],
  ]);
});

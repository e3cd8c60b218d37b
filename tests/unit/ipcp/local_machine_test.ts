// The machine of the local IPCP: pairs, verdicts both ways, races, time-outs.

import { assert, assertEquals } from "@std/assert";
import { QOS } from "../../../lib/qos.ts";
import { type LocalEffect, LocalMachine } from "../../../ipcp/local/machine.ts";
import { OAP, OTHER, SRV } from "./machine_support.ts";

function drain(m: LocalMachine): LocalEffect[] {
  const out: LocalEffect[] = [];
  for (let e = m.poll(); e !== undefined; e = m.poll()) out.push(e);
  return out;
}

const NONE = new Uint8Array(0);

function asking(flowId = 2): { m: LocalMachine; ask: number } {
  const m = new LocalMachine(32);
  m.register(SRV);
  m.alloc(0, flowId, SRV, QOS.raw, OAP, 1);
  const [e] = drain(m);
  if (e?.do !== "ask_irmd") throw new Error("no question");
  assertEquals([e.flowId, e.hash, e.data], [flowId, SRV, OAP]);
  return { m, ask: e.ask };
}

Deno.test("local query() knows registered names only", () => {
  const m = new LocalMachine(32);
  m.register(SRV);
  assertEquals([m.query(SRV), m.query(OTHER)], [0, -1]);
  assertEquals(m.register(new Uint8Array(16)), -22);
});

Deno.test("local: question, verdict 0, pair, reply to the requester", () => {
  const { m, ask } = asking();
  assert(m.asked(1, ask, 0, 1));
  assertEquals(drain(m), [{ do: "answer", token: 1, result: 0 }]);
  m.allocResp(2, 1, 0, OAP, 9);
  assertEquals(drain(m), [
    { do: "pair", a: 2, b: 1 },
    { do: "alloc_reply", flowId: 2, response: 0, data: OAP },
    { do: "answer", token: 9, result: 0 },
  ]);
  assertEquals([m.partnerOf(1), m.partnerOf(2)], [2, 1]);
});

Deno.test("local: a negative verdict reaches the requester at once", () => {
  const { m, ask } = asking();
  m.asked(1, ask, 0, 1);
  drain(m);
  m.allocResp(2, 1, -1009, NONE, 9);
  assertEquals(drain(m)[0], { do: "alloc_reply", flowId: 2, response: -1009, data: NONE });
  assertEquals(m.flowCount, 0);
});

Deno.test("local: a verdict that overtakes the IRMd's answer waits for it", () => {
  const { m, ask } = asking();
  m.allocResp(1, 1, 0, OAP, 9);
  assertEquals(drain(m), []);
  m.asked(2, ask, 0, 1);
  assertEquals(drain(m).map((e) => e.do), ["answer", "pair", "alloc_reply", "answer"]);
});

Deno.test("local: what the IRMd refuses is the result of the allocation", () => {
  const { m, ask } = asking();
  assertEquals(m.asked(1, ask, -1, -1), false);
  assertEquals(drain(m), [
    { do: "release", flowId: 2 },
    { do: "answer", token: 1, result: -1 },
  ]);
});

Deno.test("local dealloc() tells the partner that it is down, once", () => {
  const { m, ask } = asking();
  m.asked(1, ask, 0, 1);
  m.allocResp(2, 1, 0, OAP, 9);
  drain(m);
  assertEquals(m.dealloc(2), 0);
  assertEquals(drain(m), [{ do: "down", flowId: 1 }]);
  assertEquals(m.dealloc(1), 0);
  assertEquals(drain(m), []);
  assertEquals([m.dealloc(1), m.flowCount], [-1, 0]);
});

Deno.test("local: flows without verdict are given up, verdicts without flow get -1", () => {
  const { m, ask } = asking();
  m.asked(0, ask, 0, 1);
  drain(m);
  m.onTimer(22_000);
  assertEquals(drain(m).map((e) => e.do), ["release", "release"]);
  m.allocResp(0, 5, 0, OAP, 3);
  assertEquals(drain(m), [{ do: "answer", token: 3, result: -1 }]);
});

Deno.test("local close() answers what waits with -1004", () => {
  const { m } = asking();
  m.close();
  assertEquals(drain(m), [{ do: "answer", token: 1, result: -1004 }]);
});

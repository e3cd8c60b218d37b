/** Accepted flows whose asker was never heard of: how many stay, and who is spared. */

import { assertEquals } from "@std/assert";
import {
  HALF_OPEN_LIFE_US,
  HALF_OPEN_MAX,
  HalfOpen,
  SILENT_US,
} from "../../../ipcp/shim/half_open.ts";
import type { ShimMachine } from "../../../ipcp/shim/machine.ts";
import * as t from "../../support/machines.ts";

/** Asks for flow `n` at `nowUs` from an address of its own, and accepts it: the endpoint id here. */
function accepted(m: ShimMachine, nowUs: number, n: number): number {
  m.onMgmt(nowUs, from(n), t.bytesOf(t.request(n, t.SRV, Uint8Array.of(n >> 8, n, 3, 4))));
  const ask = t.drain(m).find((e) => e.kind === "ask_irmd");
  if (ask?.kind !== "ask_irmd") throw new Error("nobody was asked");
  m.asked(nowUs, ask.ask, { result: 0, flowId: n, pid: 4000, cause: "" });
  t.verdict(m, nowUs, n, 0);
  const reply = t.replyOf(t.drainOwned(m, nowUs).find((e) => e.kind === "send"));
  assertEquals(reply.response, 0);
  return reply.responderEid;
}

function from(n: number): Uint8Array {
  return Uint8Array.of(2, 0, 0, 1, n >> 8, n & 255);
}

/** Lets time pass; the flows that are looked at are answered as `heard` says. Gives those that ended. */
function pass(m: ShimMachine, nowUs: number, heard: (flowId: number) => boolean): number[] {
  const ended: number[] = [];
  m.onTimer(nowUs);
  for (let e = m.poll(); e !== undefined; e = m.poll()) {
    if (e.kind === "traffic") {
      m.traffic(nowUs, e.flowId, { heard: heard(e.flowId), spoke: false });
    } else if (e.kind === "ended") ended.push(e.flowId);
  }
  return ended;
}

const nobody = () => false;

Deno.test("few silent flows stay for ever; of many the oldest end, those that were heard of do not", () => {
  const m = t.machine();
  m.names.register(t.SRV);
  for (let n = 1; n <= HALF_OPEN_MAX; n++) accepted(m, n, n);
  assertEquals(m.deadlineUs(), Infinity);
  assertEquals(pass(m, 3600e6, nobody), []);
  const laterUs = 3600e6;
  accepted(m, laterUs, 1000);
  assertEquals(m.deadlineUs(), 1 + HALF_OPEN_LIFE_US); // Long over.
  assertEquals(pass(m, laterUs, (id) => id === 1), []); // The first was heard of: it is none of them any more.
  accepted(m, laterUs, 1001);
  assertEquals(pass(m, laterUs, (id) => id === 1), [2]);
  assertEquals([m.flowState(1), m.flowState(2), m.flowState(1001)], ["open", "ended", "open"]);
  assertEquals(m.counters.unheard, 1);
});

Deno.test("no flow ends before it had the time to speak, however many there are", () => {
  const m = t.machine();
  m.names.register(t.SRV);
  for (let n = 1; n <= HALF_OPEN_MAX + 9; n++) accepted(m, 1000, n);
  assertEquals(m.deadlineUs(), 1000 + HALF_OPEN_LIFE_US);
  assertEquals(pass(m, 999 + HALF_OPEN_LIFE_US, nobody), []);
  const ended = pass(m, 1000 + HALF_OPEN_LIFE_US, nobody);
  assertEquals(ended, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
});

Deno.test("who says that it is there is spared; another cannot say it", () => {
  const m = t.machine();
  m.names.register(t.SRV);
  const here = (n: number, eid: number, who = from(n)) =>
    m.onMgmt(2, who, t.bytesOf({ kind: "flow_here", senderEid: n, receiverEid: eid }));
  const eids = [];
  for (let n = 1; n <= HALF_OPEN_MAX + 1; n++) eids.push(accepted(m, 1, n));
  here(1, eids[0]!, t.MAC_EVIL);
  here(2, eids[0]!);
  here(3, eids[2]! ^ 1);
  assertEquals(m.counters.forged, 3);
  here(1, eids[0]!);
  assertEquals(m.counters.forged, 3);
  assertEquals(pass(m, 3600e6, nobody), []);
  accepted(m, 3600e6, 1000);
  assertEquals(pass(m, 3600e6, nobody), [2]);
});

Deno.test("flows that were closed count no more", () => {
  const m = t.machine();
  m.names.register(t.SRV);
  for (let n = 1; n <= HALF_OPEN_MAX + 1; n++) accepted(m, 1, n);
  t.dealloc(m, 2, 7);
  assertEquals(pass(m, 3600e6, nobody), []);
});

Deno.test("who asked for a flow and has not written to it says once that it is there", () => {
  for (const spoke of [false, true]) {
    const m = t.machine();
    const eid = t.requested(m, 0, 7);
    m.onMgmt(1, t.MAC_B, t.bytesOf(t.reply(eid, 0x1234)));
    t.drain(m);
    assertEquals(m.deadlineUs(), 1 + SILENT_US);
    m.onTimer(1 + SILENT_US);
    assertEquals(t.drain(m), [{ kind: "traffic", flowId: 7 }]);
    m.traffic(1 + SILENT_US, 7, { heard: false, spoke });
    const sent = t.drain(m);
    if (spoke) assertEquals(sent, []);
    else {
      assertEquals(t.parsed(sent[0]), { kind: "flow_here", senderEid: eid, receiverEid: 0x1234 });
    }
    assertEquals(m.flowState(7), "open");
    m.onTimer(3600e6);
    assertEquals(t.drain(m), []);
  }
});

Deno.test("where there are few endpoint ids, fewer stay", () => {
  const h = new HalfOpen(62);
  for (let n = 1; n <= 16; n++) h.add(0, n);
  assertEquals(h.take(3600e6), undefined);
  h.add(0, 17);
  assertEquals([h.take(HALF_OPEN_LIFE_US - 1), h.take(HALF_OPEN_LIFE_US)], [undefined, 1]);
  assertEquals([h.take(3600e6), h.size], [undefined, 16]);
});

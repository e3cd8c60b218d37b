// The protocol machine of the shims, state by state, under a fake clock. The layouts are proved in
// lib/wire, the shells in tests/e2e.

import { assert, assertEquals } from "@std/assert";
import { QOS } from "../../../lib/qos.ts";
import { udpMgmt } from "../../../lib/wire/udp_mgmt.ts";
import {
  ASKING_PER_SOURCE_MAX,
  WAITING_LIFE_MS,
  WAITING_PER_SOURCE_MAX,
} from "../../../ipcp/shim/gate.ts";
import { REQUEST_LIFE_MS, type ShimMachine } from "../../../ipcp/shim/machine.ts";
import * as t from "./machine_support.ts";

Deno.test("query() asks everybody, repeats at 50 and 100 ms, and answers all who wait", () => {
  const m = t.machine();
  m.query(0, t.SRV, 1);
  assertEquals(t.drain(m).map((e) => e.do === "send" && e.to), [undefined]);
  m.query(10, t.SRV, 2);
  assertEquals(t.drain(m), []);
  assertEquals(m.deadlineMs(), 50);
  m.onTimer(50);
  assertEquals(t.parsed(t.drain(m)[0]), { kind: "name_query", hash: t.SRV });
  m.onTimer(100);
  assertEquals(t.drain(m).length, 1);
  m.onMgmt(120, t.MAC_B, t.bytesOf({ kind: "name_reply", hash: t.SRV }));
  assertEquals(t.drain(m), [
    { do: "answer", token: 1, result: 0 },
    { do: "answer", token: 2, result: 0 },
  ]);
  m.query(130, t.SRV, 3);
  assertEquals(t.drain(m), [{ do: "answer", token: 3, result: 0 }]);
});

Deno.test("query() gives -110 after 2000 ms and does not ask on", () => {
  const m = t.machine();
  m.query(0, t.SRV, 1);
  m.onTimer(50);
  m.onTimer(100);
  t.drain(m);
  assertEquals(m.deadlineMs(), 2000);
  m.onTimer(1999);
  assertEquals(t.drain(m), []);
  m.onTimer(2000);
  assertEquals(t.drain(m), [{ do: "answer", token: 1, result: -110 }]);
  assertEquals(m.deadlineMs(), Infinity);
});

Deno.test("a name reply that nobody asked for poisons nothing", () => {
  const m = t.machine();
  m.onMgmt(0, t.MAC_EVIL, t.bytesOf({ kind: "name_reply", hash: t.SRV }));
  assertEquals(m.cache.size, 0);
  assertEquals(m.counters.unasked, 1);
});

Deno.test("directory entries expire", () => {
  const m = t.machine();
  t.requested(m, 0, 1);
  assert(m.cache.get(59_999, t.SRV) !== undefined);
  assertEquals(m.cache.get(60_000, t.SRV), undefined);
});

Deno.test("name queries are answered for registered names only", () => {
  const m = t.machine();
  m.register(t.SRV);
  m.onMgmt(0, t.MAC_A, t.bytesOf({ kind: "name_query", hash: t.OTHER }));
  assertEquals(t.drain(m), []);
  m.onMgmt(0, t.MAC_A, t.bytesOf({ kind: "name_query", hash: t.SRV }));
  const [e] = t.drain(m);
  assertEquals(e?.do === "send" && e.to, t.MAC_A);
  assertEquals(t.parsed(e), { kind: "name_reply", hash: t.SRV });
  m.unregister(t.SRV);
  m.onMgmt(0, t.MAC_A, t.bytesOf({ kind: "name_query", hash: t.SRV }));
  assertEquals(t.drain(m), []);
});

Deno.test("alloc() and the peer's reply open the flow before the IRMd is told", () => {
  const m = t.machine();
  const eid = t.requested(m, 0, 7);
  assertEquals(m.flowState(7), "requested");
  m.onMgmt(1, t.MAC_B, t.bytesOf(t.reply(eid, 0x1234)));
  assertEquals(t.drain(m), [
    { do: "open", flow: { flowId: 7, localEid: eid, remoteEid: 0x1234, peer: t.MAC_B } },
    { do: "alloc_reply", flowId: 7, response: 0, data: t.OAP },
  ]);
  assertEquals(m.flowState(7), "open");
  assertEquals([m.peerOf(7), m.peerOf(8)], [t.MAC_B, undefined]);
});

Deno.test("alloc() opens the flow for the peer's packets before the request is sent", () => {
  const m = t.machine();
  m.query(0, t.SRV, 1);
  m.onMgmt(0, t.MAC_B, t.bytesOf({ kind: "name_reply", hash: t.SRV }));
  t.drain(m);
  m.alloc(0, 7, t.SRV, QOS.raw, t.OAP);
  const [open, send] = t.drain(m);
  const req = t.parsed(send);
  if (req.kind !== "flow_req") throw new Error(req.kind);
  const flow = { flowId: 7, localEid: req.requesterEid, remoteEid: 0xffff, peer: t.MAC_B };
  assertEquals(open, { do: "open", flow });
});

Deno.test("a negative reply reaches the IRMd with its code and releases the flow", () => {
  const m = t.machine();
  const eid = t.requested(m, 0, 7);
  m.onMgmt(1, t.MAC_B, t.bytesOf(t.reply(eid, 0, -1009)));
  assertEquals(t.drain(m), [
    { do: "alloc_reply", flowId: 7, response: -1009, data: new Uint8Array(0) },
    { do: "release", flowId: 7 },
  ]);
  assertEquals(m.flowCount, 0);
});

Deno.test("a reply from another address is not believed", () => {
  const m = t.machine();
  const eid = t.requested(m, 0, 7);
  m.onMgmt(1, t.MAC_EVIL, t.bytesOf(t.reply(eid, 0x1234)));
  assertEquals(t.drain(m), []);
  assertEquals([m.flowState(7), m.counters.forged], ["requested", 1]);
});

Deno.test("a second reply does not redirect an open flow", () => {
  const m = t.machine();
  const eid = t.requested(m, 0, 7);
  m.onMgmt(1, t.MAC_B, t.bytesOf(t.reply(eid, 0x1234)));
  t.drain(m);
  m.onMgmt(2, t.MAC_B, t.bytesOf(t.reply(eid, 0x4321)));
  m.onMgmt(2, t.MAC_B, t.bytesOf(t.reply(eid, 0, -1)));
  assertEquals(t.drain(m), []);
  assertEquals(m.flowState(7), "open");
});

Deno.test("a reply without our id is matched by the address asked and the 16 bytes of OAP", () => {
  const m = t.machine();
  t.requested(m, 0, 7);
  const data = Uint8Array.from({ length: 36 }, (_, i) => i);
  m.alloc(0, 8, t.SRV, QOS.raw, data);
  t.drain(m);
  const lost = { ...t.reply(0xffff, 0x1234), data: data.slice(0, 30) };
  m.onMgmt(1, t.MAC_EVIL, t.bytesOf(lost));
  m.onMgmt(1, t.MAC_B, t.bytesOf({ ...lost, data: new Uint8Array(30) }));
  m.onMgmt(1, t.MAC_B, t.bytesOf({ ...lost, data: data.slice(0, 15) }));
  assertEquals(t.drain(m), []);
  m.onMgmt(1, t.MAC_B, t.bytesOf(lost));
  assertEquals(t.drain(m).map((e) => e.do), ["open", "alloc_reply"]);
  assertEquals([m.flowState(7), m.flowState(8)], ["requested", "open"]);
});

Deno.test("guessed endpoint ids hit nothing", () => {
  const m = t.machine();
  const eid = t.requested(m, 0, 7);
  for (let guess = 1; guess <= 0xffff; guess += 7) {
    if (guess !== eid) m.onMgmt(1, t.MAC_B, t.bytesOf(t.reply(guess, 5)));
  }
  assertEquals(t.drain(m), []);
  assertEquals(m.flowState(7), "requested");
});

Deno.test("a requested flow that is never answered is released after the IRMd gave up", () => {
  const m = t.machine();
  t.requested(m, 0, 7);
  m.onTimer(REQUEST_LIFE_MS - 1);
  assertEquals(t.drain(m).filter((e) => e.do === "release"), []);
  m.onTimer(REQUEST_LIFE_MS);
  assertEquals(t.drain(m), [{ do: "release", flowId: 7 }]);
  assertEquals(m.flowCount, 0);
});

Deno.test("alloc() says -1 for an unknown name and -90 when OAP does not fit a frame", () => {
  const m = t.machine();
  assertEquals(m.alloc(0, 7, t.SRV, QOS.raw, t.OAP), -1);
  t.requested(m, 0, 8);
  assertEquals(m.alloc(0, 9, t.SRV, QOS.raw, new Uint8Array(1426)), -90);
  assertEquals(m.alloc(0, 10, t.SRV, QOS.raw, new Uint8Array(1425)), 0);
  assertEquals(m.flowCount, 2);
});

function arrived(m = t.machine()) {
  m.register(t.SRV);
  m.onMgmt(0, t.MAC_A, t.bytesOf(t.request()));
  const [e] = t.drain(m);
  if (e?.do !== "ask_irmd") throw new Error("no question");
  return { m, ask: e.ask, e };
}

Deno.test("a flow request is passed on with QoS, hash and data", () => {
  const { e } = arrived();
  assertEquals([e.qos, e.hash, e.data], [{ ...QOS.raw }, t.SRV, t.OAP]);
  assertEquals(e.peer, t.MAC_A);
});

Deno.test("a flow request for a name that is not registered is dropped in silence", () => {
  const m = t.machine();
  m.onMgmt(0, t.MAC_A, t.bytesOf(t.request()));
  assertEquals([t.drain(m), m.counters.unregistered], [[], 1]);
});

Deno.test("the verdict 0 answers the peer with both ids and opens the flow", () => {
  const { m, ask } = arrived();
  assert(m.asked(1, ask, 0, 9));
  m.allocResp(2, 9, 0, t.OAP, 5);
  const [open, send, answer] = t.drain(m);
  const got = t.replyOf(send);
  assertEquals([got.requesterEid, got.response, got.data], [64, 0, t.OAP]);
  assertEquals(open, {
    do: "open",
    flow: { flowId: 9, localEid: got.responderEid, remoteEid: 64, peer: t.MAC_A },
  });
  assertEquals(answer, { do: "answer", token: 5, result: 0 });
});

Deno.test("a negative verdict is sent without data and releases the flow", () => {
  const { m, ask } = arrived();
  m.asked(1, ask, 0, 9);
  m.allocResp(2, 9, -1009, t.OAP, 5);
  const [send, release, answer] = t.drain(m);
  const got = t.replyOf(send);
  assertEquals([got.requesterEid, got.response, got.data.length], [64, -1009, 0]);
  assertEquals(release, { do: "release", flowId: 9 });
  assertEquals(answer, { do: "answer", token: 5, result: 0 });
});

Deno.test("a verdict that overtakes the answer of the IRMd is kept for it", () => {
  for (const response of [0, -1009]) {
    const { m, ask } = arrived();
    m.allocResp(1, 9, response, t.OAP, 5);
    assertEquals(t.drain(m), []);
    m.asked(2, ask, 0, 9);
    const effects = t.drain(m);
    const got = t.replyOf(effects.find((e) => e.do === "send"));
    assertEquals([got.response, got.requesterEid], [response, 64]);
    assert(effects.some((e) => e.do === "answer" && e.token === 5 && e.result === 0));
  }
});

Deno.test("a verdict for an unknown flow gets -1, at once or after the wait", () => {
  const idle = t.machine();
  idle.allocResp(0, 9, 0, t.OAP, 5);
  assertEquals(t.drain(idle), [{ do: "answer", token: 5, result: -1 }]);
  const { m } = arrived();
  m.allocResp(1, 9, 0, t.OAP, 5);
  m.onTimer(401);
  assertEquals(t.drain(m), [{ do: "answer", token: 5, result: -1 }]);
});

Deno.test("what the IRMd refuses is answered to the peer", () => {
  const { m, ask } = arrived();
  assertEquals(m.asked(1, ask, -1007, -1), false);
  const got = t.replyOf(t.drain(m)[0]);
  assertEquals([got.requesterEid, got.response, m.flowCount, m.askingCount], [64, -1007, 0, 0]);
});

Deno.test("a copy of a request is dropped, one from another endpoint is not", () => {
  const { m } = arrived();
  m.onMgmt(10, t.MAC_A, t.bytesOf(t.request()));
  assertEquals([t.drain(m), m.counters.replayed], [[], 1]);
  m.onMgmt(10, t.MAC_A, t.bytesOf(t.request(65)));
  assertEquals(t.drain(m).length, 1);
  m.onMgmt(10_000, t.MAC_A, t.bytesOf(t.request()));
  assertEquals(t.drain(m).length, 1);
});

Deno.test("a flood of requests from one source does not keep others out", () => {
  const m = t.machine();
  m.register(t.SRV);
  for (let i = 1; i <= 2000; i++) m.onMgmt(0, t.MAC_EVIL, t.bytesOf(t.request(i)));
  assertEquals(t.drain(m).length, ASKING_PER_SOURCE_MAX);
  assertEquals(m.counters.flooded, 2000 - ASKING_PER_SOURCE_MAX - WAITING_PER_SOURCE_MAX);
  m.onMgmt(0, t.MAC_A, t.bytesOf(t.request()));
  assertEquals(t.drain(m).length, 1);
});

/** What an effect asks the IRMd, as `[ask, peer]`. */
function asks(m: ShimMachine): [number, Uint8Array][] {
  return t.drain(m).map((e) => {
    if (e.do !== "ask_irmd") throw new Error(e.do);
    return [e.ask, e.peer];
  });
}

Deno.test("more requests at once than the IRMd is asked get their turn as others are answered", () => {
  const m = t.machine();
  m.register(t.SRV);
  for (let i = 1; i <= 100; i++) m.onMgmt(0, t.MAC_A, t.bytesOf(t.request(i)));
  const pending = asks(m);
  assertEquals(pending.length, ASKING_PER_SOURCE_MAX);
  let answered = 0;
  for (let got = pending.shift(); got !== undefined; got = pending.shift()) {
    assertEquals(m.asked(1, got[0], 0, 1000 + answered++), true);
    pending.push(...asks(m));
  }
  assertEquals([answered, m.flowCount, m.askingCount, m.counters.flooded], [100, 100, 0, 0]);
});

Deno.test("a request that waited too long for its turn is forgotten, a copy of a waiting one dropped", () => {
  const m = t.machine();
  m.register(t.SRV);
  for (let i = 1; i <= 100; i++) m.onMgmt(0, t.MAC_A, t.bytesOf(t.request(i)));
  m.onMgmt(0, t.MAC_A, t.bytesOf(t.request(100)));
  assertEquals(m.counters.replayed, 1);
  const [first, second] = asks(m);
  m.asked(WAITING_LIFE_MS - 1, first![0], 0, 1000);
  assertEquals(asks(m).length, 1);
  m.asked(WAITING_LIFE_MS, second![0], 0, 1001);
  assertEquals(asks(m), []);
});

Deno.test("an arrived flow without verdict is released", () => {
  const { m, ask } = arrived();
  m.asked(0, ask, 0, 9);
  m.onTimer(22_000);
  assertEquals(t.drain(m), [{ do: "release", flowId: 9 }]);
});

Deno.test("dealloc() knows its flows, and the freed id rests", () => {
  const m = t.machine();
  assertEquals(m.dealloc(0, 7), -1);
  const eid = t.requested(m, 0, 7);
  m.onMgmt(1, t.MAC_B, t.bytesOf(t.reply(eid, 5)));
  t.drain(m);
  assertEquals(m.dealloc(2, 7), 0);
  assertEquals(m.dealloc(2, 7), -1);
  for (let i = 0; i < 2000; i++) {
    const next = t.requested(m, 3, 100 + i);
    assert(next !== eid, "reused a resting id");
    m.dealloc(3, 100 + i);
  }
});

Deno.test("malformed and truncated messages are counted and change nothing", () => {
  const { m } = arrived();
  const whole = t.bytesOf(t.request(70));
  for (let n = 0; n < 71; n++) m.onMgmt(0, t.MAC_A, whole.subarray(0, n));
  assertEquals([t.drain(m), m.counters.malformed], [[], 71]);
});

Deno.test("over UDP names are resolved by the shell, once for all who wait", () => {
  const m = t.machine({
    codec: udpMgmt,
    eids: { first: 1, last: 0xfffffffe, quarantineMs: 120_000, mplMs: 5000 },
    hashBytes: 16,
    mgmtBytesMax: 2048,
    names: "resolve",
  });
  const hash = new Uint8Array(16).fill(3);
  m.query(0, hash, 1);
  m.query(1, hash, 2);
  assertEquals(t.drain(m), [{ do: "resolve", hash }]);
  m.onTimer(150);
  m.resolved(160, hash, t.MAC_B);
  assertEquals(t.drain(m).map((e) => e.do === "answer" && e.result), [0, 0]);
  const unknown = new Uint8Array(16).fill(4);
  m.query(200, unknown, 3);
  m.resolved(210, unknown, undefined);
  assertEquals(t.drain(m)[1], { do: "answer", token: 3, result: -1 });
});

Deno.test("close() answers what waits with -1004", () => {
  const { m } = arrived();
  m.allocResp(1, 9, 0, t.OAP, 5);
  m.close(2);
  assertEquals(t.drain(m), [{ do: "answer", token: 5, result: -1004 }]);
});

Deno.test("thousand flows open and close without leaving anything", () => {
  const m = t.machine();
  for (let i = 1; i <= 1000; i++) {
    const eid = t.requested(m, i, i);
    m.onMgmt(i, t.MAC_B, t.bytesOf(t.reply(eid, 1 + i)));
  }
  t.drain(m);
  assertEquals(m.openFlows().length, 1000);
  for (let i = 1; i <= 1000; i++) assertEquals(m.dealloc(2000, i), 0);
  assertEquals([m.flowCount, m.deadlineMs()], [0, Infinity]);
});

/** A machine with flow 1 open to B, and its endpoint id; B's is 200. */
function opened(): { m: ShimMachine; eid: number } {
  const m = t.machine();
  const eid = t.requested(m, 0, 1);
  m.onMgmt(1, t.MAC_B, t.bytesOf(t.reply(eid, 200)));
  t.drain(m);
  return { m, eid };
}

Deno.test("dealloc() of an open flow tells the peer", () => {
  const { m, eid } = opened();
  assertEquals(m.dealloc(2, 1), 0);
  const [e] = t.drain(m);
  assertEquals(e?.do === "send" && e.to, t.MAC_B);
  assertEquals(t.parsed(e), { kind: "flow_end", senderEid: eid, receiverEid: 200 });
});

Deno.test("the end of a flow is believed of its peer with both its ids, once, and is not answered", () => {
  const { m, eid } = opened();
  const end = { kind: "flow_end", senderEid: 200, receiverEid: eid } as const;
  m.onMgmt(2, t.MAC_EVIL, t.bytesOf(end));
  m.onMgmt(2, t.MAC_B, t.bytesOf({ ...end, senderEid: 201 }));
  m.onMgmt(2, t.MAC_B, t.bytesOf({ ...end, receiverEid: eid ^ 1 }));
  assertEquals(t.drain(m), []);
  assertEquals(m.counters.forged, 3);
  m.onMgmt(2, t.MAC_B, t.bytesOf(end));
  m.onMgmt(2, t.MAC_B, t.bytesOf(end));
  assertEquals(t.drain(m), [{ do: "ended", flowId: 1 }]);
  assertEquals(m.openFlows(), []); // an interface that comes back does not wake it
  assertEquals(m.dealloc(3, 1), 0);
  assertEquals(t.drain(m), []);
});

// The protocol machine of the shims, state by state, under a fake clock. The layouts are proved in
// lib/wire, the shells in tests/e2e.

import { assert, assertEquals } from "@std/assert";
import { QOS } from "../../../lib/qos.ts";
import { encode as encodeRefusal, refusalText } from "../../../lib/wire/refusal.ts";
import { udpMgmt } from "../../../lib/wire/udp_mgmt.ts";
import {
  ARRIVAL_LIFE_US,
  ASKING_UNPROVEN_PER_NAME_MAX,
  WAITING_LIFE_US,
  WAITING_PER_SOURCE_MAX,
} from "../../../ipcp/arrivals.ts";
import { EARLY_VERDICT_LIFE_US } from "../../../ipcp/acceptance.ts";
import { REFLECTED_TIMES } from "../../../ipcp/shim/allowance.ts";
import { REQUEST_LIFE_US, type ShimMachine } from "../../../ipcp/shim/machine.ts";
import { RESOLVE_ANSWER_US } from "../../../ipcp/shim/name_cache.ts";
import * as t from "../../support/machines.ts";

Deno.test("query() asks everybody, repeats at 50 and 100 ms, and answers all who wait", () => {
  const m = t.machine();
  m.query(0, t.SRV, 1);
  assertEquals(t.drain(m).map((e) => e.kind === "send" && e.to), [undefined]);
  m.query(10_000, t.SRV, 2);
  assertEquals(t.drain(m), []);
  assertEquals(m.deadlineUs(), 50_000);
  m.onTimer(50_000);
  assertEquals(t.parsed(t.drain(m)[0]), { kind: "name_query", hash: t.SRV });
  m.onTimer(100_000);
  assertEquals(t.drain(m).length, 1);
  m.onMgmt(120_000, t.MAC_B, t.bytesOf({ kind: "name_reply", hash: t.SRV }));
  assertEquals(t.drain(m), [
    { kind: "answer", token: 1, result: 0 },
    { kind: "answer", token: 2, result: 0 },
  ]);
  m.query(130_000, t.SRV, 3);
  assertEquals(t.drain(m), [{ kind: "answer", token: 3, result: 0 }]);
});

Deno.test("query() gives -110 after 2000 ms and does not ask on", () => {
  const m = t.machine();
  m.query(0, t.SRV, 1);
  m.onTimer(50_000);
  m.onTimer(100_000);
  t.drain(m);
  assertEquals(m.deadlineUs(), 2e6);
  m.onTimer(1_999_999);
  assertEquals(t.drain(m), []);
  m.onTimer(2e6);
  assertEquals(t.drain(m), [{ kind: "answer", token: 1, result: -110 }]);
  assertEquals(m.deadlineUs(), Infinity);
});

Deno.test("a name reply that nobody asked for poisons nothing", () => {
  const m = t.machine();
  m.onMgmt(0, t.MAC_EVIL, t.bytesOf({ kind: "name_reply", hash: t.SRV }));
  assertEquals(m.cache.size, 0);
  assertEquals(m.counters.unasked, 1);
});

Deno.test("names that were found expire", () => {
  const m = t.machine();
  t.requested(m, 0, 1);
  assert(m.cache.get(59_999_999, t.SRV) !== undefined);
  assertEquals(m.cache.get(60e6, t.SRV), undefined);
});

Deno.test("name queries are answered for registered names only", () => {
  const m = t.machine();
  m.names.register(t.SRV);
  m.onMgmt(0, t.MAC_A, t.bytesOf({ kind: "name_query", hash: t.OTHER }));
  assertEquals(t.drain(m), []);
  m.onMgmt(0, t.MAC_A, t.bytesOf({ kind: "name_query", hash: t.SRV }));
  const [e] = t.drain(m);
  assertEquals(e?.kind === "send" && e.to, t.MAC_A);
  assertEquals(t.parsed(e), { kind: "name_reply", hash: t.SRV });
  m.names.remove(t.SRV);
  m.onMgmt(0, t.MAC_A, t.bytesOf({ kind: "name_query", hash: t.SRV }));
  assertEquals(t.drain(m), []);
});

Deno.test("alloc() and the peer's reply open the flow before the IRMd is told", () => {
  const m = t.machine();
  const eid = t.requested(m, 0, 7);
  assertEquals(m.flowState(7), "requested");
  m.onMgmt(1, t.MAC_B, t.bytesOf(t.reply(eid, 0x1234)));
  assertEquals(t.drain(m), [
    { kind: "open", flow: { flowId: 7, localEid: eid, remoteEid: 0x1234, peer: t.MAC_B } },
    {
      kind: "alloc_reply",
      flowId: 7,
      response: 0,
      data: t.OAP,
      peer: { addr: t.MAC_B, eid: 0x1234 },
    },
  ]);
  assertEquals(m.flowState(7), "open");
});

Deno.test("alloc() opens the flow for the peer's packets before the request is sent", () => {
  const m = t.machine();
  m.query(0, t.SRV, 1);
  m.onMgmt(0, t.MAC_B, t.bytesOf({ kind: "name_reply", hash: t.SRV }));
  t.drain(m);
  const [open, send] = t.alloc(m, 0, 7).effects;
  const req = t.parsed(send);
  if (req.kind !== "flow_req") throw new Error(req.kind);
  const flow = { flowId: 7, localEid: req.requesterEid, remoteEid: 0xffff, peer: t.MAC_B };
  assertEquals(open, { kind: "open", flow });
});

Deno.test("a negative reply reaches the IRMd with its code and releases the flow", () => {
  const m = t.machine();
  const eid = t.requested(m, 0, 7);
  m.onMgmt(1, t.MAC_B, t.bytesOf(t.reply(eid, 0, -1009)));
  assertEquals(t.drain(m), [
    {
      kind: "alloc_reply",
      flowId: 7,
      response: -1009,
      data: new Uint8Array(0),
      peer: undefined,
    },
    { kind: "release", flowId: 7 },
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
  t.alloc(m, 0, 8, data);
  const lost = { ...t.reply(0xffff, 0x1234), data: data.slice(0, 30) };
  m.onMgmt(1, t.MAC_EVIL, t.bytesOf(lost));
  m.onMgmt(1, t.MAC_B, t.bytesOf({ ...lost, data: new Uint8Array(30) }));
  m.onMgmt(1, t.MAC_B, t.bytesOf({ ...lost, data: data.slice(0, 15) }));
  assertEquals(t.drain(m), []);
  m.onMgmt(1, t.MAC_B, t.bytesOf(lost));
  assertEquals(t.drain(m).map((e) => e.kind), ["open", "alloc_reply"]);
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
  m.onTimer(REQUEST_LIFE_US - 1);
  assertEquals(t.drain(m).filter((e) => e.kind === "release"), []);
  m.onTimer(REQUEST_LIFE_US);
  assertEquals(t.drain(m), [{ kind: "release", flowId: 7 }]);
  assertEquals(m.flowCount, 0);
});

Deno.test("alloc() says -1 for an unknown name and -90 when OAP fits no pieces either", () => {
  const m = t.machine();
  const release = (flowId: number) => ({ kind: "release" as const, flowId });
  assertEquals(t.alloc(m, 0, 7), { result: -1, effects: [release(7)] });
  t.requested(m, 0, 8);
  const asks = (data: number, flowId: number) => {
    const { result, effects } = t.alloc(m, 0, flowId, new Uint8Array(data));
    assertEquals(result, 0);
    return t.parsed(effects.find((e) => e.kind === "send")).kind;
  };
  assertEquals([asks(1425, 10), asks(1426, 11)], ["flow_req", "piece_ask"]);
  const long = t.alloc(m, 0, 9, new Uint8Array(65_536));
  assertEquals(long, { result: -90, effects: [release(9)] });
  // The memory of a flow that is there belongs to that one.
  assertEquals(t.alloc(m, 0, 10), { result: -17, effects: [] });
  assertEquals(m.flowCount, 3);
});

/** The IRMd has found an acceptor, whose flow is `flowId`. */
function taken(m: ShimMachine, nowUs: number, ask: number, flowId: number): void {
  m.asked(nowUs, ask, { result: 0, flowId, pid: 4000 + flowId });
}

function arrived(m = t.machine()) {
  m.names.register(t.SRV);
  m.onMgmt(0, t.MAC_A, t.bytesOf(t.request()));
  const [e] = t.drain(m);
  if (e?.kind !== "ask_irmd") throw new Error("no question");
  return { m, ask: e.ask, e };
}

Deno.test("a flow request is passed on with QoS, hash and data", () => {
  const { e } = arrived();
  assertEquals([e.qos, e.hash, e.data], [{ ...QOS.raw }, t.SRV, t.OAP]);
  const freeBytes = REFLECTED_TIMES * t.bytesOf(t.request()).length;
  assertEquals(e.peer, { addr: t.MAC_A, eid: 64, freeBytes });
});

Deno.test("a flow request for a name that is not registered asks nobody; a peer of our kind is told so", () => {
  const m = t.machine();
  m.onMgmt(0, t.MAC_A, t.bytesOf(t.request(77)));
  const [send, ...none] = t.drain(m);
  assertEquals([none, m.counters.unregistered], [[], 1]);
  assertEquals(send?.kind === "send" && send.to, t.MAC_A);
  assertEquals(t.parsed(send), { kind: "flow_end", senderEid: 0, receiverEid: 77 });
  m.onMgmt(0, t.MAC_A, t.bytesOf(t.request(0)));
  assertEquals(t.drain(m), []); // nobody reads from 0
});

Deno.test("that a peer does not have a name is believed of the one asked; the flow is refused, the name asked for anew", () => {
  const m = t.machine();
  const eid = t.requested(m, 0, 1);
  const none = { kind: "flow_end", senderEid: 0, receiverEid: eid } as const;
  m.onMgmt(1, t.MAC_EVIL, t.bytesOf(none));
  m.onMgmt(1, t.MAC_B, t.bytesOf({ ...none, senderEid: 5 }));
  assertEquals([t.drain(m), m.counters.forged], [[], 2]);
  m.onMgmt(1, t.MAC_B, t.bytesOf(none));
  const [reply, release] = t.drain(m);
  assertEquals(reply?.kind === "alloc_reply" && [reply.flowId, reply.response], [1, -1007]);
  assertEquals(release, { kind: "release", flowId: 1 });
  assertEquals([m.flowCount, m.cache.size], [0, 0]);
  // An open flow does not end by it.
  const { m: other, eid: open } = opened();
  other.onMgmt(2, t.MAC_B, t.bytesOf({ ...none, receiverEid: open }));
  assertEquals([other.flowState(1), t.drain(other)], ["open", []]);
});

Deno.test("a refusal with a reason tells it first, in a message that prototypes skip, then refuses as ever", () => {
  const { m, ask } = arrived();
  m.asked(1, ask, { result: 0, flowId: 9, pid: 4001 });
  t.drain(m);
  m.allocResp(2, t.order(9), { response: -13, data: new Uint8Array(0), cause: "closed" }, 5);
  const sent = t.drain(m).filter((e) => e.kind === "send").map((e) => t.parsed(e));
  const [why, reply] = sent;
  const data = encodeRefusal("closed");
  assertEquals(why, { kind: "flow_why", requesterEid: 64, response: -13, data });
  if (reply?.kind !== "flow_reply") throw new Error("no refusal");
  assertEquals([sent.length, reply.requesterEid, reply.response, reply.data.length], [
    2,
    64,
    -13,
    0,
  ]);
});

Deno.test("a reason is believed of the peer that was asked, of a flow that waits, and ends it", () => {
  const m = t.machine();
  const eid = t.requested(m, 0, 1);
  const why = {
    kind: "flow_why",
    requesterEid: eid,
    response: -13,
    data: encodeRefusal("closed"),
  } as const;
  m.onMgmt(1, t.MAC_EVIL, t.bytesOf(why));
  m.onMgmt(1, t.MAC_B, t.bytesOf({ ...why, response: 0 }));
  m.onMgmt(1, t.MAC_B, t.bytesOf({ ...why, data: t.OAP }));
  assertEquals([t.drain(m), m.counters.forged], [[], 3]);
  m.onMgmt(1, t.MAC_B, t.bytesOf(why));
  const [reply, release] = t.drain(m);
  assertEquals(reply?.kind === "alloc_reply" && [reply.flowId, reply.response], [1, -13]);
  assertEquals(reply?.kind === "alloc_reply" && [reply.cause, reply.data.length], ["closed", 0]);
  assertEquals([release, m.flowCount], [{ kind: "release", flowId: 1 }, 0]);
  // The refusal itself is none that somebody forged.
  const refusal = { requesterEid: eid, responderEid: 0, response: -13, data: new Uint8Array(0) };
  m.onMgmt(1, t.MAC_B, t.bytesOf({ kind: "flow_reply", ...refusal }));
  assertEquals([t.drain(m), m.counters.forged], [[], 3]);
});

Deno.test("the verdict 0 answers the peer with both ids and opens the flow", () => {
  const { m, ask } = arrived();
  taken(m, 1, ask, 9);
  t.verdict(m, 2, 9, 0);
  const [open, send, answer] = t.drainOwned(m, 2);
  const got = t.replyOf(send);
  assertEquals([got.requesterEid, got.response, got.data], [64, 0, t.OAP]);
  assertEquals(open, {
    kind: "open",
    flow: { flowId: 9, localEid: got.responderEid, remoteEid: 64, peer: t.MAC_A },
  });
  assertEquals(answer, { kind: "answer", token: 5, result: 0 });
});

Deno.test("a negative verdict is sent without data and releases the flow", () => {
  const { m, ask } = arrived();
  taken(m, 1, ask, 9);
  t.verdict(m, 2, 9, -1009);
  const [send, release, answer] = t.drain(m);
  const got = t.replyOf(send);
  assertEquals([got.requesterEid, got.response, got.data.length], [64, -1009, 0]);
  assertEquals(release, { kind: "release", flowId: 9 });
  assertEquals(answer, { kind: "answer", token: 5, result: 0 });
});

Deno.test("a verdict that overtakes the answer of the IRMd is kept for it", () => {
  for (const response of [0, -1009]) {
    const { m, ask } = arrived();
    t.verdict(m, 1, 9, response);
    assertEquals(t.drain(m), []);
    taken(m, 2, ask, 9);
    const effects = t.drainOwned(m, 2);
    const got = t.replyOf(effects.find((e) => e.kind === "send"));
    assertEquals([got.response, got.requesterEid], [response, 64]);
    assert(effects.some((e) => e.kind === "answer" && e.token === 5 && e.result === 0));
  }
});

Deno.test("a verdict for an unknown flow gets -1, at once or after the wait", () => {
  const idle = t.machine();
  t.verdict(idle, 0, 9, 0);
  assertEquals(t.drain(idle), [{ kind: "answer", token: 5, result: -1 }]);
  const { m } = arrived();
  t.verdict(m, 1, 9, 0);
  assertEquals(m.deadlineUs(), 1 + EARLY_VERDICT_LIFE_US);
  m.onTimer(1 + EARLY_VERDICT_LIFE_US);
  assertEquals(t.drain(m), [{ kind: "answer", token: 5, result: -1 }]);
});

Deno.test("what the IRMd refuses is answered to the peer", () => {
  const { m, ask } = arrived();
  m.asked(1, ask, { result: -1007, flowId: -1, pid: -1 });
  const got = t.replyOf(t.drain(m)[0]);
  assertEquals([got.requesterEid, got.response, m.flowCount, m.askingCount], [64, -1007, 0, 0]);
});

Deno.test("a copy of a request is dropped, one from another endpoint is not", () => {
  const { m } = arrived();
  m.onMgmt(10, t.MAC_A, t.bytesOf(t.request()));
  assertEquals([t.drain(m), m.counters.replayed], [[], 1]);
  m.onMgmt(10, t.MAC_A, t.bytesOf(t.request(65)));
  assertEquals(t.drain(m).length, 1);
  m.onMgmt(10e6, t.MAC_A, t.bytesOf(t.request()));
  assertEquals(t.drain(m).length, 1);
});

Deno.test("a flood of requests from one source does not keep others out", () => {
  const m = t.machine();
  m.names.register(t.SRV);
  for (let i = 1; i <= 2000; i++) m.onMgmt(0, t.MAC_EVIL, t.bytesOf(t.request(i)));
  assertEquals(t.drain(m).length, ASKING_UNPROVEN_PER_NAME_MAX);
  assertEquals(m.counters.flooded, 2000 - ASKING_UNPROVEN_PER_NAME_MAX - WAITING_PER_SOURCE_MAX);
  m.names.register(t.OTHER);
  m.onMgmt(0, t.MAC_A, t.bytesOf(t.request(64, t.OTHER)));
  assertEquals(t.drain(m).length, 1);
});

/** What an effect asks the IRMd, as `[ask, peer]`. */
function asks(m: ShimMachine): [number, Uint8Array][] {
  return t.drain(m).map((e) => {
    if (e.kind !== "ask_irmd") throw new Error(e.kind);
    return [e.ask, e.peer.addr];
  });
}

Deno.test("more requests at once than the IRMd is asked get their turn as others are answered", () => {
  const m = t.machine();
  m.names.register(t.SRV);
  for (let i = 1; i <= 100; i++) m.onMgmt(0, t.MAC_A, t.bytesOf(t.request(i)));
  const pending = asks(m);
  assertEquals(pending.length, ASKING_UNPROVEN_PER_NAME_MAX);
  let answered = 0;
  for (let got = pending.shift(); got !== undefined; got = pending.shift()) {
    taken(m, 1, got[0], 1000 + answered++);
    pending.push(...asks(m));
  }
  assertEquals([answered, m.flowCount, m.askingCount, m.counters.flooded], [100, 100, 0, 0]);
});

Deno.test("a request that waited too long for its turn is forgotten, a copy of a waiting one dropped", () => {
  const m = t.machine();
  m.names.register(t.SRV);
  for (let i = 1; i <= 100; i++) m.onMgmt(0, t.MAC_A, t.bytesOf(t.request(i)));
  m.onMgmt(0, t.MAC_A, t.bytesOf(t.request(100)));
  assertEquals(m.counters.replayed, 1);
  const [first, second] = asks(m);
  taken(m, WAITING_LIFE_US - 1, first![0], 1000);
  assertEquals(asks(m).length, 1);
  taken(m, WAITING_LIFE_US, second![0], 1001);
  assertEquals(asks(m), []);
});

Deno.test("an arrived flow without verdict is released", () => {
  const { m, ask } = arrived();
  taken(m, 0, ask, 9);
  m.onTimer(ARRIVAL_LIFE_US);
  assertEquals(t.drain(m), [{ kind: "release", flowId: 9 }]);
});

Deno.test("dealloc() knows its flows, and the freed id rests", () => {
  const m = t.machine();
  assertEquals(t.dealloc(m, 0, 7), -1);
  const eid = t.requested(m, 0, 7);
  m.onMgmt(1, t.MAC_B, t.bytesOf(t.reply(eid, 5)));
  t.drain(m);
  assertEquals(t.dealloc(m, 2, 7), 0);
  assertEquals(t.dealloc(m, 2, 7), -1);
  for (let i = 0; i < 2000; i++) {
    const next = t.requested(m, 3, 100 + i);
    assert(next !== eid, "reused a resting id");
    t.dealloc(m, 3, 100 + i);
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
    eids: { first: 1, last: 0xfffffffe, quarantineUs: 120e6, mplUs: 5e6 },
    hashBytes: 16,
    mgmtBytesMax: 2048,
    names: "resolve",
    network: [4, 7],
  });
  const hash = new Uint8Array(16).fill(3);
  m.query(0, hash, 1);
  m.query(1, hash, 2);
  assertEquals(t.drain(m), [{ kind: "resolve", hash }]);
  m.onTimer(150_000);
  m.resolved(160_000, hash, t.MAC_B);
  assertEquals(t.drain(m).map((e) => e.kind === "answer" && e.result), [0, 0]);
  const unknown = new Uint8Array(16).fill(4);
  m.query(200_000, unknown, 3);
  m.resolved(210_000, unknown, "neither here nor there");
  const cause = "neither here nor there";
  assertEquals(t.drain(m)[1], { kind: "answer", token: 3, result: -1, cause });
  // A resolver that is slower than the IRMd's patience helps the next who asks.
  const slow = new Uint8Array(16).fill(5);
  m.query(300_000, slow, 4);
  t.drain(m);
  assertEquals(m.deadlineUs(), 300_000 + RESOLVE_ANSWER_US);
  m.onTimer(300_000 + RESOLVE_ANSWER_US);
  const late = "its resolver has not answered yet";
  assertEquals(t.drain(m), [{ kind: "answer", token: 4, result: -1, cause: late }]);
  m.resolved(900_000, slow, t.MAC_B);
  m.query(900_000, slow, 5);
  assertEquals(t.drain(m), [{ kind: "answer", token: 5, result: 0 }]);
});

Deno.test("close() answers what waits with -1004", () => {
  const { m } = arrived();
  t.verdict(m, 1, 9, 0);
  m.query(1, t.OTHER, 6);
  t.drain(m);
  m.close(2);
  assertEquals(t.drain(m), [
    { kind: "answer", token: 5, result: -1004 },
    { kind: "answer", token: 6, result: -1004 },
  ]);
});

Deno.test("thousand flows open and close without leaving anything", () => {
  const m = t.machine();
  for (let i = 1; i <= 1000; i++) {
    const eid = t.requested(m, i, i);
    m.onMgmt(i, t.MAC_B, t.bytesOf(t.reply(eid, 1 + i)));
  }
  t.drain(m);
  m.setReach("down");
  assertEquals(t.drain(m).filter((e) => e.kind === "usable").length, 1000);
  for (let i = 1; i <= 1000; i++) assertEquals(t.dealloc(m, 2000, i), 0);
  assertEquals([m.flowCount, m.deadlineUs()], [0, Infinity]);
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
  assertEquals(m.dealloc(2, 1, 0), 0);
  // Not before what the process wrote last has left.
  assertEquals(t.drain(m), [{ kind: "drop", flowId: 1 }]);
  m.dropped(3, 1);
  const [e, freed] = t.drain(m);
  assertEquals(e?.kind === "send" && e.to, t.MAC_B);
  assertEquals(t.parsed(e), { kind: "flow_end", senderEid: eid, receiverEid: 200 });
  assertEquals(freed, { kind: "freed", flowId: 1, pid: 4001 });
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
  assertEquals(t.drain(m), [{ kind: "ended", flowId: 1 }]);
  m.setReach("down");
  m.setReach(undefined);
  assertEquals(t.drain(m).filter((e) => e.kind !== "reach"), []); // an interface that comes back does not wake it
  assertEquals(t.dealloc(m, 3, 1), 0);
  assertEquals(t.drain(m).map((e) => e.kind), ["drop", "freed"]);
});

Deno.test("a flow that lingers carries packets until its time is over, or nobody lingers any more", () => {
  const { m } = opened();
  assertEquals(m.dealloc(0, 1, 3), 0);
  assertEquals(m.dealloc(1e6, 1, 3), 0); // the first time counts
  assertEquals([t.drain(m), m.flowState(1), m.deadlineUs()], [[], "open", 3e6]);
  m.onTimer(3e6);
  assertEquals(t.drain(m), [{ kind: "drop", flowId: 1 }]);
  m.dropped(3e6, 1);
  assertEquals(t.drain(m).map((e) => e.kind), ["send", "freed"]);
  assertEquals(m.deadlineUs(), Infinity);

  const again = opened().m;
  again.dealloc(0, 1, 120);
  assertEquals(again.dealloc(1, 1, 0), 0);
  assertEquals(t.drain(again), [{ kind: "drop", flowId: 1 }]);
});

Deno.test("a flow that both sides close at once is freed once, and its peer not told", () => {
  const { m, eid } = opened();
  m.dealloc(2, 1, 0);
  m.onMgmt(3, t.MAC_B, t.bytesOf({ kind: "flow_end", senderEid: 200, receiverEid: eid }));
  m.dropped(4, 1);
  m.dropped(5, 1);
  assertEquals(t.drain(m).map((e) => e.kind), ["drop", "ended", "freed"]);
});

Deno.test("an allocation that is given up while it is asked for is ended at the peer that accepts it", () => {
  const m = t.machine();
  const eid = t.requested(m, 0, 1);
  m.dealloc(1, 1, 0);
  m.onMgmt(2, t.MAC_B, t.bytesOf(t.reply(eid, 200)));
  t.drain(m);
  m.dropped(3, 1);
  const [end, freed] = t.drain(m);
  assertEquals(t.parsed(end), { kind: "flow_end", senderEid: eid, receiverEid: 200 });
  assertEquals(freed?.kind, "freed");

  const refused = t.requested(m, 10, 2);
  m.dealloc(11, 2, 0);
  m.onMgmt(12, t.MAC_B, t.bytesOf(t.reply(refused, 0, -1)));
  m.dropped(13, 2);
  assertEquals(t.drain(m).map((e) => e.kind), ["drop", "freed"]);
});

Deno.test("a reply that the IRMd does not wait for any more lets go of the flow", () => {
  const { m } = opened();
  m.replied(2, 1, 0);
  assertEquals(t.drain(m), []);
  m.replied(2, 1, -9);
  assertEquals(t.drain(m), [{ kind: "drop", flowId: 1 }]);
});

Deno.test("an acceptor whose pool cannot be used is refused, and the peer with it", () => {
  const { m, ask } = arrived();
  taken(m, 1, ask, 9);
  m.allocResp(2, t.order(9, 1000), { response: 0, data: t.OAP }, 5);
  assertEquals(t.drain(m), [{ kind: "own", flowId: 9, uid: 1000 }]);
  m.allocResp(2, t.order(9, 1000), { response: 0, data: t.OAP }, 6); // one verdict is enough
  m.owned(3, 9, -12);
  const [twice, send, release, answer] = t.drain(m);
  assertEquals(twice, { kind: "answer", token: 6, result: -1 });
  assertEquals(t.replyOf(send).response, -12);
  assertEquals(release, { kind: "release", flowId: 9 });
  assertEquals(answer, { kind: "answer", token: 5, result: -12 });
});

Deno.test("while nothing can be reached, commands are refused with the reason, and open flows are down", () => {
  const { m } = opened();
  m.setReach("device va is down");
  m.setReach("device va is down");
  assertEquals(t.drain(m), [
    { kind: "reach", cutOff: "device va is down" },
    { kind: "usable", flowId: 1, usable: false },
  ]);
  m.setReach("device va is gone");
  const cause = "device va is gone";
  assertEquals(t.drain(m), [{ kind: "reach", cutOff: cause }]);
  m.query(2, t.SRV, 3);
  assertEquals(t.drain(m), [{ kind: "answer", token: 3, result: -1, cause }]);
  m.alloc(2, t.order(4), t.SRV, QOS.raw, t.OAP, 4);
  assertEquals(t.drain(m), [
    { kind: "release", flowId: 4 },
    { kind: "answer", token: 4, result: -1, cause },
  ]);
  m.setReach(undefined);
  assertEquals(t.drain(m), [
    { kind: "reach", cutOff: undefined },
    { kind: "usable", flowId: 1, usable: true },
  ]);
  // Other stations may be there now.
  assertEquals(m.cache.size, 0);
});

Deno.test("who asked hears why the IRMd refused, but not more than a forged address may be sent", () => {
  for (const [cause, told] of [["too old", true], ["x".repeat(250), false]] as const) {
    const { m, ask } = arrived();
    m.asked(2, ask, { result: -1009, cause, flowId: -1, pid: -1 });
    const sent = t.drain(m).map((e) => t.parsed(e));
    const why = sent.find((x) => x.kind === "flow_why");
    assertEquals(why?.kind === "flow_why" && refusalText(why.data), told && cause);
    assertEquals(sent.at(-1)?.kind === "flow_reply" && sent.at(-1), {
      kind: "flow_reply",
      requesterEid: 64,
      responderEid: 0,
      response: -1009,
      data: new Uint8Array(0),
    });
  }
});

Deno.test("what the IRMd gives for nobody, or twice, is let go of", () => {
  const { m, ask } = arrived();
  taken(m, 1, ask + 1, 8);
  assertEquals(t.drain(m), [{ kind: "release", flowId: 8 }]);
  const { m: other, ask: second } = arrived(opened().m);
  taken(other, 1, second, 1); // the flow that is open already
  const [why, reply] = t.drain(other);
  assertEquals([t.parsed(why).kind, t.replyOf(reply).response], ["flow_why", -16]);
  assertEquals(other.flowState(1), "open");
});

Deno.test("flows of an address that is ours no more have ended, and their peers are told", () => {
  const { m, eid } = opened();
  t.requested(m, 2, 5);
  m.endFlows();
  const [send, ended] = t.drain(m);
  assertEquals(send?.kind === "send" && send.to, t.MAC_B);
  assertEquals(t.parsed(send), { kind: "flow_end", senderEid: eid, receiverEid: 200 });
  assertEquals(ended, { kind: "ended", flowId: 1 });
  m.endFlows();
  t.dealloc(m, 3, 1);
  assertEquals(t.drain(m).map((e) => e.kind), ["drop", "freed"]);
});

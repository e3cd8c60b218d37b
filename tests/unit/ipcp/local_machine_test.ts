// The machine of the local IPCP: pairs, verdicts both ways, races, time-outs.

import { assertEquals } from "@std/assert";
import { QOS } from "../../../lib/qos.ts";
import { ARRIVAL_LIFE_US, ASKING_PER_SOURCE_MAX } from "../../../ipcp/arrivals.ts";
import { type LocalEffect, LocalMachine } from "../../../ipcp/local/machine.ts";
import { Registrations } from "../../../ipcp/registrations.ts";
import { drain, OAP, order, OTHER, SRV } from "../../support/machines.ts";

const NONE = new Uint8Array(0);

/** A machine where flow `flowId` has asked for SRV, and the number of the question to the IRMd. */
function asking(flowId = 2): { m: LocalMachine; ask: number } {
  const m = new LocalMachine(32);
  m.names.register(SRV);
  return { m, ask: request(m, flowId) };
}

function request(m: LocalMachine, flowId: number, token = 1): number {
  m.alloc(0, order(flowId), SRV, QOS.raw, OAP, token);
  const [e] = drain(m);
  if (e?.kind !== "ask_irmd") throw new Error("no question");
  assertEquals([e.peer.flowId, e.hash, e.data], [flowId, SRV, OAP]);
  return e.ask;
}

function taken(m: LocalMachine, nowUs: number, ask: number, flowId: number): void {
  m.asked(nowUs, ask, { result: 0, flowId, pid: 4000 + flowId });
}

/** What a machine asks for when the pools of acceptors can be used. */
function drainOwned(m: LocalMachine): LocalEffect[] {
  const effects: LocalEffect[] = [];
  for (let e = m.poll(); e !== undefined; e = m.poll()) {
    if (e.kind === "own") m.owned(0, e.flowId, 0);
    else effects.push(e);
  }
  return effects;
}

/** Flow 2 of a client and flow 1 of a server, open. */
function paired(): LocalMachine {
  const { m, ask } = asking();
  taken(m, 1, ask, 1);
  m.allocResp(2, order(1), { response: 0, data: OAP }, 9);
  drainOwned(m);
  return m;
}

Deno.test("local query() knows registered names only", () => {
  const m = new LocalMachine(32);
  m.names.register(SRV);
  m.query(0, SRV, 1);
  m.query(0, OTHER, 2);
  assertEquals(drain(m), [
    { kind: "answer", token: 1, result: 0 },
    { kind: "answer", token: 2, result: -1 },
  ]);
  assertEquals(m.names.register(new Uint8Array(16)), -22);
});

Deno.test("names registered before the layer was known are kept if they are of its length", () => {
  const names = new Registrations();
  assertEquals([names.register(SRV), names.register(new Uint8Array(16))], [0, 0]);
  new LocalMachine(32, names);
  assertEquals([names.has(SRV), names.size], [true, 1]);
});

Deno.test("local: question, verdict 0, pair, reply to the requester", () => {
  const { m, ask } = asking();
  taken(m, 1, ask, 1);
  assertEquals(drain(m), [{ kind: "answer", token: 1, result: 0 }]);
  m.allocResp(2, order(1), { response: 0, data: OAP }, 9);
  assertEquals(drainOwned(m).map((e) => e.kind === "alloc_reply" ? { ...e, peer: 0 } : e), [
    { kind: "pair", a: 2, b: 1 },
    { kind: "alloc_reply", flowId: 2, response: 0, data: OAP, peer: 0 },
    { kind: "answer", token: 9, result: 0 },
  ]);
  assertEquals([m.partnerOf(1), m.partnerOf(2), m.deadlineUs()], [2, 1, Infinity]);
});

Deno.test("local: a negative verdict reaches the requester at once", () => {
  const { m, ask } = asking();
  taken(m, 1, ask, 1);
  drain(m);
  m.allocResp(2, order(1), { response: -1009, data: NONE }, 9);
  const peer = undefined;
  assertEquals(drain(m)[0], { kind: "alloc_reply", flowId: 2, response: -1009, data: NONE, peer });
  assertEquals([m.flowCount, m.deadlineUs()], [0, Infinity]);
});

Deno.test("local: why an acceptor refuses goes to who asked, what came with it does not", () => {
  const { m, ask } = asking();
  taken(m, 1, ask, 1);
  drain(m);
  const refusal = { response: -13, cause: "closed" };
  m.allocResp(2, order(1), { ...refusal, data: OAP }, 9);
  const told = { kind: "alloc_reply" as const, flowId: 2, ...refusal, data: NONE, peer: undefined };
  assertEquals(drain(m)[0], told);
});

Deno.test("local: an acceptor whose pool cannot be used is refused, and the requester with it", () => {
  const { m, ask } = asking();
  taken(m, 1, ask, 1);
  drain(m);
  m.allocResp(2, order(1, 1000), { response: 0, data: OAP }, 9);
  assertEquals(drain(m), [{ kind: "own", flowId: 1, uid: 1000 }]);
  m.owned(2, 1, -12);
  const [reply, ...rest] = drain(m);
  assertEquals(reply?.kind === "alloc_reply" && reply.response, -12);
  assertEquals(rest, [
    { kind: "release", flowId: 2 },
    { kind: "release", flowId: 1 },
    { kind: "answer", token: 9, result: -12 },
  ]);
});

Deno.test("local: a verdict that overtakes the IRMd's answer waits for it", () => {
  const { m, ask } = asking();
  m.allocResp(1, order(1), { response: 0, data: OAP }, 9);
  assertEquals(drain(m), []);
  taken(m, 2, ask, 1);
  const kinds = drainOwned(m).map((e) => e.kind);
  assertEquals(kinds, ["answer", "pair", "alloc_reply", "answer"]);
});

Deno.test("local: what the IRMd refuses is the result of the allocation, with its cause", () => {
  const { m, ask } = asking();
  m.asked(1, ask, { result: -1, flowId: -1, pid: -1, cause: "nobody accepts" });
  assertEquals(drain(m), [
    { kind: "release", flowId: 2 },
    { kind: "answer", token: 1, result: -1, cause: "nobody accepts" },
  ]);
});

Deno.test("local: what cannot be asked is refused at once, and its memory let go of", () => {
  const m = paired();
  m.alloc(0, order(3), OTHER, QOS.raw, OAP, 5);
  assertEquals(drain(m), [
    { kind: "release", flowId: 3 },
    { kind: "answer", token: 5, result: -1 },
  ]);
  m.alloc(0, order(2), SRV, QOS.raw, OAP, 6); // the memory is the open flow's
  assertEquals(drain(m), [{ kind: "answer", token: 6, result: -17 }]);
});

Deno.test("local: requests of one process wait for their turn", () => {
  const m = new LocalMachine(32);
  m.names.register(SRV);
  const n = ASKING_PER_SOURCE_MAX + 5;
  for (let i = 1; i <= n; i++) m.alloc(0, { ...order(i), pid: 77 }, SRV, QOS.raw, OAP, i);
  const asks = drain(m).map((e) => e.kind === "ask_irmd" ? e.ask : 0);
  assertEquals(asks.length, ASKING_PER_SOURCE_MAX);
  request(m, 500); // another process is not kept waiting
  let flowId = 1000;
  for (let ask = asks.shift(); ask !== undefined; ask = asks.shift()) {
    taken(m, 1, ask, flowId++);
    for (const e of drain(m)) if (e.kind === "ask_irmd") asks.push(e.ask);
  }
  assertEquals(flowId, 1000 + n);
});

Deno.test("local dealloc() tells the partner that it is down, once its last packet has gone over", () => {
  const m = paired();
  assertEquals(m.dealloc(3, 2, 0), 0);
  assertEquals(drain(m), [{ kind: "drop", flowId: 2 }]);
  m.dropped(4, 2);
  assertEquals(drain(m), [
    { kind: "part", flowId: 1 },
    { kind: "freed", flowId: 2, pid: 4002 },
  ]);
  assertEquals(m.dealloc(5, 1, 0), 0);
  m.dropped(6, 1);
  assertEquals(drain(m).map((e) => e.kind), ["drop", "freed"]);
  assertEquals([m.dealloc(7, 1, 0), m.flowCount], [-1, 0]);
});

Deno.test("local: the id of a flow that lingers is kept, until its time is over or nobody lingers", () => {
  for (const early of [false, true]) {
    const m = paired();
    m.dealloc(0, 2, 30);
    m.dropped(1, 2);
    assertEquals(drain(m).map((e) => e.kind), ["drop", "part"]);
    assertEquals([m.flowState(2), m.deadlineUs()], ["lingering", 1 + 30e6]);
    if (early) assertEquals(m.dealloc(2, 2, 0), 0);
    else m.onTimer(1 + 30e6);
    assertEquals(drain(m), [{ kind: "freed", flowId: 2, pid: 4002 }]);
    assertEquals([m.flowState(2), m.deadlineUs()], [undefined, Infinity]);
  }
});

Deno.test("local: a requester that gives up leaves an acceptor that is refused", () => {
  const { m, ask } = asking();
  taken(m, 1, ask, 1);
  m.dealloc(2, 2, 0);
  drain(m);
  m.allocResp(3, order(1), { response: 0, data: OAP }, 9);
  assertEquals(drainOwned(m), [
    { kind: "release", flowId: 1 },
    { kind: "answer", token: 9, result: -1 },
  ]);
  m.dropped(4, 2);
  assertEquals(drain(m), [{ kind: "freed", flowId: 2, pid: 4002 }]);
});

Deno.test("local: a requester that gives up before the IRMd has answered is answered, the acceptor let go", () => {
  const { m, ask } = asking();
  m.dealloc(1, 2, 0);
  assertEquals(drain(m), [
    { kind: "answer", token: 1, result: -1 },
    { kind: "drop", flowId: 2 },
  ]);
  taken(m, 2, ask, 1);
  assertEquals(drain(m), [{ kind: "release", flowId: 1 }]);
});

Deno.test("local: the verdict on a flow whose requester gave up is answered at once, while others are asked for", () => {
  const { m, ask } = asking();
  const other = request(m, 3, 2);
  m.dealloc(1, 2, 0);
  drain(m);
  taken(m, 2, ask, 1);
  assertEquals(drain(m), [{ kind: "release", flowId: 1 }]);
  // Not kept for 400 ms: the acceptor serves the next one meanwhile.
  m.allocResp(3, order(1), { response: 0, data: OAP }, 9);
  assertEquals(drain(m), [{ kind: "answer", token: 9, result: -1 }]);
  // Once it was taken back the id is another's: its verdict may be early again.
  assertEquals(m.dealloc(4, 1, 0), -1);
  m.allocResp(5, order(1), { response: 0, data: OAP }, 10);
  assertEquals(drain(m), []);
  taken(m, 6, other, 1);
  assertEquals(drainOwned(m).at(-1), { kind: "answer", token: 10, result: 0 });
});

Deno.test("local: an early verdict is answered when its requester has given up", () => {
  const { m, ask } = asking();
  request(m, 3, 2);
  m.dealloc(1, 2, 0);
  drain(m);
  m.allocResp(2, order(1), { response: 0, data: OAP }, 9);
  assertEquals(drain(m), []);
  taken(m, 3, ask, 1);
  assertEquals(drain(m), [
    { kind: "release", flowId: 1 },
    { kind: "answer", token: 9, result: -1 },
  ]);
});

Deno.test("local: flows without verdict are given up, verdicts without flow get -1", () => {
  const { m, ask } = asking();
  taken(m, 0, ask, 1);
  drain(m);
  m.onTimer(ARRIVAL_LIFE_US);
  assertEquals(drain(m).map((e) => e.kind), ["release", "release"]);
  m.allocResp(0, order(5), { response: 0, data: OAP }, 3);
  assertEquals(drain(m), [{ kind: "answer", token: 3, result: -1 }]);
});

Deno.test("local: a question that the IRMd never answers is not waited for", () => {
  const { m } = asking();
  m.onTimer(ARRIVAL_LIFE_US);
  assertEquals(drain(m), [
    { kind: "release", flowId: 2 },
    { kind: "answer", token: 1, result: -110 },
  ]);
});

Deno.test("local: a reply that the IRMd does not wait for any more lets go of the flow", () => {
  const m = paired();
  m.replied(3, 2, 0);
  assertEquals(drain(m), []);
  m.replied(3, 2, -9);
  assertEquals(drain(m), [{ kind: "drop", flowId: 2 }]);
});

Deno.test("local close() answers what waits with -1004", () => {
  const { m } = asking();
  m.close();
  assertEquals(drain(m), [{ kind: "answer", token: 1, result: -1004 }]);
});

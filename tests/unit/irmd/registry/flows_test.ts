// Acceptors, reservations and the ends of flows: spec 20 §7, §8 and §19 nos. 2, 3, 9 – 12.

import { assert, assertEquals } from "@std/assert";
import { FlowState } from "../../../../lib/irm/messages.ts";
import { FLOW_IDS_MAX, LONG_MESSAGE_BYTES_MAX } from "../../../../lib/limits.ts";
import { QOS } from "../../../../lib/qos.ts";
import { FLOWS_KEPT, LINGER_MS } from "../../../../irmd/registry/mod.ts";
import {
  accept,
  directFlow,
  ipcp,
  must,
  name,
  pendingAlloc,
  proc,
  registry,
  REQUEST,
  reserve,
  RESPONSE,
  violations,
} from "../../../support/registry.ts";

/** Servers 10 and 12 and client 11 of root, name "n" of the policy bound to both servers, IPCP 20. */
function node(polLb = 0) {
  const r = registry();
  for (const pid of [10, 11, 12]) proc(r, pid);
  name(r, "n", polLb);
  r.bindProcess(10, "n");
  r.bindProcess(12, "n");
  ipcp(r, 20);
  r.takeEffects();
  return r;
}

const direct = { pid: 11, uid: 0 };
const arrival = { ipcpPid: 20, mpl: 100, qos: QOS.data, request: REQUEST };

Deno.test("accept() and alloc() refuse an unannounced process with -22", () => {
  const r = registry();
  assertEquals(r.accept(99, QOS.raw), -22);
  assertEquals(r.alloc(99, QOS.raw), -22);
});

Deno.test("accept() refuses a process all of whose names have an unknown policy", () => {
  const r = registry();
  proc(r, 10);
  name(r, "odd", 7);
  r.bindProcess(10, "odd");
  assertEquals(r.accept(10, QOS.raw), -22);
  name(r, "good");
  r.bindProcess(10, "good");
  accept(r, 10);
  const w = r.awaitAcceptor("odd");
  assert(!w.settled);
  reserve(r, "good");
  assertEquals(violations(r), []);
});

Deno.test("round-robin serves acceptors in the order in which they came, spillover the latest", () => {
  for (const [polLb, order] of [[0, [10, 12, 10]], [1, [10, 12, 10]]] as const) {
    const r = node(polLb);
    const first = [10, 12, 10].map((pid) => accept(r, pid).flow);
    const served = [1, 2, 3].map(() => reserve(r, "n").flow.nPid);
    assertEquals(served, polLb === 0 ? order : [...order].reverse());
    assertEquals(first.length, 3);
    assertEquals(violations(r), []);
  }
});

Deno.test("of several accepts of one process the latest is served first", () => {
  const r = node();
  const flows = [1, 2, 3].map(() => accept(r, 10).flow);
  const served = [1, 2, 3].map(() => reserve(r, "n").flow);
  assertEquals(served, flows.reverse());
});

Deno.test("a process bound while it waits gets its entries then; unbound, it loses them", () => {
  const r = node();
  accept(r, 10);
  accept(r, 10);
  name(r, "late");
  const w = r.awaitAcceptor("late");
  r.bindProcess(10, "late");
  assertEquals(w.result?.kind, "reserved");
  assertEquals(r.names.get("late")!.active.length, 1);
  assertEquals(r.names.get("n")!.active.length, 1);
  r.unbindProcess(10, "late");
  assertEquals(r.names.get("late")!.active.length, 0);
  assertEquals(violations(r), []);
});

Deno.test("requests that arrive together get different accepts", () => {
  const r = node();
  const waits = [1, 2, 3].map(() => r.awaitAcceptor("n"));
  accept(r, 10);
  accept(r, 12);
  const flows = waits.map((w) => w.result?.kind === "reserved" ? w.result.reservation.flow.id : 0);
  assertEquals(flows, [1, 2, 0]);
  assertEquals(violations(r), []);
});

Deno.test("release() puts the accept at the head again and serves who waits", () => {
  const r = node();
  const a = accept(r, 10);
  accept(r, 12);
  const got = reserve(r, "n");
  assert(r.stillReserved(got));
  r.release(got);
  assert(!r.stillReserved(got));
  assertEquals(r.names.get("n")!.active.pids(), [10, 12]);
  const again = reserve(r, "n");
  assertEquals(again.flow, a.flow);
  reserve(r, "n");
  const w = r.awaitAcceptor("n");
  r.release(again);
  assertEquals(w.result?.kind, "reserved");
  r.release(again); // no effect: it is not its any more
  assertEquals(violations(r), []);
});

Deno.test("an accept that ends while reserved: nothing can be delivered to it", () => {
  const r = node();
  const a = accept(r, 10);
  const got = reserve(r, "n");
  assert(r.acceptEnd(a.flow, -110));
  assertEquals(a.waiter.result, { kind: "failed", code: -110 });
  // The id is used again by another accept, which the old reservation must not reach.
  const b = accept(r, 12);
  assertEquals(b.flow.id, a.flow.id);
  assert(!r.stillReserved(got));
  assertEquals(r.arrive(got, arrival), -1003);
  assertEquals(r.direct(got, { clientPid: 11, qos: QOS.raw, request: REQUEST }), -9);
  r.release(got);
  assert(!b.waiter.settled);
  assertEquals(violations(r), []);
});

Deno.test("direct flow is refused across users and to oneself", () => {
  const r = node();
  proc(r, 30, "alice", 1000);
  proc(r, 31, "alice", 1000);
  r.bindProcess(30, "n");
  accept(r, 10);
  assertEquals(r.awaitAcceptor("n", { pid: 31, uid: 1000 }).result, { kind: "foreign" });
  assertEquals(r.awaitAcceptor("n", { pid: 10, uid: 0 }).result, { kind: "foreign" });
  assertEquals(r.names.get("n")!.active.length, 1); // nobody lost an entry
  const got = reserve(r, "n");
  assertEquals(r.direct(got, { clientPid: 31, qos: QOS.raw, request: REQUEST }), -1);
  assertEquals(r.direct(got, { clientPid: 10, qos: QOS.raw, request: REQUEST }), -1);
  assertEquals(r.direct(got, { clientPid: 99, qos: QOS.raw, request: REQUEST }), -9);
  assert(r.stillReserved(got));
  assertEquals(violations(r), []);
});

Deno.test("destroyName() fails who waits for its acceptors; their accepts go on", () => {
  const r = node();
  name(r, "m");
  const w = r.awaitAcceptor("m");
  assertEquals(r.destroyName("m"), 0);
  assertEquals(w.result, { kind: "failed", code: -1007 });
  const a = accept(r, 10);
  r.bindProcess(10, "k");
  r.destroyName("n");
  assert(!a.waiter.settled);
  reserve(r, "k");
  assertEquals(violations(r), []);
});

Deno.test("arrive() refuses an unknown IPCP and leaves the accept reserved", () => {
  const r = node();
  accept(r, 10);
  const got = reserve(r, "n");
  assertEquals(r.arrive(got, { ...arrival, ipcpPid: 21 }), -1003);
  assert(r.stillReserved(got));
  assert(typeof r.arrive(got, arrival) !== "number");
});

Deno.test("an IPCP answers and confirms its own flows only", () => {
  const r = node();
  ipcp(r, 21, 5);
  const { flow, waiter } = pendingAlloc(r, 11, 20);
  const reply = { response: 0, mpl: 5, data: RESPONSE };
  assertEquals(r.allocReply(21, flow.id, reply), -9);
  assertEquals(r.allocReply(20, 4711, reply), -9);
  assertEquals(r.ipcpDealloc(21, flow.id), -9);
  assertEquals(r.ipcpDealloc(20, 4711), -9);
  assert(!waiter.settled);
  const d = directFlow(r, 10, 12, "n");
  assertEquals(r.allocReply(12, d.id, reply), -9);
  assertEquals(r.ipcpDealloc(12, d.id), -9);
  assertEquals(violations(r), []);
});

Deno.test("dealloc() refuses others' flows, unknown ones and those not allocated", () => {
  const r = node();
  const d = directFlow(r, 10, 11, "n");
  assertEquals(r.dealloc(12, d.id, 0, 0).code, -1);
  assertEquals(r.dealloc(10, 4711, 0, 0).code, -1000);
  const { flow } = pendingAlloc(r, 11, 20);
  assertEquals(r.dealloc(11, flow.id, 0, 0).code, -1000);
  assertEquals(r.dealloc(20, flow.id, 0, 0).code, -1);
  assertEquals(r.dealloc(12, accept(r, 12).flow.id, 0, 0).code, -1000);
  assertEquals(d.state, FlowState.ALLOCATED);
});

Deno.test("an allocation given up after the IPCP took it: the IPCP is told, the id kept until it confirms", () => {
  const r = node();
  const { flow, waiter } = pendingAlloc(r, 11, 20);
  r.giveUp(flow, 11, 5000);
  assertEquals(waiter.result, { kind: "failed", code: -32 });
  const tell = { kind: "ipcp-dealloc", flowId: flow.id, ipcpPid: 20, timeoSec: 0 } as const;
  assertEquals(r.takeEffects(), [tell]);
  assertEquals(flow.state, FlowState.DEALLOC_PENDING);
  // The late answer is not somebody else's.
  assertEquals(r.allocReply(20, flow.id, { response: 0, mpl: 1, data: RESPONSE }), -9);
  assert(r.flows.has(flow.id));
  assertEquals(r.ipcpDealloc(20, flow.id), 0);
  assert(!r.flows.has(flow.id));
  assertEquals(r.takeEffects().map((e) => e.kind), ["rings-destroy"]);
  assertEquals(violations(r), []);
});

Deno.test("a late refusal of an allocation given up frees it", () => {
  const r = node();
  const { flow } = pendingAlloc(r, 11, 20);
  r.giveUp(flow, 11, 0);
  assertEquals(r.allocReply(20, flow.id, { response: -5, mpl: 0, data: RESPONSE }), -9);
  assert(!r.flows.has(flow.id));
  assertEquals(violations(r), []);
});

Deno.test("expire() frees flows whose IPCP never confirms", () => {
  const r = node();
  const a = pendingAlloc(r, 11, 20);
  r.giveUp(a.flow, 11, 1000);
  const b = pendingAlloc(r, 11, 20);
  r.allocReply(20, b.flow.id, { response: 0, mpl: 1, data: RESPONSE });
  r.dealloc(11, b.flow.id, 7, 1000);
  assertEquals(r.expire(1000 + LINGER_MS - 1), 0);
  assertEquals(r.expire(1000 + LINGER_MS), 1);
  assert(!r.flows.has(a.flow.id));
  assertEquals(r.expire(8000 + LINGER_MS - 1), 0);
  assertEquals(r.expire(8000 + LINGER_MS), 1);
  assertEquals(r.flows.count, 0);
  assertEquals(violations(r), []);
});

Deno.test("a flow that lingers ends with its process, at IPCPs of ours", () => {
  for (const ours of [true, false]) {
    const r = node();
    if (ours) r.ipcps.get(20)!.messageBytesMax = LONG_MESSAGE_BYTES_MAX;
    const { flow } = pendingAlloc(r, 11, 20);
    r.allocReply(20, flow.id, { response: 0, mpl: 1, data: RESPONSE });
    assertEquals(r.dealloc(11, flow.id, 7, 1000), { code: 0, ipcpPid: 20 });
    r.takeEffects();
    r.processGone(11, 2000);
    const tell = { kind: "ipcp-dealloc", flowId: flow.id, ipcpPid: 20, timeoSec: 0 };
    assertEquals(r.takeEffects().filter((e) => e.kind === "ipcp-dealloc"), ours ? [tell] : []);
    // It counts until the IPCP has let go.
    assert(r.flows.has(flow.id));
    assertEquals(r.ipcpDealloc(20, flow.id), 0);
    assertEquals(r.flows.count, 0);
  }
});

Deno.test("drop(): the IPCP refused, so nothing is left and nobody told", () => {
  const r = node();
  const { flow, waiter } = pendingAlloc(r, 11, 20);
  r.drop(flow, -1003);
  assertEquals(waiter.result, { kind: "failed", code: -1003 });
  assertEquals(r.takeEffects().map((e) => e.kind), ["rings-destroy"]);
  r.drop(flow, -1);
  assertEquals(r.takeEffects(), []);
});

Deno.test("allocOver() refuses an unknown IPCP and a flow that is gone", () => {
  const r = node();
  const f = must(r.alloc(11, QOS.raw));
  assertEquals(r.allocOver(f, 99), -1003);
  r.processGone(11, 0);
  assertEquals(r.allocOver(f, 20), -9);
});

Deno.test("direct flow whose server side fails: the client fails, nothing is left", () => {
  const r = node();
  accept(r, 10);
  const got = reserve(r, "n", direct);
  const w = must(r.direct(got, { clientPid: 11, qos: QOS.raw, request: REQUEST }));
  r.drop(got.flow, -1008);
  assertEquals(w.result, { kind: "failed", code: -1008 });
  assertEquals(r.flows.count, 0);
  assertEquals(r.takeEffects().map((e) => e.kind), ["rings-destroy"]);
  assertEquals(violations(r), []);
});

Deno.test("direct flow whose client gives up: the server sees its flow go down", () => {
  const r = node();
  const f = directFlow(r, 10, 11, "n", true);
  r.giveUp(f, 11, 0);
  assertEquals(r.directRespond(f, RESPONSE), -9);
  assertEquals(r.takeEffects(), [{ kind: "flow-down", flowId: f.id, pid: 10, otherPid: 11 }]);
  assertEquals(f.state, FlowState.DEALLOC_PENDING);
  assertEquals(r.dealloc(10, f.id, 0, 0).code, 0);
  assertEquals(r.flows.count, 0);
  assertEquals(violations(r), []);
});

Deno.test("processGone(): pending accepts and allocations end, wherever they are", () => {
  const r = node();
  const a = accept(r, 10);
  const b = accept(r, 10);
  const got = reserve(r, "n");
  assertEquals(got.flow, b.flow);
  const c = pendingAlloc(r, 10, 20);
  const init = must(r.alloc(10, QOS.raw));
  const gone = r.processGone(10, 0);
  assertEquals(gone?.proc?.pid, 10);
  for (const w of [a.waiter, b.waiter, c.waiter]) {
    assertEquals(w.result, { kind: "failed", code: -32 });
  }
  assertEquals(init.state, FlowState.DEALLOCATED);
  assertEquals([...r.flows.all()], [c.flow]); // until the IPCP confirms
  assert(!r.stillReserved(got));
  assertEquals(r.names.get("n")!.active.length, 0);
  assertEquals(violations(r), []);
});

Deno.test("processGone(): a client's direct flow goes down for the server, and ends with it", () => {
  const r = node();
  const f = directFlow(r, 10, 11, "n");
  r.processGone(11, 0);
  assertEquals(r.takeEffects(), [
    { kind: "flow-down", flowId: f.id, pid: 10, otherPid: 11 },
    { kind: "flow-set-destroy", pid: 11, flowUid: 0 },
  ]);
  assertEquals(f.state, FlowState.DEALLOC_PENDING);
  r.processGone(10, 0);
  assertEquals(r.takeEffects(), [
    { kind: "rings-destroy", flowId: f.id, pids: [10, 11] },
    { kind: "flow-set-destroy", pid: 10, flowUid: 0 },
  ]);
  assertEquals(violations(r), []);
});

Deno.test("processGone(): a server that dies before its OAP response fails the client", () => {
  const r = node();
  accept(r, 10);
  const got = reserve(r, "n", direct);
  const w = must(r.direct(got, { clientPid: 11, qos: QOS.raw, request: REQUEST }));
  r.processGone(10, 0);
  assertEquals(w.result, { kind: "failed", code: -32 });
  assertEquals(r.flows.count, 0);
  assertEquals(violations(r), []);
});

Deno.test("processGone(): a process with a flow over an IPCP: the IPCP is told", () => {
  const r = node();
  const { flow } = pendingAlloc(r, 11, 20);
  r.allocReply(20, flow.id, { response: 0, mpl: 1, data: RESPONSE });
  r.processGone(11, 0);
  assertEquals(r.takeEffects(), [
    { kind: "ipcp-dealloc", flowId: flow.id, ipcpPid: 20, timeoSec: 0 },
    { kind: "flow-set-destroy", pid: 11, flowUid: 0 },
  ]);
  assertEquals(r.ipcpDealloc(20, flow.id), 0);
  assertEquals(r.flows.count, 0);
});

Deno.test("processGone() of an IPCP: waits fail, flows go down, those let go are freed", () => {
  const r = node();
  proc(r, 20, "ipcpd-local");
  const waiting = pendingAlloc(r, 11, 20);
  const used = pendingAlloc(r, 11, 20);
  r.allocReply(20, used.flow.id, { response: 0, mpl: 1, data: RESPONSE });
  const closed = pendingAlloc(r, 11, 20);
  r.allocReply(20, closed.flow.id, { response: 0, mpl: 1, data: RESPONSE });
  r.dealloc(11, closed.flow.id, 0, 0);
  const gone = r.processGone(20, 0);
  assertEquals([gone?.ipcp?.pid, gone?.proc?.pid, gone?.spawned?.pid], [20, 20, 20]);
  assertEquals(waiting.waiter.result, { kind: "failed", code: -1003 });
  assertEquals([...r.flows.all()], [used.flow]);
  const down = r.takeEffects().filter((e) => e.kind === "flow-down");
  assertEquals(down, [{ kind: "flow-down", flowId: used.flow.id, pid: 11, otherPid: 20 }]);
  // The process lets go of it later; no IPCP to tell.
  assertEquals(r.dealloc(11, used.flow.id, 0, 0), { code: 0, ipcpPid: undefined });
  assertEquals(r.flows.count, 0);
  assertEquals(violations(r), []);
});

Deno.test("an IPCP that tears an allocated flow down: it goes down for the process", () => {
  const r = node();
  const { flow } = pendingAlloc(r, 11, 20);
  r.allocReply(20, flow.id, { response: 0, mpl: 1, data: RESPONSE });
  assertEquals(r.ipcpDealloc(20, flow.id), 0);
  assertEquals(r.ipcpDealloc(20, flow.id), 0); // again: no effect
  const down = { kind: "flow-down", flowId: flow.id, pid: 11, otherPid: 20 } as const;
  assertEquals(r.takeEffects(), [down]);
  assertEquals(flow.state, FlowState.DEALLOC_PENDING);
  r.processGone(11, 0);
  assertEquals(r.flows.count, 0);
  assert(!r.takeEffects().some((e) => e.kind === "ipcp-dealloc"));
  assertEquals(violations(r), []);
});

Deno.test("pools are counted by their processes and go with the last", () => {
  const r = registry();
  proc(r, 1, "a", 1000);
  proc(r, 2, "a", 1000);
  proc(r, 3, "a", 0);
  assertEquals(r.pools.get(1000)!.refs, 2);
  r.processGone(1, 0);
  assert(!r.takeEffects().some((e) => e.kind === "pool-destroy"));
  r.processGone(2, 0);
  assertEquals(r.takeEffects().at(-1), { kind: "pool-destroy", uid: 1000 });
  assert(!r.pools.has(1000));
  assertEquals(r.pools.unref(4711), -1);
});

Deno.test("giveUp() of a stranger, of a flow gone, and twice: no effect", () => {
  const r = node();
  const f = directFlow(r, 10, 11, "n");
  r.giveUp(f, 12, 0);
  assertEquals(f.state, FlowState.ALLOCATED);
  r.giveUp(f, 11, 0);
  r.giveUp(f, 11, 0);
  assertEquals(r.takeEffects().length, 1);
  r.giveUp(f, 10, 0);
  r.giveUp(f, 10, 0);
  assertEquals(r.flows.count, 0);
});

Deno.test("10 000 flows: opening, using and closing stays quick by count of steps", () => {
  const r = node();
  const flows = [];
  for (let i = 0; i < 10_000; i++) flows.push(directFlow(r, 10, 11, "n"));
  assertEquals(r.flows.count, 10_000);
  assertEquals(r.flows.countOf(11), 10_000);
  for (const f of flows) {
    r.dealloc(11, f.id, 0, 0);
    r.dealloc(10, f.id, 0, 0);
  }
  assertEquals([r.flows.count, r.flows.countOf(10), r.flows.countOf(11)], [0, 0, 0]);
  assertEquals(r.takeEffects().length, 10_000);
});

Deno.test("flow ids: users share what is left, and the last are the administrators'", () => {
  const r = registry();
  const uids = [1000, 1001, 1002, 1003];
  for (const uid of [0, ...uids]) {
    r.announce({ pid: 10 + uid, prog: "p", uid, gid: uid, flowUid: uid });
  }
  const take = (uid: number) => {
    let n = 0;
    while (typeof r.alloc(10 + uid, QOS.raw) !== "number") n++;
    return n;
  };
  const got = uids.map(take);
  // Each gets half of what the ones before have left, and there is something for the next.
  got.reduce((before, n) => {
    assert(n > 100 && Math.abs(before - 2 * n) <= 2, String(got));
    return n;
  });
  assertEquals(r.flows.countOfUser(1000), got[0]);
  // One who gives back has room again.
  r.drop([...r.flows.all()].find((f) => f.uid === 1003)!, -1);
  assertEquals(take(1003), 1);
  assert(take(0) >= FLOWS_KEPT);
  assertEquals(r.flows.count, FLOW_IDS_MAX - 1);
});

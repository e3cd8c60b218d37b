/**
 * What kills or blocks a prototype, and what else a stranger or a lying member may send (spec 60 §19 W1–W12, spec 70
 * §13.2): each case by its number. Floods: tests/slow/ipcp/unicast/floods_test.ts; whole layers under attack:
 * tests/sim/layer; any bytes: tests/fuzz/unicast_test.ts.
 */

import { assert, assertEquals } from "@std/assert";
import { NO_CONGESTION } from "../../../../ipcp/unicast/congestion.ts";
import { UnicastIpcp } from "../../../../ipcp/unicast/ipcp.ts";
import type { UnicastNode } from "../../../../ipcp/unicast/node.ts";
import type { IpcpContext } from "../../../../ipcp/type.ts";
import { Errno } from "../../../../lib/errno.ts";
import { Forwarder, Verdict } from "../../../../ipcp/unicast/forward.ts";
import { LinkStateRouting } from "../../../../ipcp/unicast/link_state.ts";
import type { RoutingEffect } from "../../../../ipcp/unicast/routing.ts";
import { BEST_HOP } from "../../../../ipcp/unicast/forwarding.ts";
import { ForwardTable, HopState, HopStates } from "../../../../ipcp/unicast/table.ts";
import { QOS } from "../../../../lib/qos.ts";
import * as dht from "../../../../lib/wire/dht_msg.ts";
import { encode as encodePci, FLAT_LAYOUT } from "../../../../lib/wire/dt_pci.ts";
import * as fa from "../../../../lib/wire/fa_msg.ts";
import { isWireError } from "../../../../lib/wire/mod.ts";
import { drain } from "../../../support/machines.ts";
import {
  asks,
  contact,
  DT,
  flowMessage,
  key,
  lsu,
  makeDht,
  makeNode,
  MGMT,
  NAME,
  OTHER,
  PEER,
  request,
  SELF,
} from "../../../support/unicast_parts.ts";

const NONE = new Uint8Array(0);

// Data transfer.

function makeForwarder(): Forwarder {
  const table = new ForwardTable(16);
  const states = new HopStates(8);
  states.set(DT, HopState.up);
  table.publish(new Map([[OTHER, [DT]]]));
  return new Forwarder(SELF, FLAT_LAYOUT, 60, BEST_HOP, NO_CONGESTION, table, states);
}

Deno.test("W1: a data packet cut at any byte of its header is dropped, unread", () => {
  const forwarder = makeForwarder();
  const packet = new Uint8Array(15);
  encodePci({ dst: SELF, cube: 0, ttl: 9, ecn: 0, eidHi: 0, eidLo: 0 }, packet, 0, FLAT_LAYOUT);
  for (let n = 0; n < 15; n++) {
    assertEquals(forwarder.receive(packet, 0, n, 1), Verdict.short, `${n} bytes`);
  }
  assertEquals(forwarder.receive(packet, 0, 15, 1), Verdict.component);
});

Deno.test("W4: a packet to be relayed dies with TTL 0 as with TTL 1", () => {
  const forwarder = makeForwarder();
  const verdict = (ttl: number) => {
    const packet = new Uint8Array(15);
    const head = { dst: OTHER, cube: 0, ttl, ecn: 0, eidHi: 1, eidLo: 70 };
    encodePci(head, packet, 0, FLAT_LAYOUT);
    return forwarder.receive(packet, 0, 15, 1);
  };
  assertEquals([0, 1, 2].map(verdict), [Verdict.expired, Verdict.expired, Verdict.relay]);
});

Deno.test("reserved endpoint ids without a component take nothing", () => {
  const forwarder = makeForwarder();
  for (let eidLo = 2; eidLo < 64; eidLo++) {
    const packet = new Uint8Array(15);
    encodePci({ dst: SELF, cube: 0, ttl: 9, ecn: 0, eidHi: 0, eidLo }, packet, 0, FLAT_LAYOUT);
    assertEquals(forwarder.receive(packet, 0, 15, 1), Verdict.stray, `${eidLo}`);
  }
});

// Flow allocator.

Deno.test("W1: flow messages of every kind, cut at each byte, change nothing", () => {
  const [dstEid, srcEid] = [{ hi: 1, lo: 64 }, { hi: 2, lo: 65 }];
  const piece = {
    kind: "piece",
    id: 1,
    total: 5000,
    at: 0,
    proof: new Uint8Array(8),
    bytes: NONE,
  } as const;
  const messages: { readonly [K in fa.FaMsg["kind"]]: fa.FaMsg & { kind: K } } = {
    request: request(70) as fa.FaRequest,
    reply: { kind: "reply", dstEid, srcEid, response: 0, data: NONE },
    dealloc: { kind: "dealloc", dstEid, srcEid },
    update: { kind: "update", dstEid, ece: 7 },
    why: { kind: "why", dstEid, cause: "because" },
    piece: { kind: "piece", srcAddr: PEER, piece },
  };
  for (const m of Object.values(messages)) {
    const whole = flowMessage(m);
    for (let n = 0; n < whole.length; n++) {
      const node = makeNode();
      node.onComponent(30_000, 0, whole.slice(0, n));
      assertEquals(asks(drain(node)), [], `${m.kind} of ${n} bytes`);
      assertEquals(node.flows.size, 0);
    }
  }
});

Deno.test("each byte of a request may be anything: at most one question to the IRMd comes of it", () => {
  const whole = flowMessage(request(70));
  const node = makeNode();
  for (let i = 0; i < whole.length; i++) {
    for (const value of [0, 1, 0x7f, 0x80, 0xff]) {
      const b = whole.slice();
      b[i] = value;
      node.onComponent(30_000, 0, b);
      assert(asks(drain(node)).length <= 1, `byte ${i} = ${value}`);
    }
  }
});

Deno.test("W3: replies, updates and deallocs to EID 0, to reserved and to unknown ones change nothing", () => {
  const node = makeNode();
  node.alloc(30_000, 5, NAME, QOS.raw, NONE, 1);
  drain(node);
  const before = node.flows.size;
  for (const hi of [0, 1, 0xffffffff]) {
    for (const lo of [0, 1, 2, 63, 4095, 4096, 0xffffffff]) {
      const dstEid = { hi, lo };
      const srcEid = { hi: 5, lo: 70 };
      const reply = { kind: "reply", dstEid, srcEid, response: 0, data: NONE } as const;
      node.onFlowMessage(30_000, reply);
      node.onFlowMessage(30_000, { kind: "dealloc", dstEid, srcEid });
      node.onFlowMessage(30_000, { kind: "why", dstEid, cause: "so" });
      node.onFlowMessage(30_000, { kind: "update", dstEid, ece: 0xffff });
    }
  }
  const told = drain(node).filter((e) => e.kind !== "transfer");
  assertEquals(told, []);
  assertEquals(node.flows.size, before);
});

Deno.test("a request that is sent again, byte for byte, is asked once", () => {
  const node = makeNode();
  for (let i = 0; i < 50; i++) node.onComponent(30_000 + i, 0, flowMessage(request(70)));
  assertEquals(asks(drain(node)).length, 1);
});

Deno.test("whatever was said of a flow and is said again changes nothing, while it is open and when it is over", () => {
  const near = makeNode();
  const far = makeNode();
  const said: { readonly to: UnicastNode; readonly eid: number; readonly bytes: Uint8Array }[] = [];
  /** What a node does beside sending; what it sends reaches the other, and is kept. */
  const pass = (from: UnicastNode, to: UnicastNode, nowUs: number) =>
    drain(from).filter((e) => {
      if (e.kind !== "transfer") return true;
      // Both have the same address; each has the other for its neighbour.
      const m = fa.parse(e.bytes, 32);
      const asks = !isWireError(m) && m.kind === "request";
      const bytes = asks ? flowMessage({ ...m, srcAddr: PEER }) : e.bytes;
      said.push({ to, eid: e.eid, bytes });
      to.onComponent(nowUs, e.eid, bytes);
      return false;
    });
  const again = (nowUs: number) => {
    const [sizes, before] = [[near.flows.size, far.flows.size], [...said]];
    for (const { to, eid, bytes } of [...before, ...before.toReversed()]) {
      to.onComponent(nowUs, eid, bytes);
    }
    const done = [near, far].flatMap((node) => drain(node).filter((e) => e.kind !== "transfer"));
    assertEquals(done, []);
    assertEquals([near.flows.size, far.flows.size], sizes);
  };
  near.flows.request(30_000, 5, [PEER], NAME, QOS.raw, NONE);
  pass(near, far, 30_001);
  const ask = asks(drain(far))[0]!;
  assert(ask.kind === "ask_irmd");
  const flow = { flowId: 9, pid: 1, uid: 0 };
  far.asked(30_002, ask.ask, { result: 0, ...flow });
  far.allocResp(30_003, flow, { response: 0, data: NONE }, 1);
  far.owned(30_003, 9, 0);
  pass(far, near, 30_004);
  assertEquals(pass(near, far, 30_005).map((e) => e.kind), ["publish", "alloc_reply"]);
  again(30_006);
  near.flows.dealloc(5);
  pass(near, far, 30_007);
  assertEquals(drain(far).map((e) => e.kind), ["down"]);
  far.flows.dealloc(9);
  pass(far, near, 30_008);
  assertEquals([near.flows.size, far.flows.size], [0, 0]);
  again(30_009);
});

Deno.test("W9: a request for a name that is not here is refused at once", () => {
  const node = makeNode();
  node.onFlowMessage(30_000, { ...request(70), hash: new Uint8Array(32).fill(9) } as fa.FaMsg);
  const sent = drain(node).flatMap((e) => e.kind === "transfer" ? [fa.parse(e.bytes, 32)] : []);
  assertEquals(sent.length, 1);
  const reply = sent[0]!;
  assert(!isWireError(reply) && reply.kind === "reply" && reply.response < 0);
});

Deno.test("W6: names before there is a layer are refused, and nothing is touched", () => {
  // The prototype dies of it.
  const ipcp = new UnicastIpcp({ nowUs: () => 0, random: () => 1 } as unknown as IpcpContext);
  assertEquals([ipcp.register(NAME), ipcp.unregister(NAME)], [
    -Errno.EIPCPSTATE,
    -Errno.EIPCPSTATE,
  ]);
  assertEquals([ipcp.rib(), ipcp.countMembers()], [[], 1]);
});

Deno.test("W7: the data path knows a flow before the far end can send on it, at both ends", () => {
  const near = makeNode();
  const far = makeNode();
  /** What is published and sent to others, in order. */
  const order = (node: UnicastNode) =>
    drain(node).flatMap((e) => {
      if (e.kind === "publish") return [`publish ${e.flow.peer}`];
      const m = e.kind === "transfer" ? fa.parse(e.bytes, 32) : undefined;
      return m === undefined || isWireError(m) ? [] : [m.kind];
    });
  near.flows.request(30_000, 5, [PEER], NAME, QOS.raw, NONE);
  assertEquals(order(near).map((what) => what.split(" ")[0]), ["publish", "request"]);
  far.onFlowMessage(30_000, request(70));
  const ask = asks(drain(far))[0]!;
  assert(ask.kind === "ask_irmd");
  const flow = { flowId: 9, pid: 1, uid: 0 };
  far.asked(30_001, ask.ask, { result: 0, ...flow });
  far.allocResp(30_002, flow, { response: 0, data: NONE }, 1);
  far.owned(30_002, 9, 0);
  assertEquals(order(far), [`publish ${PEER}`, "reply"]);
});

// Link state.

const TIMES = { updateUs: 15e6, timeoutUs: 60e6 };

function makeRouting(): LinkStateRouting {
  const routing = new LinkStateRouting(SELF, "simple", TIMES, 0);
  routing.managementUp(0, PEER, MGMT);
  routing.transferUp(0, PEER, DT);
  routing.onPacket(0, MGMT, lsu(PEER, SELF, 1));
  routing.onTimer(20_000);
  drain(routing);
  return routing;
}

const sends = (effects: readonly RoutingEffect[]) => effects.filter((e) => e.kind === "send_mgmt");

Deno.test("W2: updates with address 0, of a link to itself, too short or too long go nowhere", () => {
  const routing = makeRouting();
  routing.managementUp(20_000, OTHER, 9);
  drain(routing);
  const held = routing.linksHeld;
  const bad = [lsu(OTHER, OTHER, 1), lsu(0, OTHER, 1), lsu(OTHER, 0, 1)];
  const whole = lsu(OTHER, PEER, 1);
  for (let n = 0; n < 24; n++) bad.push(whole.slice(0, n));
  bad.push(new Uint8Array(25), new Uint8Array(1500));
  for (const b of bad) routing.onPacket(20_000, MGMT, b);
  routing.onTimer(200_000);
  assertEquals(routing.linksHeld, held);
  assertEquals(sends(drain(routing)), []);
});

Deno.test("W2: nobody speaks for our links: a forged one is answered, not believed", () => {
  const routing = makeRouting();
  routing.onPacket(2e6, MGMT, lsu(SELF, PEER, 50, true));
  assert(routing.links().some((l) => l.src === SELF && l.dst === PEER && l.seqno > 50));
  routing.onPacket(4e6, MGMT, lsu(SELF, OTHER, 1));
  assert(!routing.links().some((l) => l.src === SELF && l.dst === OTHER), "a ghost link");
  assert(routing.reaches(PEER));
});

Deno.test("W10, W11: a link that goes leaves routes and neighbours at once, not by time-out", () => {
  const routing = makeRouting();
  routing.onPacket(1e6, MGMT, lsu(PEER, OTHER, 1));
  routing.onPacket(1e6, MGMT, lsu(OTHER, PEER, 1));
  routing.onTimer(1.02e6);
  assert(routing.reaches(OTHER));
  routing.onPacket(2e6, MGMT, lsu(PEER, OTHER, 2, true));
  routing.onTimer(2.02e6);
  assert(!routing.reaches(OTHER) && routing.reaches(PEER));
  routing.transferGone(3e6, PEER, DT);
  routing.onTimer(3.02e6);
  assertEquals(routing.members(), [SELF]);
});

Deno.test("W10: links that nobody renews time out, and routes with them", () => {
  const routing = makeRouting();
  for (let us = 1e6; us < 70e6; us += 1e6) {
    // The neighbour renews its link to us; what it told of others is not renewed.
    if (us === 1e6) routing.onPacket(us, MGMT, lsu(OTHER, PEER, 1));
    if (us === 1e6) routing.onPacket(us, MGMT, lsu(PEER, OTHER, 1));
    routing.onPacket(us, MGMT, lsu(PEER, SELF, us / 1e6 + 1));
    while (routing.deadlineUs() <= us) routing.onTimer(us);
    if (us === 30e6) assert(routing.reaches(OTHER));
  }
  assert(!routing.reaches(OTHER) && routing.reaches(PEER));
});

Deno.test("W12: a flood of updates is computed in batches and passed to every neighbour", () => {
  const routing = makeRouting();
  routing.managementUp(20_000, OTHER, 9);
  drain(routing);
  const effects: RoutingEffect[] = [];
  for (let i = 0; i < 500; i++) {
    const nowUs = 30_000 + i;
    routing.onPacket(nowUs, MGMT, lsu(0x1000 + i, 0x2000 + i, 1));
    if (routing.deadlineUs() <= nowUs) routing.onTimer(nowUs);
    effects.push(...drain(routing));
  }
  routing.onTimer(200_000);
  effects.push(...drain(routing));
  const computed = effects.filter((e) => e.kind === "routes").length;
  assert(computed <= 1, `${computed} computations`);
  const passed = sends(effects).filter((e) => e.kind === "send_mgmt" && e.fd === 9);
  assert(passed.length >= 500, `${passed.length} passed on`);
});

// Directory.

Deno.test("directory messages of every kind, cut at each byte or with any byte changed, break nothing", () => {
  const src = contact(1);
  const cookie = 5n;
  const messages: dht.DhtMsg[] = [
    { kind: "store", src, key: NAME, value: PEER, expires: 1e9 + 100 },
    { kind: "find_node_req", src, cookie, key: NAME },
    { kind: "find_value_req", src, cookie, key: NAME },
    { kind: "find_node_rsp", src, cookie, key: NAME, contacts: [contact(2), contact(3)] },
    { kind: "find_value_rsp", src, cookie, key: NAME, contacts: [contact(2)], values: [PEER] },
  ];
  const machine = makeDht();
  for (const m of messages) {
    const whole = dht.encode(m);
    for (let n = 0; n < whole.length; n++) machine.onMessage(1, whole.slice(0, n));
    for (let i = 0; i < whole.length; i++) {
      for (const value of [0, 0x7f, 0x80, 0xff]) {
        const b = whole.slice();
        b[i] = value;
        machine.onMessage(1, b);
      }
    }
    drain(machine);
  }
  assert(machine.counters.malformed > 100);
  assert(machine.values.size < 400);
});

Deno.test("an unknown code with a bad id (which kills a prototype), and contacts with address 0, teach nothing", () => {
  const machine = makeDht();
  // code 9, src { id: 3 bytes, addr 0x2222 }
  machine.onMessage(1, Uint8Array.of(8, 9, 18, 8, 10, 3, 1, 2, 3, 16, 0xa2, 0x44));
  assertEquals([machine.contacts.size, machine.counters.malformed], [0, 1]);
  assertEquals(drain(machine), []);
});

Deno.test("answers that nobody asked for, or from another than was asked, are not believed", () => {
  const machine = makeDht();
  machine.onMembers(0, [1001, 1002]);
  machine.onMessage(
    1,
    dht.encode({ kind: "find_node_req", src: contact(1), cookie: 1n, key: NAME }),
  );
  drain(machine);
  machine.query(2, NAME, 77);
  const cookies = drain(machine).flatMap((e) => {
    const m = e.kind === "send" ? dht.parse(e.bytes, 32) : undefined;
    return m !== undefined && !isWireError(m) && m.kind === "find_value_req" ? [m.cookie] : [];
  });
  assertEquals(cookies.length, 1);
  const cookie = cookies[0]!;
  const lie = { kind: "find_value_rsp", key: NAME, contacts: [], values: [1002] } as const;
  machine.onMessage(3, dht.encode({ ...lie, src: contact(2), cookie }));
  machine.onMessage(3, dht.encode({ ...lie, src: contact(1), cookie: cookie + 1n }));
  assertEquals(drain(machine).filter((e) => e.kind === "found"), []);
  machine.onMessage(4, dht.encode({ ...lie, src: contact(1), cookie }));
  assertEquals(drain(machine).filter((e) => e.kind === "found"), [
    { kind: "found", token: 77, addrs: [1002] },
  ]);
});

Deno.test("a flood of questions from one source is answered in part, others at once", () => {
  const machine = makeDht();
  const ask = (n: number) =>
    machine.onMessage(
      1e6,
      dht.encode({ kind: "find_value_req", src: contact(n), cookie: 3n, key: NAME }),
    );
  for (let i = 0; i < 5000; i++) ask(1);
  const answered = drain(machine).length;
  assert(answered <= 300, `${answered} answers`);
  ask(2);
  assert(drain(machine).some((e) => e.kind === "send" && e.dst === 1002));
});

Deno.test("members that never answer: a lookup ends, and asks the others meanwhile", () => {
  const machine = makeDht();
  for (let n = 1; n <= 12; n++) {
    machine.onMessage(
      0,
      dht.encode({ kind: "find_node_req", src: contact(n), cookie: 1n, key: NAME }),
    );
  }
  drain(machine);
  machine.query(0, NAME, 5);
  let found: readonly number[] | undefined;
  let atUs = 0;
  while (found === undefined && machine.deadlineUs() < 20e6) {
    atUs = machine.deadlineUs();
    machine.onTimer(atUs);
    for (const e of drain(machine)) if (e.kind === "found") found = e.addrs;
  }
  assertEquals(found, []);
  assert(atUs < 6e6, `${atUs} µs`);
  assertEquals(machine.searches, 0);
});

Deno.test("a member that says another id with every message is not sent everything each time", () => {
  const machine = makeDht();
  machine.onMembers(0, [1001]);
  for (let i = 0; i < 100; i++) {
    const store = {
      kind: "store",
      src: contact(1),
      key: key(i),
      value: PEER,
      expires: 2e9,
    } as const;
    machine.onMessage(1, dht.encode(store));
  }
  drain(machine);
  for (let i = 0; i < 1000; i++) {
    const src = { id: key(1000 + i), addr: 1001 };
    machine.onMessage(
      2 + i,
      dht.encode({ kind: "store", src, key: key(1), value: PEER, expires: 2e9 }),
    );
  }
  const sent = drain(machine).length;
  assert(sent <= 100, `${sent} messages for 1000`);
});

/** Floods, and members that come and go by the thousand (spec 60 §19): nothing piles up, and the log says it once. */

import { assert, assertEquals } from "@std/assert";
import { EID_DIRECTORY, EID_FLOW_ALLOCATOR } from "../../../../ipcp/unicast/eids.ts";
import type { LinkStateRouting } from "../../../../ipcp/unicast/link_state.ts";
import type { UnicastNode } from "../../../../ipcp/unicast/node.ts";
import * as dht from "../../../../lib/wire/dht_msg.ts";
import type * as fa from "../../../../lib/wire/fa_msg.ts";
import { defaultSettings } from "../../../../sim/layer.ts";
import { Prng } from "../../../../sim/prng.ts";
import { drain } from "../../../support/machines.ts";
import {
  asks,
  flowMessage,
  lsu,
  makeNode,
  MGMT,
  NAME,
  PEER,
  request,
  SELF,
} from "../../../support/unicast_parts.ts";

Deno.test("a flood of requests from forged addresses leaves a member its turn", () => {
  const node = makeNode();
  const random = new Prng(3);
  for (let i = 0; i < 20_000; i++) {
    node.onFlowMessage(30_000, request(100 + i, (random.u32() | 1) >>> 0));
  }
  const flood = asks(drain(node)).length;
  assert(flood <= 16, `${flood} forged requests hold the IRMd`);
  node.onFlowMessage(30_001, request(70));
  assertEquals(asks(drain(node)).length, 1, "the honest request waits behind the forged ones");
});

Deno.test("10 000 joins and leaves: what a member held of those who left does not pile up", () => {
  const node = makeNode();
  const routing = node.routing as LinkStateRouting;
  const { updateUs, timeoutUs } = defaultSettings();
  // So many leave before the first of them times out.
  const atOnce = 40;
  const stepUs = timeoutUs / atOnce;
  let nowUs = 30_000;
  let most = 0;
  for (let k = 0; k < 10_000; k++) {
    nowUs += stepUs;
    const [addr, mgmt, dt] = [0x40000000 + k, 100 + 2 * k % 4000, 101 + 2 * k % 4000];
    node.managementUp(nowUs, addr, mgmt);
    node.transferUp(nowUs, addr, dt);
    node.onManagement(nowUs, mgmt, lsu(addr, SELF, 1));
    node.onManagement(nowUs, mgmt, lsu(addr, PEER, 1));
    node.onTimer(nowUs + 10_000);
    drain(node);
    assert(node.members.includes(addr), `member ${k}`);
    // Some say farewell, some are cut off.
    if (k % 2 === 0) node.onManagement(nowUs, mgmt, lsu(addr, PEER, 2, true));
    node.transferGone(nowUs, addr, dt);
    node.managementDown(addr, mgmt);
    // The neighbour that stays goes on renewing its link.
    if (k % 10 === 0) node.onManagement(nowUs, MGMT, lsu(PEER, SELF, 2 + k));
    node.onTimer(nowUs + 20_000);
    drain(node);
    most = Math.max(most, routing.linksHeld);
  }
  // A link of a member that left without a word is held until it times out.
  assert(most <= 4 * atOnce, `${most} links`);
  nowUs += 3 * timeoutUs;
  for (let t = 0; t < 5; t++) {
    node.onManagement(nowUs, MGMT, lsu(PEER, SELF, 20_000 + t));
    node.onTimer(nowUs += updateUs);
    drain(node);
  }
  assertEquals(node.members, [PEER]);
  assert(routing.linksHeld <= 2, `${routing.linksHeld} links are left`);
  assertEquals(routing.neighbours().map(({ addr }) => addr), [PEER]);
  assert(routing.numbersHeld <= 1024, `${routing.numbersHeld} numbers of links`);
  // Who forges links of ours to others makes it remember no more than that either.
  for (let k = 0; k < 5000; k++) {
    node.onManagement(nowUs, MGMT, lsu(SELF, 0x50000000 + k, 5));
    drain(node);
  }
  assert(routing.numbersHeld <= 1024, `${routing.numbersHeld} numbers after forgery`);
});

Deno.test("a flood of any kind is at most one line of the log", () => {
  const random = new Prng(8);
  const bytes = (n: number) => Uint8Array.from({ length: n }, () => random.below(256));
  const address = () => (random.u32() | 1) >>> 0;
  const inAll = (eid: number, m: (i: number) => Uint8Array) => (node: UnicastNode, i: number) =>
    node.onComponent(30_000 + i, eid, m(i));
  const update = (m: (i: number) => Uint8Array) => (node: UnicastNode, i: number) =>
    node.onManagement(30_000 + i, MGMT, m(i));
  const eid = () => ({ hi: random.u32(), lo: 64 + random.below(8000) });
  const src = () => ({ id: bytes(32), addr: address() });
  const kinds: Record<string, (node: UnicastNode, i: number) => void> = {
    "links of others": update(() => lsu(address(), address(), 1)),
    "links of ours that are not there": update((i) => lsu(SELF, address(), i + 2)),
    "withdrawals of our links": update((i) => lsu(SELF, PEER, i + 2, true)),
    "updates of garbage": update((i) => bytes(i % 60)),
    "neighbours with our address": (node, i) => node.managementUp(30_000 + i, SELF, 100 + i % 900),
    "stores": inAll(
      EID_DIRECTORY,
      () =>
        dht.encode({ kind: "store", src: src(), key: bytes(32), value: address(), expires: 2e9 }),
    ),
    "questions": inAll(
      EID_DIRECTORY,
      () => dht.encode({ kind: "find_value_req", src: src(), cookie: 7n, key: NAME }),
    ),
    "directory messages of garbage": inAll(EID_DIRECTORY, (i) => bytes(i % 200)),
    "requests": inAll(EID_FLOW_ALLOCATOR, (i) => flowMessage(request(100 + i, address()))),
    "requests for other names": inAll(
      EID_FLOW_ALLOCATOR,
      (i) => flowMessage({ ...request(100 + i, PEER), hash: bytes(32) } as fa.FaMsg),
    ),
    "replies that nobody waits for": inAll(
      EID_FLOW_ALLOCATOR,
      () =>
        flowMessage({ kind: "reply", dstEid: eid(), srcEid: eid(), response: 0, data: bytes(0) }),
    ),
    "ends of flows that are not there": inAll(
      EID_FLOW_ALLOCATOR,
      () => flowMessage({ kind: "dealloc", dstEid: eid(), srcEid: eid() }),
    ),
    "flow messages of garbage": inAll(EID_FLOW_ALLOCATOR, (i) => bytes(i % 200)),
  };
  // What the shell writes a line for, beside what this host's processes asked for.
  const said = new Set(["conflict", "neighbour"]);
  for (const [kind, send] of Object.entries(kinds)) {
    const node = makeNode();
    let lines = 0;
    for (let i = 0; i < 10_000; i++) {
      send(node, i);
      if (i % 100 === 0) node.onTimer(30_000 + i);
      lines += drain(node).filter((e) => said.has(e.kind)).length;
    }
    assert(lines <= 1, `${kind}: ${lines} lines`);
    assertEquals(node.members.includes(PEER), true, kind);
  }
});

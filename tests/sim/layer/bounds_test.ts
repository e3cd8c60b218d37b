/** Floods that take seconds: what machines of a node hold stays bounded, and what was honest goes on. */

import { assert, assertEquals } from "@std/assert";
import { KEYS_MAX, VALUES_PER_KEY_MAX } from "../../../ipcp/unicast/dht/values.ts";
import {
  LINKS_MAX,
  LINKS_PER_SOURCE_MAX,
  LinkStateRouting,
} from "../../../ipcp/unicast/link_state.ts";
import * as dht from "../../../lib/wire/dht_msg.ts";
import { drain } from "../../support/machines.ts";
import {
  contact,
  DT,
  key,
  lsu,
  makeDht,
  MGMT,
  NAME,
  OTHER,
  PEER,
  SELF,
} from "../../support/unicast_parts.ts";

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

Deno.test("a flood of updates is bounded, in all and for each source; links that were known go on", () => {
  const routing = makeRouting();
  for (let i = 0; i < 2 * LINKS_PER_SOURCE_MAX; i++) {
    routing.onPacket(1e6, MGMT, lsu(OTHER, 100_000 + i, 1));
  }
  assert(routing.linksHeld <= LINKS_PER_SOURCE_MAX + 2);
  for (let i = 0; i < LINKS_MAX + 1000; i++) {
    routing.onPacket(1e6, MGMT, lsu(0x40000000 + i, 7, 1));
  }
  assertEquals(routing.linksHeld, LINKS_MAX);
  assert(drain(routing).length < 200_000);
  routing.onPacket(2e6, MGMT, lsu(PEER, SELF, 2));
  routing.onTimer(2.2e6);
  assert(routing.reaches(PEER));
  assert(routing.links().some((l) => l.src === PEER && l.dst === SELF && l.seqno === 2));
  // What the flood left ages out.
  for (let us = 3e6; us < 70e6; us += 1e6) {
    routing.onPacket(us, MGMT, lsu(PEER, SELF, us));
    while (routing.deadlineUs() <= us) routing.onTimer(us);
    drain(routing);
  }
  assertEquals(routing.links().length, 2);
});

Deno.test("10 000 joins and leaves of neighbours leave nothing behind but numbers that age out", () => {
  const routing = makeRouting();
  let nowUs = 1e6;
  for (let i = 0; i < 10_000; i++) {
    const addr = 0x50000000 + i;
    const fd = 10 + 2 * i;
    routing.managementUp(nowUs, addr, fd);
    routing.transferUp(nowUs, addr, fd + 1);
    routing.onPacket(nowUs, fd, lsu(addr, SELF, 0));
    nowUs += 20_000;
    routing.onPacket(nowUs, MGMT, lsu(PEER, SELF, i + 2));
    while (routing.deadlineUs() <= nowUs) routing.onTimer(nowUs);
    routing.transferGone(nowUs, addr, fd + 1);
    routing.managementDown(addr, fd);
    routing.onPacket(nowUs, MGMT, lsu(addr, SELF, 1, true));
    drain(routing);
  }
  assert(routing.linksHeld <= 2 * 4000, `${routing.linksHeld} links`);
  assertEquals(routing.neighbours().map((n) => n.addr), [PEER]);
  for (let at = nowUs; at < nowUs + 70e6; at += 1e6) {
    routing.onPacket(at, MGMT, lsu(PEER, SELF, at));
    while (routing.deadlineUs() <= at) routing.onTimer(at);
    drain(routing);
  }
  assertEquals(routing.linksHeld, 2);
});

Deno.test("a flood of stores is bounded by key and in all; names go on being stored and found", () => {
  const machine = makeDht();
  machine.register(0, NAME);
  const store = (k: Uint8Array, value: number, expires = 1e9 + 1000) => {
    machine.onMessage(1e6, dht.encode({ kind: "store", src: contact(1), key: k, value, expires }));
  };
  for (let i = 0; i < 500; i++) store(NAME.map((b) => b ^ 3), 2000 + i);
  assert(machine.values.get(NAME.map((b) => b ^ 3)).length <= VALUES_PER_KEY_MAX);
  for (let i = 0; i < 2 * KEYS_MAX + 5000; i++) store(key(i), PEER, 0xffffffff);
  assert(machine.values.size <= 2 * KEYS_MAX);
  drain(machine);
  machine.query(2e6, key(3), 1);
  assertEquals(drain(machine).filter((e) => e.kind === "found"), [
    { kind: "found", token: 1, addrs: [PEER] },
  ]);
  // An expiry in 2106 is the layer's longest.
  machine.onTimer(1e6 + 86_401e6);
  drain(machine);
  assertEquals(machine.values.size, 0);
});

/** A member floods its layer: honest members still open flows within 2 s, whatever it floods with. */

import { assert, assertEquals } from "@std/assert";
import { EID_DIRECTORY, EID_FLOW_ALLOCATOR } from "../../../ipcp/unicast/eids.ts";
import { QOS } from "../../../lib/qos.ts";
import { encode as encodeDht } from "../../../lib/wire/dht_msg.ts";
import { encode as encodePci, FLAT_LAYOUT } from "../../../lib/wire/dt_pci.ts";
import { encode as encodeFa } from "../../../lib/wire/fa_msg.ts";
import * as linkState from "../../../lib/wire/link_state.ts";
import { isWireError } from "../../../lib/wire/mod.ts";
import { LayerSim } from "../../../sim/layer.ts";
import { ring } from "../../../sim/topology.ts";
import { nameHash, Traffic } from "../../../sim/traffic.ts";

/** A ring whose node 3 serves name 3, and node 1 is hostile; the IRMd of node 3 takes 5 ms for a request. */
function world() {
  const layer = LayerSim.of(ring(6), { seed: 21 });
  const traffic = new Traffic(layer);
  traffic.serve(3, 3);
  layer.nodes[3]!.acceptUs = 5000;
  layer.runFor(3e6);
  return { layer, traffic };
}

/** The longest that calls of honest nodes took while `flood` runs each millisecond, µs. */
function slowest(flood: (layer: LayerSim) => void): number {
  const { layer, traffic } = world();
  const untilUs = layer.queue.nowUs + 4e6;
  const go = () => {
    flood(layer);
    if (layer.queue.nowUs < untilUs) layer.queue.at(layer.queue.nowUs + 1000, go);
  };
  go();
  layer.runFor(1e6);
  const calls = [0, 2, 4, 5].map((from) => traffic.call(from, 3));
  layer.runFor(3e6);
  assertEquals(traffic.violations, []);
  for (const call of calls) assertEquals(call.state, "open", `${call.result}`);
  return Math.max(...calls.map((c) => c.openUs - c.askedUs));
}

/** Node 1 sends a message to a component of node `to`, on its link to node 2. */
function send(layer: LayerSim, to: number, eidLo: number, message: Uint8Array): void {
  const packet = new Uint8Array(FLAT_LAYOUT.headerBytes + message.length);
  packet.set(message, FLAT_LAYOUT.headerBytes);
  const dst = layer.nodes[to]!.addr;
  encodePci({ dst, cube: 0, ttl: 60, ecn: 0, eidHi: 0, eidLo }, packet, 0, FLAT_LAYOUT);
  const { atA, atB, a } = layer.connection(1, 2)!;
  layer.nodes[1]!.inject(a === 1 ? atA.dt : atB.dt, packet);
}

/** 10 requests of node 1 to the name, from addresses that do not exist or in its own name. */
function requests(layer: LayerSim, forged: boolean): void {
  const { random } = layer;
  for (let i = 0; i < 10; i++) {
    const message = encodeFa({
      kind: "request",
      srcAddr: forged ? (random.u32() | 1) >>> 0 : layer.nodes[1]!.addr,
      srcEid: { hi: random.u32(), lo: 64 + random.below(4000) },
      qos: QOS.raw,
      hash: nameHash(3),
      data: new Uint8Array(8),
    });
    if (isWireError(message)) throw new Error(String(message));
    send(layer, 3, EID_FLOW_ALLOCATOR, message);
  }
}

/** 10 stores of names that nobody asks for and 10 questions, in the names of members and of nobody. */
function directoryMessages(layer: LayerSim): void {
  const { random } = layer;
  const bytes = () => Uint8Array.from({ length: 32 }, () => random.below(256));
  for (let i = 0; i < 20; i++) {
    const src = {
      id: bytes(),
      addr: random.chance(0.5) ? layer.nodes[1]!.addr : (random.u32() | 1) >>> 0,
    };
    const message = i % 2 === 0
      ? { kind: "store", src, key: bytes(), value: src.addr, expires: 0xffffffff } as const
      : { kind: "find_value_req", src, cookie: 7n, key: nameHash(3) } as const;
    send(layer, random.below(layer.nodes.length), EID_DIRECTORY, encodeDht(message));
  }
}

/** 10 updates of links of members and of nobody, on its Management flow to node 2. */
function updates(layer: LayerSim): void {
  const { random } = layer;
  const { atA, atB, a } = layer.connection(1, 2)!;
  const stranger = () => (random.u32() | 1) >>> 0;
  for (let i = 0; i < 10; i++) {
    const bytes = new Uint8Array(linkState.LENGTH);
    const src = random.chance(0.5) ? random.pick(layer.nodes).addr : stranger();
    const seqno = layer.queue.nowUs + i;
    linkState.encode({ src, dst: stranger(), seqno, withdrawn: random.chance(0.1) }, bytes);
    layer.nodes[1]!.inject((a === 1 ? atA : atB).mgmt, bytes);
  }
}

Deno.test("10 000 flow requests a second from forged addresses: an honest flow is open within 2 s", () => {
  const us = slowest((layer) => requests(layer, true));
  assert(us < 2e6, `${us} µs`);
});

Deno.test("10 000 flow requests a second of one member: an honest flow is open within 2 s", () => {
  const us = slowest((layer) => requests(layer, false));
  assert(us < 2e6, `${us} µs`);
});

Deno.test("20 000 stores and questions a second at the directory: an honest flow is open within 2 s", () => {
  const us = slowest(directoryMessages);
  assert(us < 2e6, `${us} µs`);
});

Deno.test("10 000 updates of links a second: an honest flow is open within 2 s", () => {
  const us = slowest(updates);
  assert(us < 2e6, `${us} µs`);
});

/** What a hostile member of a layer may send: packets made up, forged in another's name, cut, far too long. Pure. */

import { EID_DIRECTORY, EID_FLOW_ALLOCATOR } from "../ipcp/unicast/eids.ts";
import { encode as encodePci, FLAT_LAYOUT } from "../lib/wire/dt_pci.ts";
import { encode as encodeDht } from "../lib/wire/dht_msg.ts";
import { encode as encodeFa } from "../lib/wire/fa_msg.ts";
import { encode as encodeLsu } from "../lib/wire/link_state.ts";
import { isWireError } from "../lib/wire/mod.ts";
import { QOS } from "../lib/qos.ts";
import type { LayerSim } from "./layer.ts";
import type { SimNode } from "./node.ts";

function bytes(layer: LayerSim, n: number): Uint8Array {
  return Uint8Array.from({ length: n }, () => layer.random.below(256));
}

function someAddress(layer: LayerSim): number {
  const { random } = layer;
  if (random.chance(0.1)) return random.pick([0, 1, 0xffffffff, random.u32()]);
  return random.pick(layer.nodes).addr;
}

/** A link-state update that is not true, or no update at all. */
function forgedUpdate(layer: LayerSim): Uint8Array {
  const { random } = layer;
  if (random.chance(0.2)) return bytes(layer, random.pick([0, 1, 23, 24, 25, 1500]));
  const seqno = random.pick([0, 1, random.below(1000), random.u32(), 2 ** 53 - 1]);
  const into = new Uint8Array(24);
  const [src, dst] = [someAddress(layer), someAddress(layer)];
  encodeLsu({ src, dst, seqno, withdrawn: random.chance(0.3) }, into);
  return into;
}

/** A message for the flow allocator that nobody should believe. */
function forgedFlowMessage(layer: LayerSim, hash: Uint8Array): Uint8Array {
  const { random } = layer;
  const eid = () => ({
    hi: random.pick([0, random.u32()]),
    lo: random.pick([0, 1, 64 + random.below(64), random.u32()]),
  });
  const data = bytes(layer, random.pick([0, 4, 1400]));
  const made = encodeFa(random.pick([
    { kind: "request", srcAddr: someAddress(layer), srcEid: eid(), qos: QOS.raw, hash, data },
    {
      kind: "reply",
      dstEid: eid(),
      srcEid: eid(),
      response: random.pick([0, -1]),
      data,
      cause: "",
    },
    { kind: "update", dstEid: eid(), ece: random.below(65536) },
    { kind: "dealloc", dstEid: eid(), srcEid: eid() },
  ]));
  return isWireError(made) ? bytes(layer, 61) : made;
}

/** A message for the directory that nobody should believe. */
function forgedDirectoryMessage(layer: LayerSim, hash: Uint8Array): Uint8Array {
  const { random } = layer;
  const id = bytes(layer, layer.settings.hashBytes);
  const src = { id, addr: someAddress(layer) };
  const key = random.chance(0.5) ? hash : bytes(layer, layer.settings.hashBytes);
  const cookie = BigInt(random.u32());
  const contacts = Array.from({ length: random.below(12) }, () => {
    return { id: bytes(layer, layer.settings.hashBytes), addr: someAddress(layer) };
  });
  const values = Array.from({ length: random.below(12) }, () => someAddress(layer));
  const expires = random.pick([0, 1e9, 1e9 + random.below(1000), 0xffffffff]);
  return encodeDht(random.pick([
    { kind: "store", src, key, value: someAddress(layer), expires },
    { kind: "find_node_req", src, cookie, key },
    { kind: "find_value_req", src, cookie, key },
    { kind: "find_node_rsp", src, cookie, key, contacts },
    { kind: "find_value_rsp", src, cookie, key, contacts, values },
  ]));
}

/** A packet of a Data Transfer flow. `hash` is a name that exists. */
export function forgedPacket(layer: LayerSim, hash: Uint8Array): Uint8Array {
  const { random } = layer;
  if (random.chance(0.1)) return bytes(layer, random.below(20));
  const eid = random.pick([EID_FLOW_ALLOCATOR, EID_DIRECTORY, 2, 63, 64 + random.below(20)]);
  const cut = (b: Uint8Array) => random.chance(0.2) ? b.slice(0, random.below(b.length + 1)) : b;
  const turned = (b: Uint8Array) => {
    if (b.length > 0 && random.chance(0.3)) b[random.below(b.length)] = random.below(256);
    return b;
  };
  const payload = eid === EID_FLOW_ALLOCATOR
    ? turned(cut(forgedFlowMessage(layer, hash)))
    : eid === EID_DIRECTORY
    ? turned(cut(forgedDirectoryMessage(layer, hash)))
    : bytes(layer, random.below(60));
  const packet = new Uint8Array(FLAT_LAYOUT.headerBytes + payload.length);
  packet.set(payload, FLAT_LAYOUT.headerBytes);
  encodePci(
    {
      dst: someAddress(layer),
      cube: random.below(256),
      ttl: random.pick([0, 1, 2, 60, 255]),
      ecn: random.below(256),
      eidHi: eid < 64 ? 0 : random.pick([0, random.u32()]),
      eidLo: eid,
    },
    packet,
    0,
    FLAT_LAYOUT,
  );
  return packet;
}

/** A node sends `n` hostile packets on its lower flows, of which the Management flow comes before the Data Transfer one. */
export function attack(layer: LayerSim, node: SimNode, hash: Uint8Array, n: number): void {
  const flows = node.lowerFlows();
  for (let i = 0; i < n && flows.length > 0; i++) {
    const fd = layer.random.pick(flows);
    // Either kind on either flow: whoever is hostile does not care.
    node.inject(fd, layer.random.chance(0.5) ? forgedUpdate(layer) : forgedPacket(layer, hash));
  }
}

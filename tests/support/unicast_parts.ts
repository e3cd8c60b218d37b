/** One unicast node, its routing and directory, and what others say to them, for tests of floods and hostile members. */

import { assertEquals } from "@std/assert";
import { Dht } from "../../ipcp/unicast/dht/dht.ts";
import { type NodeEffect, UnicastNode } from "../../ipcp/unicast/node.ts";
import { QOS } from "../../lib/qos.ts";
import type { DhtContact } from "../../lib/wire/dht_msg.ts";
import * as fa from "../../lib/wire/fa_msg.ts";
import { encode as encodeLsu } from "../../lib/wire/link_state.ts";
import { isWireError } from "../../lib/wire/mod.ts";
import { defaultSettings } from "../../sim/layer.ts";
import { Prng } from "../../sim/prng.ts";
import { drain } from "./machines.ts";

/** Addresses: the node's own, its neighbour's, somebody else's. */
export const SELF = 0x11111111;
export const PEER = 0x22222222;
export const OTHER = 0x33333333;
/** Flows to the neighbour: Management and Data Transfer. */
export const MGMT = 3;
export const DT = 4;
export const NAME = new Uint8Array(32).fill(1);

/** A link-state update. */
export function lsu(src: number, dst: number, seqno: number, withdrawn = false): Uint8Array {
  const b = new Uint8Array(24);
  encodeLsu({ src, dst, seqno, withdrawn }, b);
  return b;
}

export function makeDht(): Dht {
  const random = new Prng(8);
  const self = { id: new Uint8Array(32).fill(7), addr: SELF };
  return new Dht(0, self, defaultSettings().dht, 1e9, () => random.u32());
}

/** A node of the directory. */
export const contact = (n: number): DhtContact => ({
  id: new Uint8Array(32).fill(n),
  addr: 1000 + n,
});

/** Keys that are spread over the directory. */
export function key(n: number): Uint8Array {
  const k = new Uint8Array(32);
  new DataView(k.buffer).setUint32(0, Math.imul(n + 1, 0x9e3779b1));
  new DataView(k.buffer).setUint32(8, n);
  return k;
}

/** A node with one neighbour, whom it reaches, and a name. */
export function makeNode(): UnicastNode {
  const random = new Prng(5);
  const settings = defaultSettings();
  const u32 = () => random.u32();
  const id = new Uint8Array(32).fill(7);
  const directory = new Dht(0, { id, addr: SELF }, settings.dht, 1e9, u32);
  const node = new UnicastNode(0, { settings, self: SELF, directory, random: u32 });
  node.managementUp(0, PEER, MGMT);
  node.transferUp(0, PEER, DT);
  node.onManagement(0, MGMT, lsu(PEER, SELF, 1));
  node.register(0, NAME);
  node.onTimer(20_000);
  drain(node);
  assertEquals(node.members, [PEER]);
  return node;
}

/** The bytes of a message of the flow allocator. */
export function flowMessage(m: fa.FaMsg): Uint8Array {
  const b = fa.encode(m);
  if (isWireError(b)) throw new Error(String(b));
  return b;
}

/** A request for a flow to the node's name. */
export const request = (lo: number, srcAddr = PEER): fa.FaMsg => {
  return {
    kind: "request",
    srcAddr,
    srcEid: { hi: 9, lo },
    qos: QOS.raw,
    hash: NAME,
    data: new Uint8Array(0),
  };
};

/** What the node asks its IRMd. */
export const asks = (effects: readonly NodeEffect[]) =>
  effects.filter((e) => e.kind === "ask_irmd");

/** Routing and directory of one unicast node, and what others say to them, for tests of floods and hostile members. */

import { Dht } from "../../ipcp/unicast/dht/dht.ts";
import type { DhtContact } from "../../lib/wire/dht_msg.ts";
import { encode as encodeLsu } from "../../lib/wire/link_state.ts";
import { defaultSettings } from "../../sim/layer.ts";
import { Prng } from "../../sim/prng.ts";

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

/**
 * Forwarding as an interface: which of the next hops that routing found a packet takes. Pure.
 *
 * The data path asks for every packet that has more than one usable hop, so a policy allocates nothing.
 */

import type { DtPci } from "../../lib/wire/dt_pci.ts";

/** A way to choose. */
export interface Forwarding {
  /**
   * The number of the hop to take, 0 to `n` - 1. `hops` are Data Transfer flows that are up, best first, `n` of them and
   * at least 2; the packet did not come from one of them. The header is only to be read.
   */
  choose(hops: Int32Array, n: number, packet: Readonly<DtPci>): number;
}

/** The best one (simple, LFA). */
export const BEST_HOP: Forwarding = { choose: () => 0 };

/** All of them, packets of a flow in one direction always the same (ECMP). */
export const HOP_BY_FLOW: Forwarding = { choose: (_hops, n, packet) => flowHash(packet) % n };

function flowHash({ dst, eidHi, eidLo }: Readonly<DtPci>): number {
  let h = Math.imul(dst ^ eidHi ^ Math.imul(eidLo, 0x9e3779b1), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/**
 * What a type of shim is made of, and what the shim machine asks of its shell. Pure.
 */

import type { ShimMgmtCodec } from "../../lib/wire/shim_mgmt.ts";
import type { FlowEffect } from "../machine.ts";
import type { EidRange } from "./eids.ts";
import type { Addr } from "./name_cache.ts";

/** What a type of shim is made of. */
export interface ShimConfig {
  readonly codec: ShimMgmtCodec;
  readonly eids: EidRange;
  /** Bytes of a name hash in this layer. */
  readonly hashBytes: number;
  /** Where in an address that of its network is, by which shares are counted: who can forge one address can its neighbours. */
  readonly network: readonly [from: number, to: number];
  /** Largest management message that fits the lower layer. */
  readonly mgmtBytesMax: number;
  /** How names are found: by asking on the wire, or by a resolver of the shell. */
  readonly names: "ask" | "resolve";
}

/** What the data path needs of a flow. */
export interface OpenFlow {
  readonly flowId: number;
  readonly localEid: number;
  readonly remoteEid: number;
  readonly peer: Addr;
}

/** The far end of a flow. */
export interface ShimPeer {
  readonly addr: Addr;
  /** Its endpoint id. */
  readonly eid: number;
}

/** Who asked for a flow. */
export interface ShimAsker extends ShimPeer {
  /**
   * Bytes that it may be sent for its request, whether or not it receives at that address; Infinity when it has shown
   * that.
   */
  readonly freeBytes: number;
}

/** What only this machine asks for. */
export type ShimOnly =
  /** A management message; `to` undefined means every station (broadcast). */
  | { readonly kind: "send"; readonly to: Addr | undefined; readonly bytes: Uint8Array }
  /** Answered with {@linkcode ShimMachine.resolved}. */
  | { readonly kind: "resolve"; readonly hash: Uint8Array }
  /** Why nothing can be reached from now on; undefined if something can. */
  | { readonly kind: "reach"; readonly cutOff: string | undefined }
  /** Answered with {@linkcode ShimMachine.traffic}. */
  | { readonly kind: "traffic"; readonly flowId: number }
  /** Packets may flow, both ways; in a requested flow (remote id unknown yet) only from the peer. */
  | { readonly kind: "open"; readonly flow: OpenFlow };

export type ShimEffect = FlowEffect<ShimPeer> | ShimOnly;

/** Counters of what was dropped and why; each is seen in the log at the end. */
export interface ShimCounters {
  malformed: number;
  unregistered: number;
  replayed: number;
  flooded: number;
  forged: number;
  unasked: number;
  /** Accepted flows that ended because who asked never showed that it receives. */
  unheard: number;
}

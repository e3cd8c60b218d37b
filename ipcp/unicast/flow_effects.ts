/** What the flow allocator of a unicast node asks for, and what it says of flows. Pure. */

import type { Eid } from "../../lib/wire/fa_msg.ts";
import type { AskIrmd } from "../arrivals.ts";
import type { Answer, OwnPool, Verdict } from "../machine.ts";

/** The far end of a flow. */
export interface FlowPeer {
  readonly addr: number;
  readonly eid: Eid;
}

/** Who asks for a flow, and the cube that serves it. */
export interface Requester extends FlowPeer {
  readonly cube: number;
}

/** What the data path needs of a flow; `remoteEid` is all ones while the answer is awaited. */
export interface PublishedFlow {
  readonly flowId: number;
  readonly localEid: Eid;
  readonly remoteEid: Eid;
  readonly peer: number;
  /** QoS cube of its packets. */
  readonly cube: number;
}

/** What the flow allocator asks for. */
export type FlowEffect =
  /** A message to the flow allocator of another node (EID 0). */
  | { readonly kind: "send"; readonly dst: number; readonly bytes: Uint8Array }
  | AskIrmd<Requester>
  /** FLOW_ALLOC_REPLY to the IRMd. */
  | (Verdict & { readonly kind: "alloc_reply"; readonly flowId: number })
  | Answer
  | OwnPool
  /** Packets may flow; published again when the other end is known. */
  | { readonly kind: "publish"; readonly flow: PublishedFlow }
  /** The flow came to nothing: let go of what is held for it. */
  | { readonly kind: "release"; readonly flowId: number }
  /** The other end has closed the flow. */
  | { readonly kind: "down"; readonly flowId: number }
  /** An address does not answer flow requests for a name. */
  | { readonly kind: "unanswered"; readonly hash: Uint8Array; readonly addr: number }
  /** An address says that it does not have a name. */
  | { readonly kind: "denied"; readonly hash: Uint8Array; readonly addr: number }
  /** No address of a name has it: look for others; answered with {@linkcode FlowAllocator.found}. */
  | { readonly kind: "look_again"; readonly flowId: number; readonly hash: Uint8Array };

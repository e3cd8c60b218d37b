/**
 * What the management messages of the shim IPCPs (UDP and Ethernet) say, whatever their layout.
 * Pure.
 *
 * The layouts differ in order and widths, and UDP swaps the two endpoint ids of a reply with respect
 * to Ethernet (spec 50 §17.1). Here each id is named after the side it belongs to, so the swap stays
 * inside the codecs: `udp_mgmt.ts` and `eth_mgmt.ts`.
 */

import type { QosSpec } from "../qos.ts";
import type { PieceMsg } from "./mgmt_piece.ts";
import type { WireError } from "./mod.ts";

/** A request to allocate a flow to a name. */
export interface FlowReq {
  readonly kind: "flow_req";
  /** Endpoint id that the requester reads from. */
  readonly requesterEid: number;
  readonly qos: QosSpec;
  /** Hash of the name, as long as the layer's directory hash. */
  readonly hash: Uint8Array;
  /** OAP request, opaque here. */
  readonly data: Uint8Array;
}

/** The answer to a request; `response` is 0 or a negative error number. */
export interface FlowReply {
  readonly kind: "flow_reply";
  readonly requesterEid: number;
  /** Endpoint id that the responder reads from; meaningless if `response` is negative. */
  readonly responderEid: number;
  readonly response: number;
  /** OAP response, opaque here. */
  readonly data: Uint8Array;
}

/** "Who has this name?", Ethernet only. */
export interface NameQuery {
  readonly kind: "name_query";
  readonly hash: Uint8Array;
}

/** "I have this name", Ethernet only. */
export interface NameReply {
  readonly kind: "name_reply";
  readonly hash: Uint8Array;
}

/**
 * "This flow is gone at my end." Ours: the prototype has no such message, logs an unknown code and goes on, and waits for
 * its keepalive.
 */
export interface FlowEndMsg {
  readonly kind: "flow_end";
  /** Endpoint ids that sender and receiver of this message read from; the sender's is 0 if it has no such name. */
  readonly senderEid: number;
  readonly receiverEid: number;
}

/** Code of {@linkcode FlowEndMsg}, in every layout. */
export const CODE_FLOW_END = 42;
/**
 * A refusal with its reason, sent before the {@linkcode FlowReply} that refuses. Ours: a prototype logs an unknown code and
 * goes on; a reason in the reply itself would end its IRMd.
 */
export interface FlowWhy {
  readonly kind: "flow_why";
  readonly requesterEid: number;
  /** Negative error number. */
  readonly response: number;
  /** See `refusal.ts`. */
  readonly data: Uint8Array;
}

/**
 * "Who asked for this flow is there", of a process that has not written to it yet. Ours: a prototype logs an unknown code
 * and goes on.
 */
export interface FlowHereMsg {
  readonly kind: "flow_here";
  /** Endpoint ids that sender and receiver of this message read from. */
  readonly senderEid: number;
  readonly receiverEid: number;
}

/** Code of {@linkcode FlowHereMsg}, in every layout. */
export const CODE_FLOW_HERE = 45;
/** Code of {@linkcode FlowWhy}, in every layout. */
export const CODE_FLOW_WHY = 44;
/** Code of pieces of longer messages (`mgmt_piece.ts`), in every layout. */
export const CODE_PIECE = 43;

/** Any management message. */
export type ShimMgmt =
  | FlowReq
  | FlowReply
  | FlowWhy
  | FlowEndMsg
  | FlowHereMsg
  | NameQuery
  | NameReply
  | PieceMsg;

/** One layout of the management messages. */
export interface ShimMgmtCodec {
  /** For messages to people: `udp`, `eth-dix`, `eth-llc`. */
  readonly name: string;
  /** Bytes before hash and data. */
  readonly headerBytes: number;
  /** Largest endpoint id that the layout and its peers carry. */
  readonly eidMax: number;
  /**
   * What a C responder writes as the requester's id when it answers before it has stored that
   * (spec 50 §18 R1); no requester uses this id.
   */
  readonly lostEid: number;
  /**
   * Parse a whole message; hash and data are copies. `hashBytes` is the directory hash's length, `bytesMax` that of a
   * message that came in pieces.
   */
  parse(b: Uint8Array, hashBytes: number, bytesMax?: number): ShimMgmt | WireError;
  /** Bytes that {@linkcode encode} writes. */
  encodedLength(m: ShimMgmt): number;
  /** Write at `at`; the number of bytes, or an error with nothing written. `bytesMax` as for {@linkcode parse}. */
  encode(m: ShimMgmt, into: Uint8Array, at: number, bytesMax?: number): number | WireError;
}

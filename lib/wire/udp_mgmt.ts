// deno-lint-ignore-file camelcase -- these are the prototype's words
/**
 * Datagrams of the UDP IPCPs: the endpoint id in front of each, and the management datagram. Pure.
 *
 * Source: spec 50 §13. Big-endian, packed. Every datagram starts with `eid` u32; 0 is management,
 * else the rest is the payload for the flow that reads from that endpoint. Management, 47 bytes and
 * then hash and data:
 *
 * | off | size | field         | off | size | field          |
 * |-----|------|---------------|-----|------|----------------|
 * | 0   | 4    | eid = 0       | 32  | 4    | QoS ber        |
 * | 4   | 4    | s_eid         | 36  | 4    | QoS max_gap    |
 * | 8   | 4    | d_eid         | 40  | 4    | QoS timeout    |
 * | 12  | 4    | response, i32 | 44  | 1    | code           |
 * | 16  | 8    | QoS bandwidth | 45  | 1    | availability   |
 * | 24  | 4    | QoS delay     | 46  | 1    | in_order       |
 * | 28  | 4    | QoS loss      | 47  | n    | see below      |
 *
 * Request (code 1): s_eid is the requester's, then the 16-byte hash, then OAP. Reply (code 2): s_eid
 * is again the **requester's**, d_eid the responder's, no hash. End (code 42, ours): s_eid is the sender's, d_eid the
 * receiver's, nothing follows. Here (code 45, ours): as an end. Piece (code 43, ours): `mgmt_piece.ts` follows.
 * Refusal (code 44, ours): as a reply, `refusal.ts` follows. Fields that a kind does not use are
 * written as zero and ignored on receipt. At most 2048 bytes: longer ones overflow a C peer's heap.
 */

import * as piece from "./mgmt_piece.ts";
import { WireError } from "./mod.ts";
import { QOS_ZERO } from "../qos.ts";
import {
  CODE_FLOW_END,
  CODE_FLOW_HERE,
  CODE_FLOW_WHY,
  CODE_PIECE,
  type FlowEndMsg,
  type FlowHereMsg,
  type FlowReply,
  type FlowReq,
  type FlowWhy,
  type ShimMgmt,
} from "./shim_mgmt.ts";
import type { ShimMgmtCodec } from "./shim_mgmt.ts";

/** Bytes of the endpoint id in front of every datagram. */
export const EID_BYTES = 4;
/** Endpoint id of management. */
export const MGMT_EID = 0;
/** Bytes of a management datagram before hash and data. */
export const LENGTH = 47;
/** Bytes of the name hash (MD5). */
export const HASH_BYTES = 16;
/** Largest management datagram. */
export const MGMT_BYTES_MAX = 2048;
/** Largest payload that a C peer receives whole over IPv4 and IPv6. */
export const PAYLOAD_BYTES_MAX_V4 = 8976;
export const PAYLOAD_BYTES_MAX_V6 = 8948;

const CODE_FLOW_REQ = 1;
const CODE_FLOW_REPLY = 2;

const AT = {
  eid: 0,
  sEid: 4,
  dEid: 8,
  response: 12,
  bandwidth: 16,
  delay: 24,
  loss: 28,
  ber: 32,
  maxGap: 36,
  timeout: 40,
  code: 44,
  availability: 45,
  inOrder: 46,
} as const;

/** The endpoint id of a datagram, or -1 if it is too short to have one. */
export function parseEid(b: Uint8Array, at: number, end: number): number {
  if (end - at < EID_BYTES) return -1;
  return ((b[at]! << 24) | (b[at + 1]! << 16) | (b[at + 2]! << 8) | b[at + 3]!) >>> 0;
}

/** Write the endpoint id; the caller has room for 4 bytes. */
export function encodeEid(eid: number, into: Uint8Array, at: number): void {
  into[at] = eid >>> 24;
  into[at + 1] = eid >>> 16;
  into[at + 2] = eid >>> 8;
  into[at + 3] = eid;
}

/** Parse a management datagram, endpoint id included. */
export function parse(
  b: Uint8Array,
  hashBytes = HASH_BYTES,
  bytesMax = MGMT_BYTES_MAX,
): FlowReq | FlowReply | FlowWhy | FlowEndMsg | FlowHereMsg | piece.PieceMsg | WireError {
  if (b.length < LENGTH) return new WireError("length", `short: ${b.length} of ${LENGTH} bytes`);
  if (b.length > bytesMax) return new WireError("length", `long: ${b.length} bytes`);
  const v = new DataView(b.buffer, b.byteOffset, b.length);
  if (v.getUint32(AT.eid) !== MGMT_EID) return new WireError("eid", "not management");
  const code = v.getUint8(AT.code);
  if (code === CODE_FLOW_REPLY) {
    return {
      kind: "flow_reply",
      requesterEid: v.getUint32(AT.sEid),
      responderEid: v.getUint32(AT.dEid),
      response: v.getInt32(AT.response),
      data: b.slice(LENGTH),
    };
  }
  if (code === CODE_FLOW_WHY) {
    return {
      kind: "flow_why",
      requesterEid: v.getUint32(AT.sEid),
      response: v.getInt32(AT.response),
      data: b.slice(LENGTH),
    };
  }
  if (code === CODE_FLOW_END || code === CODE_FLOW_HERE) {
    return {
      kind: code === CODE_FLOW_END ? "flow_end" : "flow_here",
      senderEid: v.getUint32(AT.sEid),
      receiverEid: v.getUint32(AT.dEid),
    };
  }
  if (code === CODE_PIECE) return piece.parse(b, LENGTH);
  if (code !== CODE_FLOW_REQ) return new WireError("code", `unknown: ${code}`);
  if (b.length < LENGTH + hashBytes) {
    return new WireError("hash", `short: ${b.length - LENGTH} of ${hashBytes} bytes`);
  }
  return {
    kind: "flow_req",
    requesterEid: v.getUint32(AT.sEid),
    qos: {
      delay: v.getUint32(AT.delay),
      bandwidth: v.getBigUint64(AT.bandwidth),
      availability: v.getUint8(AT.availability),
      loss: v.getUint32(AT.loss),
      ber: v.getUint32(AT.ber),
      inOrder: v.getUint8(AT.inOrder),
      maxGap: v.getUint32(AT.maxGap),
      timeout: v.getUint32(AT.timeout),
    },
    hash: b.slice(LENGTH, LENGTH + hashBytes),
    data: b.slice(LENGTH + hashBytes),
  };
}

/** Bytes that {@linkcode encode} writes for a message. */
export function encodedLength(m: ShimMgmt): number {
  if (piece.isPieceMsg(m)) return LENGTH + piece.encodedLength(m);
  return LENGTH + ("hash" in m ? m.hash.length : 0) + ("data" in m ? m.data.length : 0);
}

/** Write a management datagram; the number of bytes, or an error with nothing written. */
export function encode(
  m: ShimMgmt,
  into: Uint8Array,
  at: number,
  bytesMax = MGMT_BYTES_MAX,
): number | WireError {
  if (m.kind === "name_query" || m.kind === "name_reply") {
    return new WireError("kind", `${m.kind} does not exist over UDP`);
  }
  const n = encodedLength(m);
  if (n > bytesMax) return new WireError("data", `too long: ${n} of ${bytesMax} bytes`);
  if (into.length - at < n) return new WireError("length", `no room for ${n} bytes`);
  const v = new DataView(into.buffer, into.byteOffset + at, n);
  if (piece.isPieceMsg(m)) {
    into.fill(0, at, at + LENGTH);
    v.setUint8(AT.code, CODE_PIECE);
    piece.encode(m, into, at + LENGTH);
    return n;
  }
  const qos = m.kind === "flow_req" ? m.qos : QOS_ZERO;
  v.setUint32(AT.eid, MGMT_EID);
  v.setUint32(AT.sEid, "senderEid" in m ? m.senderEid : m.requesterEid);
  v.setUint32(AT.dEid, receiverOf(m));
  v.setInt32(AT.response, "response" in m ? m.response : 0);
  v.setBigUint64(AT.bandwidth, qos.bandwidth);
  v.setUint32(AT.delay, qos.delay);
  v.setUint32(AT.loss, qos.loss);
  v.setUint32(AT.ber, qos.ber);
  v.setUint32(AT.maxGap, qos.maxGap);
  v.setUint32(AT.timeout, qos.timeout);
  v.setUint8(AT.code, CODES[m.kind]);
  v.setUint8(AT.availability, qos.availability);
  v.setUint8(AT.inOrder, qos.inOrder);
  if (m.kind === "flow_req") {
    into.set(m.hash, at + LENGTH);
    into.set(m.data, at + LENGTH + m.hash.length);
  } else if ("data" in m) {
    into.set(m.data, at + LENGTH);
  }
  return n;
}

const CODES = {
  flow_req: CODE_FLOW_REQ,
  flow_reply: CODE_FLOW_REPLY,
  flow_why: CODE_FLOW_WHY,
  flow_end: CODE_FLOW_END,
  flow_here: CODE_FLOW_HERE,
};

function receiverOf(m: FlowReq | FlowReply | FlowWhy | FlowEndMsg | FlowHereMsg): number {
  switch (m.kind) {
    case "flow_reply":
      return m.responderEid;
    case "flow_end":
    case "flow_here":
      return m.receiverEid;
    default:
      return 0;
  }
}

/** The layout as a {@linkcode ShimMgmtCodec}; endpoint ids are 1..2^32-2. */
export const udpMgmt: ShimMgmtCodec = {
  name: "udp",
  headerBytes: LENGTH,
  eidMax: 0xfffffffe,
  lostEid: 0xffffffff,
  parse,
  encodedLength,
  encode,
};

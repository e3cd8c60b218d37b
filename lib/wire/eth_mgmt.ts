// deno-lint-ignore-file camelcase -- these are the prototype's words
/**
 * Management messages of the Ethernet IPCPs: one set of messages, two packed layouts. Pure.
 *
 * Source: spec 50 §11 (DIX, 39 bytes) and §12 (LLC, 37 bytes). Big-endian. After the fixed part come
 * the name hash (codes 0, 2, 3) and OAP data (codes 0, 1), a reason (code 44, ours: `refusal.ts`; the ids are those
 * of a reply) or what a piece has (code 43, ours: `mgmt_piece.ts`).
 *
 * | field         | DIX off, size | LLC off, size |
 * |---------------|---------------|---------------|
 * | sender's id   | 0, 2          | 0, 1          |
 * | receiver's id | 2, 2          | 1, 1          |
 * | code          | 37, 1         | 2, 1          |
 * | availability  | 38, 1         | 3, 1          |
 * | loss          | 4, 4          | 4, 4          |
 * | bandwidth     | 8, 8          | 8, 8          |
 * | ber           | 16, 4         | 16, 4         |
 * | max_gap       | 20, 4         | 20, 4         |
 * | delay         | 24, 4         | 24, 4         |
 * | timeout       | 28, 4         | 28, 4         |
 * | response, i32 | 32, 4         | 32, 4         |
 * | in_order      | 36, 1         | 36, 1         |
 *
 * In a reply the sender's id is the **responder's** and the receiver's id the requester's. Fields a
 * code does not use are written as zero and ignored on receipt.
 */

import * as piece from "./mgmt_piece.ts";
import { WireError } from "./mod.ts";
import { QOS_ZERO } from "../qos.ts";
import {
  CODE_FLOW_END,
  CODE_FLOW_HERE,
  CODE_FLOW_WHY,
  CODE_PIECE,
  type ShimMgmt,
  type ShimMgmtCodec,
} from "./shim_mgmt.ts";

/** Bytes before hash and data in the two layouts. */
export const DIX_LENGTH = 39;
export const LLC_LENGTH = 37;

const Code = { flowReq: 0, flowReply: 1, nameQuery: 2, nameReply: 3 } as const;

/** Offsets that are the same in both layouts. */
const AT = {
  loss: 4,
  bandwidth: 8,
  ber: 16,
  maxGap: 20,
  delay: 24,
  timeout: 28,
  response: 32,
  inOrder: 36,
} as const;

interface Layout {
  readonly name: string;
  readonly length: number;
  readonly wideIds: boolean;
  readonly receiver: number;
  readonly code: number;
  readonly availability: number;
  readonly eidMax: number;
}

const DIX: Layout = {
  name: "eth-dix",
  length: DIX_LENGTH,
  wideIds: true,
  receiver: 2,
  code: 37,
  availability: 38,
  eidMax: 0xffff,
};

const LLC: Layout = {
  name: "eth-llc",
  length: LLC_LENGTH,
  wideIds: false,
  receiver: 1,
  code: 2,
  availability: 3,
  eidMax: 63,
};

function parse(l: Layout, b: Uint8Array, hashBytes: number): ShimMgmt | WireError {
  if (b.length < l.length) {
    return new WireError("length", `short: ${b.length} of ${l.length} bytes`);
  }
  const v = new DataView(b.buffer, b.byteOffset, b.length);
  const sender = l.wideIds ? v.getUint16(0) : v.getUint8(0);
  const code = v.getUint8(l.code);
  if (code === Code.flowReply) {
    return {
      kind: "flow_reply",
      requesterEid: l.wideIds ? v.getUint16(l.receiver) : v.getUint8(l.receiver),
      responderEid: sender,
      response: v.getInt32(AT.response),
      data: b.slice(l.length),
    };
  }
  if (code === CODE_FLOW_WHY) {
    return {
      kind: "flow_why",
      requesterEid: l.wideIds ? v.getUint16(l.receiver) : v.getUint8(l.receiver),
      response: v.getInt32(AT.response),
      data: b.slice(l.length),
    };
  }
  if (code === CODE_FLOW_END || code === CODE_FLOW_HERE) {
    const receiverEid = l.wideIds ? v.getUint16(l.receiver) : v.getUint8(l.receiver);
    const kind = code === CODE_FLOW_END ? "flow_end" : "flow_here";
    return { kind, senderEid: sender, receiverEid };
  }
  if (code === CODE_PIECE) return piece.parse(b, l.length);
  if (code > Code.nameReply) return new WireError("code", `unknown: ${code}`);
  if (b.length < l.length + hashBytes) {
    return new WireError("hash", `short: ${b.length - l.length} of ${hashBytes} bytes`);
  }
  const hash = b.slice(l.length, l.length + hashBytes);
  if (code === Code.nameQuery) return { kind: "name_query", hash };
  if (code === Code.nameReply) return { kind: "name_reply", hash };
  return {
    kind: "flow_req",
    requesterEid: sender,
    qos: {
      delay: v.getUint32(AT.delay),
      bandwidth: v.getBigUint64(AT.bandwidth),
      availability: v.getUint8(l.availability),
      loss: v.getUint32(AT.loss),
      ber: v.getUint32(AT.ber),
      inOrder: v.getUint8(AT.inOrder),
      maxGap: v.getUint32(AT.maxGap),
      timeout: v.getUint32(AT.timeout),
    },
    hash,
    data: b.slice(l.length + hashBytes),
  };
}

function encodedLength(l: Layout, m: ShimMgmt): number {
  if (piece.isPieceMsg(m)) return l.length + piece.encodedLength(m);
  return l.length + ("hash" in m ? m.hash.length : 0) + ("data" in m ? m.data.length : 0);
}

const CODE_OF: Record<Exclude<ShimMgmt["kind"], piece.PieceMsg["kind"]>, number> = {
  flow_req: Code.flowReq,
  flow_reply: Code.flowReply,
  flow_why: CODE_FLOW_WHY,
  flow_end: CODE_FLOW_END,
  flow_here: CODE_FLOW_HERE,
  name_query: Code.nameQuery,
  name_reply: Code.nameReply,
};

function encode(l: Layout, m: ShimMgmt, into: Uint8Array, at: number): number | WireError {
  const n = encodedLength(l, m);
  if (into.length - at < n) return new WireError("length", `no room for ${n} bytes`);
  if (piece.isPieceMsg(m)) {
    into.fill(0, at, at + l.length);
    into[at + l.code] = CODE_PIECE;
    piece.encode(m, into, at + l.length);
    return n;
  }
  let sender = 0;
  let receiver = 0;
  if (m.kind === "flow_req") sender = m.requesterEid;
  if (m.kind === "flow_reply") {
    sender = m.responderEid;
    receiver = m.requesterEid;
  }
  if (m.kind === "flow_why") receiver = m.requesterEid;
  if (m.kind === "flow_end" || m.kind === "flow_here") {
    sender = m.senderEid;
    receiver = m.receiverEid;
  }
  const widest = l.wideIds ? 0xffff : 0xff;
  if (sender > widest || receiver > widest) {
    return new WireError("eid", `does not fit ${l.name}: ${Math.max(sender, receiver)}`);
  }
  into.fill(0, at, at + l.length);
  const v = new DataView(into.buffer, into.byteOffset + at, n);
  if (l.wideIds) {
    v.setUint16(0, sender);
    v.setUint16(l.receiver, receiver);
  } else {
    v.setUint8(0, sender);
    v.setUint8(l.receiver, receiver);
  }
  const qos = m.kind === "flow_req" ? m.qos : QOS_ZERO;
  v.setUint8(l.code, CODE_OF[m.kind]);
  v.setUint8(l.availability, qos.availability);
  v.setUint32(AT.loss, qos.loss);
  v.setBigUint64(AT.bandwidth, qos.bandwidth);
  v.setUint32(AT.ber, qos.ber);
  v.setUint32(AT.maxGap, qos.maxGap);
  v.setUint32(AT.delay, qos.delay);
  v.setUint32(AT.timeout, qos.timeout);
  v.setInt32(AT.response, "response" in m ? m.response : 0);
  v.setUint8(AT.inOrder, qos.inOrder);
  let end = at + l.length;
  if ("hash" in m) {
    into.set(m.hash, end);
    end += m.hash.length;
  }
  if ("data" in m) into.set(m.data, end);
  return n;
}

function codec(l: Layout): ShimMgmtCodec {
  return {
    name: l.name,
    headerBytes: l.length,
    eidMax: l.eidMax,
    lostEid: l.wideIds ? 0xffff : 0xff,
    parse: (b, hashBytes) => parse(l, b, hashBytes),
    encodedLength: (m) => encodedLength(l, m),
    encode: (m, into, at) => encode(l, m, into, at),
  };
}

/** The DIX layout; endpoint ids are 1..65535. */
export const dixMgmt: ShimMgmtCodec = codec(DIX);
/** The LLC layout; endpoint ids are SAPs, 2..63. */
export const llcMgmt: ShimMgmtCodec = codec(LLC);

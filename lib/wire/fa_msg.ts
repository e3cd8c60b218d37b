/**
 * Messages between flow allocators of a unicast layer: payload of a data transfer packet to EID 0 (spec 60 §8.1). Pure.
 *
 * Big endian, packed, 61 bytes and what follows them:
 *
 * | off | size | field     | off | size | field         | off | size | field        |
 * |-----|------|-----------|-----|------|---------------|-----|------|--------------|
 * | 0   | 8    | s_addr    | 36  | 4    | QoS delay     | 56  | 2    | ece          |
 * | 8   | 8    | r_eid     | 40  | 4    | QoS loss      | 58  | 1    | code         |
 * | 16  | 8    | s_eid     | 44  | 4    | QoS ber       | 59  | 1    | availability |
 * | 24  | 8    | bandwidth | 48  | 4    | QoS max_gap   | 60  | 1    | in_order     |
 * | 32  | 4    | response  | 52  | 4    | QoS timeout   | 61  |      | tail         |
 *
 * Request (code 0): hash of the name and OAP data as tail. Reply (1): OAP data as tail, none if refused: a prototype
 * hands what stands there to its IRMd, which aborts on a refusal with data where assertions are built in. Update (2):
 * congestion experienced, no tail. Ours: dealloc (3), the flow with these two ends is gone; piece (4), s_addr and
 * `mgmt_piece.ts`; why (5), the cause of the refusal that follows, as tail. A prototype logs an unknown code and goes on
 * (spec 60 §19). Fields that a kind does not use are written as zero and ignored.
 */

import { printable } from "../printable.ts";
import type { QosSpec } from "../qos.ts";
import { dotted } from "./dt_pci.ts";
import * as piece from "./mgmt_piece.ts";
import { WireError } from "./mod.ts";

/** Bytes of the fixed part. */
export const LENGTH = 61;
/** Longest message (the prototype's buffer). */
export const FA_BYTES_MAX = 2048;
/** Longest cause in a refusal, bytes. */
export const CAUSE_BYTES_MAX = 256;

/** An endpoint id: high and low 32 bits. */
export interface Eid {
  readonly hi: number;
  readonly lo: number;
}

/** Asks for a flow to a name. */
export interface FaRequest {
  readonly kind: "request";
  /** Address of who asks. */
  readonly srcAddr: number;
  /** Endpoint that it reads from. */
  readonly srcEid: Eid;
  readonly qos: QosSpec;
  readonly hash: Uint8Array;
  /** OAP request, opaque here. */
  readonly data: Uint8Array;
}

/** Answers a request. */
export interface FaReply {
  readonly kind: "reply";
  /** Endpoint of who asked. */
  readonly dstEid: Eid;
  /** Endpoint of who answers. */
  readonly srcEid: Eid;
  /** 0 or a negative error number. */
  readonly response: number;
  /** OAP response, opaque here; empty in a refusal. */
  readonly data: Uint8Array;
}

/** Why the request is refused, sent before the {@linkcode FaReply} that refuses it. */
export interface FaWhy {
  readonly kind: "why";
  /** Endpoint of who asked. */
  readonly dstEid: Eid;
  /** One line for people. */
  readonly cause: string;
}

/** Congestion experienced on the way to who sends this. */
export interface FaUpdate {
  readonly kind: "update";
  readonly dstEid: Eid;
  readonly ece: number;
}

/** The flow is gone at the other end. */
export interface FaDealloc {
  readonly kind: "dealloc";
  readonly dstEid: Eid;
  readonly srcEid: Eid;
}

/** A part of a longer message, or what is said about it. */
export interface FaPiece {
  readonly kind: "piece";
  /** Address of who sends this. */
  readonly srcAddr: number;
  readonly piece: piece.PieceMsg;
}

/** Any message of a flow allocator. */
export type FaMsg = FaRequest | FaReply | FaUpdate | FaDealloc | FaPiece | FaWhy;

const CODE = { request: 0, reply: 1, update: 2, dealloc: 3, piece: 4, why: 5 } as const;
const EMPTY = new Uint8Array(0);
const utf8 = new TextDecoder();

/**
 * The message in `b`, or why it is none; `hashBytes` is the length of the layer's hashes, `bytesMax` that of a message
 * that came in pieces. Copies its parts.
 */
export function parse(
  b: Uint8Array,
  hashBytes: number,
  bytesMax = FA_BYTES_MAX,
): FaMsg | WireError {
  if (b.length < LENGTH) return new WireError("length", `short: ${b.length} of ${LENGTH} bytes`);
  if (b.length > bytesMax) return new WireError("length", `long: ${b.length} bytes`);
  const v = new DataView(b.buffer, b.byteOffset, b.length);
  const eid = (at: number): Eid => ({ hi: v.getUint32(at), lo: v.getUint32(at + 4) });
  switch (v.getUint8(58)) {
    case CODE.request: {
      if (b.length < LENGTH + hashBytes) return new WireError("hash", "short");
      const srcAddr = v.getUint32(4);
      if (v.getUint32(0) !== 0 || srcAddr === 0) return new WireError("s_addr", "not an address");
      const qos: QosSpec = {
        delay: v.getUint32(36),
        bandwidth: v.getBigUint64(24),
        availability: v.getUint8(59),
        loss: v.getUint32(40),
        ber: v.getUint32(44),
        inOrder: v.getUint8(60),
        maxGap: v.getUint32(48),
        timeout: v.getUint32(52),
      };
      const hash = b.slice(LENGTH, LENGTH + hashBytes);
      return {
        kind: "request",
        srcAddr,
        srcEid: eid(16),
        qos,
        hash,
        data: b.slice(LENGTH + hashBytes),
      };
    }
    case CODE.reply: {
      const response = v.getInt32(32);
      if (response > 0) return new WireError("response", `${response}`);
      const data = response === 0 ? b.slice(LENGTH) : EMPTY;
      return { kind: "reply", dstEid: eid(8), srcEid: eid(16), response, data };
    }
    case CODE.update:
      return { kind: "update", dstEid: eid(8), ece: v.getUint16(56) };
    case CODE.dealloc:
      return { kind: "dealloc", dstEid: eid(8), srcEid: eid(16) };
    case CODE.piece: {
      const srcAddr = v.getUint32(4);
      if (v.getUint32(0) !== 0 || srcAddr === 0) return new WireError("s_addr", "not an address");
      const m = piece.parse(b, LENGTH);
      return m instanceof WireError ? m : { kind: "piece", srcAddr, piece: m };
    }
    case CODE.why:
      if (b.length > LENGTH + CAUSE_BYTES_MAX) return new WireError("cause", "long");
      return { kind: "why", dstEid: eid(8), cause: utf8.decode(b.subarray(LENGTH)) };
    default:
      return new WireError("code", `unknown: ${v.getUint8(58)}`);
  }
}

/** What stands behind the fixed part. */
function tailOf(m: FaMsg): readonly Uint8Array[] {
  if (m.kind === "request") return [m.hash, m.data];
  if (m.kind === "piece") {
    const tail = new Uint8Array(piece.encodedLength(m.piece));
    piece.encode(m.piece, tail, 0);
    return [tail];
  }
  if (m.kind === "why") return [new TextEncoder().encode(m.cause).subarray(0, CAUSE_BYTES_MAX)];
  return m.kind === "reply" && m.response === 0 ? [m.data] : [];
}

/** The bytes of a message, or an error if they are too many; `bytesMax` as for {@linkcode parse}. */
export function encode(m: FaMsg, bytesMax = FA_BYTES_MAX): Uint8Array | WireError {
  const tail = tailOf(m);
  const bytes = tail.reduce((n, part) => n + part.length, LENGTH);
  if (bytes > bytesMax) return new WireError("length", `long: ${bytes} bytes`);
  const b = new Uint8Array(bytes);
  const v = new DataView(b.buffer);
  const put = (at: number, eid: Eid) => {
    v.setUint32(at, eid.hi);
    v.setUint32(at + 4, eid.lo);
  };
  v.setUint8(58, CODE[m.kind]);
  if ("dstEid" in m) put(8, m.dstEid);
  if ("srcEid" in m) put(16, m.srcEid);
  if ("srcAddr" in m) v.setUint32(4, m.srcAddr);
  if (m.kind === "request") {
    v.setBigUint64(24, m.qos.bandwidth);
    v.setUint32(36, m.qos.delay);
    v.setUint32(40, m.qos.loss);
    v.setUint32(44, m.qos.ber);
    v.setUint32(48, m.qos.maxGap);
    v.setUint32(52, m.qos.timeout);
    v.setUint8(59, m.qos.availability);
    v.setUint8(60, m.qos.inOrder);
  } else if (m.kind === "reply") v.setInt32(32, m.response);
  else if (m.kind === "update") v.setUint16(56, m.ece);
  let at = LENGTH;
  for (const part of tail) {
    b.set(part, at);
    at += part.length;
  }
  return b;
}

/** One line for people. */
export function describe(b: Uint8Array, hashBytes = 32): string {
  const m = parse(b, hashBytes);
  if (m instanceof WireError) return `fa: ${m}`;
  const hex = (e: Eid) => e.hi.toString(16).padStart(8, "0") + e.lo.toString(16).padStart(8, "0");
  switch (m.kind) {
    case "request":
      return `fa: request from ${dotted(m.srcAddr)} eid ${hex(m.srcEid)} for ` +
        `${m.hash.subarray(0, 4).toHex()}, ${m.data.length} bytes`;
    case "reply":
      return `fa: reply ${m.response} from eid ${hex(m.srcEid)} to ${hex(m.dstEid)}, ` +
        `${m.data.length} bytes`;
    case "update":
      return `fa: update to ${hex(m.dstEid)}, ece ${m.ece}`;
    case "piece":
      return `fa: ${piece.describe(m.piece)}, from ${dotted(m.srcAddr)}`;
    case "why":
      return `fa: why ${hex(m.dstEid)} is refused: ${printable(m.cause)}`;
    case "dealloc":
      return `fa: dealloc of ${hex(m.dstEid)} by ${hex(m.srcEid)}`;
  }
}

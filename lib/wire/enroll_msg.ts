/**
 * Enrollment messages of broadcast and unicast IPCPs (enroll.proto, spec 20 §3, spec 60 §3.3, §10).
 * Pure.
 *
 * The enrollee sends a request with a random id; the answer repeats the id and carries the time and, with response
 * 0, the configuration of the layer; an acknowledgement with the result ends it. An id is exactly 8 bytes.
 */

import { type IpcpConfig, ipcpConfigSchema } from "./ipcp_config.ts";
import type { WireError } from "./mod.ts";
import { bin, num, Schema, sub } from "./proto.ts";

/** Bytes of the id. */
export const ENROLL_ID_BYTES = 8;

/** `enroll_req_msg`. */
export interface EnrollReq {
  id: Uint8Array;
}

/** `enroll_resp_msg`. */
export interface EnrollResp {
  id: Uint8Array;
  /** Time of the sender, seconds and nanoseconds since 1970. */
  tSec: bigint;
  tNsec: number;
  /** 0, or a negative error number. */
  response: number;
  /** The layer's configuration; always there when `response` is 0. */
  conf?: IpcpConfig | undefined;
}

/** `enroll_ack_msg`. */
export interface EnrollAck {
  id: Uint8Array;
  /** 0, or a negative error number. */
  result: number;
}

function badId(m: { id: Uint8Array }): string | undefined {
  return m.id.length === ENROLL_ID_BYTES ? undefined : `id of ${m.id.length} bytes`;
}

const ID_FIELD = bin(1, "id", 64);
const req = new Schema<EnrollReq>("enroll_req_msg", [ID_FIELD], badId);
const resp = new Schema<EnrollResp>("enroll_resp_msg", [
  ID_FIELD,
  num(2, "t_sec", "int64"),
  num(3, "t_nsec", "int32"),
  num(4, "response", "int32"),
  sub(5, "conf", ipcpConfigSchema, "optional"),
], (m) => badId(m) ?? (m.response === 0 && m.conf === undefined ? "conf is missing" : undefined));
const ack = new Schema<EnrollAck>("enroll_ack_msg", [ID_FIELD, num(2, "result", "int32")], badId);

/** The bytes of a request. */
export function encodeEnrollReq(m: EnrollReq): Uint8Array {
  return req.encode(m);
}

/** A request, or why it is none. Never throws. */
export function decodeEnrollReq(b: Uint8Array): EnrollReq | WireError {
  return req.decode(b);
}

/** The bytes of a response. */
export function encodeEnrollResp(m: EnrollResp): Uint8Array {
  return resp.encode(m);
}

/** A response, or why it is none. Never throws. */
export function decodeEnrollResp(b: Uint8Array): EnrollResp | WireError {
  return resp.decode(b);
}

/** The bytes of an acknowledgement. */
export function encodeEnrollAck(m: EnrollAck): Uint8Array {
  return ack.encode(m);
}

/** An acknowledgement, or why it is none. Never throws. */
export function decodeEnrollAck(b: Uint8Array): EnrollAck | WireError {
  return ack.decode(b);
}

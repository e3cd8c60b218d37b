/**
 * Messages that IPCP components exchange over a flow: connection establishment (CEP) and enrollment (OEP).
 *
 * Source: spec 50 §14 and §15, spec 30 §15. One message is one packet, proto2. CEP: at most 128 bytes; the
 * fields for supported versions and syntaxes are never sent and are skipped. OEP: at most 1024 bytes; `id` is
 * 8 bytes, `conf` is absent exactly when `response` is negative. Decoding never throws.
 */

import { type IpcpConfig, ipcpConfigSchema } from "../lib/irm/ipcp_config.ts";
import { WireError } from "../lib/wire/mod.ts";
import { bin, num, Schema, str, sub } from "../lib/wire/proto.ts";

/** Largest CEP and OEP message, bytes. */
export const CEP_BYTES_MAX = 128;
export const OEP_BYTES_MAX = 1024;
/** Bytes of an enrollment id. */
export const OEP_ID_BYTES = 8;

/** Concrete syntax numbers. */
export const Syntax = { gpb: 0, asn1: 1, fixed: 2 } as const;

/** `cep_msg`. */
export interface CepMsg {
  compName: string;
  protocol: string;
  prefVersion: number;
  prefSyntax: number;
  /** Address of the IPCP, 0 for components without one. */
  address: bigint;
}

const cepSchema = new Schema<CepMsg>("cep_msg", [
  str(1, "comp_name", CEP_BYTES_MAX),
  str(2, "protocol", CEP_BYTES_MAX),
  num(3, "pref_version", "int32"),
  num(5, "pref_syntax", "int32"),
  num(8, "address", "uint64"),
]);

export function encodeCep(m: CepMsg): Uint8Array {
  return cepSchema.encode(m);
}

export function decodeCep(b: Uint8Array): CepMsg | WireError {
  if (b.length > CEP_BYTES_MAX) return new WireError("length", `long: ${b.length} bytes`);
  return cepSchema.decode(b);
}

/** `enroll_req`. */
export interface EnrollReq {
  id: Uint8Array;
}
/** `enroll_resp`: the member's clock and, unless it refuses, its configuration. */
export interface EnrollResp {
  id: Uint8Array;
  tSec: bigint;
  tNsec: number;
  response: number;
  conf?: IpcpConfig | undefined;
}
/** `enroll_ack`. */
export interface EnrollAck {
  id: Uint8Array;
  result: number;
}

const badId = (m: { id: Uint8Array }) =>
  m.id.length === OEP_ID_BYTES ? undefined : `id has ${m.id.length} bytes`;

const reqSchema = new Schema<EnrollReq>("enroll_req", [bin(1, "id", OEP_ID_BYTES)], badId);
const respSchema = new Schema<EnrollResp>(
  "enroll_resp",
  [
    bin(1, "id", OEP_ID_BYTES),
    num(2, "t_sec", "int64"),
    num(3, "t_nsec", "int32"),
    num(4, "response", "int32"),
    sub(5, "conf", ipcpConfigSchema, "optional"),
  ],
  (m) => badId(m) ?? (m.response >= 0 && m.conf === undefined ? "conf is missing" : undefined),
);
const ackSchema = new Schema<EnrollAck>(
  "enroll_ack",
  [bin(1, "id", OEP_ID_BYTES), num(2, "result", "int32")],
  badId,
);

function bounded<T extends object>(b: Uint8Array, schema: Schema<T>): T | WireError {
  if (b.length > OEP_BYTES_MAX) return new WireError("length", `long: ${b.length} bytes`);
  return schema.decode(b);
}

export const encodeEnrollReq = (m: EnrollReq): Uint8Array => reqSchema.encode(m);
export const decodeEnrollReq = (b: Uint8Array): EnrollReq | WireError => bounded(b, reqSchema);
export const encodeEnrollResp = (m: EnrollResp): Uint8Array => respSchema.encode(m);
export const decodeEnrollResp = (b: Uint8Array): EnrollResp | WireError => bounded(b, respSchema);
export const encodeEnrollAck = (m: EnrollAck): Uint8Array => ackSchema.encode(m);
export const decodeEnrollAck = (b: Uint8Array): EnrollAck | WireError => bounded(b, ackSchema);

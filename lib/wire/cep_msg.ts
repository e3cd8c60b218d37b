/**
 * Connection establishment message of IPCP components (cep.proto, spec 30 §15, spec 60 §10). Pure.
 *
 * One message in each direction over a new flow: who connects and which protocol it speaks. The prototype reads at
 * most 128 bytes and sends fields 1, 2, 3, 5 and 8 only; an answer with an empty component name refuses.
 */

import type { WireError } from "./mod.ts";
import { num, Schema, str, sub } from "./proto.ts";

/** Largest message the prototype can read, bytes. */
export const CEP_BYTES_MAX = 128;
/** Longest component name, bytes. */
export const CEP_COMP_NAME_BYTES_MAX = 128;

/** Concrete syntaxes. */
export const CepSyntax = { GPB: 0, ASN_1: 1, FIXED: 2 } as const;

/** `fixed_conc_syntax_msg`, never sent. */
export interface CepFixedSyntax {
  fids?: number[];
  lens?: number[];
}

/** `cep_msg`. */
export interface CepMsg {
  /** Name of the component, "" in a refusal. */
  compName: string;
  protocol: string;
  prefVersion: number;
  suppVersion?: number[];
  prefSyntax: number;
  suppSyntax?: number[];
  syntaxSpec?: CepFixedSyntax;
  /** Address of the sender in its layer, 0 = none. */
  address: bigint;
}

const fixedSyntax = new Schema<CepFixedSyntax>("fixed_conc_syntax_msg", [
  num(1, "fids", "uint32", "repeated"),
  num(2, "lens", "uint32", "repeated"),
]);

const schema = new Schema<CepMsg>("cep_msg", [
  str(1, "comp_name", CEP_COMP_NAME_BYTES_MAX),
  str(2, "protocol", CEP_BYTES_MAX),
  num(3, "pref_version", "int32"),
  num(4, "supp_version", "int32", "repeated"),
  num(5, "pref_syntax", "int32"),
  num(6, "supp_syntax", "int32", "repeated"),
  sub(7, "syntax_spec", fixedSyntax, "optional"),
  num(8, "address", "uint64"),
]);

/** The bytes of a message. */
export function encodeCepMsg(m: CepMsg): Uint8Array {
  return schema.encode(m);
}

/** The message in `b[at, end)`, or why it is none. Never throws. */
export function decodeCepMsg(b: Uint8Array, at = 0, end: number = b.length): CepMsg | WireError {
  return schema.decode(b, at, end);
}

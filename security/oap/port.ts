/** What the pure procedures of OAP are given: log, clock, random source and cryptography. Pure. */

import type { OapHeader } from "../../lib/wire/oap_header.ts";
import { describeLines, encode, encodedLength, parse } from "../../lib/wire/oap_header.ts";
import { isWireError } from "../../lib/wire/mod.ts";
import type { KexInfo } from "../../lib/wire/oap_ids.ts";
import type { PeerCertificate } from "../certificate.ts";
import type { CostlyWork } from "../costly_work.ts";
import type { EncConf, Policy } from "../enc_conf.ts";
import type { Credentials } from "../credentials.ts";
import type { Encapsulated, KexPair } from "../kex/pair.ts";
import type { PeerKey } from "../kex/spki.ts";
import type { StaticKemKey } from "../kex/static.ts";

/** Where lines go; a `Logger` is one. */
export interface OapLog {
  /** Whether DB and PP lines are written. */
  readonly debug: boolean;
  error(text: string): void;
  warn(text: string): void;
  info(text: string): void;
  dbg(text: string): void;
  proto(text: string): void;
}

/** A peer's certificate that did not pass: the prototype's line, and why for a person. */
export interface PeerRefusal {
  readonly line: string;
  readonly reason: string;
}

/** What of a header its sender signed. */
export interface SignedHeader {
  /** Certificate, DER. */
  readonly crt: Uint8Array;
  readonly digestNid: number;
  /** The bytes before the signature. */
  readonly signed: Uint8Array;
  readonly signature: Uint8Array;
}

/** Effects of the procedures. */
export interface OapPort {
  readonly log: OapLog;
  /** Does what is costly; without, it is done in place. */
  readonly work?: CostlyWork;
  /** Wall clock, ns since the epoch. */
  nowNs(): bigint;
  generatePair(kex: KexInfo): Promise<KexPair>;
  encapsulate(peer: PeerKey): Promise<Encapsulated | undefined>;
  /**
   * Who signed a header, in the given role: certificate, signature and chain, in the order of what they cost who
   * did not sign it.
   */
  verifyPeer(
    signed: SignedHeader,
    role: "server" | "client",
    policy: Policy,
  ): Promise<PeerCertificate | PeerRefusal>;
}

/** Settings of the own side, loaded for this flow. */
export interface OwnSide {
  readonly credentials: Credentials | null;
  readonly conf: EncConf;
}

/** The server's static key of the client-encap mode, loaded only when a request needs it. */
export type StaticKeySource = (raw: boolean) => Promise<StaticKemKey | undefined>;

/** Empty field. */
export const NONE: Uint8Array<ArrayBuffer> = new Uint8Array(0);

/** A header without variable parts. */
export function bareHeader(id: Uint8Array, timestampNs: bigint): OapHeader {
  return {
    id,
    timestampNs,
    cipherNid: 0,
    kdfNid: 0,
    digestNid: 0,
    crt: NONE,
    kex: NONE,
    raw: false,
    clientEncap: false,
    data: NONE,
    reqHash: NONE,
    signature: NONE,
  };
}

/**
 * Encodes a header and signs it if there are credentials; decoded again as a self-check.
 * @returns the bytes, or the reason why there are none
 */
export async function encodeSigned(
  header: OapHeader,
  credentials: Credentials | null,
  { log, work }: OapPort,
): Promise<Uint8Array<ArrayBuffer> | string> {
  const h = credentials ? { ...header, crt: credentials.certificate.der } : header;
  const signed = new Uint8Array(encodedLength(h));
  const n = encode(h, signed, 0);
  if (isWireError(n)) return `${n}`;
  let bytes = signed;
  if (credentials) {
    const signature = await credentials.key.sign(h.digestNid, signed, work);
    if (!signature) {
      if (work?.refusal !== undefined) return work.refusal;
      const digest = h.digestNid === 0 ? "its default digest" : `digest ${h.digestNid}`;
      return `the ${credentials.key.kind.type} key cannot sign with ${digest}`;
    }
    bytes = new Uint8Array(signed.length + signature.length);
    bytes.set(signed);
    bytes.set(signature, signed.length);
  }
  const again = parse(bytes, 0, bytes.length, h.reqHash.length);
  if (isWireError(again)) return `${again}`;
  if (log.debug) dump(log, again, "-->");
  return bytes;
}

/** Writes a header to the protocol log. */
export function dump(log: OapLog, h: OapHeader, direction: "-->" | "<--"): void {
  for (const line of describeLines(h, direction)) log.proto(line);
}

/** Whether two ids, hashes or keys are equal; public values only. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) {
    if (a[i] !== b[i]) return false;
  }
  return true;
}

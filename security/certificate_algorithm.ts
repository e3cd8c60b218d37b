/** What a certificate says of its signature: digest and padding (RFC 5280 §4.1.1.2). Pure. */

import { ED25519, ED448, type KeyKind, pqName, RSA_PSS } from "./key_kind.ts";
import { type PssParams, pssParams } from "./pss_params.ts";

/** Digest and padding of a certificate's signature algorithm. */
export interface CertificateAlgorithm {
  readonly type: KeyKind["type"];
  /** Digest word, `null` for pure schemes. */
  readonly word: string | null;
  /** Padding of RSA, PKCS#1 v1.5 when absent. */
  readonly pss?: PssParams;
}

const ECDSA: Record<string, string> = {
  "1.2.840.10045.4.1": "sha1",
  "1.2.840.10045.4.3.1": "sha224",
  "1.2.840.10045.4.3.2": "sha256",
  "1.2.840.10045.4.3.3": "sha384",
  "1.2.840.10045.4.3.4": "sha512",
  "2.16.840.1.101.3.4.3.9": "sha3-224",
  "2.16.840.1.101.3.4.3.10": "sha3-256",
  "2.16.840.1.101.3.4.3.11": "sha3-384",
  "2.16.840.1.101.3.4.3.12": "sha3-512",
};
const RSA_PKCS1: Record<string, string> = {
  "1.2.840.113549.1.1.4": "md5",
  "1.2.840.113549.1.1.5": "sha1",
  "1.3.14.3.2.29": "sha1",
  "1.2.840.113549.1.1.15": "sha512-224",
  "1.2.840.113549.1.1.16": "sha512-256",
  "2.16.840.1.101.3.4.3.13": "sha3-224",
  "1.2.840.113549.1.1.14": "sha224",
  "1.2.840.113549.1.1.11": "sha256",
  "1.2.840.113549.1.1.12": "sha384",
  "1.2.840.113549.1.1.13": "sha512",
  "2.16.840.1.101.3.4.3.14": "sha3-256",
  "2.16.840.1.101.3.4.3.15": "sha3-384",
  "2.16.840.1.101.3.4.3.16": "sha3-512",
};
/** The algorithm of a certificate's signature from its identifier and parameters (DER). */
export function certificateAlgorithm(
  id: string,
  params: Uint8Array | undefined,
): CertificateAlgorithm | undefined {
  if (ECDSA[id]) return { type: "ec", word: ECDSA[id] };
  if (RSA_PKCS1[id]) return { type: "rsa", word: RSA_PKCS1[id] };
  if (id === RSA_PSS) {
    const pss = pssParams(params);
    return pss === undefined ? undefined : { type: "rsa-pss", word: pss.digest, pss };
  }
  if (id === ED25519) return { type: "ed25519", word: null };
  if (id === ED448) return { type: "ed448", word: null };
  const name = pqName(id);
  if (!name) return undefined;
  return { type: name.startsWith("ML-DSA") ? "ml-dsa" : "slh-dsa", word: null };
}

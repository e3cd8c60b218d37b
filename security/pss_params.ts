/** Parameters of RSASSA-PSS, of a signature or as limits of a key (RFC 8017 §A.2.3, RFC 4055 §3). Pure. */

import { children, oidText, readTlv, Tag, type Tlv, unsigned } from "./der.ts";

/** Parameters of PSS. */
export interface PssParams {
  readonly digest: string;
  readonly maskDigest: string;
  /** Bytes of salt; undefined: whatever the signature has. */
  readonly saltBytes: number | undefined;
}

const HASHES: Record<string, string> = {
  "1.3.14.3.2.26": "sha1",
  "2.16.840.1.101.3.4.2.4": "sha224",
  "2.16.840.1.101.3.4.2.5": "sha512-224",
  "2.16.840.1.101.3.4.2.6": "sha512-256",
  "2.16.840.1.101.3.4.2.7": "sha3-224",
  "2.16.840.1.101.3.4.2.1": "sha256",
  "2.16.840.1.101.3.4.2.2": "sha384",
  "2.16.840.1.101.3.4.2.3": "sha512",
  "2.16.840.1.101.3.4.2.8": "sha3-256",
  "2.16.840.1.101.3.4.2.9": "sha3-384",
  "2.16.840.1.101.3.4.2.10": "sha3-512",
};

/** RSASSA-PSS-params (RFC 8017 §A.2.3): SHA-1, MGF1 with SHA-1 and 20 bytes of salt where they say nothing. */
export function pssParams(params: Uint8Array | undefined): PssParams | undefined {
  const t = params && readTlv(params);
  const parts = t?.tag === Tag.sequence ? children(t) : undefined;
  if (parts === undefined) return undefined;
  let digest: string | undefined = "sha1";
  let maskDigest: string | undefined = "sha1";
  let saltBytes = 20;
  for (const part of parts) {
    const inner = children(part)?.[0];
    if (inner === undefined) return undefined;
    if (part.tag === 0xa0) digest = hashOf(inner);
    else if (part.tag === 0xa1) {
      const [mgf, hash] = children(inner) ?? [];
      if (mgf === undefined || hash === undefined || oidText(mgf) !== MGF1) return undefined;
      maskDigest = hashOf(hash);
    } else if (part.tag === 0xa2) {
      const n = unsigned(inner);
      if (n === undefined || n > 2048n) return undefined;
      saltBytes = Number(n);
    } else if (part.tag !== 0xa3 || unsigned(inner) !== 1n) return undefined;
  }
  return digest && maskDigest ? { digest, maskDigest, saltBytes } : undefined;
}

const MGF1 = "1.2.840.113549.1.1.8";

function hashOf(algorithm: Tlv): string | undefined {
  const id = children(algorithm)?.[0];
  return id && HASHES[oidText(id) ?? ""];
}

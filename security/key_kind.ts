/**
 * Kinds of signature keys: what a public key says of itself, and which digests it is used with (spec 40 §4). Pure.
 */

import { digestByNid } from "../lib/wire/oap_ids.ts";
import { children, contents, oidText, readTlv, type Tlv } from "./der.ts";
import { Oid, parseSpki } from "./kex/spki.ts";
import { type PssParams, pssParams } from "./pss_params.ts";

/** How a key signs. */
export type KeyKind =
  | { readonly type: "ec"; readonly curve: string; readonly bits: number }
  | { readonly type: "rsa"; readonly bits: number }
  | {
    readonly type: "rsa-pss";
    readonly bits: number;
    /** What the key may be used with alone, if it says so: digests, and the least salt (RFC 4055 §1.2). */
    readonly limits?: PssParams | undefined;
  }
  | { readonly type: "ed25519" | "ed448" }
  | { readonly type: "ml-dsa" | "slh-dsa"; readonly name: string };

/** Object identifiers of key and signature algorithms. */
export const RSA = "1.2.840.113549.1.1.1";
export const RSA_PSS = "1.2.840.113549.1.1.10";
export const ED25519 = "1.3.101.112";
export const ED448 = "1.3.101.113";

/** Longest modulus of RSA, bits (as OpenSSL). */
export const RSA_BITS_MAX = 16384;

/** Curves on which signatures are verified, by object identifier; the first three sign, too. */
const CURVES: Readonly<Record<string, { readonly word: string; readonly bits: number }>> = {
  "1.2.840.10045.3.1.7": { word: "prime256v1", bits: 256 },
  "1.3.132.0.34": { word: "secp384r1", bits: 384 },
  "1.3.132.0.35": { word: "secp521r1", bits: 521 },
  "1.3.132.0.33": { word: "secp224r1", bits: 224 },
  "1.3.132.0.10": { word: "secp256k1", bits: 256 },
  "1.3.36.3.3.2.8.1.1.7": { word: "brainpoolP256r1", bits: 256 },
  "1.3.36.3.3.2.8.1.1.11": { word: "brainpoolP384r1", bits: 384 },
  "1.3.36.3.3.2.8.1.1.13": { word: "brainpoolP512r1", bits: 512 },
};

/** ML-DSA and SLH-DSA: NIST's arc of signature algorithms, `.17` to `.31`. */
const NIST_SIGS = "2.16.840.1.101.3.4.3.";

const SLH_SETS = ["128s", "128f", "192s", "192f", "256s", "256f"];
const PQ_NAMES: Record<string, string> = {
  "17": "ML-DSA-44",
  "18": "ML-DSA-65",
  "19": "ML-DSA-87",
  ...Object.fromEntries(SLH_SETS.map((s, i) => [String(20 + i), `SLH-DSA-SHA2-${s}`])),
  ...Object.fromEntries(SLH_SETS.map((s, i) => [String(26 + i), `SLH-DSA-SHAKE-${s}`])),
};
/** Names of the post-quantum signature algorithms, as WebCrypto and `ouro pki` know them. */
export const PQ_SIGNATURES: readonly string[] = Object.values(PQ_NAMES);

/** The identifier of a post-quantum signature algorithm. */
export function pqOid(name: string): string | undefined {
  const arc = Object.keys(PQ_NAMES).find((k) => PQ_NAMES[k] === name);
  return arc && NIST_SIGS + arc;
}

/** The name of a post-quantum signature algorithm. */
export function pqName(id: string): string | undefined {
  return id.startsWith(NIST_SIGS) ? PQ_NAMES[id.slice(NIST_SIGS.length)] : undefined;
}

/** Default digest of EC and RSA keys when the header's digest id is 0. */
const DEFAULT_DIGEST = "sha256";
/** Smallest digest that Deno signs with on P-521, bytes. */
export const P521_DIGEST_BYTES_MIN = 33;

/** The digest for a key: a word, `null` for pure EdDSA, `undefined` when the pair is not possible. */
export function digestWord(kind: KeyKind, digestNid: number): string | null | undefined {
  if (kind.type === "ml-dsa" || kind.type === "slh-dsa") return null; // Never applied.
  if (kind.type === "ed25519" || kind.type === "ed448") return digestNid === 0 ? null : undefined;
  const limit = kind.type === "rsa-pss" ? kind.limits?.digest : undefined;
  const word = digestNid === 0 ? limit ?? DEFAULT_DIGEST : digestByNid(digestNid)?.word;
  if (limit !== undefined && word !== limit) return undefined;
  if (kind.type !== "ec" && word?.startsWith("blake2")) return undefined;
  return word;
}

/** What kind of signature key a SubjectPublicKeyInfo holds; `undefined` for others. */
export function keyKind(spki: Uint8Array): KeyKind | undefined {
  const parsed = parseSpki(spki);
  if (!parsed) return undefined;
  switch (parsed.oid) {
    case Oid.ecPublicKey: {
      const curve = parsed.params && CURVES[oidText(parsed.params) ?? ""];
      return curve && { type: "ec", curve: curve.word, bits: curve.bits };
    }
    case RSA:
    case RSA_PSS: {
      const key = readTlv(parsed.key);
      const n = key && children(key)?.[0];
      if (!n) return undefined;
      const c = contents(n);
      const bits = BigInt("0x0" + c.toHex()).toString(2).length;
      if (parsed.oid === RSA) return { type: "rsa", bits };
      if (parsed.params === undefined) return { type: "rsa-pss", bits };
      const limits = pssParams(parsed.params.bytes.subarray(parsed.params.at, parsed.params.to));
      return limits && { type: "rsa-pss", bits, limits };
    }
    case ED25519:
      return { type: "ed25519" };
    case ED448:
      return { type: "ed448" };
  }
  const name = pqName(parsed.oid);
  return name === undefined
    ? undefined
    : { type: name.startsWith("ML-DSA") ? "ml-dsa" : "slh-dsa", name };
}

/** A kind of key for people. */
export function keyWords(kind: KeyKind): string {
  switch (kind.type) {
    case "ec":
      return `EC ${kind.curve}`;
    case "rsa":
    case "rsa-pss":
      return `${kind.type === "rsa" ? "RSA" : "RSA-PSS"} ${kind.bits}`;
    case "ed25519":
      return "Ed25519";
    case "ed448":
      return "Ed448";
    default:
      return kind.name;
  }
}

/** What a key that is not supported is, for people: its algorithm, and the curve or length that is at fault. */
export function unsupportedKey(spki: Uint8Array): string {
  const parsed = parseSpki(spki);
  if (parsed === undefined) return "damaged";
  const name = keyName(parsed.oid, parsed.params);
  const kind = keyKind(spki);
  if (parsed.oid === Oid.ecPublicKey || kind === undefined || !("bits" in kind)) return name;
  return `${name} of ${kind.bits} bits${kind.bits <= RSA_BITS_MAX ? " with this exponent" : ""}`;
}

/** The algorithm of a key, for people, with its curve. */
export function keyName(id: string, params: Tlv | undefined): string {
  const name = algorithmName(id);
  if (id !== Oid.ecPublicKey) return name;
  const curve = params && oidText(params);
  return curve ? `${name} ${algorithmName(curve)}` : `${name} with parameters of its own`;
}

/** Which key and signature algorithm a name for people is of, or the identifier itself. */
export function algorithmName(id: string): string {
  return ALGORITHM_NAMES[id] ?? pqName(id) ?? CURVES[id]?.word ?? `algorithm ${id}`;
}

const ALGORITHM_NAMES: Record<string, string> = {
  "1.2.840.10045.3.1.1": "prime192v1",
  "1.3.132.0.31": "secp192k1",
  "1.3.132.0.32": "secp224k1",
  "1.3.36.3.3.2.8.1.1.5": "brainpoolP224r1",
  "1.3.36.3.3.2.8.1.1.8": "brainpoolP256t1",
  "1.3.36.3.3.2.8.1.1.9": "brainpoolP320r1",
  "1.3.36.3.3.2.8.1.1.12": "brainpoolP384t1",
  "1.3.36.3.3.2.8.1.1.14": "brainpoolP512t1",
  "1.2.156.10197.1.301": "SM2",
  [RSA]: "RSA",
  [RSA_PSS]: "RSA-PSS",
  [ED25519]: "Ed25519",
  [ED448]: "Ed448",
  "1.2.840.10045.2.1": "EC",
  "1.2.840.10040.4.1": "DSA",
  "1.2.840.10040.4.3": "DSA with SHA-1",
  "2.16.840.1.101.3.4.3.1": "DSA with SHA-224",
  "2.16.840.1.101.3.4.3.2": "DSA with SHA-256",
  "1.2.840.113549.1.1.2": "RSA with MD2",
  "1.2.840.113549.1.1.3": "RSA with MD4",
  "1.2.156.10197.1.501": "SM2 with SM3",
};

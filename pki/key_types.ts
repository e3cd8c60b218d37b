/** The key types that `ouro pki` makes, and key pairs of them. */

import { generateKeyPairSync } from "node:crypto";
import { oid, Tag, tlv } from "../security/der.ts";
import { parseSpki } from "../security/kex/spki.ts";
import { parsePkcs8 } from "../security/kex/static.ts";
import { PQ_SIGNATURES } from "../security/key_kind.ts";

/** A new key pair. */
export interface NewKey {
  /** Word on the command line, e.g. `p256`. */
  readonly type: string;
  readonly pkcs8: Uint8Array<ArrayBuffer>;
  readonly spki: Uint8Array<ArrayBuffer>;
}

const CURVES: Record<string, string> = {
  p256: "prime256v1",
  p384: "secp384r1",
  p521: "secp521r1",
};
const RSA_BITS: Record<string, number> = {
  "rsa2048": 2048,
  "rsa3072": 3072,
  "rsa4096": 4096,
  "rsa-pss": 3072,
};
const PQ = new Map(PQ_SIGNATURES.map((name) => [name.toLowerCase(), name]));

/** What is used unless asked for otherwise. */
export const KEY_TYPE_DEFAULT = "p256";

/** Words of all key types. */
export const KEY_TYPES: readonly string[] = [
  ...Object.keys(CURVES),
  ...Object.keys(RSA_BITS),
  "ed25519",
  "ed448",
  ...PQ.keys(),
];

/** Whether a key type cannot sign with a digest, so not beside an `enc.conf` (spec 40 §4). */
export function isDigestless(type: string): boolean {
  return type === "ed25519" || type === "ed448";
}

/** Whether certificates of a type are larger than most IPCPs carry (spec 40 §16). */
export function isLarge(type: string): boolean {
  return PQ.has(type);
}

/** WebCrypto with key types that the type library does not know yet. */
interface PqSubtle {
  generateKey(name: string, extractable: boolean, usages: string[]): Promise<CryptoKeyPair>;
}

/** Makes a key pair; throws for a word that is none (the caller has checked). */
export async function generateKey(type: string): Promise<NewKey> {
  const pq = PQ.get(type);
  if (pq) {
    const subtle = crypto.subtle as unknown as PqSubtle;
    const pair = await subtle.generateKey(pq, true, ["sign", "verify"]);
    return {
      type,
      pkcs8: new Uint8Array(await crypto.subtle.exportKey("pkcs8", pair.privateKey)),
      spki: new Uint8Array(await crypto.subtle.exportKey("spki", pair.publicKey)),
    };
  }
  const { privateKey, publicKey } = classical(type);
  const pkcs8 = new Uint8Array(privateKey.export({ format: "der", type: "pkcs8" }));
  const spki = new Uint8Array(publicKey.export({ format: "der", type: "spki" }));
  return type === "rsa-pss" ? { type, ...asPss(pkcs8, spki) } : { type, pkcs8, spki };
}

/** An RSA key that says it is for PSS alone: the same numbers under the other identifier. */
function asPss(pkcs8: Uint8Array, spki: Uint8Array) {
  const algorithm = tlv(Tag.sequence, oid("1.2.840.113549.1.1.10"));
  const privateKey = parsePkcs8(pkcs8)!.key;
  const publicKey = parseSpki(spki)!.key;
  return {
    pkcs8: tlv(
      Tag.sequence,
      tlv(Tag.integer, new Uint8Array(1)),
      algorithm,
      tlv(Tag.octetString, privateKey),
    ),
    spki: tlv(Tag.sequence, algorithm, tlv(Tag.bitString, new Uint8Array(1), publicKey)),
  };
}

function classical(type: string) {
  const namedCurve = CURVES[type];
  if (namedCurve) return generateKeyPairSync("ec", { namedCurve });
  const modulusLength = RSA_BITS[type];
  if (modulusLength) return generateKeyPairSync("rsa", { modulusLength });
  if (type === "ed25519") return generateKeyPairSync("ed25519");
  if (type === "ed448") return generateKeyPairSync("ed448");
  throw new Error(`no key type ${type}`);
}

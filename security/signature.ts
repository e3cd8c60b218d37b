/**
 * Signatures of OAP and of certificates: RSA, RSA-PSS, ECDSA, EdDSA, ML-DSA, SLH-DSA (spec 40 §4).
 *
 * `node:crypto` for the classical ones (all eight digests), WebCrypto for the post-quantum ones,
 * `@noble` where neither has a case: P-521 with a digest below 33 bytes, and lattice keys that a file
 * holds in expanded form only.
 */

import { ecdsa, weierstrass } from "@noble/curves/abstract/weierstrass.js";
import { brainpoolP256r1, brainpoolP384r1, brainpoolP512r1 } from "@noble/curves/misc.js";
import { p256, p384, p521 } from "@noble/curves/nist.js";
import { secp256k1 } from "@noble/curves/secp256k1.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { ml_dsa44, ml_dsa65, ml_dsa87 } from "@noble/post-quantum/ml-dsa.js";
import {
  constants,
  createHash,
  createPrivateKey,
  createPublicKey,
  type KeyObject,
  sign as nodeSign,
  verify as nodeVerify,
} from "node:crypto";
import { digestByNid } from "../lib/wire/oap_ids.ts";
import { children, contents, oid, oidText, readTlv, Tag, type Tlv, tlv, unsigned } from "./der.ts";
import { Oid, parseSpki } from "./kex/spki.ts";
import { latticeKey, parsePkcs8 } from "./kex/static.ts";
import {
  type PssParams,
  RSA_BITS_MAX,
  type RsaKey,
  rsaKeyOf,
  verifyPkcs1,
  verifyPss,
} from "./rsa.ts";

/** How a key signs. */
export type KeyKind =
  | { readonly type: "ec"; readonly curve: string; readonly bits: number }
  | { readonly type: "rsa" | "rsa-pss"; readonly bits: number }
  | { readonly type: "ed25519" | "ed448" }
  | { readonly type: "ml-dsa" | "slh-dsa"; readonly name: string };

const RSA = "1.2.840.113549.1.1.1";
const RSA_PSS = "1.2.840.113549.1.1.10";
const ED25519 = "1.3.101.112";
const ED448 = "1.3.101.113";
/** P-224 (FIPS 186-4 D.1.2.2), which the library does not ship. */
const p224 = ecdsa(
  weierstrass({
    p: 2n ** 224n - 2n ** 96n + 1n,
    n: 0xffffffffffffffffffffffffffff16a2e0b8f03e13dd29455c5c2a3dn,
    h: 1n,
    a: 2n ** 224n - 2n ** 96n + 1n - 3n,
    b: 0xb4050a850c04b3abf54132565044b0b7d7bfd8ba270b39432355ffb4n,
    Gx: 0xb70e0cbd6bb4bf7f321390b94a03c1d356c21122343280d6115c1d21n,
    Gy: 0xbd376388b5f723fb4c22dfe6cd4375a05a07476444d5819985007e34n,
  }),
  sha256, // Never applied: digests are made before.
);

/** Curves on which signatures are verified, by object identifier; the first three sign, too. */
const CURVES = {
  "1.2.840.10045.3.1.7": { word: "prime256v1", bits: 256, curve: p256 },
  "1.3.132.0.34": { word: "secp384r1", bits: 384, curve: p384 },
  "1.3.132.0.35": { word: "secp521r1", bits: 521, curve: p521 },
  "1.3.132.0.33": { word: "secp224r1", bits: 224, curve: p224 },
  "1.3.132.0.10": { word: "secp256k1", bits: 256, curve: secp256k1 },
  "1.3.36.3.3.2.8.1.1.7": { word: "brainpoolP256r1", bits: 256, curve: brainpoolP256r1 },
  "1.3.36.3.3.2.8.1.1.11": { word: "brainpoolP384r1", bits: 384, curve: brainpoolP384r1 },
  "1.3.36.3.3.2.8.1.1.13": { word: "brainpoolP512r1", bits: 512, curve: brainpoolP512r1 },
} as const;

function curveOf(id: string): (typeof CURVES)[keyof typeof CURVES] | undefined {
  return CURVES[id as keyof typeof CURVES];
}

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
const ML_DSA: Record<string, typeof ml_dsa65> = {
  "ML-DSA-44": ml_dsa44,
  "ML-DSA-65": ml_dsa65,
  "ML-DSA-87": ml_dsa87,
};

/** Names of the post-quantum signature algorithms, as WebCrypto and `ouro pki` know them. */
export const PQ_SIGNATURES: readonly string[] = Object.values(PQ_NAMES);

/** The identifier of a post-quantum signature algorithm. */
export function pqOid(name: string): string | undefined {
  const arc = Object.keys(PQ_NAMES).find((k) => PQ_NAMES[k] === name);
  return arc && NIST_SIGS + arc;
}

function pqName(id: string): string | undefined {
  return id.startsWith(NIST_SIGS) ? PQ_NAMES[id.slice(NIST_SIGS.length)] : undefined;
}

/** The signature methods of WebCrypto with algorithms that the type library does not know yet. */
interface PqSubtle {
  importKey(
    format: "spki" | "pkcs8",
    bytes: Uint8Array<ArrayBuffer>,
    name: string,
    extractable: boolean,
    usages: string[],
  ): Promise<CryptoKey>;
  sign(name: string, key: CryptoKey, data: Uint8Array<ArrayBuffer>): Promise<ArrayBuffer>;
  verify(
    name: string,
    key: CryptoKey,
    signature: Uint8Array<ArrayBuffer>,
    data: Uint8Array<ArrayBuffer>,
  ): Promise<boolean>;
}
const pqSubtle = crypto.subtle as unknown as PqSubtle;

/** Default digest of EC and RSA keys when the header's digest id is 0. */
const DEFAULT_DIGEST = "sha256";
/** Smallest digest that Deno signs with on P-521, bytes. */
const P521_DIGEST_BYTES_MIN = 33;

/** A private key that signs. */
export class SigningKey {
  private constructor(
    readonly kind: KeyKind,
    readonly key: KeyObject | CryptoKey | Uint8Array,
  ) {}

  /**
   * Takes a private key as DER.
   * @param label of the PEM block: PKCS#8 `PRIVATE KEY`, SEC1 `EC PRIVATE KEY`, PKCS#1 `RSA PRIVATE KEY`
   * @returns the reason for a person when it cannot be used
   */
  static async fromDer(label: string, der: Uint8Array<ArrayBuffer>): Promise<SigningKey | string> {
    const type = PRIVATE_LABELS[label];
    if (!type) return `no private key of a known form (${label})`;
    const pkcs8 = type === "pkcs8" ? parsePkcs8(der) : undefined;
    const name = pkcs8 && pqName(pkcs8.oid);
    try {
      if (name) return await SigningKey.#lattice(name, pkcs8.key, der);
      const key = createPrivateKey({ key: der as unknown as Buffer, format: "der", type });
      const spki = createPublicKey(key).export({ format: "der", type: "spki" });
      const kind = keyKind(new Uint8Array(spki));
      return kind ? new SigningKey(kind, key) : "key type not supported for signatures";
    } catch (e) {
      return `damaged private key (${e instanceof Error ? e.message : e})`;
    }
  }

  static async #lattice(
    name: string,
    key: Uint8Array,
    der: Uint8Array<ArrayBuffer>,
  ): Promise<SigningKey | string> {
    if (!name.startsWith("ML-DSA")) {
      const slh = await pqSubtle.importKey("pkcs8", der, name, false, ["sign"]);
      return new SigningKey({ type: "slh-dsa", name }, slh);
    }
    const ml = ML_DSA[name]!;
    const forms = latticeKey(key, 32, ml.lengths.secretKey!);
    if (!forms) return "damaged private key";
    const kind: KeyKind = { type: "ml-dsa", name };
    if (!forms.seed) return new SigningKey(kind, forms.expanded!.slice());
    const bare = seedPkcs8(name, forms.seed);
    return new SigningKey(kind, await pqSubtle.importKey("pkcs8", bare, name, false, ["sign"]));
  }

  /**
   * Signs `data` with a digest id (0: the key type's default).
   * @returns `undefined` where the prototype fails too: EdDSA with a digest, RSA with BLAKE2
   */
  async sign(digestNid: number, data: Uint8Array): Promise<Uint8Array | undefined> {
    const { kind, key } = this;
    const owned = data.slice();
    try {
      if (kind.type === "ml-dsa" || kind.type === "slh-dsa") {
        if (key instanceof Uint8Array) return ML_DSA[kind.name]!.sign(owned, key);
        return new Uint8Array(await pqSubtle.sign(kind.name, key as CryptoKey, owned));
      }
      const word = digestWord(kind, digestNid);
      if (word === undefined) return undefined;
      return signClassical(kind, key as KeyObject, word, owned);
    } catch {
      return undefined;
    }
  }
}

/** PEM labels of private keys and what `node:crypto` calls their contents. */
export const PRIVATE_LABELS: Record<string, "pkcs8" | "sec1" | "pkcs1"> = {
  "PRIVATE KEY": "pkcs8",
  "EC PRIVATE KEY": "sec1",
  "RSA PRIVATE KEY": "pkcs1",
};

/** PKCS#8 of a lattice signature key from its 32-byte seed. */
export function seedPkcs8(name: string, seed: Uint8Array): Uint8Array<ArrayBuffer> {
  return tlv(
    Tag.sequence,
    tlv(Tag.integer, new Uint8Array(1)),
    tlv(Tag.sequence, oid(pqOid(name)!)),
    tlv(Tag.octetString, tlv(0x80, seed)),
  );
}

function signClassical(
  kind: KeyKind,
  key: KeyObject,
  word: string | null,
  data: Uint8Array,
): Uint8Array | undefined {
  if (kind.type === "rsa-pss") {
    return nodeSign(word, data, {
      key,
      padding: constants.RSA_PKCS1_PSS_PADDING,
      saltLength: constants.RSA_PSS_SALTLEN_MAX_SIGN,
    });
  }
  if (kind.type === "ec" && kind.curve === "secp521r1") {
    const hash = createHash(word!).update(data).digest();
    if (hash.length < P521_DIGEST_BYTES_MIN) {
      const jwk = key.export({ format: "jwk" });
      const d = Uint8Array.fromBase64(jwk.d!, { alphabet: "base64url" });
      const scalar = new Uint8Array(66);
      scalar.set(d, 66 - d.length);
      try {
        return p521.sign(hash, scalar, { prehash: false, lowS: false, format: "der" });
      } finally {
        scalar.fill(0);
        d.fill(0);
      }
    }
  }
  return nodeSign(word, data, key);
}

/** The digest for a key: a word, `null` for pure EdDSA, `undefined` when the pair is not possible. */
function digestWord(kind: KeyKind, digestNid: number): string | null | undefined {
  if (kind.type === "ml-dsa" || kind.type === "slh-dsa") return null; // Never applied.
  if (kind.type === "ed25519" || kind.type === "ed448") return digestNid === 0 ? null : undefined;
  const word = digestNid === 0 ? DEFAULT_DIGEST : digestByNid(digestNid)?.word;
  if (kind.type !== "ec" && word?.startsWith("blake2")) return undefined;
  return word;
}

/** What kind of signature key a SubjectPublicKeyInfo holds; `undefined` for others. */
export function keyKind(spki: Uint8Array): KeyKind | undefined {
  const parsed = parseSpki(spki);
  if (!parsed) return undefined;
  switch (parsed.oid) {
    case Oid.ecPublicKey: {
      const curve = parsed.params && curveOf(oidText(parsed.params) ?? "");
      return curve && { type: "ec", curve: curve.word, bits: curve.bits };
    }
    case RSA:
    case RSA_PSS: {
      const key = readTlv(parsed.key);
      const n = key && children(key)?.[0];
      if (!n) return undefined;
      const c = contents(n);
      const bits = BigInt("0x0" + c.toHex()).toString(2).length;
      return { type: parsed.oid === RSA ? "rsa" : "rsa-pss", bits };
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

/** Which key and signature algorithm a name for people is of, or the identifier itself. */
export function algorithmName(id: string): string {
  return ALGORITHM_NAMES[id] ?? pqName(id) ?? curveOf(id)?.word ?? `algorithm ${id}`;
}

const ALGORITHM_NAMES: Record<string, string> = {
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

/** A public key that verifies, made once for a certificate. */
export class VerifyKey {
  #pq: CryptoKey | undefined;
  #node: KeyObject | undefined;
  #rsa: RsaKey | undefined;

  private constructor(
    readonly kind: KeyKind,
    readonly spki: Uint8Array<ArrayBuffer>,
  ) {}

  /** Takes a SubjectPublicKeyInfo; `undefined` for key types that sign nothing here. */
  static of(spki: Uint8Array): VerifyKey | undefined {
    const kind = keyKind(spki);
    if (kind !== undefined && "bits" in kind && kind.bits > RSA_BITS_MAX) return undefined;
    return kind && new VerifyKey(kind, spki.slice());
  }

  /** Verifies an OAP signature under the sender's digest id (0: default of the key type). */
  async verify(digestNid: number, data: Uint8Array, signature: Uint8Array): Promise<boolean> {
    const word = digestWord(this.kind, digestNid);
    if (word === undefined) return false;
    const pss = this.kind.type === "rsa-pss" && word !== null
      ? { digest: word, maskDigest: word, saltBytes: undefined }
      : undefined;
    return await this.verifyDigest(word, pss, data, signature);
  }

  /** Verifies under a digest by name; `pss` is the padding of RSA keys, PKCS#1 v1.5 when absent. */
  async verifyDigest(
    word: string | null,
    pss: PssParams | undefined,
    data: Uint8Array,
    signature: Uint8Array,
  ): Promise<boolean> {
    const { kind } = this;
    if (signature.length === 0) return false;
    try {
      switch (kind.type) {
        case "ml-dsa":
        case "slh-dsa":
          this.#pq ??= await pqSubtle.importKey("spki", this.spki, kind.name, false, ["verify"]);
          return await pqSubtle.verify(kind.name, this.#pq, signature.slice(), data.slice());
        case "rsa":
        case "rsa-pss": {
          const key = this.#rsa ??= rsaKeyOf(this.spki);
          if (key === undefined || word === null) return false;
          return pss === undefined
            ? verifyPkcs1(key, word, data, signature)
            : verifyPss(key, pss, data, signature);
        }
        case "ec":
          if (word === null) return false;
          return this.#verifyEc(kind.curve, word, data, signature);
        case "ed448":
          // Bits 448 to 455 of both halves but the sign are zero (RFC 8032 §5.2.7).
          if (signature.length !== 114 || (signature[56]! & 0x7f) !== 0 || signature[113] !== 0) {
            return false;
          }
          return nodeVerify(word, data, this.#nodeKey(), signature);
        case "ed25519":
          return nodeVerify(word, data, this.#nodeKey(), signature);
      }
    } catch {
      return false; // A signature or key that the library does not even parse.
    }
  }

  #nodeKey(): KeyObject {
    return this.#node ??= createPublicKey({
      key: this.spki as unknown as Buffer,
      format: "der",
      type: "spki",
    });
  }

  #verifyEc(curve: string, word: string, data: Uint8Array, signature: Uint8Array): boolean {
    if (!isEcdsaSignature(signature)) return false;
    const hash = createHash(word).update(data).digest();
    const short = curve === "secp521r1" && hash.length < P521_DIGEST_BYTES_MIN;
    const native = curve === "prime256v1" || curve === "secp384r1" || curve === "secp521r1";
    if (native && !short) return nodeVerify(word, data, this.#nodeKey(), signature);
    const known = Object.values(CURVES).find((c) => c.word === curve);
    const point = parseSpki(this.spki)?.key;
    if (known === undefined || point === undefined) return false;
    return known.curve.verify(signature, hash, point, {
      prehash: false,
      lowS: false,
      format: "der",
    });
  }
}

/** Whether bytes are one SEQUENCE of two positive INTEGERs in their shortest form, and nothing else. */
function isEcdsaSignature(signature: Uint8Array): boolean {
  const t = readTlv(signature);
  if (t?.tag !== Tag.sequence || t.to !== signature.length) return false;
  const shortest = (length: number) => 2 + (length < 0x80 ? 0 : 1);
  if (t.from !== shortest(t.to - t.from)) return false;
  const parts = children(t);
  return parts?.length === 2 && parts.every((part) => {
    const c = contents(part);
    const padded = c[0] === 0 && c.length > 1 && c[1]! < 0x80;
    return part.from - part.at === 2 && unsigned(part) !== undefined && !padded;
  });
}

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

/** RSASSA-PSS-params (RFC 8017 §A.2.3): SHA-1, MGF1 with SHA-1 and 20 bytes of salt where they say nothing. */
function pssParams(params: Uint8Array | undefined): PssParams | undefined {
  const t = params && readTlv(params);
  const parts = t?.tag === Tag.sequence ? children(t) : undefined;
  if (parts === undefined) return undefined;
  let digest: string | undefined = "sha1", maskDigest: string | undefined = "sha1";
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

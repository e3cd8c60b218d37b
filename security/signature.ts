/**
 * Verifying signatures of OAP and of certificates: RSA, RSA-PSS, ECDSA, EdDSA, ML-DSA, SLH-DSA (spec 40 §4).
 *
 * `node:crypto` for the classical ones (all eight digests), WebCrypto for the post-quantum ones and for P-521 with SHA-1
 * and SHA-256, `@noble` for curves that the runtime does not know, and for P-521 with other digests below 33 bytes.
 */

import { ecdsa, weierstrass } from "@noble/curves/abstract/weierstrass.js";
import { ed25519 } from "@noble/curves/ed25519.js";
import { brainpoolP256r1, brainpoolP384r1, brainpoolP512r1 } from "@noble/curves/misc.js";
import { p521 } from "@noble/curves/nist.js";
import { secp256k1 } from "@noble/curves/secp256k1.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { createHash, createPublicKey, type KeyObject, verify as nodeVerify } from "node:crypto";
import { type CostlyWork, verifiesSlowly } from "./costly_work.ts";
import { children, contents, readTlv, Tag, unsigned } from "./der.ts";
import { digestWord, type KeyKind, keyKind, P521_DIGEST_BYTES_MIN } from "./key_kind.ts";
import { parseSpki } from "./kex/spki.ts";
import { pqSubtle } from "./pq_subtle.ts";
import type { PssParams } from "./pss_params.ts";
import { type RsaKey, rsaKeyOf, verifyPkcs1, verifyPss } from "./rsa.ts";

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

/** Curves that the runtime does not verify on, or not with every digest. */
const CURVES: Readonly<Record<string, ReturnType<typeof ecdsa>>> = {
  secp521r1: p521,
  secp224r1: p224,
  secp256k1,
  brainpoolP256r1,
  brainpoolP384r1,
  brainpoolP512r1,
};

/** A public key that verifies, made once for a certificate. */
export class VerifyKey {
  #pq: CryptoKey | undefined;
  #web: CryptoKey | undefined;
  #node: KeyObject | undefined;
  #rsa: RsaKey | undefined;

  private constructor(
    readonly kind: KeyKind,
    readonly spki: Uint8Array<ArrayBuffer>,
  ) {}

  /** Takes a SubjectPublicKeyInfo; `undefined` for key types that sign nothing here. */
  static of(spki: Uint8Array): VerifyKey | undefined {
    const kind = keyKind(spki);
    if (kind === undefined) return undefined;
    const made = new VerifyKey(kind, spki.slice());
    if (kind.type !== "rsa" && kind.type !== "rsa-pss") return made;
    made.#rsa = rsaKeyOf(spki);
    return made.#rsa && made;
  }

  /** What one verification costs, in verifications on P-256 (a millisecond of a slow machine). */
  cost(word: string | null): number {
    const { kind } = this;
    switch (kind.type) {
      case "rsa":
      case "rsa-pss": {
        const { bits, exponentBits } = this.#rsa!;
        return (bits / 4096) ** 2 * exponentBits / 40;
      }
      case "ec":
        return kind.curve === "secp521r1" && isShort(word) && !(word! in WEB_DIGESTS)
          ? 12
          : EC_COSTS[kind.curve] ?? 1;
      case "slh-dsa":
        return kind.name.endsWith("f") ? 8 : 3;
      default:
        return 0.5;
    }
  }

  /**
   * Verifies an OAP signature under the sender's digest id (0: default of the key type).
   * @param work does it where it is costly; without it is done here
   */
  async verify(
    digestNid: number,
    data: Uint8Array,
    signature: Uint8Array,
    work?: CostlyWork,
  ): Promise<boolean> {
    const word = digestWord(this.kind, digestNid);
    if (word === undefined) return false;
    // A key with limits signs with just the salt that it states as least (as OpenSSL).
    const pss = this.kind.type === "rsa-pss" && word !== null
      ? this.kind.limits ?? { digest: word, maskDigest: word, saltBytes: undefined }
      : undefined;
    return await this.verifyDigest(word, pss, data, signature, work);
  }

  /** Verifies under a digest by name; `pss` is the padding of RSA keys, PKCS#1 v1.5 when absent. */
  async verifyDigest(
    word: string | null,
    pss: PssParams | undefined,
    data: Uint8Array,
    signature: Uint8Array,
    work?: CostlyWork,
  ): Promise<boolean> {
    const { kind } = this;
    if (signature.length === 0) return false;
    if (work !== undefined && verifiesSlowly(kind)) {
      const { spki } = this;
      const [bytes, mark] = [data.slice(), signature.slice()];
      const job = { kind: "verify", spki, word, pss, data: bytes, signature: mark } as const;
      return (await work.run(job)).length > 0;
    }
    try {
      switch (kind.type) {
        case "ml-dsa":
        case "slh-dsa":
          this.#pq ??= await pqSubtle.importKey("spki", this.spki, kind.name, false, ["verify"]);
          return await pqSubtle.verify(kind.name, this.#pq, signature.slice(), data.slice());
        case "rsa":
        case "rsa-pss": {
          const key = this.#rsa;
          if (key === undefined || word === null) return false;
          if (kind.type === "rsa-pss" && !isWithin(pss, kind.limits)) return false;
          return pss === undefined
            ? verifyPkcs1(key, word, data, signature)
            : verifyPss(key, pss, data, signature);
        }
        case "ec":
          if (word === null) return false;
          return await this.#verifyEc(kind.curve, word, data, signature);
        case "ed448":
          // Bits 448 to 455 of both halves but the sign are zero (RFC 8032 §5.2.7).
          if (signature.length !== 114 || (signature[56]! & 0x7f) !== 0 || signature[113] !== 0) {
            return false;
          }
          return nodeVerify(word, data, this.#nodeKey(), signature);
        case "ed25519":
          // With a key of low order one signature is good for every message.
          if (this.#node === undefined && isLowOrder(this.spki)) return false;
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

  async #verifyEc(
    curve: string,
    word: string,
    data: Uint8Array,
    signature: Uint8Array,
  ): Promise<boolean> {
    if (!isEcdsaSignature(signature)) return false;
    const native = curve === "prime256v1" || curve === "secp384r1" || curve === "secp521r1";
    const short = curve === "secp521r1" && isShort(word);
    if (native && !short) return nodeVerify(word, data, this.#nodeKey(), signature);
    const hash = WEB_DIGESTS[word];
    if (short && hash !== undefined) {
      const raw = plainSignature(signature, 66);
      if (raw === undefined) return false;
      const algorithm = { name: "ECDSA", namedCurve: "P-521", hash };
      this.#web ??= await crypto.subtle.importKey("spki", this.spki, algorithm, false, ["verify"]);
      return await crypto.subtle.verify(algorithm, this.#web, raw, data.slice());
    }
    const known = CURVES[curve];
    const point = parseSpki(this.spki)?.key;
    if (known === undefined || point === undefined) return false;
    return known.verify(signature, createHash(word).update(data).digest(), point, {
      prehash: false,
      lowS: false,
      format: "der",
    });
  }
}

/** Digests of WebCrypto that are too short for P-521 elsewhere in the runtime. */
const WEB_DIGESTS: Readonly<Record<string, string>> = { sha1: "SHA-1", sha256: "SHA-256" };

/** Costs of curves, as {@linkcode VerifyKey.cost}. */
const EC_COSTS: Readonly<Record<string, number>> = {
  prime256v1: 1,
  secp384r1: 2,
  secp521r1: 3,
  secp224r1: 4,
  secp256k1: 4,
  brainpoolP256r1: 4,
  brainpoolP384r1: 7,
  brainpoolP512r1: 7,
};

/** Whether a digest is shorter than what the runtime's own verification takes on P-521. */
function isShort(word: string | null): boolean {
  return word !== null && createHash(word).digest().length < P521_DIGEST_BYTES_MIN;
}

/** Both numbers of a signature one after the other, each of so many bytes; undefined if one is longer. */
function plainSignature(signature: Uint8Array, bytes: number): Uint8Array<ArrayBuffer> | undefined {
  const raw = new Uint8Array(2 * bytes);
  for (const [i, part] of (children(readTlv(signature)!) ?? []).entries()) {
    const value = contents(part);
    const from = value[0] === 0 ? 1 : 0;
    if (value.length - from > bytes) return undefined;
    raw.set(value.subarray(from), (i + 1) * bytes - (value.length - from));
  }
  return raw;
}

/** Whether an Ed25519 key is one of the eight points of low order. */
function isLowOrder(spki: Uint8Array): boolean {
  const key = parseSpki(spki)?.key;
  return key === undefined || ed25519.Point.fromBytes(key, true).isSmallOrder();
}

/** Whether the parameters of a signature keep to the limits of a key for PSS alone. */
function isWithin(pss: PssParams | undefined, limits: PssParams | undefined): boolean {
  if (pss === undefined || limits === undefined) return pss !== undefined;
  return pss.digest === limits.digest && pss.maskDigest === limits.maskDigest &&
    (pss.saltBytes ?? 0) >= (limits.saltBytes ?? 0);
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

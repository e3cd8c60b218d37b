/**
 * Private keys that sign: RSA, RSA-PSS, ECDSA, EdDSA, ML-DSA, SLH-DSA (spec 40 §4).
 *
 * `node:crypto` for the classical ones (all eight digests), WebCrypto for the post-quantum ones, `@noble` where neither
 * has a case: P-521 with a digest below 33 bytes, and lattice keys that a file holds in expanded form only.
 */

import { p521 } from "@noble/curves/nist.js";
import { ml_dsa44, ml_dsa65, ml_dsa87 } from "@noble/post-quantum/ml-dsa.js";
import {
  constants,
  createHash,
  createPrivateKey,
  createPublicKey,
  type KeyObject,
  sign as nodeSign,
} from "node:crypto";
import { type CostlyWork, signsSlowly } from "./costly_work.ts";
import { oid, readTlv, Tag, tlv } from "./der.ts";
import {
  digestWord,
  type KeyKind,
  keyKind,
  keyName,
  P521_DIGEST_BYTES_MIN,
  pqName,
  pqOid,
} from "./key_kind.ts";
import { latticeKey, parsePkcs8 } from "./kex/static.ts";
import { pssParams } from "./pss_params.ts";
import { pqSubtle } from "./pq_subtle.ts";

const ML_DSA: Record<string, typeof ml_dsa65> = {
  "ML-DSA-44": ml_dsa44,
  "ML-DSA-65": ml_dsa65,
  "ML-DSA-87": ml_dsa87,
};

/** A private key as in its file. */
interface KeyFile {
  readonly label: string;
  readonly der: Uint8Array<ArrayBuffer>;
}

/** A private key that signs. */
export class SigningKey {
  private constructor(
    readonly kind: KeyKind,
    readonly key: KeyObject | CryptoKey | Uint8Array,
    /** Only of keys that sign slowly: what those need who do it elsewhere. */
    readonly file: KeyFile | undefined,
  ) {}

  static #of(
    kind: KeyKind,
    key: KeyObject | CryptoKey | Uint8Array,
    label: string,
    der: Uint8Array<ArrayBuffer>,
  ): SigningKey {
    const slow = signsSlowly(kind, key instanceof Uint8Array);
    return new SigningKey(kind, key, slow ? { label, der: der.slice() } : undefined);
  }

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
      if (name) return await SigningKey.#lattice(name, pkcs8.key, label, der);
      const key = createPrivateKey({ key: der as unknown as Buffer, format: "der", type });
      const spki = createPublicKey(key).export({ format: "der", type: "spki" });
      const kind = withLimits(keyKind(new Uint8Array(spki)), pkcs8?.params);
      return kind ? SigningKey.#of(kind, key, label, der) : "key type not supported for signatures";
    } catch (e) {
      const why = `${e instanceof Error ? e.message : e}`;
      if (pkcs8 === undefined || !/unsupported/i.test(why)) return `damaged private key (${why})`;
      const params = pkcs8.params && readTlv(pkcs8.params);
      return `its key type is not supported (${keyName(pkcs8.oid, params)})`;
    }
  }

  static async #lattice(
    name: string,
    key: Uint8Array,
    label: string,
    der: Uint8Array<ArrayBuffer>,
  ): Promise<SigningKey | string> {
    if (!name.startsWith("ML-DSA")) {
      const slh = await pqSubtle.importKey("pkcs8", der, name, false, ["sign"]);
      return SigningKey.#of({ type: "slh-dsa", name }, slh, label, der);
    }
    const ml = ML_DSA[name]!;
    const forms = latticeKey(key, 32, ml.lengths.secretKey!);
    if (!forms) return "damaged private key";
    const kind: KeyKind = { type: "ml-dsa", name };
    if (!forms.seed) return SigningKey.#of(kind, forms.expanded!.slice(), label, der);
    const bare = seedPkcs8(name, forms.seed);
    const made = await pqSubtle.importKey("pkcs8", bare, name, false, ["sign"]);
    return SigningKey.#of(kind, made, label, der);
  }

  /**
   * Signs `data` with a digest id (0: the key type's default).
   * @param work does it where it is costly; without it is done here
   * @returns `undefined` where the prototype fails too: EdDSA with a digest, RSA with BLAKE2
   */
  async sign(
    digestNid: number,
    data: Uint8Array,
    work?: CostlyWork,
  ): Promise<Uint8Array | undefined> {
    const { kind, key, file } = this;
    const owned = data.slice();
    if (work !== undefined && file !== undefined) {
      return (await work.run({ kind: "sign", ...file, digestNid, data: owned }))[0];
    }
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

/** What the key file says of a key for PSS; the runtime does not hand it on. */
function withLimits(
  kind: KeyKind | undefined,
  params: Uint8Array | undefined,
): KeyKind | undefined {
  if (kind?.type !== "rsa-pss" || params === undefined) return kind;
  const limits = pssParams(params);
  return limits && { ...kind, limits };
}

function signClassical(
  kind: KeyKind,
  key: KeyObject,
  word: string | null,
  data: Uint8Array,
): Uint8Array | undefined {
  if (kind.type === "rsa-pss") {
    const { limits } = kind;
    // The runtime masks with the digest itself alone.
    if (limits !== undefined && limits.maskDigest !== limits.digest) return undefined;
    return nodeSign(word, data, {
      key,
      padding: constants.RSA_PKCS1_PSS_PADDING,
      saltLength: limits?.saltBytes ?? constants.RSA_PSS_SALTLEN_MAX_SIGN,
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

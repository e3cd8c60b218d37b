/**
 * Ephemeral key pairs of key exchange: generate, derive, encapsulate, decapsulate (spec 40 §9, §15).
 *
 * WebCrypto for EC, X25519, X448 and ML-KEM; `node:crypto` for the finite-field groups. All results
 * are values: `undefined` for a peer's key or ciphertext that cannot be used.
 */

import { createDiffieHellman, type DiffieHellman } from "node:crypto";
import { kexByWord, type KexInfo, type KexWord } from "../../lib/wire/oap_ids.ts";
import { bigintBytes } from "../der.ts";
import { Secret } from "../secret.ts";
import { ffdhePrime, GENERATOR } from "./ffdhe.ts";
import { concat, encodePublic, KEM_SIZES, type KemSizes, type PeerKey } from "./spki.ts";

/** Secrets shorter than this are refused, bytes. */
const SECRET_BYTES_MIN = 32;

/** One side's own key pair. */
export interface KexPair {
  readonly kex: KexInfo;
  /** Own public key as it travels. */
  readonly wire: Uint8Array<ArrayBuffer>;
  /** Diffie-Hellman with a key of the same algorithm. */
  derive(peer: PeerKey): Promise<Secret | undefined>;
  /** The secret in a ciphertext made for this pair; `undefined` for DH pairs. */
  decapsulate(ciphertext: Uint8Array): Promise<Secret | undefined>;
}

/** What encapsulation gives. */
export interface Encapsulated {
  readonly ciphertext: Uint8Array<ArrayBuffer>;
  readonly secret: Secret;
}

/** The KEM methods of WebCrypto that the type library does not know yet. */
interface KemSubtle {
  generateKey(word: string, extractable: boolean, usages: string[]): Promise<CryptoKeyPair>;
  exportKey(format: "raw-public", key: CryptoKey): Promise<ArrayBuffer>;
  importKey(
    format: "raw-public" | "raw-seed",
    bytes: Uint8Array<ArrayBuffer>,
    word: string,
    extractable: boolean,
    usages: string[],
  ): Promise<CryptoKey>;
  encapsulateBits(
    word: string,
    key: CryptoKey,
  ): Promise<{ ciphertext: ArrayBuffer; sharedKey: ArrayBuffer }>;
  decapsulateBits(word: string, key: CryptoKey, ct: Uint8Array<ArrayBuffer>): Promise<ArrayBuffer>;
}

/** WebCrypto with its KEM methods. */
export const kemSubtle = crypto.subtle as unknown as KemSubtle;

/** Makes an ephemeral pair. */
export async function generatePair(kex: KexInfo): Promise<KexPair> {
  switch (kex.family) {
    case "ec":
    case "xdh": {
      const algorithm = webAlgorithm(kex.word);
      const pair = await crypto.subtle.generateKey(algorithm, false, ["deriveBits"]);
      return await WebPair.of(kex, pair as CryptoKeyPair);
    }
    case "ffdhe":
      return new GroupPair(kex);
    case "mlkem":
      return await KemPair.generate(kex);
    case "hybrid":
      return await HybridPair.generate(kex);
  }
}

/** Encapsulates to a public key of a KEM; `undefined` when the key cannot be used. */
export async function encapsulate(peer: PeerKey): Promise<Encapsulated | undefined> {
  const sizes = KEM_SIZES[peer.kex.word];
  if (!sizes || peer.raw.length !== sizes.publicBytes) return undefined;
  const { hybrid } = sizes;
  if (!hybrid) return await encapsulateMl(peer.kex.word, peer.raw);
  const split = peer.raw.length - hybrid.dhBytes;
  const first = await encapsulateMl(hybrid.kem, peer.raw.slice(0, split));
  if (!first) return undefined;
  using _first = first.secret;
  const dh = kexByWord(hybrid.dh);
  const own = await generatePair(dh);
  const second = await own.derive({ kex: dh, raw: peer.raw.slice(split) });
  if (!second) return undefined;
  using _second = second;
  return {
    ciphertext: concat(first.ciphertext, own.wire.subarray(-hybrid.dhBytes)),
    secret: new Secret(concat(first.secret.bytes, second.bytes)),
  };
}

async function encapsulateMl(
  word: KexWord,
  raw: Uint8Array<ArrayBuffer>,
): Promise<Encapsulated | undefined> {
  try {
    const key = await kemSubtle.importKey("raw-public", raw, word, true, ["encapsulateBits"]);
    const made = await kemSubtle.encapsulateBits(word, key);
    return {
      ciphertext: new Uint8Array(made.ciphertext),
      secret: new Secret(new Uint8Array(made.sharedKey)),
    };
  } catch {
    return undefined; // Not a usable key.
  }
}

/** Algorithm identifier of WebCrypto for a DH word. */
export function webAlgorithm(word: KexWord): EcKeyGenParams | { name: string } {
  switch (word) {
    case "prime256v1":
      return { name: "ECDH", namedCurve: "P-256" };
    case "secp384r1":
      return { name: "ECDH", namedCurve: "P-384" };
    case "secp521r1":
      return { name: "ECDH", namedCurve: "P-521" };
    default:
      return { name: word };
  }
}

/** Secret bits of a DH word; EC secrets are fixed width, X coordinate. */
const SECRET_BITS: Partial<Record<KexWord, number>> = {
  prime256v1: 256,
  secp384r1: 384,
  secp521r1: 528,
  X25519: 256,
  X448: 448,
};

/** A pair of WebCrypto: EC, X25519, X448. */
export class WebPair implements KexPair {
  private constructor(
    readonly kex: KexInfo,
    readonly wire: Uint8Array<ArrayBuffer>,
    readonly privateKey: CryptoKey,
  ) {}

  static async of(kex: KexInfo, pair: CryptoKeyPair): Promise<WebPair> {
    const raw = new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey));
    return new WebPair(kex, encodePublic(kex, raw), pair.privateKey);
  }

  async derive(peer: PeerKey): Promise<Secret | undefined> {
    if (peer.kex !== this.kex) return undefined;
    const algorithm = webAlgorithm(this.kex.word);
    try {
      const key = await crypto.subtle.importKey("raw", peer.raw, algorithm, true, []);
      const bits = await crypto.subtle.deriveBits(
        { name: algorithm.name, public: key },
        this.privateKey,
        SECRET_BITS[this.kex.word]!,
      );
      // Of points on a curve of prime order zero is a coordinate like others; elsewhere it tells of a point of low order.
      const secret = new Uint8Array(bits);
      return this.kex.family === "ec" ? new Secret(secret) : usable(secret);
    } catch {
      return undefined; // A point that gives no secret.
    }
  }

  decapsulate(): Promise<undefined> {
    return Promise.resolve(undefined);
  }
}

function groupOf(kex: KexInfo): DiffieHellman {
  return createDiffieHellman(
    bigintBytes(ffdhePrime(kex.word)),
    new Uint8Array(bigintBytes(GENERATOR)),
  );
}

/** The secret of a private exponent and a peer's public number; undefined when there is no usable one. */
export function groupSecret(
  kex: KexInfo,
  exponent: Uint8Array,
  peer: Uint8Array,
): Secret | undefined {
  const dh = groupOf(kex);
  dh.setPrivateKey(exponent);
  return secretWith(dh, kex, peer);
}

function secretWith(dh: DiffieHellman, kex: KexInfo, peer: Uint8Array): Secret | undefined {
  const y = BigInt("0x0" + peer.toHex());
  // 0, 1 and p-1 give a secret that anybody knows; the groups are of safe primes, so no others.
  if (y < 2n || y > ffdhePrime(kex.word) - 2n) return undefined;
  const secret = new Uint8Array(dh.computeSecret(peer));
  // Spec 40 §9, "Trap": the secret is the number without leading zero bytes.
  const at = secret.findIndex((x) => x !== 0);
  return at < 0 ? undefined : usable(secret.slice(at));
}

/** A pair of a finite-field group. */
export class GroupPair implements KexPair {
  readonly wire: Uint8Array<ArrayBuffer>;
  readonly #dh: DiffieHellman;

  /** Generates, or takes a given private exponent (for tests and vectors). */
  constructor(readonly kex: KexInfo, exponent?: Uint8Array) {
    this.#dh = groupOf(kex);
    if (exponent) this.#dh.setPrivateKey(exponent);
    this.#dh.generateKeys();
    this.wire = encodePublic(kex, new Uint8Array(this.#dh.getPublicKey()));
  }

  /** The private exponent. */
  get exponent(): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.#dh.getPrivateKey());
  }

  derive(peer: PeerKey): Promise<Secret | undefined> {
    return Promise.resolve(
      peer.kex === this.kex ? secretWith(this.#dh, this.kex, peer.raw) : undefined,
    );
  }

  decapsulate(): Promise<undefined> {
    return Promise.resolve(undefined);
  }
}

/** An ML-KEM pair. */
export class KemPair implements KexPair {
  private constructor(
    readonly kex: KexInfo,
    readonly wire: Uint8Array<ArrayBuffer>,
    readonly raw: Uint8Array<ArrayBuffer>,
    readonly privateKey: CryptoKey,
  ) {}

  static async generate(kex: KexInfo): Promise<KemPair> {
    const usages = ["encapsulateBits", "decapsulateBits"];
    const pair = await kemSubtle.generateKey(kex.word, false, usages);
    const raw = new Uint8Array(await kemSubtle.exportKey("raw-public", pair.publicKey));
    return new KemPair(kex, encodePublic(kex, raw), raw, pair.privateKey);
  }

  derive(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  async decapsulate(ciphertext: Uint8Array): Promise<Secret | undefined> {
    if (ciphertext.length !== KEM_SIZES[this.kex.word]!.ciphertextBytes) return undefined;
    try {
      const word = this.kex.word;
      const bits = await kemSubtle.decapsulateBits(word, this.privateKey, ciphertext.slice());
      return usable(new Uint8Array(bits));
    } catch {
      return undefined;
    }
  }
}

/** An ML-KEM pair and a DH pair; both secrets count. */
export class HybridPair implements KexPair {
  private constructor(
    readonly kex: KexInfo,
    readonly wire: Uint8Array<ArrayBuffer>,
    readonly sizes: KemSizes,
    readonly kem: KemPair,
    readonly dh: KexPair,
  ) {}

  static async generate(kex: KexInfo): Promise<HybridPair> {
    const sizes = KEM_SIZES[kex.word]!;
    const kem = await KemPair.generate(kexByWord(sizes.hybrid!.kem));
    const dh = await generatePair(kexByWord(sizes.hybrid!.dh));
    const wire = concat(kem.raw, dh.wire.subarray(-sizes.hybrid!.dhBytes));
    return new HybridPair(kex, wire, sizes, kem, dh);
  }

  derive(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  async decapsulate(ciphertext: Uint8Array): Promise<Secret | undefined> {
    return await openHybrid(this.sizes, ciphertext, this.kem, this.dh);
  }
}

/** Opens the ciphertext of a hybrid with both private keys. */
export async function openHybrid(
  sizes: KemSizes,
  ciphertext: Uint8Array,
  kem: Pick<KexPair, "decapsulate">,
  dh: Pick<KexPair, "derive">,
): Promise<Secret | undefined> {
  const hybrid = sizes.hybrid!;
  if (ciphertext.length !== sizes.ciphertextBytes) return undefined;
  const split = ciphertext.length - hybrid.dhBytes;
  const first = await kem.decapsulate(ciphertext.subarray(0, split));
  if (!first) return undefined;
  using _first = first;
  const raw = ciphertext.slice(split);
  const second = await dh.derive({ kex: kexByWord(hybrid.dh), raw });
  if (!second) return undefined;
  using _second = second;
  return new Secret(concat(first.bytes, second.bytes));
}

/** A secret that is neither short nor all zero. */
function usable(bytes: Uint8Array<ArrayBuffer>): Secret | undefined {
  const short = bytes.length < SECRET_BYTES_MIN || bytes.every((x) => x === 0);
  return short ? undefined : new Secret(bytes);
}

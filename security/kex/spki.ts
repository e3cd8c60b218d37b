/**
 * Public keys of key exchange as they travel: SubjectPublicKeyInfo by hand (spec 40 §3, §15).
 *
 * Pure. {@linkcode peerKey} recognises the algorithm from the key itself. It tolerates compressed
 * points, explicit parameters of a known curve and bytes after the structure; it refuses points off
 * the curve and lattice keys that are not reduced.
 */

import { p256, p384, p521 } from "@noble/curves/nist.js";
import { kexByWord, type KexInfo, type KexWord } from "../../lib/wire/oap_ids.ts";
import {
  bigintBytes,
  bitStringBytes,
  children,
  contents,
  integer,
  oid,
  oidText,
  readTlv,
  Tag,
  type Tlv,
  tlv,
  unsigned,
} from "../der.ts";
import { ffdheOfPrime, ffdhePrime, GENERATOR } from "./ffdhe.ts";

/** Object identifiers of key types. */
export const Oid = {
  ecPublicKey: "1.2.840.10045.2.1",
  primeField: "1.2.840.10045.1.1",
  dhKeyAgreement: "1.2.840.113549.1.3.1",
} as const;

/** Named curves: identifier, arithmetic, bytes of a coordinate. */
const CURVES = [
  { word: "prime256v1", oid: "1.2.840.10045.3.1.7", curve: p256, bytes: 32 },
  { word: "secp384r1", oid: "1.3.132.0.34", curve: p384, bytes: 48 },
  { word: "secp521r1", oid: "1.3.132.0.35", curve: p521, bytes: 66 },
] as const;

/** Fixed prefixes of the encodings that are a prefix and the raw key. */
const PREFIX: Partial<Record<KexWord, string>> = {
  prime256v1: "3059301306072a8648ce3d020106082a8648ce3d030107034200",
  secp384r1: "3076301006072a8648ce3d020106052b81040022036200",
  secp521r1: "30819b301006072a8648ce3d020106052b8104002303818600",
  X25519: "302a300506032b656e032100",
  X448: "3042300506032b656f033900",
};

const XDH: Record<string, readonly [KexWord, number]> = {
  "1.3.101.110": ["X25519", 32],
  "1.3.101.111": ["X448", 56],
};

const ML_KEM: Record<string, readonly [KexWord, number]> = {
  "2.16.840.1.101.3.4.4.1": ["ML-KEM-512", 800],
  "2.16.840.1.101.3.4.4.2": ["ML-KEM-768", 1184],
  "2.16.840.1.101.3.4.4.3": ["ML-KEM-1024", 1568],
};

/** Sizes of a KEM: public key, ciphertext, and of its parts if it is a hybrid. */
export interface KemSizes {
  readonly publicBytes: number;
  readonly ciphertextBytes: number;
  /** Private key in its expanded form, as raw files hold it. */
  readonly expandedBytes: number;
  readonly hybrid?: { readonly kem: KexWord; readonly dh: KexWord; readonly dhBytes: number };
}

/** Sizes of the KEMs, bytes (spec 40 §15). */
export const KEM_SIZES: Partial<Record<KexWord, KemSizes>> = {
  "ML-KEM-512": { publicBytes: 800, ciphertextBytes: 768, expandedBytes: 1632 },
  "ML-KEM-768": { publicBytes: 1184, ciphertextBytes: 1088, expandedBytes: 2400 },
  "ML-KEM-1024": { publicBytes: 1568, ciphertextBytes: 1568, expandedBytes: 3168 },
  X25519MLKEM768: {
    publicBytes: 1216,
    ciphertextBytes: 1120,
    expandedBytes: 2432,
    hybrid: { kem: "ML-KEM-768", dh: "X25519", dhBytes: 32 },
  },
  X448MLKEM1024: {
    publicBytes: 1624,
    ciphertextBytes: 1624,
    expandedBytes: 3224,
    hybrid: { kem: "ML-KEM-1024", dh: "X448", dhBytes: 56 },
  },
};

/** A SubjectPublicKeyInfo taken apart; views. */
export interface Spki {
  readonly oid: string;
  /** Algorithm parameters, absent for some types. */
  readonly params: Tlv | undefined;
  readonly key: Uint8Array;
  /** Bytes of the structure, what follows it not counted. */
  readonly length: number;
}

/** Takes a SubjectPublicKeyInfo apart; `undefined` when it is malformed. */
export function parseSpki(bytes: Uint8Array): Spki | undefined {
  const outer = readTlv(bytes);
  const parts = outer?.tag === Tag.sequence ? children(outer) : undefined;
  if (!outer || parts?.length !== 2) return undefined;
  const algorithm = parts[0]!.tag === Tag.sequence ? children(parts[0]!) : undefined;
  const key = bitStringBytes(parts[1]!);
  if (!algorithm || algorithm.length < 1 || algorithm.length > 2 || !key) return undefined;
  const id = oidText(algorithm[0]!);
  return id === undefined
    ? undefined
    : { oid: id, params: algorithm[1], key, length: outer.to - outer.at };
}

/** The peer's key: its algorithm and the raw key (uncompressed point, number, lattice key). */
export interface PeerKey {
  readonly kex: KexInfo;
  readonly raw: Uint8Array<ArrayBuffer>;
}

/** Why no key came out: damaged, or of a type that is no key exchange of ours. */
export type PeerKeyError = "malformed" | "unsupported";

/** A key exchange field of which only the algorithm was looked at: no arithmetic yet. */
export interface PeerField {
  readonly kex: KexInfo;
  /** Decodes the key; points may be off their curve, lattice keys not reduced. */
  read(): PeerKey | "malformed";
}

/** Recognises a key exchange field (`raw`: the F flag) as public key. */
export function peerKey(bytes: Uint8Array, raw: boolean): PeerKey | PeerKeyError {
  const field = peerField(bytes, raw);
  return typeof field === "string" ? field : field.read();
}

/** The algorithm of a key exchange field, from identifiers and lengths alone. */
export function peerField(bytes: Uint8Array, raw: boolean): PeerField | PeerKeyError {
  if (raw) return rawKey(bytes);
  const spki = parseSpki(bytes);
  if (!spki) return "malformed";
  if (spki.oid === Oid.ecPublicKey) return ecKey(spki);
  if (spki.oid === Oid.dhKeyAgreement) return dhKey(spki);
  const xdh = XDH[spki.oid];
  if (xdh) return fixedKey(xdh, spki, () => true);
  const kem = ML_KEM[spki.oid];
  return kem ? fixedKey(kem, spki, (key) => isReduced(key, kem[1])) : "unsupported";
}

function fixedKey(
  [word, bytes]: readonly [KexWord, number],
  spki: Spki,
  isGood: (key: Uint8Array) => boolean,
): PeerField | PeerKeyError {
  if (spki.params || spki.key.length !== bytes) return "malformed";
  const kex = kexByWord(word);
  return { kex, read: () => isGood(spki.key) ? { kex, raw: spki.key.slice() } : "malformed" };
}

/** Hybrids are recognised by their length: a public key, or the ciphertext of X25519MLKEM768. */
function rawKey(bytes: Uint8Array): PeerField | PeerKeyError {
  for (const word of ["X25519MLKEM768", "X448MLKEM1024"] as const) {
    const sizes = KEM_SIZES[word]!;
    if (bytes.length !== sizes.publicBytes && bytes.length !== sizes.ciphertextBytes) continue;
    const kex = kexByWord(word);
    return { kex, read: () => ({ kex, raw: bytes.slice() }) };
  }
  return "malformed";
}

function ecKey(spki: Spki): PeerField | PeerKeyError {
  if (!spki.params) return "malformed";
  const found = spki.params.tag === Tag.oid
    ? CURVES.find((c) => c.oid === oidText(spki.params!))
    : explicitCurve(spki.params);
  if (!found) return "unsupported";
  const kex = kexByWord(found.word);
  const read = (): PeerKey | "malformed" => {
    try {
      const point = found.curve.Point.fromBytes(spki.key);
      point.assertValidity();
      return { kex, raw: point.toBytes(false).slice() };
    } catch {
      return "malformed"; // Not on the curve.
    }
  };
  return { kex, read };
}

/** ECParameters with prime field, compared with the known curves in all but the seed; the cofactor is 1 and is there. */
function explicitCurve(params: Tlv): (typeof CURVES)[number] | undefined {
  const parts = params.tag === Tag.sequence ? children(params) : undefined;
  if (!parts || parts.length !== 6) return undefined;
  const field = children(parts[1]!);
  const curve = children(parts[2]!);
  if (field?.length !== 2 || !curve || curve.length < 2) return undefined;
  if (oidText(field[0]!) !== Oid.primeField) return undefined;
  const p = unsigned(field[1]!);
  const [a, b] = [curve[0]!, curve[1]!].map((t) => BigInt("0x0" + contents(t).toHex()));
  const base = contents(parts[3]!);
  const n = unsigned(parts[4]!);
  if (unsigned(parts[5]!) !== 1n) return undefined;
  return CURVES.find((c) => {
    const known = c.curve.Point.CURVE();
    if (known.p !== p || known.n !== n || known.a !== a || known.b !== b) return false;
    const g = c.curve.Point.BASE;
    return [g.toBytes(false), g.toBytes(true)].some((form) =>
      base.length === form.length && base.every((v, i) => v === form[i])
    );
  });
}

function dhKey(spki: Spki): PeerField | PeerKeyError {
  const params = spki.params?.tag === Tag.sequence ? children(spki.params) : undefined;
  const y = readTlv(spki.key);
  if (!params || params.length < 2 || !y) return "malformed";
  const p = unsigned(params[0]!);
  const g = unsigned(params[1]!);
  const value = unsigned(y);
  if (p === undefined || g === undefined || value === undefined) return "malformed";
  const word = g === GENERATOR ? ffdheOfPrime(p) : undefined;
  if (!word) return "unsupported";
  const kex = kexByWord(word);
  return { kex, read: () => ({ kex, raw: bigintBytes(value) }) };
}

/** FIPS 203 §7.2: each 12-bit coefficient of the key (without the 32-byte seed) is below 3329. */
export function isReduced(key: Uint8Array, publicBytes: number): boolean {
  if (key.length < publicBytes) return false;
  for (let i = 0; i + 2 < publicBytes - 32; i += 3) {
    const [a, b, c] = [key[i]!, key[i + 1]!, key[i + 2]!];
    if ((a | ((b & 0x0f) << 8)) >= 3329 || ((b >> 4) | (c << 4)) >= 3329) return false;
  }
  return true;
}

/** The wire form of a raw public key: SPKI, or the raw bytes for a hybrid. */
export function encodePublic(kex: KexInfo, raw: Uint8Array): Uint8Array<ArrayBuffer> {
  const prefix = PREFIX[kex.word];
  if (prefix) return concat(Uint8Array.fromHex(prefix), raw);
  if (kex.family === "hybrid") return raw.slice();
  if (kex.family === "ffdhe") {
    const p = integer(bigintBytes(ffdhePrime(kex.word)));
    const params = tlv(Tag.sequence, p, integer(bigintBytes(GENERATOR)));
    const algorithm = tlv(Tag.sequence, oid(Oid.dhKeyAgreement), params);
    return tlv(Tag.sequence, algorithm, tlv(Tag.bitString, new Uint8Array(1), integer(raw)));
  }
  const id = Object.keys(ML_KEM).find((k) => ML_KEM[k]![0] === kex.word)!;
  const algorithm = tlv(Tag.sequence, oid(id));
  return tlv(Tag.sequence, algorithm, tlv(Tag.bitString, new Uint8Array(1), raw));
}

/** The curve of an identifier. */
export function curveOfOid(id: string): (typeof CURVES)[number] | undefined {
  return CURVES.find((c) => c.oid === id);
}

/** The KEM of an identifier. */
export function kemOfOid(id: string): KexWord | undefined {
  return ML_KEM[id]?.[0];
}

/** All parts, one after the other. */
export function concat(...parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const p of parts) {
    out.set(p, at);
    at += p.length;
  }
  return out;
}

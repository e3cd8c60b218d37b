/**
 * Identifiers of OAP: ciphers, digests (which also name the KDF) and key exchanges (spec 40 §3).
 * Pure.
 *
 * Cipher and digest ids travel in the header; they are OpenSSL's NIDs. Key exchanges are recognised
 * from the key itself, their ids are internal. Each table has a strength rank that negotiation
 * compares: 0 for "none" (id 0), -1 for an unknown id.
 */

/** A packet cipher. Sizes in bytes. */
export interface CipherInfo {
  readonly nid: number;
  readonly word: string;
  readonly rank: number;
  /** Bytes taken from the start of the 32-byte epoch key. */
  readonly keyBytes: number;
  readonly ivBytes: number;
  /** 0 for the CTR ciphers, which have no integrity. */
  readonly tagBytes: number;
}

/** A digest, also used as HKDF's hash. */
export interface DigestInfo {
  readonly nid: number;
  readonly word: string;
  readonly rank: number;
  /** Output size, bytes. */
  readonly bytes: number;
}

/** A key exchange algorithm. */
export interface KexInfo {
  /** Internal id, never on the wire. */
  readonly nid: number;
  readonly word: KexWord;
  readonly rank: number;
  readonly family: "ec" | "xdh" | "ffdhe" | "mlkem" | "hybrid";
}

/** Names of the key exchanges as `enc.conf` spells them. */
export type KexWord =
  | "ffdhe2048"
  | "prime256v1"
  | "X25519"
  | "ffdhe3072"
  | "secp384r1"
  | "ffdhe4096"
  | "X448"
  | "secp521r1"
  | "ML-KEM-512"
  | "ML-KEM-768"
  | "ML-KEM-1024"
  | "X25519MLKEM768"
  | "X448MLKEM1024";

function cipher(
  nid: number,
  word: string,
  rank: number,
  keyBytes: number,
  ivBytes: number,
  tagBytes: number,
): CipherInfo {
  return Object.freeze({ nid, word, rank, keyBytes, ivBytes, tagBytes });
}

/** The packet ciphers, weakest first. */
export const CIPHERS: readonly CipherInfo[] = [
  cipher(904, "aes-128-ctr", 1, 16, 16, 0),
  cipher(905, "aes-192-ctr", 2, 24, 16, 0),
  cipher(906, "aes-256-ctr", 3, 32, 16, 0),
  cipher(895, "aes-128-gcm", 4, 16, 12, 16),
  cipher(898, "aes-192-gcm", 5, 24, 12, 16),
  cipher(901, "aes-256-gcm", 6, 32, 12, 16),
  cipher(1018, "chacha20-poly1305", 7, 32, 12, 16),
];

function digest(nid: number, word: string, rank: number, bytes: number): DigestInfo {
  return Object.freeze({ nid, word, rank, bytes });
}

/** The digests, weakest first. The numbers of SHA3 are OpenSSL's own (spec 40 §3, "Trap"). */
export const DIGESTS: readonly DigestInfo[] = [
  digest(1057, "blake2s256", 1, 32),
  digest(672, "sha256", 2, 32),
  digest(1097, "sha3-256", 3, 32),
  digest(673, "sha384", 4, 48),
  digest(1098, "sha3-384", 5, 48),
  digest(1056, "blake2b512", 6, 64),
  digest(674, "sha512", 7, 64),
  digest(1099, "sha3-512", 8, 64),
];

function kex(nid: number, word: KexWord, rank: number, family: KexInfo["family"]): KexInfo {
  return Object.freeze({ nid, word, rank, family });
}

/** The key exchanges, weakest first. */
export const KEXES: readonly KexInfo[] = [
  kex(1126, "ffdhe2048", 1, "ffdhe"),
  kex(415, "prime256v1", 2, "ec"),
  kex(1034, "X25519", 3, "xdh"),
  kex(1127, "ffdhe3072", 4, "ffdhe"),
  kex(715, "secp384r1", 5, "ec"),
  kex(1128, "ffdhe4096", 6, "ffdhe"),
  kex(1035, "X448", 7, "xdh"),
  kex(716, "secp521r1", 8, "ec"),
  kex(1454, "ML-KEM-512", 9, "mlkem"),
  kex(1455, "ML-KEM-768", 10, "mlkem"),
  kex(1456, "ML-KEM-1024", 11, "mlkem"),
  kex(2053, "X25519MLKEM768", 12, "hybrid"),
  kex(2054, "X448MLKEM1024", 13, "hybrid"),
];

/** Digest of the request hash when the request names none: SHA-384 (spec 40 §2). */
export const REQUEST_HASH_NID_DEFAULT = 673;

const CIPHER_BY_NID = new Map(CIPHERS.map((c) => [c.nid, c]));
const DIGEST_BY_NID = new Map(DIGESTS.map((d) => [d.nid, d]));
const KEX_BY_NID = new Map(KEXES.map((k) => [k.nid, k]));

/** The cipher of an id, `undefined` when unknown or 0. */
export function cipherByNid(nid: number): CipherInfo | undefined {
  return CIPHER_BY_NID.get(nid);
}

/** The digest of an id, `undefined` when unknown or 0. */
export function digestByNid(nid: number): DigestInfo | undefined {
  return DIGEST_BY_NID.get(nid);
}

/** The key exchange of an internal id, `undefined` when unknown or 0. */
export function kexByNid(nid: number): KexInfo | undefined {
  return KEX_BY_NID.get(nid);
}

/** The key exchange of a word. */
export function kexByWord(word: KexWord): KexInfo {
  return KEXES.find((k) => k.word === word)!;
}

/** Strength of a cipher id: 0 none, -1 unknown. */
export function cipherRank(nid: number): number {
  return nid === 0 ? 0 : CIPHER_BY_NID.get(nid)?.rank ?? -1;
}

/** Strength of a digest or KDF id: 0 none, -1 unknown. */
export function digestRank(nid: number): number {
  return nid === 0 ? 0 : DIGEST_BY_NID.get(nid)?.rank ?? -1;
}

/** Strength of a key exchange id: 0 none, -1 unknown. */
export function kexRank(nid: number): number {
  return nid === 0 ? 0 : KEX_BY_NID.get(nid)?.rank ?? -1;
}

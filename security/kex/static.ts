/**
 * Static KEM keys of the client-encap mode, from files (spec 40 §13, §15): `kex.key.pem` (PKCS#8 of
 * ML-KEM) or `kex.key.raw` (hybrid, expanded form) at the server, and their public halves
 * `kex.srv.pub.pem` or `kex.srv.pub.raw` at the client.
 */

import { ml_kem1024, ml_kem512, ml_kem768 } from "@noble/post-quantum/ml-kem.js";
import { kexByWord, type KexInfo, type KexWord } from "../../lib/wire/oap_ids.ts";
import { children, contents, oidText, readTlv, Tag } from "../der.ts";
import { parsePem } from "../pem.ts";
import { Secret } from "../secret.ts";
import { GroupPair, type KexPair, openHybrid, webAlgorithm, WebPair } from "./pair.ts";
import {
  concat,
  curveOfOid,
  encodePublic,
  isReduced,
  KEM_SIZES,
  kemOfOid,
  Oid,
  type PeerKey,
  peerKey,
} from "./spki.ts";
import { ffdheOfPrime } from "./ffdhe.ts";
import { unsigned } from "../der.ts";

const ML: Partial<Record<KexWord, typeof ml_kem768>> = {
  "ML-KEM-512": ml_kem512,
  "ML-KEM-768": ml_kem768,
  "ML-KEM-1024": ml_kem1024,
};

/** The server's key of the client-encap mode. */
export interface StaticKemKey {
  readonly kex: KexInfo;
  /** Public key as the client stores it; the salt is its hash. */
  readonly publicWire: Uint8Array<ArrayBuffer>;
  decapsulate(ciphertext: Uint8Array): Promise<Secret | undefined>;
}

/** A PKCS#8 private key taken apart; views. */
export interface Pkcs8 {
  readonly oid: string;
  readonly params: Uint8Array | undefined;
  readonly key: Uint8Array;
}

/** Takes a PKCS#8 structure apart; `undefined` when it is malformed. */
export function parsePkcs8(bytes: Uint8Array): Pkcs8 | undefined {
  const outer = readTlv(bytes);
  const parts = outer?.tag === Tag.sequence ? children(outer) : undefined;
  if (!parts || parts.length < 3 || parts[2]!.tag !== Tag.octetString) return undefined;
  const algorithm = parts[1]!.tag === Tag.sequence ? children(parts[1]!) : undefined;
  const id = algorithm?.[0] && oidText(algorithm[0]);
  if (!id) return undefined;
  const params = algorithm[1] && algorithm[1].bytes.subarray(algorithm[1].at, algorithm[1].to);
  return { oid: id, params, key: contents(parts[2]!) };
}

/** The three forms of a lattice private key (RFC 9881, RFC 9935): seed, expanded key, or both. */
export function latticeKey(
  key: Uint8Array,
  seedBytes: number,
  expandedBytes: number,
): { seed?: Uint8Array; expanded?: Uint8Array } | undefined {
  const t = readTlv(key);
  if (!t) return undefined;
  const parts = t.tag === Tag.sequence ? children(t) ?? [] : [t];
  const found: { seed?: Uint8Array; expanded?: Uint8Array } = {};
  for (const p of parts) {
    const c = contents(p);
    const isSeed = p.tag === 0x80 || p.tag === Tag.octetString;
    if (isSeed && c.length === seedBytes) found.seed = c;
    else if (p.tag === Tag.octetString && c.length === expandedBytes) found.expanded = c;
  }
  return found.seed || found.expanded ? found : undefined;
}

/** `kex.key.pem`: an ML-KEM private key in PKCS#8. */
export function staticKeyFromPem(text: string): StaticKemKey | undefined {
  const block = parsePem(text).find((b) => b.label === "PRIVATE KEY");
  const pkcs8 = block && parsePkcs8(block.bytes);
  const word = pkcs8 && kemOfOid(pkcs8.oid);
  if (!word) return undefined;
  const forms = latticeKey(pkcs8.key, 64, KEM_SIZES[word]!.expandedBytes);
  if (!forms) return undefined;
  const expanded = forms.expanded ?? ML[word]!.keygen(forms.seed!).secretKey;
  return mlKey(word, expanded.slice());
}

/** `kex.key.raw`: a hybrid private key, ML-KEM expanded, then the DH key; told by its length. */
export async function staticKeyFromRaw(bytes: Uint8Array): Promise<StaticKemKey | undefined> {
  for (const word of ["X25519MLKEM768", "X448MLKEM1024"] as const) {
    const sizes = KEM_SIZES[word]!;
    const hybrid = sizes.hybrid!;
    if (bytes.length !== sizes.expandedBytes) continue;
    const split = bytes.length - hybrid.dhBytes;
    const kem = mlKey(hybrid.kem, bytes.slice(0, split));
    const dh = await xdhPair(kexByWord(hybrid.dh), bytes.slice(split));
    if (!kem || !dh) return undefined;
    const kemRaw = kem.publicWire.subarray(-KEM_SIZES[hybrid.kem]!.publicBytes);
    return {
      kex: kexByWord(word),
      publicWire: concat(kemRaw, dh.wire.subarray(-hybrid.dhBytes)),
      decapsulate: (ciphertext) => openHybrid(sizes, ciphertext, kem, dh),
    };
  }
  return undefined;
}

/** `kex.srv.pub.pem`: an ML-KEM public key. */
export function staticPublicFromPem(text: string): PeerKey | undefined {
  const block = parsePem(text).find((b) => b.label === "PUBLIC KEY");
  const key = block && peerKey(block.bytes, false);
  return key && typeof key !== "string" && key.kex.family === "mlkem" ? key : undefined;
}

/** `kex.srv.pub.raw`: a hybrid public key. */
export function staticPublicFromRaw(bytes: Uint8Array): PeerKey | undefined {
  const key = peerKey(bytes, true);
  if (typeof key === "string") return undefined;
  const { publicBytes, hybrid } = KEM_SIZES[key.kex.word]!;
  if (bytes.length !== publicBytes) return undefined;
  return isReduced(bytes, publicBytes - hybrid!.dhBytes) ? key : undefined;
}

/** An ML-KEM key in expanded form: `dk_pke || ek || H(ek) || z`. */
function mlKey(word: KexWord, expanded: Uint8Array<ArrayBuffer>): StaticKemKey | undefined {
  const { publicBytes, ciphertextBytes } = KEM_SIZES[word]!;
  const ml = ML[word]!;
  const at = expanded.length - 64 - publicBytes;
  const raw = expanded.slice(at, at + publicBytes);
  const kex = kexByWord(word);
  if (!isReduced(raw, publicBytes)) return undefined;
  return {
    kex,
    publicWire: encodePublic(kex, raw),
    decapsulate(ciphertext) {
      if (ciphertext.length !== ciphertextBytes) return Promise.resolve(undefined);
      try {
        const secret = ml.decapsulate(ciphertext, expanded);
        return Promise.resolve(new Secret(new Uint8Array(secret)));
      } catch {
        return Promise.resolve(undefined); // The key's own hash is wrong.
      }
    },
  };
}

/** PKCS#8 prefix of the raw X25519 and X448 keys. */
const XDH_PKCS8: Partial<Record<KexWord, string>> = {
  X25519: "302e020100300506032b656e04220420",
  X448: "3046020100300506032b656f043a0438",
};

async function xdhPair(kex: KexInfo, raw: Uint8Array): Promise<KexPair | undefined> {
  return await importPair(concat(Uint8Array.fromHex(XDH_PKCS8[kex.word]!), raw));
}

/** A DH pair from a PKCS#8 private key; `undefined` for other types. Static keys and tests. */
export async function importPair(
  pkcs8: Uint8Array<ArrayBuffer>,
): Promise<KexPair | undefined> {
  const parsed = parsePkcs8(pkcs8);
  if (!parsed) return undefined;
  if (parsed.oid === Oid.dhKeyAgreement) {
    const params = parsed.params && readTlv(parsed.params);
    const p = params && children(params)?.[0];
    const x = readTlv(parsed.key);
    const word = p && ffdheOfPrime(unsigned(p) ?? 0n);
    return word && x ? new GroupPair(kexByWord(word), contents(x)) : undefined;
  }
  const word = parsed.oid === "1.3.101.110"
    ? "X25519"
    : parsed.oid === "1.3.101.111"
    ? "X448"
    : parsed.params && curveOfOid(oidText(readTlv(parsed.params)!) ?? "")?.word;
  if (!word) return undefined;
  const algorithm = webAlgorithm(word);
  try {
    const subtle = crypto.subtle;
    const priv = await subtle.importKey("pkcs8", pkcs8, algorithm, true, ["deriveBits"]);
    const { d: _private, key_ops: _ops, ...jwk } = await subtle.exportKey("jwk", priv);
    const pub = await subtle.importKey("jwk", jwk, algorithm, true, []);
    return await WebPair.of(kexByWord(word), { privateKey: priv, publicKey: pub });
  } catch {
    return undefined;
  }
}

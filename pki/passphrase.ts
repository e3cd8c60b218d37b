/** Private keys under a passphrase: PKCS#8 with PBES2, as `openssl pkcs8 -topk8` writes them (RFC 8018). */

import { children, contents, oid, oidText, readTlv, Tag, tlv, unsigned } from "../security/der.ts";

const PBES2 = "1.2.840.113549.1.5.13";
const PBKDF2 = "1.2.840.113549.1.5.12";
const HMAC: Record<string, string> = {
  "1.2.840.113549.2.7": "SHA-1",
  "1.2.840.113549.2.9": "SHA-256",
  "1.2.840.113549.2.10": "SHA-384",
  "1.2.840.113549.2.11": "SHA-512",
};
const HMAC_SHA256 = "1.2.840.113549.2.9";
const AES_CBC: Record<string, number> = {
  "2.16.840.1.101.3.4.1.2": 128,
  "2.16.840.1.101.3.4.1.22": 192,
  "2.16.840.1.101.3.4.1.42": 256,
};
const AES_256_CBC = "2.16.840.1.101.3.4.1.42";

/** Work of whoever guesses a passphrase, and of us once per use. */
const ITERATIONS = 600_000;
/** What a file may make us work. */
const ITERATIONS_MAX = 10_000_000;

async function cipherKey(
  passphrase: string,
  salt: Uint8Array<ArrayBuffer>,
  iterations: number,
  hash: string,
  length: number,
): Promise<CryptoKey> {
  const raw = new TextEncoder().encode(passphrase);
  const base = await crypto.subtle.importKey("raw", raw, "PBKDF2", false, ["deriveKey"]);
  const how = { name: "PBKDF2", salt, iterations, hash };
  return await crypto.subtle.deriveKey(how, base, { name: "AES-CBC", length }, false, [
    "encrypt",
    "decrypt",
  ]);
}

/** Encrypts PKCS#8; the contents of a PEM block `ENCRYPTED PRIVATE KEY`. */
export async function lock(
  pkcs8: Uint8Array<ArrayBuffer>,
  passphrase: string,
): Promise<Uint8Array<ArrayBuffer>> {
  const salt = crypto.getRandomValues(new Uint8Array(16));
  const iv = crypto.getRandomValues(new Uint8Array(16));
  const key = await cipherKey(passphrase, salt, ITERATIONS, "SHA-256", 256);
  const locked = new Uint8Array(await crypto.subtle.encrypt({ name: "AES-CBC", iv }, key, pkcs8));
  const rounds = new Uint8Array([ITERATIONS >> 16, (ITERATIONS >> 8) & 0xff, ITERATIONS & 0xff]);
  const kdf = tlv(
    Tag.sequence,
    oid(PBKDF2),
    tlv(
      Tag.sequence,
      tlv(Tag.octetString, salt),
      tlv(Tag.integer, rounds),
      tlv(Tag.sequence, oid(HMAC_SHA256), new Uint8Array([5, 0])),
    ),
  );
  const scheme = tlv(Tag.sequence, oid(AES_256_CBC), tlv(Tag.octetString, iv));
  return tlv(
    Tag.sequence,
    tlv(Tag.sequence, oid(PBES2), tlv(Tag.sequence, kdf, scheme)),
    tlv(Tag.octetString, locked),
  );
}

/** Decrypts to PKCS#8, or says why not. */
export async function unlock(
  der: Uint8Array,
  passphrase: string,
): Promise<Uint8Array<ArrayBuffer> | string> {
  const [algorithm, locked] = parts(der) ?? [];
  const [id, params] = (algorithm && children(algorithm)) ?? [];
  if (!locked || !id || !params) return "the encrypted key is damaged";
  if (oidText(id) !== PBES2) {
    return `keys encrypted with ${oidText(id)} are not supported (PBES2 is)`;
  }
  const [kdf, scheme] = children(params) ?? [];
  const [kdfId, kdfParams] = (kdf && children(kdf)) ?? [];
  const [schemeId, iv] = (scheme && children(scheme)) ?? [];
  const bits = schemeId && AES_CBC[oidText(schemeId) ?? ""];
  if (!kdfId || oidText(kdfId) !== PBKDF2 || !kdfParams || !bits || !iv) {
    return "the key is encrypted in a way that is not supported (PBKDF2 with AES-CBC is)";
  }
  const values = children(kdfParams) ?? [];
  const [salt, count] = values;
  const prf = values.find((v) => v.tag === Tag.sequence);
  const prfId = prf && children(prf)?.[0];
  const hash = prfId ? HMAC[oidText(prfId) ?? ""] : "SHA-1";
  const iterations = Number(count && unsigned(count));
  if (!salt || salt.tag !== Tag.octetString || !hash || !(iterations <= ITERATIONS_MAX)) {
    return "the encrypted key is damaged";
  }
  const key = await cipherKey(passphrase, contents(salt).slice(), iterations, hash, bits);
  try {
    const how = { name: "AES-CBC", iv: contents(iv).slice() };
    const plain = new Uint8Array(
      await crypto.subtle.decrypt(how, key, contents(locked).slice()),
    );
    // One wrong key of 256 leaves what looks like padding.
    const whole = readTlv(plain);
    if (whole?.tag === Tag.sequence && whole.to === plain.length) return plain;
    return "the passphrase is wrong";
  } catch {
    return "the passphrase is wrong";
  }
}

function parts(der: Uint8Array) {
  const t = readTlv(der);
  return t && children(t);
}

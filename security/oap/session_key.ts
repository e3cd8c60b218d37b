/**
 * From a shared secret to the session key (spec 40 §9). Pure.
 *
 * The salt binds the public values of the exchange: both kex fields in byte order for DH, the
 * recipient's public key for a KEM. It is always SHA-256; the KDF is the negotiated one.
 */

import { hkdf, sha256 } from "../digest.ts";
import { kexByWord } from "../../lib/wire/oap_ids.ts";
import type { Secret } from "../secret.ts";

/** The fresh pairs that both sides add to `kem_mode=client`. */
export const FRESH_KEX = kexByWord("X25519");
/** SubjectPublicKeyInfo of one, bytes. */
export const FRESH_BYTES = 44;

/** Labels of the derivation. */
const INFO_DHE = "o7s-ossl-dhe";
const INFO_ENCAP = "o7s-ossl-encap";
/** Ours: no prototype derives with it. */
const INFO_FRESH = "ouro-encap-fresh";

/** Salt of a DH exchange: the two fields as they were on the wire, lower one first. */
export function dhSalt(a: Uint8Array, b: Uint8Array): Uint8Array {
  return compare(a, b) <= 0 ? sha256(a, b) : sha256(b, a);
}

/** Session key of a DH exchange; the secret is wiped. */
export function dhKey(
  kdfNid: number,
  secret: Secret,
  own: Uint8Array,
  peer: Uint8Array,
): Uint8Array {
  using s = secret;
  return hkdf(kdfNid, s.bytes, dhSalt(own, peer), INFO_DHE);
}

/** Session key of a KEM exchange; the secret is wiped. */
export function kemKey(kdfNid: number, secret: Secret, recipientPublic: Uint8Array): Uint8Array {
  using s = secret;
  return hkdf(kdfNid, s.bytes, sha256(recipientPublic), INFO_ENCAP);
}

/**
 * Session key where the client encapsulates to the static key and both sides add a fresh pair: a recorded request yields
 * another key each time, and the static key alone yields none. Both secrets are wiped.
 */
export function freshKemKey(
  kdfNid: number,
  encapsulated: Secret,
  derived: Secret,
  serverPublic: Uint8Array,
  clientFresh: Uint8Array,
  serverFresh: Uint8Array,
): Uint8Array {
  using first = encapsulated;
  using second = derived;
  const ikm = new Uint8Array(first.bytes.length + second.bytes.length);
  ikm.set(first.bytes);
  ikm.set(second.bytes, first.bytes.length);
  const key = hkdf(kdfNid, ikm, sha256(serverPublic, clientFresh, serverFresh), INFO_FRESH);
  ikm.fill(0);
  return key;
}

/** Byte-wise order, the shorter first on a common prefix. */
function compare(a: Uint8Array, b: Uint8Array): number {
  const n = Math.min(a.length, b.length);
  for (let i = 0; i < n; i++) {
    if (a[i] !== b[i]) return a[i]! - b[i]!;
  }
  return a.length - b.length;
}

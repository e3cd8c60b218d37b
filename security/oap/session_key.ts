/**
 * From a shared secret to the session key (spec 40 §9). Pure.
 *
 * The salt binds the public values of the exchange: both kex fields in byte order for DH, the
 * recipient's public key for a KEM. It is always SHA-256; the KDF is the negotiated one.
 */

import { hkdf, sha256 } from "../digest.ts";
import type { Secret } from "../secret.ts";

/** Labels of the derivation. */
const INFO_DHE = "o7s-ossl-dhe";
const INFO_ENCAP = "o7s-ossl-encap";

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

/** Byte-wise order, the shorter first on a common prefix. */
function compare(a: Uint8Array, b: Uint8Array): number {
  const n = Math.min(a.length, b.length);
  for (let i = 0; i < n; i++) {
    if (a[i] !== b[i]) return a[i]! - b[i]!;
  }
  return a.length - b.length;
}

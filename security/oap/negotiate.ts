/**
 * What the two sides agree on: cipher, KDF and whether the key exchange is good enough
 * (spec 40 §5 steps 7-9, §8).
 *
 * Pure. The stronger of both wins; the server refuses a weaker key exchange than its own, the client a
 * weaker cipher or KDF in the response. So a side never takes less than its own file says, and `refuse-ctr` needs no
 * word here: a file that says it cannot have a CTR cipher (`enc_conf.ts`), and every other cipher is stronger.
 */

import {
  cipherByNid,
  cipherRank,
  digestRank,
  kexByNid,
  type KexInfo,
  kexRank,
} from "../../lib/wire/oap_ids.ts";
import type { EncConf, Policy } from "../enc_conf.ts";

/** A line for the log, and the reason of the failure. */
export interface Refusal {
  readonly level: "warn" | "error";
  readonly text: string;
}

/** Whether something is a refusal. */
export function isRefusal(x: unknown): x is Refusal {
  return typeof x === "object" && x !== null && "level" in x && "text" in x;
}

function refuse(text: string, level: Refusal["level"] = "error"): Refusal {
  return { level, text };
}

/** What the server needs of a request's header. */
export interface Offer {
  readonly cipherNid: number;
  readonly kdfNid: number;
  readonly clientEncap: boolean;
  readonly hasKex: boolean;
}

/** Agreed ids; both 0 for a plain flow. */
export interface Agreed {
  readonly cipherNid: number;
  readonly kdfNid: number;
}

const PLAIN: Agreed = Object.freeze({ cipherNid: 0, kdfNid: 0 });

/** The server's side of steps 1 to 3 (spec 40 §8), with our policy. */
export function agree(offer: Offer, own: EncConf): Agreed | Refusal {
  if (!offer.hasKex) {
    return own.kexNid !== 0 ? refuse("KEX requested without info.", "warn") : PLAIN;
  }
  const { policy } = own;
  if (policy.refuseEncryption) return refuse("Encryption is refused (refuse-encryption).");
  if (offer.clientEncap && policy.refuseClientEncap) {
    return refuse("Client encapsulation is refused (refuse-client-encap).");
  }
  const cipherNid = cipherRank(offer.cipherNid) > cipherRank(own.cipherNid)
    ? offer.cipherNid
    : own.cipherNid;
  if (cipherNid === 0) return refuse("Encryption requested, no cipher.");
  if (offer.clientEncap) {
    if (digestRank(own.kdfNid) > digestRank(offer.kdfNid)) return refuse("Client KDF too weak.");
    return { cipherNid, kdfNid: offer.kdfNid };
  }
  const kdfNid = digestRank(offer.kdfNid) > digestRank(own.kdfNid) ? offer.kdfNid : own.kdfNid;
  return { cipherNid, kdfNid };
}

/** The server's check of the client's algorithm (step 5); `undefined` is a type we don't know. */
export function checkKex(algorithm: KexInfo | undefined, own: EncConf): Refusal | undefined {
  const least = Math.max(kexRank(own.kexNid), kexRank(own.policy.minKexNid));
  if (algorithm && algorithm.rank >= least) {
    const { allowKexNids: allowed } = own.policy;
    if (allowed === undefined || algorithm.nid === own.kexNid) return undefined;
    if (allowed.includes(algorithm.nid)) return undefined;
    return refuse(`Client KEX ${algorithm.word} is not in allow-kex.`);
  }
  return refuse(`Client KEX ${algorithm?.word ?? "(null)"} too weak.`);
}

/** The server's check of its own algorithm against `min-kex` when the client encapsulates. */
export function checkMinKex(algorithm: KexInfo, policy: Policy): Refusal | undefined {
  return algorithm.rank >= kexRank(policy.minKexNid)
    ? undefined
    : refuse(`KEX ${algorithm.word} too weak (min-kex).`);
}

/** The client's check of the response (steps 7 to 9): the KDF to use, or a refusal. */
export function checkResponse(
  cipherNid: number,
  kdfNid: number,
  own: EncConf,
): { kdfNid: number } | Refusal {
  if (cipherNid === 0) return refuse("Server did not provide cipher.");
  if (cipherRank(cipherNid) < cipherRank(own.cipherNid)) {
    return refuse(`Server cipher ${cipherByNid(cipherNid)!.word} too weak.`);
  }
  // Not the prototype's quirk: the exception is for KEMs only, whatever kem_mode says (spec 40 §5).
  const family = kexByNid(own.kexNid)?.family;
  const fixed = own.kemMode === "client" && (family === "mlkem" || family === "hybrid");
  if (fixed || kdfNid === 0) return { kdfNid: own.kdfNid };
  if (digestRank(kdfNid) < digestRank(own.kdfNid)) return refuse("Server KDF too weak.");
  return { kdfNid };
}

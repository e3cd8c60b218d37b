/**
 * Arithmetic that takes so long that a daemon does not do it on its one thread: what it is, as data that a thread can
 * be sent, and who is asked to do it. `costly.ts` does it. Pure.
 *
 * Costly is what takes longer than some milliseconds on the calling thread or occupies a processor for as long:
 * hash-based signatures (0.1 to some seconds), long RSA keys, finite-field groups, and what is computed with the big
 * integers of the language.
 */

import type { KexWord } from "../lib/wire/oap_ids.ts";
import type { KeyKind } from "./key_kind.ts";
import type { PssParams } from "./pss_params.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** One piece of work. */
export type CostlyJob =
  /** Signs: one part, none if the key cannot. `label` and `der` are the private key as in its file. */
  | {
    readonly kind: "sign";
    readonly label: string;
    readonly der: Bytes;
    readonly digestNid: number;
    readonly data: Bytes;
  }
  /** Verifies: one empty part if the signature is good, none if not. */
  | {
    readonly kind: "verify";
    readonly spki: Bytes;
    readonly word: string | null;
    readonly pss: PssParams | undefined;
    readonly data: Bytes;
    readonly signature: Bytes;
  }
  /** Makes a pair of a finite-field group: its private exponent, its public key as it travels. */
  | { readonly kind: "group-pair"; readonly word: KexWord }
  /** Derives the secret of such a pair and a peer's public number: one part, none if there is no usable one. */
  | {
    readonly kind: "group-secret";
    readonly word: KexWord;
    readonly exponent: Bytes;
    readonly peer: Bytes;
  };

/** What came of a job; no parts is a failure, of the job or of the work as a whole. */
export type CostlyParts = readonly Bytes[];

/** Does costly work for one who asked. */
export interface CostlyWork {
  run(job: CostlyJob): Promise<CostlyParts>;
  /** Why a job was not done at all, once one was not. */
  readonly refusal: string | undefined;
}

/** RSA keys up to here sign within a millisecond or two, bits. */
const RSA_SIGN_BITS = 2048;
/** And verify, with the exponents in use. */
const RSA_VERIFY_BITS = 4096;
/** Curves that the runtime verifies on. */
const NATIVE_CURVES: ReadonlySet<string> = new Set(["prime256v1", "secp384r1"]);

/** Whether signing with a key of this kind is costly. */
export function signsSlowly(kind: KeyKind, expandedOnly: boolean): boolean {
  switch (kind.type) {
    case "slh-dsa":
      return true;
    case "ml-dsa":
      return expandedOnly;
    case "rsa":
    case "rsa-pss":
      return kind.bits > RSA_SIGN_BITS;
    case "ec":
      // P-521 is computed in the language for short digests.
      return kind.curve === "secp521r1";
    default:
      return false;
  }
}

/** Whether verifying with a key of this kind is costly. */
export function verifiesSlowly(kind: KeyKind): boolean {
  switch (kind.type) {
    case "slh-dsa":
      return true;
    case "rsa":
    case "rsa-pss":
      return kind.bits > RSA_VERIFY_BITS;
    case "ec":
      return !NATIVE_CURVES.has(kind.curve);
    default:
      return false;
  }
}

/**
 * The finite-field groups of RFC 7919, computed from their definition (RFC 7919 appendix A).
 *
 * Pure. p = 2^b - 2^(b-64) + (floor(2^(b-130) e) + X) 2^64 - 1 with the published X; generator 2.
 */

import type { KexWord } from "../../lib/wire/oap_ids.ts";

/** Size in bits and X of each group. */
const GROUPS: Partial<Record<KexWord, readonly [bits: number, x: bigint]>> = {
  ffdhe2048: [2048, 560316n],
  ffdhe3072: [3072, 2625351n],
  ffdhe4096: [4096, 5736041n],
};

/** Generator of all groups. */
export const GENERATOR = 2n;

const primes = new Map<KexWord, bigint>();

/** The prime of a group; throws for a word that is none (our own mistake). */
export function ffdhePrime(word: KexWord): bigint {
  const known = primes.get(word);
  if (known !== undefined) return known;
  const group = GROUPS[word];
  if (!group) throw new Error(`no finite-field group ${word}`);
  const [bits, x] = group;
  const b = BigInt(bits);
  const p = (1n << b) - (1n << (b - 64n)) + ((scaledE(b - 130n) + x) << 64n) - 1n;
  primes.set(word, p);
  return p;
}

/** The group with a prime. */
export function ffdheOfPrime(p: bigint): KexWord | undefined {
  for (const word of Object.keys(GROUPS) as KexWord[]) {
    if (ffdhePrime(word) === p) return word;
  }
  return undefined;
}

/** floor(2^bits e) from the series of 1/k!, with 64 bits to spare for the truncations. */
function scaledE(bits: bigint): bigint {
  const spare = 64n;
  let term = 1n << (bits + spare);
  let sum = term;
  for (let k = 1n; term > 0n; k++) {
    term /= k;
    sum += term;
  }
  return sum >> spare;
}

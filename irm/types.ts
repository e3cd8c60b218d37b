/** Words for IPCP types, load-balancing policies and hash algorithms, as people type and read them. */

import { HashAlgo, IPCP_TYPE_WORDS } from "../lib/irm/messages.ts";

/** Type words in the order in which `bootstrap` matches abbreviations (spec 21 A2.3). */
export const BOOTSTRAP_TYPES = [
  "unicast",
  "broadcast",
  "udp4",
  "udp6",
  "eth-dix",
  "eth-llc",
  "local",
] as const;

/** The number of a type word that is spelt out, or undefined. */
export function ipcpTypeNumber(word: string): number | undefined {
  const number = (IPCP_TYPE_WORDS as readonly string[]).indexOf(word);
  return number < 0 ? undefined : number;
}

/** The word of a type number. */
export function ipcpTypeWord(type: number): string {
  return IPCP_TYPE_WORDS[type] ?? "UNKNOWN";
}

/** Load-balancing words by policy number. */
export const LB_POLICIES = ["round-robin", "spillover"] as const;

/** Directory hash words by algorithm number, as far as people can choose them. */
export const HASH_ALGOS = ["SHA3_224", "SHA3_256", "SHA3_384", "SHA3_512"] as const;

/** The word of any hash algorithm, or null for a number that is none. */
export function hashWord(algo: number): string | null {
  return Object.entries(HashAlgo).find(([, number]) => number === algo)?.[0] ?? null;
}

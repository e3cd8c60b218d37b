/** What carries a flow, who is at its other end, and how it is encrypted, in words. Pure. */

import { printable } from "../lib/printable.ts";

/** What is known of a flow; `Flow` has it. */
export interface FlowFacts {
  /** The layer that carries it; undefined: none, it is direct. */
  readonly layer?: string | undefined;
  /** Who is at the other end, as far as that was authenticated. */
  readonly peer?: {
    readonly name: string;
    readonly fingerprint: Uint8Array;
    readonly how: string;
  } | undefined;
  /** How its packets are encrypted. */
  readonly cipher?: string | undefined;
}

/** Bytes of a fingerprint that tell a certificate without name from others. */
const FINGERPRINT_SHOWN = 8;

/** `layer "office", peer "alice" (EC prime256v1), aes-256-gcm`; "" for a direct flow with neither. */
export function aboutText({ layer, peer, cipher }: FlowFacts): string {
  const parts: string[] = [];
  if (layer !== undefined) parts.push(`layer "${printable(layer)}"`);
  if (peer !== undefined) {
    const who = peer.name === ""
      ? `of certificate ${peer.fingerprint.subarray(0, FINGERPRINT_SHOWN).toHex()}`
      : `"${printable(peer.name)}"`;
    parts.push(`peer ${who} (${printable(peer.how)})`);
  } else if (cipher !== undefined) parts.push("peer not authenticated");
  if (cipher !== undefined) parts.push(printable(cipher));
  return parts.join(", ");
}

/** Policy about the name of an authenticated peer (spec 40 §18.5, 6). Pure. */

import type { PeerCertificate } from "../certificate.ts";
import type { Policy } from "../enc_conf.ts";
import { printable } from "../../lib/printable.ts";

/** The line that refuses a peer whose names `allow-peer` does not list; `undefined`: welcome. */
export function checkPeerName(peer: PeerCertificate, policy: Policy): string | undefined {
  const allowed = policy.allowPeers;
  if (!allowed) return undefined;
  if (allowed.some((name) => peer.isFor(name, policy.strictCrt))) return undefined;
  return `Peer '${printable(peer.name ?? "")}' is not in allow-peer.`;
}

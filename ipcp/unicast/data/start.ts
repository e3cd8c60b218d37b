/** What the main thread and the data worker of a unicast IPCP agree on. */

import type { MemberStart } from "../../data/member_worker.ts";
import type { CompiledPolicy } from "../policy/make.ts";
import type { CongestionPolicy } from "../settings.ts";

/** What the worker gets at its start, beside what that of every member gets. */
export interface UnicastStart extends MemberStart {
  readonly self: number;
  readonly addrBytes: number;
  readonly eidBytes: number;
  readonly ttlMax: number;
  /** Choose among all next hops by flow (ECMP). */
  readonly spread: boolean;
  readonly congestion: CongestionPolicy;
  /** Files in the place of the shipped policies for forwarding and congestion. */
  readonly policies: readonly CompiledPolicy[];
  /** What takes the place of one that fails, by its kind, for people. */
  readonly shipped: readonly string[];
  /** Shared memory of `table.ts`. */
  readonly routes: SharedArrayBuffer;
  readonly states: SharedArrayBuffer;
  /** Shared memory of `stats.ts`. */
  readonly stats: SharedArrayBuffer;
}

/** Letters to the worker beside those of `mailbox.ts`. */
export const UnicastMail = {
  /** Send the bytes to component c of node b. */
  transfer: 16,
} as const;

/**
 * A flow above in its row of the flow table (`ipcp/data/table.ts`): slots of the EIDs there; in the bytes of the peer the
 * random halves, little endian, and the cube; and the address of the far end as the partner.
 */
export const PEER_BYTES = 9;
export function peerBytes(localHi: number, remoteHi: number, cube: number): Uint8Array {
  const bytes = new Uint8Array(PEER_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, localHi, true);
  view.setUint32(4, remoteHi, true);
  bytes[8] = cube;
  return bytes;
}

/**
 * The queue of management messages from the network to the main thread, shared by where they come from, so that a flood
 * leaves room for others.
 *
 * A network may have as many waiting as there are places left, so others always find one; of the half that one network
 * has at most, each of its addresses may have as many as are left of that. Networks and addresses are counted in places
 * chosen by a hash, in memory that the worker and the main thread share: one takes, the other gives back.
 */

import { Counter } from "./table.ts";

/** Management messages that may wait for the main thread, in all. */
export const MGMT_PENDING_MAX = 2048;
/** Of one network. */
const NETWORK_MAX = MGMT_PENDING_MAX / 2;
/** Places of either kind. */
const PLACES = 256;

/** Where the counts of a share are: that of its network in the low 16 bits, that of its address above. */
type Share = number;

/** The worker's side; see the file's comment. */
export class Crossing {
  /** @param seed of the hash, so that nobody knows who shares a place with whom */
  constructor(private readonly counters: Int32Array, private readonly seed: number) {}

  /** The share of an address: the `addressBytes` at `at`, the first `networkBytes` of which are its network. */
  shareOf(b: Uint8Array, at: number, networkBytes: number, addressBytes: number): Share {
    let hash = this.seed;
    for (let k = 0; k < networkBytes; k++) hash = mix(hash, b[at + k]!);
    const network = place(hash);
    for (let k = networkBytes; k < addressBytes; k++) hash = mix(hash, b[at + k]!);
    return (Counter.mgmtNetworks + network) | ((Counter.mgmtAddresses + place(hash)) << 16);
  }

  /** Whether one more message of a share may wait. */
  hasRoom(share: Share): boolean {
    const { counters } = this;
    const ofNetwork = Atomics.load(counters, share & 0xffff);
    const left = MGMT_PENDING_MAX - Atomics.load(counters, Counter.mgmtPending);
    if (ofNetwork >= Math.min(left, NETWORK_MAX)) return false;
    return Atomics.load(counters, share >>> 16) < NETWORK_MAX - ofNetwork;
  }

  /** One more waits. */
  take(share: Share): void {
    count(this.counters, share, 1);
  }
}

/** One of a share does not wait any more; for the main thread. */
export function crossed(counters: Int32Array, share: Share): void {
  count(counters, share, -1);
}

function count(counters: Int32Array, share: Share, by: number): void {
  Atomics.add(counters, Counter.mgmtPending, by);
  Atomics.add(counters, share & 0xffff, by);
  Atomics.add(counters, share >>> 16, by);
}

function mix(hash: number, byte: number): number {
  hash = Math.imul(hash ^ byte, 0x01000193);
  return hash ^ (hash >>> 15);
}

function place(hash: number): number {
  return (Math.imul(hash, 0x2c1b3c6d) >>> 24) % PLACES;
}

/**
 * Where packets leave a flow (spec 30 §6, §9): a block, its protection, the ring, the news to the peer. Everything that
 * sends goes through here: messages, FRCT's own packets, signs of life, blocks that an IPCP passes on.
 */

import { Errno } from "../errno.ts";
import type { BlockCache } from "../shm/block_cache.ts";
import { Acl, FlowEvent } from "../shm/layout.ts";
import type { Pool } from "../shm/pool.ts";
import type { Protection } from "./protection.ts";
import type { Rings } from "./rings.ts";

/** Numbers a flow keeps about itself. */
export interface FlowCounters {
  /** Packets put in the ring: messages, acknowledgements, retransmissions. */
  txPackets: number;
  /** Payload of messages sent, bytes. */
  txBytes: number;
  /** Packets taken from the ring and accepted. */
  rxPackets: number;
  /** Payload of messages read, bytes. */
  rxBytes: number;
  /** Packets that failed their CRC or decryption, or had impossible bounds. */
  rxDropped: number;
  /** Packets that could not be put in the ring or for which no block was free. */
  txDropped: number;
}

/** See the head of this file. */
export class Outlet {
  readonly counters: FlowCounters = {
    txPackets: 0,
    txBytes: 0,
    rxPackets: 0,
    rxBytes: 0,
    rxDropped: 0,
    txDropped: 0,
  };

  /**
   * @param blocks where blocks come from
   * @param protection null when packets leave as they are
   */
  constructor(
    private readonly pool: Pool,
    private readonly blocks: BlockCache,
    private readonly rings: Rings,
    private readonly protection: Protection | null,
    private readonly flowId: number,
  ) {}

  /** A block for `len` bytes: its offset, or -EAGAIN, -EMSGSIZE. */
  alloc(len: number): number {
    return this.blocks.alloc(len);
  }

  /** Protects the packet in a block in place. 0, or a negative errno; then the block is freed. */
  seal(off: number): number {
    if (this.protection === null) return 0;
    const result = this.protection.seal(off);
    if (result < 0) this.pool.remove(off);
    return result;
  }

  /** Puts a sealed block in the ring and tells the peer. 0, or why not: then the block is still the caller's. */
  offer(off: number): number {
    return this.#put(this.rings.tx.write(off));
  }

  /** As {@linkcode offer}, waiting for room until `untilNs`. */
  offerBlocking(off: number, untilNs: number): number {
    return this.#put(this.rings.tx.writeBlocking(off, untilNs));
  }

  #put(result: number): number {
    if (result < 0) return result;
    this.rings.peerSet.notify(this.flowId, FlowEvent.PKT);
    this.counters.txPackets += 1;
    return 0;
  }

  /** Frees a block that was not taken. */
  drop(off: number): void {
    this.pool.remove(off);
    this.counters.txDropped += 1;
  }

  /** Seals a block and puts it in the ring, or frees it. */
  send(off: number): number {
    let result = this.protection === null ? 0 : this.protection.seal(off);
    if (result === 0) result = this.offer(off);
    if (result < 0) this.drop(off);
    return result;
  }

  /**
   * Why there is no block, place or open window: -EFLOWDOWN or -EFLOWPEER when waiting is in vain, or -EAGAIN.
   */
  whyRefused(): number {
    const { rx, tx } = this.rings;
    if ((tx.acl() & Acl.FLOWDOWN) !== 0) return -Errno.EFLOWDOWN;
    const heard = rx.acl();
    if ((heard & Acl.FLOWDOWN) !== 0) return -Errno.EFLOWDOWN;
    return (heard & Acl.FLOWPEER) !== 0 ? -Errno.EFLOWPEER : -Errno.EAGAIN;
  }
}

/**
 * Drives the FRCT machine of one flow (spec 31) over its rings: takes packets out of the receive ring
 * at once, sends what the machine wants to send, and keeps its deadlines. It runs in the thread that
 * owns the flow.
 *
 * Results: bytes or 0; negative errno on failure.
 */

import { Errno } from "../errno.ts";
import { BufferPool, createFrct, type FrctEndpoint, FrctEvent } from "../frct/mod.ts";
import { Acl, Block, FlowEvent, HEAD_SPACE } from "../shm/layout.ts";
import type { Pool } from "../shm/pool.ts";
import { monotonicUs } from "../sys/clock.ts";
import type { Protection } from "./protection.ts";
import type { Rings } from "./rings.ts";

/** Copies for retransmission of all flows of this thread. */
const buffers = new BufferPool();

/** Packets taken from the ring in one go. */
const PUMP_MAX = 256;

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

/** One FRCT endpoint and its way to the rings. */
export class FrctDriver {
  readonly endpoint: FrctEndpoint;
  /** {@linkcode FrctEvent} bits since the owner looked. */
  events = 0;
  /** Packets get a CRC or are encrypted. */
  readonly #sealed: boolean;

  constructor(
    private readonly pool: Pool,
    private readonly rings: Rings,
    private readonly protection: Protection,
    private readonly flowId: number,
    private readonly counters: FlowCounters,
    reliable: boolean,
    mplMs: number,
  ) {
    this.#sealed = protection.overheadBytes > 0;
    const random = new Uint32Array(1);
    crypto.getRandomValues(random);
    this.endpoint = createFrct(1, { reliable, mplMs, initialSeqno: random[0]!, buffers });
  }

  /**
   * Sends one message. -EAGAIN when the window is closed or the class of blocks is exhausted;
   * otherwise bytes, or what the machine or the ring says. A full ring is not an error for a reliable
   * flow: the packet is sent again later.
   */
  write(bytes: Uint8Array): number {
    const ep = this.endpoint;
    if (!ep.writable()) {
      // Lets the machine know that data waits: it says why, and may send copies or a rendez-vous.
      const nowUs = monotonicUs();
      const refused = ep.begin(nowUs, this.pool.u8, 0);
      if (ep.outputDue) this.flush(nowUs);
      return refused === -Errno.EAGAIN ? this.#whyClosed() : refused;
    }
    const len = bytes.length;
    const off = this.pool.alloc(len);
    if (off < 0) return off === -Errno.EAGAIN ? this.#whyClosed() : off;
    const at = off + Block.DATA + HEAD_SPACE;
    this.pool.u8.set(bytes, at);
    // The time matters to a refusal only, and that was asked for above.
    const n = ep.begin(0, this.pool.u8, at - ep.headerBytes);
    if (n < 0) {
      this.pool.remove(off);
      return n;
    }
    this.pool.headAlloc(off, ep.headerBytes);
    const result = this.#send(off);
    // The packet is on its way: what follows no longer delays it.
    const nowUs = monotonicUs();
    ep.sent(nowUs, bytes, 0, len);
    if (ep.outputDue) this.flush(nowUs);
    return result < 0 && result !== -Errno.EAGAIN ? result : len;
  }

  /** A closed window of a peer that is gone never opens, and a block is of no use then: -EFLOWDOWN, -EFLOWPEER, or -EAGAIN when it may. */
  #whyClosed(): number {
    const { rx, tx } = this.rings;
    const heard = rx.acl();
    if (((heard | tx.acl()) & Acl.FLOWDOWN) !== 0) return -Errno.EFLOWDOWN;
    return (heard & Acl.FLOWPEER) !== 0 ? -Errno.EFLOWPEER : -Errno.EAGAIN;
  }

  /** Protects a block and puts it in the ring; frees it on failure. */
  #send(off: number): number {
    let result = this.#sealed ? this.protection.seal(off) : 0;
    if (result === 0) result = this.rings.tx.write(off);
    if (result < 0) {
      this.pool.remove(off);
      this.counters.txDropped += 1;
      return result;
    }
    this.rings.peerSet.notify(this.flowId, FlowEvent.PKT);
    this.counters.txPackets += 1;
    return 0;
  }

  /** Sends the packets that the machine has due: acknowledgements, retransmissions. */
  flush(nowUs: number): void {
    const ep = this.endpoint;
    for (let k = 0; k < PUMP_MAX && ep.outputDue; k++) {
      const n = ep.pollBytes(nowUs);
      if (n <= 0) return;
      const off = this.pool.alloc(n);
      // No block: the machine keeps what is due, the next call or timer tries again.
      if (off < 0) return;
      const at = off + Block.DATA + HEAD_SPACE;
      const made = ep.poll(nowUs, this.pool.u8, at);
      if (made <= 0) {
        this.pool.remove(off);
        return;
      }
      if (made !== n) this.pool.truncate(off, made);
      if (this.#send(off) === -Errno.EFLOWDOWN) return;
    }
  }

  /**
   * Takes one packet from the ring's offset `off`. With `into`, a message that is next in order goes
   * straight there. Returns bytes delivered to `into`, or -1.
   */
  take(off: number, nowUs: number, into: Uint8Array | null): number {
    const p = this.protection;
    const n = p.open(off);
    let delivered = -1;
    if (n > 0) {
      this.counters.rxPackets += 1;
      const end = p.at + n;
      if (into !== null) {
        delivered = this.endpoint.onPacketDirect(nowUs, p.u8, p.at, end, into.length);
        if (delivered >= 0) this.#copyOut(off, p.at + this.endpoint.headerBytes, delivered, into);
      } else {
        this.events |= this.endpoint.onPacket(nowUs, p.u8, p.at, end);
      }
    } else if (n < 0) {
      this.counters.rxDropped += 1;
    }
    if (n !== -Errno.EINVAL) this.pool.remove(off);
    return delivered;
  }

  /** Copies a payload that `protection` opened: out of the block by the pool's short way, or out of its scratch. */
  #copyOut(off: number, at: number, n: number, into: Uint8Array): void {
    const { u8 } = this.protection;
    if (u8 === this.pool.u8) this.pool.copyOut(off, at, n, into as Uint8Array<ArrayBuffer>);
    else into.set(u8.subarray(at, at + n));
  }

  /** Feeds everything in the ring to the machine and sends its answers. */
  pump(nowUs: number): void {
    for (let k = 0; k < PUMP_MAX; k++) {
      const off = this.rings.rx.read();
      if (off < 0) break;
      if (off > 0) this.take(off, nowUs, null);
    }
    if (this.endpoint.outputDue) this.flush(nowUs);
  }

  /** Pumps, and lets the machine do what is due by now. */
  tick(nowUs: number): void {
    this.pump(nowUs);
    if (this.endpoint.deadlineUs() <= nowUs) this.events |= this.endpoint.onTimer(nowUs);
    if (this.endpoint.outputDue) this.flush(nowUs);
  }

  /** Events since the last call, {@linkcode FrctEvent}. */
  takeEvents(): number {
    const bits = this.events | this.endpoint.takeEvents();
    this.events = 0;
    return bits;
  }

  /** Whether the machine gave up. */
  get down(): boolean {
    return this.endpoint.down || (this.events & FrctEvent.Down) !== 0;
  }
}

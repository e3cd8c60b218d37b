/**
 * Drives the FRCT machine of one flow (spec 31) over its rings: takes packets out of the receive ring
 * at once, sends what the machine wants to send, and keeps its deadlines. It runs in the thread that
 * owns the flow.
 *
 * Results: bytes or 0; negative errno on failure.
 */

import { Errno } from "../errno.ts";
import { BufferPool, createFrct, type FrctEndpoint, FrctEvent } from "../frct/mod.ts";
import { Block, HEAD_SPACE } from "../shm/layout.ts";
import type { Pool } from "../shm/pool.ts";
import type { RingReader } from "../shm/ring_reader.ts";
import { monotonicUs } from "../sys/clock.ts";
import type { Outlet } from "./outlet.ts";
import type { Protection } from "./protection.ts";
import type { FrctShow } from "./frct_show.ts";

/** Copies for retransmission of all flows of this thread. */
const buffers = new BufferPool();

/**
 * The part of a class of blocks that packets on their way to one flow may hold: the whole window at the sizes of most
 * networks.
 */
const WINDOW_BLOCKS_PART = 2 / 3;
/** Room beside the payload for what is around it: FRCT header, cipher, CRC. */
const AROUND_BYTES = 64;

/** Packets of so many payload bytes that may be on their way to a flow without the class of their blocks running dry. */
function blocksFor(pool: Pool, bytes: number): number {
  const c = pool.classFor(bytes + AROUND_BYTES);
  return c < 0 ? 0 : Math.round(pool.geometry.objectCount[c]! * WINDOW_BLOCKS_PART);
}

/** Packets taken from the ring in one go. */
const PUMP_MAX = 256;

/** One FRCT endpoint and its way to the rings. */
export class FrctDriver {
  readonly endpoint: FrctEndpoint;
  /** {@linkcode FrctEvent} bits since the owner looked. */
  events = 0;
  /** Whether the block that {@linkcode accept} looked at last is ours to give back. */
  ours = false;

  /**
   * @param reader the one reader of the receive ring
   * @param outlet where packets leave, with what protects them
   * @param protection opens what comes
   */
  constructor(
    private readonly pool: Pool,
    private readonly reader: RingReader,
    private readonly outlet: Outlet,
    private readonly protection: Protection,
    reliable: boolean,
    mplMs: number,
    private readonly show: FrctShow | null,
  ) {
    const random = new Uint32Array(1);
    crypto.getRandomValues(random);
    const room = (bytes: number) => blocksFor(pool, bytes);
    this.endpoint = createFrct(1, { reliable, mplMs, initialSeqno: random[0]!, buffers, room });
    show?.changed(this.endpoint, monotonicUs());
  }

  /**
   * Sends one message, or with `end` none: that no more comes. -EAGAIN when the window is closed or the class of
   * blocks is exhausted; otherwise bytes, or what the machine or the ring says. A full ring is not an error for a
   * reliable flow: the packet is sent again later.
   */
  write(bytes: Uint8Array, end = false): number {
    const ep = this.endpoint;
    if (!ep.writable()) {
      // Lets the machine know that data waits: it says why, and may send copies or a rendez-vous.
      const nowUs = monotonicUs();
      const refused = ep.begin(nowUs, this.pool.u8, 0);
      if (ep.outputDue) this.flush(nowUs);
      return refused === -Errno.EAGAIN ? this.outlet.whyRefused() : refused;
    }
    const len = bytes.length;
    const off = this.outlet.alloc(len);
    if (off < 0) return off === -Errno.EAGAIN ? this.outlet.whyRefused() : off;
    const at = off + Block.DATA + HEAD_SPACE;
    this.pool.u8.set(bytes, at);
    // The time matters to a refusal only, and that was asked for above.
    const empty = len === 0 && !end;
    const n = ep.begin(0, this.pool.u8, at - ep.headerBytes, empty);
    if (n < 0) {
      this.pool.remove(off);
      return n;
    }
    this.pool.headAlloc(off, ep.headerBytes);
    const result = this.outlet.send(off);
    // The packet is on its way: what follows no longer delays it.
    const nowUs = monotonicUs();
    ep.sent(nowUs, bytes, 0, len, empty);
    if (ep.outputDue) this.flush(nowUs);
    this.show?.changed(ep, nowUs);
    return result < 0 && result !== -Errno.EAGAIN ? result : len;
  }

  /** Sends the packets that the machine has due: acknowledgements, retransmissions. */
  flush(nowUs: number): void {
    const ep = this.endpoint;
    for (let k = 0; k < PUMP_MAX && ep.outputDue; k++) {
      const n = ep.pollBytes(nowUs);
      if (n <= 0) return;
      const off = this.outlet.alloc(n);
      // No block: the machine keeps what is due, the next call or timer tries again.
      if (off < 0) return;
      const at = off + Block.DATA + HEAD_SPACE;
      const made = ep.poll(nowUs, this.pool.u8, at);
      if (made <= 0) {
        this.pool.remove(off);
        return;
      }
      if (made !== n) this.pool.truncate(off, made);
      this.show?.changed(ep, nowUs);
      if (this.outlet.send(off) === -Errno.EFLOWDOWN) return;
    }
  }

  /** As {@linkcode accept} for a packet that was taken out of the ring; frees its block. */
  take(off: number, nowUs: number, into: Uint8Array | null): number {
    const delivered = this.accept(off, nowUs, into);
    if (this.ours) this.pool.remove(off);
    return delivered;
  }

  /**
   * Feeds the packet at `off` to the machine; its block stays, see {@linkcode ours}. With `into`, a message that is next
   * in order goes straight there. Returns bytes delivered to `into`, or -1.
   */
  accept(off: number, nowUs: number, into: Uint8Array | null): number {
    const p = this.protection;
    const n = p.open(off);
    let delivered = -1;
    if (n > 0) {
      this.outlet.counters.rxPackets += 1;
      const end = p.at + n;
      if (into !== null) {
        delivered = this.endpoint.onPacketDirect(nowUs, p.u8, p.at, end, into.length);
        if (delivered >= 0) this.#copyOut(off, p.at + this.endpoint.headerBytes, delivered, into);
      } else {
        this.events |= this.endpoint.onPacket(nowUs, p.u8, p.at, end);
      }
    } else if (n < 0) {
      this.outlet.counters.rxDropped += 1;
    }
    // A block without a reference was freed by its sender: it isn't ours to free (spec 10 §4.6).
    this.ours = n !== -Errno.EINVAL;
    this.show?.changed(this.endpoint, nowUs);
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
    const { reader } = this;
    for (let k = 0; k < PUMP_MAX; k++) {
      const off = reader.read();
      if (off < 0) break;
      if (off > 0) this.accept(off, nowUs, null);
      reader.done(off, off > 0 && this.ours);
    }
    reader.flush();
    if (this.endpoint.outputDue) this.flush(nowUs);
  }

  /** Pumps, and lets the machine do what is due by now. */
  tick(nowUs: number): void {
    this.pump(nowUs);
    if (this.endpoint.deadlineUs() <= nowUs) this.events |= this.endpoint.onTimer(nowUs);
    if (this.endpoint.outputDue) this.flush(nowUs);
    this.show?.due(this.endpoint, nowUs);
  }

  /** When {@linkcode tick} is to be called again, µs. */
  deadlineUs(): number {
    const atUs = this.endpoint.deadlineUs();
    return this.show === null ? atUs : Math.min(atUs, this.show.deadlineUs);
  }

  /** Something has changed that the RIB shows. */
  changed(nowUs: number): void {
    this.show?.changed(this.endpoint, nowUs);
  }

  /** The flow is over. */
  dispose(): void {
    this.endpoint.dispose();
    this.show?.end();
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

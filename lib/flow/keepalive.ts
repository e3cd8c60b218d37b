/**
 * Signs of life on one flow (spec 30 §8.3): an empty packet after a quarter of the time-out without
 * traffic of ours, and FLOWPEER after the whole time-out without traffic of the peer.
 *
 * Looks at the rings now and then instead of at the clock with every packet: a ring position that
 * moved is traffic, whether or not the application read it (spec 30 §18.9).
 */

import { Acl, FlowEvent } from "../shm/layout.ts";
import { monotonicNs } from "../sys/clock.ts";
import type { Outlet } from "./outlet.ts";
import type { ProcessParts } from "./process_parts.ts";
import type { Rings } from "./rings.ts";

/** Looks in one time-out: silence is seen at most 1/32 of it late. */
const LOOKS = 32;

/** Packets waiting for a peer that doesn't read, above which no keepalive is added. */
const WAITING_MAX = 64;

/** The keepalive of one flow. */
export class Keepalive {
  /** When to look next, ns; Infinity when it is over. */
  nextNs: number;
  readonly #timeoutNs: number;
  #sentNs: number;
  #heardNs: number;
  #sentPackets = -1;
  #heardPosition = -1;

  constructor(
    timeoutMs: number,
    private readonly rings: Rings,
    private readonly process: ProcessParts,
    private readonly flowId: number,
    private readonly outlet: Outlet,
  ) {
    const nowNs = monotonicNs();
    this.#timeoutNs = timeoutMs * 1e6;
    this.#sentNs = nowNs;
    this.#heardNs = nowNs;
    this.nextNs = nowNs + this.#timeoutNs / LOOKS;
  }

  /** Looks, and sends an empty packet when it is time. True when the peer timed out just now. */
  check(nowNs: number): boolean {
    const { rx, tx } = this.rings;
    const { counters } = this.outlet;
    if ((rx.acl() & (Acl.FLOWDOWN | Acl.FLOWPEER)) !== 0) {
      this.nextNs = Infinity;
      return false;
    }
    this.nextNs = nowNs + this.#timeoutNs / LOOKS;
    this.#takeEmpty();
    const heard = rx.headPosition();
    if (heard !== this.#heardPosition) {
      this.#heardPosition = heard;
      this.#heardNs = nowNs;
    }
    if (counters.txPackets !== this.#sentPackets) {
      this.#sentPackets = counters.txPackets;
      this.#sentNs = nowNs;
    }
    if (nowNs - this.#heardNs > this.#timeoutNs) {
      rx.setAcl(Acl.FLOWPEER);
      this.process.set.notify(this.flowId, FlowEvent.PEER);
      this.nextNs = Infinity;
      return true;
    }
    if (nowNs - this.#sentNs > this.#timeoutNs / 4) {
      this.#sentNs = nowNs;
      // A peer that doesn't read gets no more of them.
      if (tx.queued() < WAITING_MAX) this.#send();
    }
    return false;
  }

  /** Takes keepalives off the front of a ring that nobody reads just now. */
  #takeEmpty(): void {
    const pool = this.process.pool;
    for (let k = 0; k < WAITING_MAX && this.rings.rx.queued() > 0; k++) {
      const off = this.rings.rx.readIf((o) => pool.inspect(o) === 0);
      if (off <= 0) return;
      pool.remove(off);
    }
  }

  #send(): void {
    const off = this.outlet.alloc(0);
    if (off >= 0) this.outlet.send(off);
    // It counts as a packet, and not as one that the application sent.
    this.#sentPackets = this.outlet.counters.txPackets;
  }
}

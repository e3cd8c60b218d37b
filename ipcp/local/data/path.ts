/**
 * The data path of the local IPCP: each packet of one flow goes to the other flow of its pair.
 *
 * Copies (spec 10 §8.2): none when both processes use the same pool, else exactly one, from pool to pool. The
 * prototype copies between two processes of one user too, because it opens the user's pool once a flow; we open
 * it once (spec 10 §11.19). Unpaired flows' packets are freed.
 */

import { Errno } from "../../../lib/errno.ts";
import type { FlowSetShm } from "../../../lib/shm/flow_set.ts";
import { transfer } from "../../../lib/shm/transfer.ts";
import { monotonicNs } from "../../../lib/sys/clock.ts";
import { FlowLoop } from "../../data/flow_loop.ts";
import { LongPacketReports } from "../../data/long_packets.ts";
import type { Port } from "../../data/port.ts";
import type { ThreadParts } from "../../data/ports.ts";
import { Counter, type FlowTable } from "../../data/table.ts";

export class LocalPath extends FlowLoop {
  readonly #table: FlowTable;
  readonly #counters: Int32Array;
  readonly #longPackets: LongPacketReports;

  constructor(parts: ThreadParts, set: FlowSetShm) {
    super(parts, set);
    this.#table = parts.table;
    this.#counters = parts.counters;
    this.#longPackets = new LongPacketReports("out", parts.tooLong, monotonicNs);
  }

  protected override move(from: Port, max: number): boolean {
    const partner = this.#table.partner(from.flowId);
    const to = partner === 0 ? undefined : this.ports.get(partner);
    for (let n = 0; n < max; n++) {
      const off = from.rx.read();
      if (off < 0) return false;
      this.#deliver(from, to, off);
    }
    return true;
  }

  #deliver(from: Port, to: Port | undefined, off: number): void {
    const pool = from.pool;
    const n = pool.inspect(off);
    if (n < 0) {
      if (n === -Errno.EMSGSIZE) pool.remove(off); // Held, but with forged bounds.
      this.#counters[Counter.badPackets]!++;
      this.#lost(from, undefined);
      return;
    }
    if (to === undefined || to.isFull()) {
      pool.remove(off);
      this.#counters[Counter.notDelivered]!++;
      this.#lost(from, to);
      return;
    }
    let give = off;
    if (to.pool !== pool) {
      give = transfer(pool, off, to.pool);
      if (give >= 0) this.#counters[Counter.copies]!++;
    }
    if (give >= 0 && to.deliver(give) === 0) {
      this.#counters[Counter.received]!++;
      return;
    }
    this.#lost(from, to);
    if (give === -Errno.EMSGSIZE) {
      this.#counters[Counter.tooLong]!++;
      this.#longPackets.add(from.flowId, n, to.pool.payloadBytesMax);
    } else this.#counters[Counter.notDelivered]!++;
  }

  /** A packet was dropped: each end hears of it as its own. */
  #lost(from: Port, to: Port | undefined): void {
    this.#table.lostSent(from.flowId);
    if (to !== undefined) this.#table.lostReceived(to.flowId);
  }
}

/** The thread from the processes to the network: wraps the packets of the flows and sends them in batches. */

import { Errno } from "../../../lib/errno.ts";
import type { FlowSetShm } from "../../../lib/shm/flow_set.ts";
import { MessageBatch } from "../../../lib/sys/netsock.ts";
import { monotonicNs } from "../../../lib/sys/clock.ts";
import { FlowLoop } from "../../data/flow_loop.ts";
import type { Framing } from "./framing.ts";
import type { Wire } from "./wire.ts";
import { LongPacketReports } from "../../data/long_packets.ts";
import type { Port } from "../../data/port.ts";
import type { ThreadParts } from "../../data/ports.ts";
import { Counter, type FlowTable } from "../../data/table.ts";

/** Messages of one sendmmsg. */
const BATCH = 64;

export class ShimTx extends FlowLoop {
  readonly #table: FlowTable;
  readonly #counters: Int32Array;
  readonly #wire: Wire;
  readonly #framing: Framing;
  readonly #batch: MessageBatch;
  /** Where the payload of message i goes. */
  readonly #slots: Uint8Array<ArrayBuffer>[] = [];
  /** Whose message i is. */
  readonly #flows = new Int32Array(BATCH);
  #filled = 0;
  readonly #longPackets: LongPacketReports;

  constructor(parts: ThreadParts, set: FlowSetShm, wire: Wire, framing: Framing) {
    super(parts, set);
    this.#table = parts.table;
    this.#counters = parts.counters;
    this.#wire = wire;
    this.#framing = framing;
    this.#longPackets = new LongPacketReports("out", parts.tooLong, monotonicNs);
    this.#batch = new MessageBatch(BATCH, framing.slotBytes, framing.nameBytes);
    for (let i = 0; i < BATCH; i++) {
      const at = i * framing.slotBytes;
      this.#slots.push(
        this.#batch.data.subarray(at + framing.headerBytes, at + framing.slotBytes) as Uint8Array<
          ArrayBuffer
        >,
      );
    }
  }

  /** Into the batch, which is sent when it is full. */
  protected override move(port: Port, max: number): boolean {
    const payloadMax = this.#framing.payloadMax;
    for (let n = 0; n < max; n++) {
      if (this.#filled === BATCH) this.flush();
      const i = this.#filled;
      const length = port.readInto(this.#slots[i]!);
      if (length === -Errno.EAGAIN || length === -Errno.EFLOWDOWN || length === -Errno.EFLOWPEER) {
        return false;
      }
      if (length === -Errno.EMSGSIZE || length > payloadMax) {
        this.#counters[Counter.tooLong]!++;
        this.#table.lostSent(port.flowId);
        const bytes = length > payloadMax ? length : port.tooLongBytes;
        this.#longPackets.add(port.flowId, bytes, payloadMax);
        continue;
      }
      if (length < 0) {
        this.#counters[Counter.badPackets]!++;
        this.#table.lostSent(port.flowId);
        continue;
      }
      this.#table.speak(port.flowId);
      this.#framing.wrap(this.#table, port.flowId, this.#batch, i, length);
      this.#flows[i] = port.flowId;
      this.#filled++;
    }
    return true;
  }

  protected override flush(): void {
    const n = this.#filled;
    this.#filled = 0;
    let from = 0;
    while (from < n) {
      const sent = this.#wire.send(this.#batch, from, n - from);
      if (sent <= 0) {
        this.#counters[Counter.sendFailed]!++;
        this.#table.lostSent(this.#flows[from]!);
        from++; // The first one is refused: no route, link down, too long. The others get their try.
      } else {
        this.#counters[Counter.sent]! += sent;
        from += sent;
      }
    }
  }
}

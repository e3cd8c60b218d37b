/**
 * The thread from the network to the processes: receives in batches, tells messages apart, hands packets to
 * their flows and management to the main thread.
 *
 * Bounded everywhere: a process that does not read loses its packets and disturbs nobody (spec 50 §18 R5); management
 * messages that wait for the main thread are shared by networks (`crossing.ts`), more are dropped, and so are those
 * that say nothing or are about no flow of ours: dropping here is cheap, a message to the main thread is not.
 */

import { isAgain, MessageBatch } from "../../../lib/sys/netsock.ts";
import { monotonicNs } from "../../../lib/sys/clock.ts";
import { type Framing, MGMT } from "./framing.ts";
import type { Wire } from "./wire.ts";
import { isWireError } from "../../../lib/wire/mod.ts";
import { Crossing } from "../../data/crossing.ts";
import { LongPacketReports } from "../../data/long_packets.ts";
import { Ports, type ThreadParts } from "../../data/ports.ts";
import { Spinner } from "../../data/spinner.ts";
import { Counter, type FlowTable } from "../../data/table.ts";

/** Messages of one recvmmsg. */
const BATCH = 32;
/** Longest of datagrams that the kernel has joined, bytes. */
const JOINED_BYTES_MAX = 65536;

export class ShimRx {
  readonly #table: FlowTable;
  readonly #counters: Int32Array;
  readonly #wire: Wire;
  readonly #framing: Framing;
  readonly #mgmt: (from: Uint8Array, bytes: Uint8Array, share: number) => void;
  readonly #crossing: Crossing;
  readonly #ports: Ports;
  readonly #batch: MessageBatch;
  readonly #spinner: Spinner;
  readonly #longPackets: LongPacketReports;
  #received = 0;
  #drained = false;

  /**
   * `mgmt` tells the main thread of a management message, which gives its share of the queue back.
   * @param seed see {@linkcode Crossing}
   */
  constructor(
    parts: ThreadParts,
    wire: Wire,
    framing: Framing,
    mgmt: (from: Uint8Array, bytes: Uint8Array, share: number) => void,
    seed = crypto.getRandomValues(new Int32Array(1))[0]!,
  ) {
    this.#ports = new Ports(parts);
    this.#table = parts.table;
    this.#counters = parts.counters;
    this.#wire = wire;
    this.#framing = framing;
    this.#mgmt = mgmt;
    this.#crossing = new Crossing(parts.counters, seed);
    this.#longPackets = new LongPacketReports("in", parts.tooLong, monotonicNs);
    // Datagrams that were joined are longer than any of them.
    const slotBytes = wire.joins
      ? Math.max(framing.slotBytes, JOINED_BYTES_MAX)
      : framing.slotBytes;
    this.#batch = new MessageBatch(BATCH, slotBytes, framing.nameBytes, wire.joins);
    this.#spinner = new Spinner(() => this.#receive() > 0);
  }

  /** Run until the order to stop. */
  run(): void {
    while (this.turn(-1));
  }

  /** Handle what is there, or wait for it at most `timeoutMs`. False after the order to stop. */
  turn(timeoutMs: number): boolean {
    if ((!this.#drained && this.#receive() > 0) || this.#spinner.spin()) {
      // A batch that was not full was all there is: block next, without asking once more.
      this.#drained = this.#received < BATCH;
      this.#handle();
      this.#spinner.busy();
      return true;
    }
    this.#drained = false;
    return this.#wire.wait(timeoutMs) ? this.#ports.obey() : true;
  }

  /** Receive into the batch unless it holds something. How many messages it holds. */
  #receive(): number {
    if (this.#received > 0) return this.#received;
    const n = this.#wire.receive(this.#batch);
    // Other errors (network down, refused by a peer) are reported once and cleared by the kernel.
    return this.#received = n < 0 && !isAgain(n) ? 0 : Math.max(n, 0);
  }

  #handle(): void {
    const batch = this.#batch;
    const n = this.#received;
    for (let i = 0; i < n; i++) {
      const length = batch.length(i);
      if (length < 0) {
        this.#tooLong(batch.wholeLength(i));
        continue;
      }
      const each = batch.segmentBytes(i) || length;
      for (batch.shift = 0; batch.shift < length || length === 0; batch.shift += each) {
        this.#one(i, Math.min(each, length - batch.shift));
        if (length === 0) break;
      }
      batch.shift = 0;
    }
    batch.rearm(n);
    this.#received = 0;
  }

  /** The message of `length` bytes in slot i that the batch points at. */
  #one(i: number, length: number): void {
    if (length > this.#framing.slotBytes) return this.#tooLong(length);
    const flowId = this.#framing.unwrap(this.#table, this.#batch, i, length);
    if (flowId > 0) this.#deliver(flowId);
    else if (flowId === MGMT) this.#handOver(i);
    else this.#counters[Counter.refused]!++;
  }

  /** A message of `bytes`, headers included, does not fit its slot; whose it is nobody looks at. */
  #tooLong(bytes: number): void {
    this.#counters[Counter.tooLongIn]!++;
    const { headerBytes, slotBytes } = this.#framing;
    this.#longPackets.add(0, bytes - headerBytes, slotBytes - headerBytes);
  }

  #deliver(flowId: number): void {
    this.#table.hear(flowId);
    const port = this.#ports.get(flowId);
    const data = this.#batch.data as Uint8Array<ArrayBuffer>;
    if (port !== undefined && port.write(data, this.#framing.start, this.#framing.end) === 0) {
      this.#counters[Counter.received]!++;
    } else {
      this.#counters[Counter.notDelivered]!++;
      this.#table.lostReceived(flowId);
    }
  }

  /** Hand a management message to the main thread, if its sender has room there and it may mean something. */
  #handOver(i: number): void {
    const framing = this.#framing;
    const batch = this.#batch;
    const share = this.#crossing.shareOf(
      framing.addresses(batch),
      framing.addressAt(batch, i),
      framing.networkBytes,
      framing.addressBytes,
    );
    if (!this.#crossing.hasRoom(share)) {
      this.#counters[Counter.mgmtDropped]!++;
      return;
    }
    const { start, end } = framing;
    if (!this.#means(batch.data.subarray(start, end))) {
      this.#counters[Counter.mgmtRefused]!++;
      return;
    }
    this.#crossing.take(share);
    this.#mgmt(framing.sender(batch, i), batch.data.slice(start, end), share);
  }

  /**
   * Whether a management message says something, and about a flow of ours if it is about one. A reply may also be for one
   * that our process is giving up, whose peer has to be told then, or for none that it names (a C responder's).
   */
  #means(bytes: Uint8Array): boolean {
    const { codec, hashBytes } = this.#framing;
    const m = codec.parse(bytes, hashBytes);
    if (isWireError(m)) return false;
    switch (m.kind) {
      case "flow_end":
      case "flow_here":
        return this.#table.flowOf(m.receiverEid) !== 0;
      case "flow_why":
        return this.#table.flowOf(m.requesterEid) !== 0;
      case "flow_reply":
        return m.requesterEid === codec.lostEid || this.#table.flowOf(m.requesterEid) !== 0 ||
          Atomics.load(this.#counters, Counter.dropping) > 0;
    }
    return true;
  }
}

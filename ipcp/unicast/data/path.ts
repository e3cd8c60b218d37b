/**
 * The data path of a unicast IPCP, in its worker: packets of flows above go down, those of lower flows are relayed,
 * delivered or handed to the main thread. What becomes of a packet is decided by `forward.ts`; here it is moved.
 *
 * A packet stays in its block from ring to ring, with its header in the head space; it is copied only between the pools
 * of different users. Nothing blocks: whoever does not take its packets loses them (spec 60 §19 W8), and a flow that
 * congestion avoidance slows down waits in the pacer while others go on.
 */

import { Errno } from "../../../lib/errno.ts";
import { Flow } from "../../../lib/flow/flow.ts";
import type { OuroProcess } from "../../../lib/flow/process.ts";
import { decodeIrmMsg } from "../../../lib/irm/messages.ts";
import { FLOW_IDS_MAX } from "../../../lib/limits.ts";
import { EVENTS_MAX, type FlowSetShm } from "../../../lib/shm/flow_set.ts";
import { FlowEvent } from "../../../lib/shm/layout.ts";
import type { Pool } from "../../../lib/shm/pool.ts";
import { transfer } from "../../../lib/shm/transfer.ts";
import { monotonicNs } from "../../../lib/sys/clock.ts";
import { encode as encodeFa } from "../../../lib/wire/fa_msg.ts";
import { isWireError } from "../../../lib/wire/mod.ts";
import { LongPacketReports } from "../../data/long_packets.ts";
import type { Port } from "../../data/port.ts";
import { Ports, type ThreadParts } from "../../data/ports.ts";
import { ReadyQueue } from "../../data/ready.ts";
import { Spinner } from "../../data/spinner.ts";
import { Counter, DATA_QUEUE, ORDERS_FLOW } from "../../data/table.ts";
import type { Congestion, CongestionContext } from "../congestion.ts";
import { EID_FLOW_ALLOCATOR } from "../eids.ts";
import { type Forwarder, Verdict } from "../forward.ts";
import { Pacer } from "../pacer.ts";
import { type Letter, Mailbox } from "./mailbox.ts";
import { Mail } from "./start.ts";

/** Packets of one flow in a row. */
const BURST = 16;
/** Packets that may wait in the ring of a lower flow: data, and with what control may use beyond. */
const QUEUED_MAX = 384;
const QUEUED_CONTROL_MAX = 448;
/** Messages for components that the main thread has not taken yet. */
const PENDING_MAX = 1024;
/** Longest time between two looks at all flows, ns. */
const SWEEP_NS = 1e9;
/** Where flow allocator messages have their code, and an update. */
const FA_CODE_AT = 58;
const FA_UPDATE = 2;
const FA_BYTES_MIN = 61;

/** What the worker tells the main thread. */
export interface PathEvents {
  component(eid: number, bytes: Uint8Array): void;
  /** Something other than a packet happened on a lower flow. */
  lower(flowId: number, events: number): void;
  /** The worker has let go of a lower flow. */
  released(flowId: number): void;
}

/** A flow above, as its row says. */
interface Above {
  generation: number;
  localHi: number;
  localLo: number;
  remoteHi: number;
  remoteLo: number;
  peer: number;
  context: CongestionContext;
  /** A packet that waits for its time, or -1. */
  held: number;
}

export class UnicastPath {
  readonly #parts: ThreadParts;
  readonly #ports: Ports;
  readonly #set: FlowSetShm;
  readonly #process: OuroProcess;
  readonly #mailbox: Mailbox;
  readonly #forwarder: Forwarder;
  readonly #congestion: Congestion;
  readonly #self: number;
  readonly #events: PathEvents;
  readonly #lowers: (Flow | undefined)[] = new Array(FLOW_IDS_MAX).fill(undefined);
  readonly #lowerIds = new Set<number>();
  readonly #aboves: (Above | undefined)[] = new Array(FLOW_IDS_MAX).fill(undefined);
  readonly #pacer = new Pacer();
  readonly #ready = new ReadyQueue();
  readonly #eventWords = new Int32Array(EVENTS_MAX * 2);
  readonly #spinner: Spinner;
  readonly #letter: Letter = { kind: 0, b: 0, c: 0, bytes: new Uint8Array(0) };
  readonly #halves = new Uint8Array(8);
  readonly #halvesView = new DataView(this.#halves.buffer);
  readonly #longPackets: LongPacketReports;
  #sweepAtNs = monotonicNs() + SWEEP_NS;
  #nowNs = monotonicNs();

  constructor(
    parts: ThreadParts,
    set: FlowSetShm,
    process: OuroProcess,
    mailbox: Mailbox,
    self: number,
    forwarder: Forwarder,
    congestion: Congestion,
    events: PathEvents,
  ) {
    this.#parts = parts;
    this.#ports = new Ports(parts);
    this.#set = set;
    this.#process = process;
    this.#mailbox = mailbox;
    this.#self = self;
    this.#forwarder = forwarder;
    this.#congestion = congestion;
    this.#events = events;
    this.#spinner = new Spinner(() => set.pending(DATA_QUEUE) > 0);
    this.#longPackets = new LongPacketReports("out", parts.tooLong, monotonicNs);
  }

  /** Run until the order to stop. */
  run(): void {
    while (this.#turn());
    for (const id of [...this.#lowerIds]) this.#release(id);
  }

  #turn(): boolean {
    this.#spinner.spin();
    const until = Math.min(this.#sweepAtNs, this.#pacer.nextNs, this.#process.wakeAtNs());
    const n = Math.max(0, this.#set.wait(DATA_QUEUE, this.#eventWords, until));
    this.#nowNs = monotonicNs();
    let orders = n === EVENTS_MAX;
    for (let i = 0; i < n; i++) {
      const id = this.#eventWords[i * 2]!;
      if (id === ORDERS_FLOW) orders = true;
      else {
        this.#ready.add(id);
        const events = this.#eventWords[i * 2 + 1]! & ~FlowEvent.PKT;
        if (events !== 0 && this.#lowers[id] !== undefined) this.#events.lower(id, events);
      }
    }
    this.#process.tick(this.#nowNs);
    // A full queue may have lost events.
    if (n === EVENTS_MAX || this.#nowNs >= this.#sweepAtNs) {
      this.#sweep();
      orders = true;
    }
    this.#moveDue();
    if (!this.#ready.isEmpty) this.#moveReady();
    if (!orders) return true;
    this.#readMail();
    return this.#ports.obey((id) => this.#moveLast(id));
  }

  #moveReady(): void {
    do {
      const id = this.#ready.take();
      const lower = this.#lowers[id];
      const more = lower === undefined ? this.#moveDown(id) : this.#moveLower(id, lower);
      if (more) this.#ready.add(id);
    } while (!this.#ready.isEmpty);
    this.#spinner.busy();
  }

  /** Events are hints in memory that others write: look at everything now and then. */
  #sweep(): void {
    this.#set.repairLength();
    this.#set.repair(DATA_QUEUE, ORDERS_FLOW);
    this.#ports.forEachOpen((id, port) => {
      this.#set.repair(DATA_QUEUE, id);
      if (port.rx.queued() > 0) this.#ready.add(id);
    });
    for (const id of this.#lowerIds) {
      this.#set.repair(DATA_QUEUE, id);
      if (this.#lowers[id]!.rxQueued > 0) this.#ready.add(id);
    }
    this.#sweepAtNs = this.#nowNs + SWEEP_NS;
  }

  // From the main thread.

  #readMail(): void {
    const letter = this.#letter;
    while (this.#mailbox.take(letter)) {
      if (letter.kind === Mail.lower) {
        this.#take(letter.bytes);
        letter.bytes.fill(0); // a key may have been in it
      } else if (letter.kind === Mail.release) this.#release(letter.b);
      else this.#sendControl(letter.b >>> 0, letter.c, letter.bytes);
    }
  }

  #take(bytes: Uint8Array): void {
    const letter = bytes.slice();
    bytes.fill(0);
    const m = decodeIrmMsg(letter);
    const cipher = isWireError(m) || m.symKey === undefined ? undefined : m.symKey.slice();
    letter.fill(0);
    if (isWireError(m) || m.flowInfo === undefined) return;
    const { id } = m.flowInfo;
    try {
      const flow = Flow.attach(this.#process, { info: m.flowInfo, whole: true, cipher });
      this.#lowers[id] = flow;
      this.#lowerIds.add(id);
      flow.place(DATA_QUEUE);
      this.#ready.add(id);
      if (flow.hasEnded()) this.#events.lower(id, FlowEvent.DOWN);
      this.#moveReady();
    } catch {
      // Its memory is gone with its layer.
      this.#events.lower(id, FlowEvent.DEALLOC);
    }
  }

  #release(id: number): void {
    const flow = this.#lowers[id];
    this.#lowers[id] = undefined;
    this.#lowerIds.delete(id);
    flow?.detach();
    this.#events.released(id);
  }

  /** A message of one of our components. */
  #sendControl(dst: number, eid: number, bytes: Uint8Array): void {
    if (!this.#forwarder.route(dst, 0, 0, eid)) return this.#count(Counter.sendFailed);
    const pool = this.#process.pool;
    const off = pool.alloc(bytes.length);
    if (off < 0 || pool.inspect(off) < 0) return this.#count(Counter.sendFailed);
    pool.u8.set(bytes, pool.at);
    this.#sendRouted(off, QUEUED_CONTROL_MAX);
  }

  /** The packet in `off`, a block of our pool, with a header for what was routed last. */
  #sendRouted(off: number, queuedMax: number): void {
    const forwarder = this.#forwarder, pool = this.#process.pool;
    const out = this.#lowers[forwarder.out];
    const queued = out?.txQueued ?? queuedMax;
    const at = queued < queuedMax ? pool.headAlloc(off, forwarder.layout.headerBytes) : -1;
    if (at < 0) {
      pool.remove(off);
      return this.#count(Counter.sendFailed);
    }
    forwarder.head(pool.u8, at, queued);
    const n = pool.inspect(off);
    const sent = out!.giveBlock(off);
    if (sent === 0) return this.#count(Counter.sent);
    if (sent === -Errno.EMSGSIZE) {
      this.#count(Counter.tooLong);
      const { headerBytes } = forwarder.layout;
      this.#longPackets.add(0, n - headerBytes, out!.messageBytesMax - headerBytes);
    } else this.#count(Counter.sendFailed);
  }

  // Down.

  /** The state of a flow above, made anew when its row changed. */
  #above(id: number): Above {
    const { table } = this.#parts;
    const generation = table.generation(id);
    let above = this.#aboves[id];
    if (above !== undefined && above.generation === generation) return above;
    table.copyPeer(id, this.#halves, 0);
    above = {
      generation,
      localHi: this.#halvesView.getUint32(0, true),
      localLo: table.localEid(id),
      remoteHi: this.#halvesView.getUint32(4, true),
      remoteLo: table.remoteEid(id),
      peer: table.partner(id) >>> 0,
      context: above?.context ?? this.#congestion.flow(this.#nowNs),
      held: above?.held ?? -1,
    };
    return this.#aboves[id] = above;
  }

  /** Move packets that the process above wrote; whether there may be more. */
  #moveDown(id: number): boolean {
    const port = this.#ports.get(id);
    if (port === undefined) return false;
    const above = this.#above(id);
    for (let i = 0; i < BURST; i++) {
      if (above.held >= 0) return false;
      const off = port.rx.read();
      if (off < 0) return false;
      const n = port.pool.inspect(off);
      if (n < 0) {
        if (n === -Errno.EMSGSIZE) port.pool.remove(off); // Held, but with forged bounds.
        this.#count(Counter.badPackets);
        continue;
      }
      const waitNs = above.context.onSend(this.#nowNs, n);
      if (waitNs > 0) {
        above.held = off;
        this.#pacer.add(id, this.#nowNs + waitNs);
        return false;
      }
      this.#send(port, above, off);
    }
    return true;
  }

  /** Flows whose packet has waited long enough. */
  #moveDue(): void {
    for (let id = this.#pacer.take(this.#nowNs); id >= 0; id = this.#pacer.take(this.#nowNs)) {
      const above = this.#aboves[id];
      const port = this.#ports.get(id);
      if (above === undefined || port === undefined || above.held < 0) continue;
      const off = above.held;
      above.held = -1;
      this.#send(port, this.#above(id), off);
      this.#ready.add(id);
    }
  }

  #send(port: Port, above: Above, off: number): void {
    if (above.peer === this.#self) {
      return this.#deliver(above.remoteHi, above.remoteLo, port.pool, port.uid, off, 0);
    }
    const routed = this.#forwarder.route(above.peer, 0, above.remoteHi, above.remoteLo);
    if (!routed) {
      port.pool.remove(off);
      return this.#count(Counter.sendFailed);
    }
    const own = port.uid === this.#process.uid ? off : transfer(port.pool, off, this.#process.pool);
    if (own < 0) return this.#count(Counter.sendFailed);
    this.#sendRouted(own, QUEUED_MAX);
  }

  /** What is left in the ring of a flow that is closed. */
  #moveLast(id: number): void {
    const port = this.#ports.last(id);
    const above = this.#aboves[id] ?? (port === undefined ? undefined : this.#above(id));
    this.#aboves[id] = undefined;
    if (port === undefined || above === undefined) return;
    if (above.held >= 0) this.#send(port, above, above.held);
    above.held = -1;
    for (let off = port.rx.read(); off >= 0; off = port.rx.read()) {
      if (port.pool.inspect(off) >= 0) this.#send(port, above, off);
    }
  }

  // Up and across.

  #moveLower(id: number, lower: Flow): boolean {
    const forwarder = this.#forwarder, pool = this.#process.pool;
    for (let i = 0; i < BURST; i++) {
      const off = lower.takeBlock();
      if (off < 0) return false;
      const n = pool.inspect(off);
      if (n < 0) continue;
      const at = pool.at;
      const verdict = forwarder.receive(pool.u8, at, at + n, id);
      if (verdict === Verdict.relay) {
        const out = this.#lowers[forwarder.out];
        const queued = out?.txQueued ?? QUEUED_MAX;
        if (out === undefined || queued >= QUEUED_MAX) {
          pool.remove(off);
          this.#count(Counter.notDelivered);
          continue;
        }
        forwarder.relay(pool.u8, at, queued);
        this.#count(out.giveBlock(off) === 0 ? Counter.copies : Counter.sendFailed);
      } else if (verdict === Verdict.flow) {
        const { eidHi, eidLo, ecn } = forwarder.pci;
        pool.headRelease(off, forwarder.layout.headerBytes);
        this.#deliver(eidHi, eidLo, pool, this.#process.uid, off, ecn);
      } else if (verdict === Verdict.component) {
        const { headerBytes } = forwarder.layout;
        this.#toComponent(
          forwarder.pci.eidLo,
          pool.u8.slice(at + headerBytes, at + n),
        );
        pool.remove(off);
      } else {
        pool.remove(off);
        this.#count(Counter.refused);
      }
    }
    return true;
  }

  /** Hand the packet in `off` of `pool` to the flow above that reads from an EID. */
  #deliver(
    hi: number,
    lo: number,
    pool: Pool,
    uid: number,
    off: number,
    ecn: number,
  ): void {
    const id = this.#parts.table.flowOf(lo);
    const port = id === 0 ? undefined : this.#ports.get(id);
    const above = port === undefined ? undefined : this.#above(id);
    if (above === undefined || above.localHi !== hi || port!.isFull()) {
      pool.remove(off);
      return this.#count(Counter.notDelivered);
    }
    const n = pool.inspect(off);
    const give = port!.uid === uid ? off : transfer(pool, off, port!.pool);
    if (give === -Errno.EMSGSIZE) return this.#count(Counter.tooLongIn);
    const given = give >= 0 && port!.deliver(give) === 0;
    this.#count(given ? Counter.received : Counter.notDelivered);
    const ece = above.context.onReceive(n, ecn);
    if (ece >= 0) this.#tellCongestion(above, ece);
  }

  #tellCongestion(above: Above, ece: number): void {
    const dstEid = { hi: above.remoteHi, lo: above.remoteLo };
    const bytes = encodeFa({ kind: "update", dstEid, ece });
    if (isWireError(bytes)) return;
    if (above.peer === this.#self) this.#onUpdate(bytes);
    else this.#sendControl(above.peer, EID_FLOW_ALLOCATOR, bytes);
  }

  #onUpdate(bytes: Uint8Array): void {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const hi = view.getUint32(8), lo = view.getUint32(12);
    const id = this.#parts.table.flowOf(lo);
    const above = id === 0 || this.#ports.get(id) === undefined ? undefined : this.#above(id);
    if (above?.localHi === hi) above.context.onUpdate(view.getUint16(56));
  }

  #toComponent(eid: number, bytes: Uint8Array): void {
    if (
      eid === EID_FLOW_ALLOCATOR && bytes.length >= FA_BYTES_MIN && bytes[FA_CODE_AT] === FA_UPDATE
    ) return this.#onUpdate(bytes);
    const { counters } = this.#parts;
    if (Atomics.load(counters, Counter.mgmtPending) >= PENDING_MAX) {
      return this.#count(Counter.mgmtDropped);
    }
    Atomics.add(counters, Counter.mgmtPending, 1);
    this.#events.component(eid, bytes);
  }

  #count(counter: number): void {
    this.#parts.counters[counter]!++;
  }
}

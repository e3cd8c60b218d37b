/**
 * The data path of a unicast IPCP, in its worker: packets of flows above go down, those of lower flows are relayed,
 * delivered or handed to the main thread. What becomes of a packet is decided by `forward.ts`; here it is moved.
 *
 * A packet stays in its block from ring to ring, with its header in the head space; it is copied only between the pools
 * of different users. Nothing blocks: whoever does not take its packets loses them (spec 60 §19 W8), and a flow that
 * congestion avoidance slows down waits in the pacer while others go on.
 */

import { Errno } from "../../../lib/errno.ts";
import type { BlockFlow } from "../../../lib/flow/block_flow.ts";
import { FLOW_IDS_MAX, RBUFF_SLOTS } from "../../../lib/limits.ts";
import type { Pool } from "../../../lib/shm/pool.ts";
import { transfer } from "../../../lib/shm/transfer.ts";
import { encode as encodeFa } from "../../../lib/wire/fa_msg.ts";
import { isWireError } from "../../../lib/wire/mod.ts";
import type { Letter } from "../../data/mailbox.ts";
import {
  BURST,
  LOWER_QUEUED_MAX,
  MemberLoop,
  type MemberLoopParts,
} from "../../data/member_loop.ts";
import type { Port } from "../../data/port.ts";
import { Counter } from "../../data/table.ts";
import type { Congestion, CongestionContext } from "../congestion.ts";
import { EID_FLOW_ALLOCATOR, SLOT_FIRST } from "../eids.ts";
import { type Forwarder, Verdict } from "../forward.ts";
import { Pacer } from "../pacer.ts";
import { Above as Count, componentPlace, type DataStats, Transfer } from "../stats.ts";
import { PEER_BYTES, UnicastMail } from "./start.ts";

/**
 * Packets that may wait in the ring of a lower flow, by cube: what is more urgent still passes when the rest is dropped,
 * and control when all of them are.
 */
const QUEUED_MAX_OF_CUBE = [LOWER_QUEUED_MAX, LOWER_QUEUED_MAX + 24, LOWER_QUEUED_MAX + 40];
const QUEUED_CONTROL_MAX = 448;
/** Messages for one component that the main thread has not taken yet: a flood for one leaves room for the other. */
const PENDING_MAX = 512;
/** Where flow allocator messages have their code, and an update. */
const FA_CODE_AT = 58;
const FA_UPDATE = 2;
const FA_BYTES_MIN = 61;

/** A flow above, as its row says. */
interface Above {
  generation: number;
  localHi: number;
  localLo: number;
  remoteHi: number;
  remoteLo: number;
  peer: number;
  cube: number;
  context: CongestionContext;
  /** A packet that waits for its time, or -1. */
  held: number;
}

export class UnicastPath extends MemberLoop {
  readonly #forwarder: Forwarder;
  readonly #congestion: Congestion;
  readonly #stats: DataStats;
  readonly #self: number;
  readonly #component: (eid: number, bytes: Uint8Array) => void;
  readonly #aboves: (Above | undefined)[] = new Array(FLOW_IDS_MAX).fill(undefined);
  readonly #pacer = new Pacer();
  readonly #halves = new Uint8Array(PEER_BYTES);
  readonly #halvesView = new DataView(this.#halves.buffer);

  /** @param component called with each message for one of our components */
  constructor(
    loop: MemberLoopParts,
    self: number,
    forwarder: Forwarder,
    congestion: Congestion,
    stats: DataStats,
    component: (eid: number, bytes: Uint8Array) => void,
  ) {
    super(loop);
    this.#self = self;
    this.#forwarder = forwarder;
    this.#congestion = congestion;
    this.#stats = stats;
    this.#component = component;
  }

  protected override dueNs(): number {
    return this.#pacer.nextNs;
  }

  protected override onLetter({ kind, b, c, bytes }: Letter): void {
    if (kind === UnicastMail.transfer) this.#sendControl(b >>> 0, c, bytes);
  }

  /** A message of one of our components. */
  #sendControl(dst: number, eid: number, bytes: Uint8Array): void {
    const stats = this.#stats;
    const n = bytes.length;
    stats.transfer(componentPlace(eid), 0, Transfer.localReceived, n);
    if (!this.#forwarder.route(dst, 0, 0, eid)) {
      stats.transfer(componentPlace(eid), 0, Transfer.noHop, n);
      return this.count(Counter.sendFailed);
    }
    const pool = this.process.pool;
    const off = pool.alloc(n);
    if (off < 0 || pool.inspect(off) < 0) return this.count(Counter.sendFailed);
    pool.u8.set(bytes, pool.at);
    if (this.#sendRouted(off, QUEUED_CONTROL_MAX)) {
      stats.transfer(this.#forwarder.out, 0, Transfer.localSent, n);
    }
  }

  /** The packet in `off`, a block of our pool, with a header for what was routed last; whether it left. */
  #sendRouted(off: number, queuedMax: number): boolean {
    const forwarder = this.#forwarder;
    const pool = this.process.pool;
    const { headerBytes } = forwarder.layout;
    const out = this.lower(forwarder.out);
    const n = pool.inspect(off) + headerBytes;
    const queued = out?.txQueued ?? queuedMax;
    const at = queued < queuedMax ? pool.headAlloc(off, headerBytes) : -1;
    let sent: number = -Errno.EAGAIN;
    if (at < 0) pool.remove(off);
    else {
      forwarder.head(pool.u8, at, queued);
      sent = out!.giveBlock(off);
    }
    this.#onWritten(sent, n);
    if (sent === -Errno.EMSGSIZE) {
      this.count(Counter.tooLong);
      this.longPackets.add(0, n - headerBytes, out!.messageBytesMax - headerBytes);
    } else this.count(sent === 0 ? Counter.sent : Counter.sendFailed);
    return sent === 0;
  }

  /** A packet of `bytes` left by the lower flow that the forwarder chose, or did not. */
  #onWritten(result: number, bytes: number): void {
    const { out, pci } = this.#forwarder;
    const what = result === 0 ? Transfer.sent : Transfer.failedWrites;
    this.#stats.transfer(out, pci.cube, what, bytes);
  }

  /** Flows above are served by their cubes, lower flows between them: they carry all of them. */
  protected override urgencyOf(id: number): number {
    if (this.lower(id) !== undefined) return 1;
    return this.ports.get(id) === undefined ? 0 : this.#above(id).cube;
  }

  protected override begin(id: number): void {
    this.#stats.clearTransfer(id);
  }

  // Down.

  /** The state of a flow above, made anew when its row changed. */
  #above(id: number): Above {
    const { table } = this.parts;
    const generation = table.generation(id);
    let above = this.#aboves[id];
    if (above !== undefined && above.generation === generation) return above;
    // A row that changes while it is open has heard from its far end; one that was closed is another flow.
    if (above === undefined) this.#stats.clearAbove(id);
    table.copyPeer(id, this.#halves, 0);
    above = {
      generation,
      localHi: this.#halvesView.getUint32(0, true),
      localLo: table.localEid(id),
      remoteHi: this.#halvesView.getUint32(4, true),
      remoteLo: table.remoteEid(id),
      peer: table.partner(id) >>> 0,
      cube: this.#halves[8]!,
      context: above?.context ?? this.#congestion.flow(this.nowNs),
      held: above?.held ?? -1,
    };
    return this.#aboves[id] = above;
  }

  /** Move packets that the process above wrote; whether there may be more. */
  protected override moveDown(id: number): boolean {
    const port = this.ports.get(id);
    if (port === undefined) return false;
    const above = this.#above(id);
    for (let i = 0; i < BURST; i++) {
      if (above.held >= 0) return false;
      const off = port.rx.read();
      if (off < 0) return false;
      const n = port.pool.inspect(off);
      if (n < 0) {
        if (n === -Errno.EMSGSIZE) port.pool.remove(off); // Held, but with forged bounds.
        this.count(Counter.badPackets);
        continue;
      }
      const waitNs = above.context.onSend(this.nowNs, n);
      this.#reportCongestion(id, above);
      if (waitNs > 0) {
        above.held = off;
        this.#pacer.add(id, this.nowNs + waitNs);
        return false;
      }
      this.#send(port, above, off);
    }
    return true;
  }

  /** Flows whose packet has waited long enough. */
  protected override moveDue(): void {
    for (let id = this.#pacer.take(this.nowNs); id >= 0; id = this.#pacer.take(this.nowNs)) {
      const above = this.#aboves[id];
      const port = this.ports.get(id);
      if (above === undefined || port === undefined || above.held < 0) continue;
      const off = above.held;
      above.held = -1;
      this.#send(port, this.#above(id), off);
      this.ready(id);
    }
  }

  #send(port: Port, above: Above, off: number): void {
    const n = Math.max(0, port.pool.inspect(off));
    const left = this.#sendOn(port, above, off);
    this.#stats.above(port.flowId, left ? Count.sent : Count.sendFailed, n);
  }

  /** Whether it went on its way. */
  #sendOn(port: Port, above: Above, off: number): boolean {
    if (above.peer === this.#self) {
      this.#deliver(above.remoteHi, above.remoteLo, port.pool, port.uid, off, 0);
      return true;
    }
    const routed = this.#forwarder.route(above.peer, above.cube, above.remoteHi, above.remoteLo);
    if (!routed) {
      port.pool.remove(off);
      this.count(Counter.sendFailed);
      return false;
    }
    const own = port.uid === this.process.uid ? off : transfer(port.pool, off, this.process.pool);
    if (own >= 0) return this.#sendRouted(own, queuedMaxOf(above.cube));
    this.count(Counter.sendFailed);
    return false;
  }

  #reportCongestion(id: number, above: Above): void {
    above.context.report?.(this.#stats.words, this.#stats.congestionAt(id));
  }

  /** What is left in the ring of a flow that is closed. */
  protected override moveLast(id: number): void {
    const port = this.ports.last(id);
    const above = this.#aboves[id] ?? (port === undefined ? undefined : this.#above(id));
    this.#aboves[id] = undefined;
    if (port === undefined || above === undefined) return;
    if (above.held >= 0) this.#send(port, above, above.held);
    above.held = -1;
    for (let i = 0; i < RBUFF_SLOTS; i++) {
      const off = port.rx.read();
      if (off < 0) return;
      if (port.pool.inspect(off) >= 0) this.#send(port, above, off);
    }
  }

  // Up and across.

  protected override moveLower(id: number, lower: BlockFlow): boolean {
    const forwarder = this.#forwarder;
    const pool = this.process.pool;
    const stats = this.#stats;
    for (let i = 0; i < BURST; i++) {
      const off = lower.takeBlock();
      if (off < 0) return false;
      const n = pool.inspect(off);
      if (n < 0) continue;
      const at = pool.at;
      const verdict = forwarder.receive(pool.u8, at, at + n, id);
      const { cube, eidHi, eidLo, ecn } = forwarder.pci;
      stats.transfer(id, verdict === Verdict.short ? 0 : cube, Transfer.received, n);
      if (verdict === Verdict.relay) {
        const out = this.lower(forwarder.out);
        const control = eidHi === 0 && eidLo < SLOT_FIRST;
        const queuedMax = control ? QUEUED_CONTROL_MAX : queuedMaxOf(cube);
        const queued = out?.txQueued ?? queuedMax;
        if (out === undefined || queued >= queuedMax) {
          pool.remove(off);
          this.count(Counter.notDelivered);
          stats.transfer(forwarder.out, cube, Transfer.failedWrites, n);
          continue;
        }
        forwarder.relay(pool.u8, at, queued);
        const given = out.giveBlock(off);
        this.#onWritten(given, n);
        this.count(given === 0 ? Counter.copies : Counter.sendFailed);
      } else if (verdict === Verdict.flow) {
        pool.headRelease(off, forwarder.layout.headerBytes);
        this.#deliver(eidHi, eidLo, pool, this.process.uid, off, ecn);
      } else if (verdict === Verdict.component) {
        const { headerBytes } = forwarder.layout;
        stats.transfer(id, cube, Transfer.localReceived, n);
        stats.transfer(componentPlace(eidLo), cube, Transfer.sent, n - headerBytes);
        this.#toComponent(eidLo, pool.u8.slice(at + headerBytes, at + n));
        pool.remove(off);
      } else {
        pool.remove(off);
        if (verdict === Verdict.expired) stats.transfer(id, cube, Transfer.expired, n);
        else if (verdict === Verdict.unroutable) stats.transfer(id, cube, Transfer.noHop, n);
        this.count(Counter.refused);
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
    const id = this.parts.table.flowOf(lo);
    const port = id === 0 ? undefined : this.ports.get(id);
    const above = port === undefined ? undefined : this.#above(id);
    const n = pool.inspect(off);
    if (above === undefined || above.localHi !== hi || port!.isFull()) {
      pool.remove(off);
      if (above?.localHi === hi) this.#stats.above(id, Count.receiveFailed, n);
      return this.count(Counter.notDelivered);
    }
    const give = port!.uid === uid ? off : transfer(pool, off, port!.pool);
    const given = give >= 0 && port!.deliver(give) === 0;
    this.#stats.above(id, given ? Count.received : Count.receiveFailed, n);
    if (give === -Errno.EMSGSIZE) return this.count(Counter.tooLongIn);
    this.count(given ? Counter.received : Counter.notDelivered);
    const ece = above.context.onReceive(n, ecn);
    this.#reportCongestion(id, above);
    if (ece < 0) return;
    this.#stats.update(id, Count.updatesSent);
    this.#tellCongestion(above, ece);
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
    const hi = view.getUint32(8);
    const lo = view.getUint32(12);
    const id = this.parts.table.flowOf(lo);
    const above = id === 0 || this.ports.get(id) === undefined ? undefined : this.#above(id);
    if (above?.localHi !== hi) return;
    above.context.onUpdate(view.getUint16(56));
    this.#stats.update(id, Count.updatesReceived);
    this.#reportCongestion(id, above);
  }

  #toComponent(eid: number, bytes: Uint8Array): void {
    if (
      eid === EID_FLOW_ALLOCATOR && bytes.length >= FA_BYTES_MIN && bytes[FA_CODE_AT] === FA_UPDATE
    ) return this.#onUpdate(bytes);
    const { counters } = this.parts;
    const pending = Counter.componentPending + eid;
    if (Atomics.load(counters, pending) >= PENDING_MAX) return this.count(Counter.mgmtDropped);
    Atomics.add(counters, pending, 1);
    Atomics.add(counters, Counter.mgmtPending, 1);
    this.#component(eid, bytes);
  }
}

/** How full a ring may be for a packet; of a cube that nobody knows as for the least urgent. */
function queuedMaxOf(cube: number): number {
  return QUEUED_MAX_OF_CUBE[cube] ?? LOWER_QUEUED_MAX;
}

/**
 * The data path of a broadcast IPCP, in its worker. Who gets a packet is decided by `node.ts`; here it is moved.
 *
 * The last target gets the block itself where it is of our pool, each other one a copy. A neighbour that does not take
 * its packets loses them, alone.
 */

import { Errno } from "../../../lib/errno.ts";
import type { BlockFlow } from "../../../lib/flow/block_flow.ts";
import { FLOW_IDS_MAX, RBUFF_SLOTS } from "../../../lib/limits.ts";
import { transfer } from "../../../lib/shm/transfer.ts";
import { LENGTH as HEADER_BYTES } from "../../../lib/wire/broadcast_pci.ts";
import type { Letter } from "../../data/mailbox.ts";
import {
  BURST,
  LOWER_QUEUED_MAX,
  MemberLoop,
  type MemberLoopParts,
} from "../../data/member_loop.ts";
import type { Port } from "../../data/port.ts";
import { Counter } from "../../data/table.ts";
import { BroadcastNode, type Neighbour, Verdict } from "../node.ts";
import { BroadcastMail, FAREWELL_EVENT, KINDS } from "./start.ts";

/** Packets for flows of the main thread that it has not sent yet. */
const PENDING_MAX = 256;

export class BroadcastPath extends MemberLoop {
  readonly #node: BroadcastNode;
  readonly #toMain: (flowId: number, bytes: Uint8Array) => void;
  readonly #lowerEvent: (flowId: number, events: number) => void;
  /** Neighbours whose flows the main thread has. */
  readonly #viaMain = new Uint8Array(FLOW_IDS_MAX);

  /** @param toMain called with what is to be written to a flow of the main thread */
  constructor(
    loop: MemberLoopParts,
    node: BroadcastNode,
    toMain: (flowId: number, bytes: Uint8Array) => void,
  ) {
    super(loop);
    this.#node = node;
    this.#toMain = toMain;
    this.#lowerEvent = (flowId, events) => loop.events.lower(flowId, events);
  }

  // In.

  // Whose letter has not been read yet is nobody: the packets wait for it in their ring. And packets are taken only as
  // far as they were there before the letters were read: a packet goes to everybody who had joined when it was written.

  protected override moveDown(id: number): boolean {
    const queued = this.ports.get(id)?.rx.queued() ?? 0;
    this.readLetters();
    const port = this.#node.has(id) ? this.ports.get(id) : undefined;
    if (port === undefined) return false;
    return this.#takeFrom(id, port, Math.min(queued, BURST)) && port.rx.queued() > 0;
  }

  protected override moveLast(id: number): void {
    const port = this.ports.last(id);
    if (port !== undefined) this.#takeFrom(id, port, RBUFF_SLOTS);
    // A flow of the same id may have joined meanwhile.
    if ((this.parts.table.generation(id) & 1) === 0) this.#node.remove(id);
  }

  #takeFrom(id: number, port: Port, most: number): boolean {
    for (let i = 0; i < most; i++) {
      const off = port.rx.read();
      if (off < 0) return false;
      const own = port.uid === this.process.uid ? off : transfer(port.pool, off, this.process.pool);
      if (own >= 0) this.#arrived(id, own);
      else {
        this.count(Counter.badPackets);
        this.parts.table.lostSent(id);
      }
    }
    return true;
  }

  protected override moveLower(id: number, lower: BlockFlow): boolean {
    const most = Math.min(lower.rxQueued, BURST);
    this.readLetters();
    if (!this.#node.has(id) || this.lower(id) !== lower) return false;
    for (let i = 0; i < most; i++) {
      const off = lower.takeBlock();
      if (off < 0) return false;
      this.#arrived(id, off);
    }
    return lower.rxQueued > 0;
  }

  protected override onLetter({ kind, b, c, bytes }: Letter): void {
    if (kind === BroadcastMail.add) {
      const { kind, viaMain } = KINDS[c]!;
      this.#node.add(b, kind);
      this.#viaMain[b] = viaMain ? 1 : 0;
      this.ready(b);
    } else if (kind === BroadcastMail.remove) this.#forget(b);
    else if (kind === BroadcastMail.packet) {
      const off = this.#block(bytes, 0, bytes.length);
      if (off < 0) return this.count(Counter.notDelivered);
      this.#arrived(b, off);
    }
  }

  #forget(id: number): void {
    this.#node.remove(id);
    this.#viaMain[id] = 0;
  }

  protected override beforeRelease(id: number, lower: BlockFlow): void {
    const own = this.#node.neighbours.some((n) => n.id === id && n.kind === "own");
    if (own && lower.txQueued < LOWER_QUEUED_MAX) {
      const bytes = BroadcastNode.farewell();
      const off = this.#block(bytes, 0, bytes.length);
      if (off >= 0) lower.giveBlock(off);
    }
    this.#forget(id);
  }

  // Out.

  /** The packet in `off`, a block of our pool, came from `id`. */
  #arrived(id: number, off: number): void {
    const pool = this.process.pool;
    const node = this.#node;
    const n = pool.inspect(off);
    if (n < 0) {
      if (n === -Errno.EMSGSIZE) pool.remove(off); // Held, but with forged bounds.
      return this.count(Counter.badPackets);
    }
    const verdict = node.arrive(id, pool.u8, pool.at, pool.at + n);
    if (verdict !== Verdict.flood) {
      pool.remove(off);
      if (verdict === Verdict.drop) this.count(Counter.refused);
      if (verdict === Verdict.farewell) this.#lowerEvent(id, FAREWELL_EVENT);
      return;
    }
    if (node.headerBytes > 0) pool.headRelease(off, node.headerBytes);
    this.#flood(id, off, n - node.headerBytes);
  }

  /** The application's packet of `n` bytes in `off` to all but `from`; the block is consumed. */
  #flood(from: number, off: number, n: number): void {
    const pool = this.process.pool;
    const { neighbours } = this.#node;
    pool.inspect(off);
    const at = pool.at;
    let last: Neighbour | undefined;
    for (let i = 0; i < neighbours.length; i++) {
      const to = neighbours[i]!;
      if (to.id === from) continue;
      if (last !== undefined) this.#copyTo(last, at, n);
      last = to;
    }
    if (last === undefined) return void pool.remove(off);
    if (last.kind === "application" || this.#viaMain[last.id] === 1) {
      this.#copyTo(last, at, n);
      pool.remove(off);
    } else this.#sendLower(last, off, n);
  }

  #copyTo(to: Neighbour, at: number, n: number): void {
    const { u8 } = this.process.pool;
    if (to.kind === "application") {
      const port = this.ports.get(to.id);
      const given = port !== undefined && port.write(u8, at, at + n) === 0;
      if (!given) this.parts.table.lostReceived(to.id);
      return this.count(given ? Counter.received : Counter.notDelivered);
    }
    if (this.#viaMain[to.id] === 1) return this.#giveMain(to, at, n);
    const lower = this.lower(to.id);
    const copy = lower === undefined || lower.txQueued >= LOWER_QUEUED_MAX
      ? -1
      : this.#block(u8, at, at + n);
    if (copy < 0) return this.count(Counter.notDelivered);
    this.#sendLower(to, copy, n);
  }

  #giveMain(to: Neighbour, at: number, n: number): void {
    const { counters } = this.parts;
    if (Atomics.load(counters, Counter.mgmtPending) >= PENDING_MAX) {
      return this.count(Counter.notDelivered);
    }
    Atomics.add(counters, Counter.mgmtPending, 1);
    const head = to.kind === "own" ? HEADER_BYTES : 0;
    const bytes = new Uint8Array(head + n);
    if (head > 0) this.#node.header(bytes, 0);
    bytes.set(this.process.pool.u8.subarray(at, at + n), head);
    this.#toMain(to.id, bytes);
  }

  #sendLower(to: Neighbour, off: number, n: number): void {
    const pool = this.process.pool;
    const lower = this.lower(to.id);
    const head = to.kind === "own" ? HEADER_BYTES : 0;
    const at = lower === undefined || lower.txQueued >= LOWER_QUEUED_MAX
      ? -1
      : head > 0
      ? pool.headAlloc(off, head)
      : 0;
    if (at < 0) {
      pool.remove(off);
      return this.count(Counter.notDelivered);
    }
    if (head > 0) this.#node.header(pool.u8, at);
    const sent = lower!.giveBlock(off);
    if (sent === 0) return this.count(Counter.sent);
    if (sent === -Errno.EMSGSIZE) {
      this.count(Counter.tooLong);
      this.longPackets.add(to.id, n, lower!.messageBytesMax - head);
    } else this.count(Counter.sendFailed);
  }

  /** A block of our pool with a copy of bytes `[start, end)`, or why there is none. */
  #block(from: Uint8Array, start: number, end: number): number {
    const pool = this.process.pool;
    const off = pool.alloc(end - start);
    if (off < 0 || pool.inspect(off) < 0) return -Errno.EAGAIN;
    pool.u8.set(from.subarray(start, end), pool.at);
    return off;
  }
}

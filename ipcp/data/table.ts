/**
 * What the threads of an IPCP share: the table of flows, the index of endpoint ids, and a ring of orders
 * from the main thread to each data worker. All in `SharedArrayBuffer`s that only the main thread writes,
 * the rings' read positions and the counters excepted.
 *
 * A flow's row is published by its generation: the main thread fills the row and then stores a new odd
 * generation; closing stores an even one. A worker that holds something for a row compares generations
 * before each use, so it never mixes two flows that had the same id.
 */

import type { FlowLosses } from "../../lib/irm/messages.ts";
import { FLOW_IDS_MAX } from "../../lib/limits.ts";

/** Queue of the own flow set that the data path waits at; index 0 is the library's (spec 10 §6.4). */
export const DATA_QUEUE = 1;
/** Flow id, of no flow, whose events mean "look at the orders". */
export const ORDERS_FLOW = 0;

const ROW_WORDS = 22;
const W = {
  ...{ gen: 0, pid: 1, uid: 2, localEid: 3, remoteEid: 4, partner: 5, peerBytes: 6, peer: 7 },
  /** The next flow at the same place of the index. */
  next: 15,
  localEidHi: 16,
  remoteEidHi: 17,
  /** What was dropped of it: of what the process above wrote, and of what was for it. */
  lostSent: 18,
  lostReceived: 19,
  /** Whether anything came from the peer, and whether anything was sent to it; each written by one thread. */
  heard: 20,
  spoke: 21,
};
/** Bytes of a peer's address, at most. */
const PEER_BYTES_MAX = (W.next - W.peer) * 4;
const INDEX_PLACES = 65536;
/** Flows at one place of the index that are looked at; a reader that meets a change may lose its way. */
const CHAIN_MAX = 64;

/** What the main thread publishes of a flow. */
export interface FlowRow {
  readonly pid: number;
  /** Flow uid: 0 is the global pool. */
  readonly uid: number;
  /** Low words of the endpoint ids; the flow is found by the one here, unless it is 0. */
  readonly localEid: number;
  readonly remoteEid: number;
  /** High words, where endpoint ids have 64 bits; 0 elsewhere. */
  readonly localEidHi?: number;
  readonly remoteEidHi?: number;
  /** Flow id of the other side, local IPCP only; 0 is none. */
  readonly partner: number;
  readonly peer: Uint8Array;
}

/** The table; the same buffer is attached in each thread. */
export class FlowTable {
  readonly buffer: SharedArrayBuffer;
  readonly #rows: Int32Array;
  readonly #bytes: Uint8Array;
  readonly #index: Int32Array;
  readonly #size: Int32Array;

  constructor(buffer?: SharedArrayBuffer) {
    const rows = FLOW_IDS_MAX * ROW_WORDS * 4;
    this.buffer = buffer ?? new SharedArrayBuffer(rows + (INDEX_PLACES + 1) * 4);
    this.#rows = new Int32Array(this.buffer, 0, FLOW_IDS_MAX * ROW_WORDS);
    this.#bytes = new Uint8Array(this.buffer, 0, rows);
    this.#index = new Int32Array(this.buffer, rows, INDEX_PLACES);
    this.#size = new Int32Array(this.buffer, rows + INDEX_PLACES * 4, 1);
  }

  /** Flows that are open. */
  get size(): number {
    return Atomics.load(this.#size, 0);
  }

  /** Publish a flow, or publish it anew. */
  open(flowId: number, row: FlowRow): void {
    const at = flowId * ROW_WORDS;
    const rows = this.#rows;
    if (row.peer.length > PEER_BYTES_MAX) throw new RangeError(`peer of ${row.peer.length} bytes`);
    const isNew = (rows[at + W.gen]! & 1) === 0;
    const before = isNew ? 0 : rows[at + W.localEid]!;
    if (isNew) {
      Atomics.store(rows, at + W.lostSent, 0);
      Atomics.store(rows, at + W.lostReceived, 0);
      Atomics.store(rows, at + W.heard, 0);
      Atomics.store(rows, at + W.spoke, 0);
    }
    if (before !== 0 && before !== (row.localEid | 0)) this.#unlink(flowId, before);
    rows[at + W.pid] = row.pid;
    rows[at + W.uid] = row.uid;
    rows[at + W.localEid] = row.localEid;
    rows[at + W.remoteEid] = row.remoteEid;
    rows[at + W.localEidHi] = row.localEidHi ?? 0;
    rows[at + W.remoteEidHi] = row.remoteEidHi ?? 0;
    rows[at + W.partner] = row.partner;
    rows[at + W.peerBytes] = row.peer.length;
    this.#bytes.set(row.peer, (at + W.peer) * 4);
    const gen = rows[at + W.gen]!;
    Atomics.store(rows, at + W.gen, (gen | 1) + (gen & 1) * 2);
    if ((gen & 1) === 0) Atomics.add(this.#size, 0, 1);
    if (row.localEid !== 0 && before !== (row.localEid | 0)) this.#link(flowId, row.localEid);
  }

  /** Into the index, before others at its place. */
  #link(flowId: number, eid: number): void {
    const place = eid & 0xffff;
    Atomics.store(this.#rows, flowId * ROW_WORDS + W.next, this.#index[place]!);
    Atomics.store(this.#index, place, flowId);
  }

  /** Out of the index; those behind it stay reachable throughout. */
  #unlink(flowId: number, eid: number): void {
    const place = eid & 0xffff;
    const rows = this.#rows;
    const next = rows[flowId * ROW_WORDS + W.next]!;
    if (this.#index[place] === flowId) return void Atomics.store(this.#index, place, next);
    for (let id = this.#index[place]!; id !== 0; id = rows[id * ROW_WORDS + W.next]!) {
      if (rows[id * ROW_WORDS + W.next] !== flowId) continue;
      Atomics.store(rows, id * ROW_WORDS + W.next, next);
      return;
    }
  }

  /** Take a flow out of sight of the data path. The row stays for what the process has written already. */
  close(flowId: number): void {
    const at = flowId * ROW_WORDS;
    const rows = this.#rows;
    const gen = rows[at + W.gen]!;
    if ((gen & 1) === 0) return;
    if (rows[at + W.localEid] !== 0) this.#unlink(flowId, rows[at + W.localEid]!);
    Atomics.store(rows, at + W.gen, gen + 1);
    Atomics.sub(this.#size, 0, 1);
  }

  /** A packet that the process above wrote was dropped. */
  lostSent(flowId: number): void {
    Atomics.add(this.#rows, flowId * ROW_WORDS + W.lostSent, 1);
  }
  /** A packet for the process above was dropped. */
  lostReceived(flowId: number): void {
    Atomics.add(this.#rows, flowId * ROW_WORDS + W.lostReceived, 1);
  }
  /** A packet of the peer came. */
  hear(flowId: number): void {
    this.#rows[flowId * ROW_WORDS + W.heard] = 1;
  }
  /** A packet goes to the peer. */
  speak(flowId: number): void {
    this.#rows[flowId * ROW_WORDS + W.spoke] = 1;
  }
  /** Whether packets of a flow have come and gone since it began, where the data path notes that. */
  traffic(flowId: number): { readonly heard: boolean; readonly spoke: boolean } {
    const at = flowId * ROW_WORDS;
    const word = (w: number) => Atomics.load(this.#rows, at + w) !== 0;
    return { heard: word(W.heard), spoke: word(W.spoke) };
  }

  /** What was dropped of a flow since it began. */
  losses(flowId: number): FlowLosses {
    const at = flowId * ROW_WORDS;
    return {
      sent: Atomics.load(this.#rows, at + W.lostSent) >>> 0,
      received: Atomics.load(this.#rows, at + W.lostReceived) >>> 0,
    };
  }

  /** Change the other side of a local flow; 0 is none. */
  setPartner(flowId: number, partner: number): void {
    Atomics.store(this.#rows, flowId * ROW_WORDS + W.partner, partner);
  }

  /** The flow's generation: odd if it is open. */
  generation(flowId: number): number {
    return Atomics.load(this.#rows, flowId * ROW_WORDS + W.gen);
  }
  pid(flowId: number): number {
    return this.#rows[flowId * ROW_WORDS + W.pid]!;
  }
  uid(flowId: number): number {
    return this.#rows[flowId * ROW_WORDS + W.uid]! >>> 0;
  }
  localEid(flowId: number): number {
    return this.#rows[flowId * ROW_WORDS + W.localEid]! >>> 0;
  }
  remoteEid(flowId: number): number {
    return this.#rows[flowId * ROW_WORDS + W.remoteEid]! >>> 0;
  }
  partner(flowId: number): number {
    return Atomics.load(this.#rows, flowId * ROW_WORDS + W.partner);
  }
  localEidHi(flowId: number): number {
    return this.#rows[flowId * ROW_WORDS + W.localEidHi]! >>> 0;
  }
  remoteEidHi(flowId: number): number {
    return this.#rows[flowId * ROW_WORDS + W.remoteEidHi]! >>> 0;
  }
  /** The flow that reads from an endpoint id, low and high word, or 0. */
  flowOf(eid: number, hi = 0): number {
    let flowId = Atomics.load(this.#index, eid & 0xffff);
    for (let i = 0; flowId !== 0 && i < CHAIN_MAX; i++) {
      const at = flowId * ROW_WORDS;
      if (this.#rows[at + W.localEid] === (eid | 0) && this.#rows[at + W.localEidHi] === (hi | 0)) {
        return flowId;
      }
      flowId = Atomics.load(this.#rows, at + W.next);
    }
    return 0;
  }
  /** Copy the peer's address to `into` at `at`. */
  copyPeer(flowId: number, into: Uint8Array, at: number): void {
    const from = (flowId * ROW_WORDS + W.peer) * 4;
    const n = this.#rows[flowId * ROW_WORDS + W.peerBytes]!;
    for (let i = 0; i < n; i++) into[at + i] = this.#bytes[from + i]!;
  }
  /** Whether bytes `[first, last)` of the peer's address equal those of `b` at `at`. */
  peerIs(flowId: number, b: Uint8Array, at: number, first: number, last: number): boolean {
    const from = (flowId * ROW_WORDS + W.peer) * 4;
    for (let i = first; i < last; i++) if (this.#bytes[from + i] !== b[at + i]) return false;
    return true;
  }
}

/** Orders to a data worker. */
export const Order = {
  /** Let go of a flow: send what it still has, close it, report `closed`. */
  close: 1,
  /** Leave the loop. */
  stop: 2,
} as const;

const RING_ENTRIES = 16384;
const R = { head: 0, tail: 1, entries: 2 };

/** A ring of orders with one writer and one reader; large enough for all flows at once. */
export class OrderRing {
  readonly buffer: SharedArrayBuffer;
  readonly #words: Int32Array;

  constructor(buffer?: SharedArrayBuffer) {
    this.buffer = buffer ?? new SharedArrayBuffer((R.entries + RING_ENTRIES) * 4);
    this.#words = new Int32Array(this.buffer);
  }

  /** Add an order about a flow (0 if it is about none); false if the ring is full. */
  put(order: number, flowId: number): boolean {
    const head = Atomics.load(this.#words, R.head);
    if (head - Atomics.load(this.#words, R.tail) >= RING_ENTRIES) return false;
    this.#words[R.entries + head % RING_ENTRIES] = (order << 16) | flowId;
    Atomics.store(this.#words, R.head, head + 1);
    return true;
  }

  /** The oldest order as `order << 16 | flowId`, or 0. */
  take(): number {
    const tail = Atomics.load(this.#words, R.tail);
    if (tail === Atomics.load(this.#words, R.head)) return 0;
    const entry = this.#words[R.entries + tail % RING_ENTRIES]!;
    Atomics.store(this.#words, R.tail, tail + 1);
    return entry;
  }
}

/** Counters that the workers keep and the main thread reads. */
export const Counter = {
  /** Management messages handed to the main thread and not yet taken. */
  mgmtPending: 0,
  mgmtDropped: 1,
  sent: 2,
  received: 3,
  /** Packets of processes that are longer than the device carries. */
  tooLong: 4,
  /** The device refused. */
  sendFailed: 5,
  /** Reader too slow, no memory, or flow gone. */
  notDelivered: 6,
  /** Frames that are malformed, not for us, or for no flow, or from a stranger. */
  refused: 7,
  /** Offsets of a process that named no valid packet. */
  badPackets: 8,
  /** Copies made between pools, local IPCP. */
  copies: 9,
  /** Messages of the network that are longer than any that a peer should send. */
  tooLongIn: 10,
  /** Of the messages handed to the main thread, those of the first component, and of the next behind it. */
  componentPending: 11,
  /** Management messages that are for nobody here or say nothing. */
  mgmtRefused: 12,
  /** Flows that are being let go. */
  dropping: 13,
  /** Of the messages handed to the main thread, those of each network and of each address (`crossing.ts`). */
  mgmtNetworks: 16,
  mgmtAddresses: 16 + 256,
  words: 16 + 512,
} as const;

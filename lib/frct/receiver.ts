/**
 * The receiving half of an FRCT connection: run, reorder queue, delivery, and when to acknowledge
 * (spec 31 §5, §7, §8, §10). Pure.
 *
 * Queue positions count packets delivered or deliverable and are independent of sequence numbers, so that a gap of an
 * unreliable flow, or a new run, leaves no hole in the queue.
 *
 * Invariants: positions `read`..`next` hold messages in order; beyond `next` only a reliable flow holds packets, at the
 * distance of their sequence numbers; the right edge is tied to reading: next expected + window - unread, and never moves
 * back. The window is 256 packets, fewer where long packets find fewer blocks.
 *
 * Acknowledgement follows arrival (31 §10.6). It goes out at once every 16 packets, for the last packet the peer may
 * send, when a gap appears or is filled, for duplicates, and when a reader reopens the window; otherwise after a short delay
 * in which data may carry it.
 */
import { type BufferPool, copyBytes } from "./buffers.ts";
import {
  ACK_DELAY_US,
  ACK_EVERY_PACKETS,
  DUPLICATE_ACK_US,
  FC_EVERY_PACKETS,
  GAP_ACKS,
  START_WINDOW_PACKETS,
  WINDOW_MIN_PACKETS,
  WINDOW_PACKETS,
} from "./constants.ts";
import { before, distance, plus } from "./seq.ts";

const NEVER = Infinity;
const CAPACITY_FIRST = 8;
/** Part of the window that reading must have opened to be worth a packet of its own. */
const UPDATE_PART = 4;

/** What became of a data packet. */
export const Accept = {
  /** In order: one more message at least can be read. */
  Ready: 0,
  /** Kept for later: a gap is before it. */
  Queued: 1,
  /** Seen before, or too late. */
  Duplicate: 2,
  /** Beyond the right edge or before the run began. */
  Outside: 3,
} as const;

/** How many packets of so many bytes can wait for a flow. */
export type RoomFor = (bytes: number) => number;

/** The run of the peer and what of it waits for the reader. */
export class Receiver {
  /** A run has begun. */
  open = false;
  /** Next sequence number expected; also the acknowledgement number. */
  nextSeq = 0;
  /** Acknowledgement number sent last. */
  acked = 0;
  /** Right edge sent last; the start window before the first FC. */
  edgeSent = 0;
  /** Last data packet, µs. */
  dataUs = -Infinity;
  /** A bare acknowledgement or FC is to go out now. */
  ackDue = false;
  /** Delayed acknowledgement, µs. */
  ackAtUs = NEVER;

  duplicates = 0;
  outOfWindow = 0;
  outOfQueue = 0;
  /** Packets of an unreliable peer that were passed over. */
  missing = 0;
  refused = 0;

  /** As `edgeSent`, but the full window from the beginning: what reading adds is measured from it. */
  #edgeNoted = 0;
  readonly #reliable: boolean;
  readonly #limitUs: number;
  readonly #buffers: BufferPool;
  #mask = -1;
  #payload: (Uint8Array | null)[] = [];
  #bytes = new Int32Array(0);
  /** Position of the next message to read, and of the next expected packet. */
  #read = 0;
  #next = 0;
  /** Position of the packet that says that no more comes. */
  #end = Infinity;
  /** Bytes of the message at `#read` already taken. */
  #taken = 0;
  /** Packets queued beyond `#next`. */
  #ahead = 0;
  #sinceAck = 0;
  #gapAcks = 0;
  #duplicateAckUs = -Infinity;
  #extraAcks = 0;
  /** Packets the peer may have under way: the whole window, or what there is room for at the size they have. */
  #window = WINDOW_PACKETS;
  readonly #room: RoomFor | undefined;
  /** Longest packet so far, for which the window was chosen. */
  #longest = 0;

  /**
   * @param limitUs receiver inactivity limit
   * @param room how many packets of a size can wait for us in memory that others share; all of a window when absent
   */
  constructor(reliable: boolean, limitUs: number, buffers: BufferPool, room?: RoomFor) {
    this.#reliable = reliable;
    this.#limitUs = limitUs;
    this.#buffers = buffers;
    this.#room = room;
  }

  /** Whether everything was read: the peer said that no more comes. */
  get ended(): boolean {
    return this.#read > this.#end;
  }

  /** Messages ready for the reader. */
  get ready(): number {
    return this.#next - this.#read;
  }

  /** Next sequence number the reader gets (`lwe` of the specification). */
  get readSeq(): number {
    return plus(this.nextSeq, -this.ready);
  }

  /** First sequence number not accepted; never before the one told. */
  get edge(): number {
    if (!this.open) return this.nextSeq;
    const edge = plus(this.nextSeq, this.#window - this.ready);
    return before(edge, this.edgeSent) ? this.edgeSent : edge;
  }

  /** A packet with DRF begins a run at `seqno`; unread messages of an older run stay readable. */
  begin(seqno: number): void {
    this.#dropAhead();
    if (this.#end >= this.#next) this.#end = Infinity;
    this.open = true;
    this.nextSeq = this.acked = seqno;
    this.edgeSent = plus(seqno, START_WINDOW_PACKETS);
    this.#edgeNoted = this.edge;
    this.#sinceAck = 0;
    this.#gapAcks = 0;
  }

  /**
   * A rendez-vous of an unreliable peer says that everything before `seqno` was sent: what is missing is lost. Without this
   * a peer that lost a whole window would wait for an edge that cannot move.
   */
  skipTo(seqno: number): void {
    const gap = distance(seqno, this.nextSeq);
    if (!this.#reliable && this.open && gap > 0 && gap <= WINDOW_PACKETS - this.ready) {
      this.nextSeq = seqno;
      this.missing += gap;
    }
  }

  /** Whether a DRF data packet with `seqno` begins a new run: the peer was silent for longer than anything of it can live. */
  stale(nowUs: number, seqno: number): boolean {
    return seqno !== this.nextSeq && nowUs - this.dataUs > this.#limitUs;
  }

  /**
   * Takes a data packet.
   * @param max what a waiting reader has room for, or -1; `direct` tells whether the packet is its to take
   * @param end it says that no more comes
   */
  accept(
    nowUs: number,
    seqno: number,
    b: Uint8Array,
    from: number,
    len: number,
    max: number,
    end = false,
  ): number {
    this.direct = false;
    if (!this.open) {
      this.refused++;
      return Accept.Outside;
    }
    const gap = distance(seqno, this.nextSeq);
    if (gap < 0) {
      this.duplicates++;
      this.#onDuplicate(nowUs);
      return Accept.Duplicate;
    }
    if (gap >= WINDOW_PACKETS - this.ready) {
      this.outOfWindow++;
      this.#onDuplicate(nowUs);
      return Accept.Outside;
    }
    this.dataUs = nowUs;
    if (end) this.#end = Math.min(this.#end, this.#next + gap);
    if (len > this.#longest) this.#fitWindow(len);
    const last = plus(seqno, 1) === this.edgeSent;
    if (this.#reliable && gap > 0) {
      const position = this.#next + gap;
      if (position - this.#read > this.#mask) this.#grow(position);
      const i = position & this.#mask;
      if (this.#payload[i] != null) {
        this.outOfQueue++;
        this.#onGap(last);
        return Accept.Duplicate;
      }
      this.#put(i, b, from, len);
      this.#ahead++;
      this.#onGap(last);
      return Accept.Queued;
    }
    this.missing += gap;
    if (len <= max && this.#read === this.#next) {
      this.direct = true;
      this.#read++;
    } else {
      if (this.#next - this.#read > this.#mask) this.#grow(this.#next);
      this.#put(this.#next & this.#mask, b, from, len);
    }
    this.#next++;
    this.nextSeq = plus(seqno, 1);
    if (this.#ahead > 0) this.#closeGap();
    else this.#onOrder(nowUs, last);
    return Accept.Ready;
  }

  /**
   * Longer packets than before: the peer may send as many as there are blocks for. More would be lost on their way to us,
   * on a link that loses nothing.
   */
  #fitWindow(len: number): void {
    this.#longest = len;
    const room = this.#room?.(len) ?? WINDOW_PACKETS;
    this.#window = Math.min(this.#window, Math.max(WINDOW_MIN_PACKETS, room));
    const edge = this.edge;
    if (before(edge, this.#edgeNoted)) this.#edgeNoted = edge;
  }

  /** The last packet accepted goes to the reader that waits; no copy was kept. */
  direct = false;

  /** Bytes left of the next message, or -1. */
  get pendingBytes(): number {
    return this.#read === this.#next ? -1 : this.#bytes[this.#read & this.#mask]! - this.#taken;
  }

  /** Copies from the next message; the caller has seen that there is one. */
  take(nowUs: number, into: Uint8Array, at: number, max: number): number {
    const i = this.#read & this.#mask;
    const left = this.#bytes[i]! - this.#taken;
    const n = left < max ? left : max;
    copyBytes(this.#payload[i]!, this.#taken, n, into, at);
    if (n === left) this.drop(nowUs);
    else this.#taken += n;
    return n;
  }

  /** Drops what is left of the next message and opens the window by one, which the peer hears soon. */
  drop(nowUs: number): void {
    this.#release(this.#read & this.#mask);
    this.#read++;
    this.#taken = 0;
    const growth = distance(this.edge, this.#edgeNoted);
    const exhausted = this.nextSeq === this.edgeSent;
    if (
      growth >= this.#window / UPDATE_PART ||
      (exhausted && (growth >= ACK_EVERY_PACKETS || this.ready === 0))
    ) {
      this.ackDue = true;
    } else if (this.#reliable && this.ackAtUs === NEVER) {
      this.ackAtUs = nowUs + ACK_DELAY_US;
    }
  }

  /** A packet with ACK or FC went out: nothing is owed. `bare`: as a packet of its own. */
  told(ack: boolean, fc: boolean, bare: boolean): void {
    if (ack) this.acked = this.nextSeq;
    if (fc) this.edgeSent = this.#edgeNoted = this.edge;
    if (!ack && this.#reliable) return;
    this.#sinceAck = 0;
    this.ackAtUs = NEVER;
    this.ackDue = bare && this.#extraAcks > 0;
    if (this.ackDue) this.#extraAcks--;
  }

  /**
   * The last word before closing: what arrived is acknowledged; `copies` more of it where it may get lost, because nobody
   * will be there to repeat it and the peer would wait for R.
   */
  finish(copies: number): void {
    if (!this.open || (copies === 0 && this.acked === this.nextSeq)) return;
    this.ackDue = true;
    this.#extraAcks = copies;
  }

  /** The delayed acknowledgement fires. */
  onTimer(nowUs: number): void {
    if (nowUs < this.ackAtUs) return;
    this.ackAtUs = NEVER;
    this.ackDue = true;
  }

  /** Gives all buffers back. */
  clear(): void {
    this.#dropAhead();
    while (this.#read !== this.#next) this.#release(this.#read++ & this.#mask);
  }

  #put(i: number, b: Uint8Array, from: number, len: number): void {
    const copy = this.#buffers.take(len);
    copyBytes(b, from, len, copy, 0);
    this.#payload[i] = copy;
    this.#bytes[i] = len;
  }

  #release(i: number): void {
    const copy = this.#payload[i];
    if (copy != null) this.#buffers.give(copy);
    this.#payload[i] = null;
  }

  #closeGap(): void {
    while (this.#ahead > 0 && this.#payload[this.#next & this.#mask] != null) {
      this.#next++;
      this.#ahead--;
      this.nextSeq = plus(this.nextSeq, 1);
    }
    this.#gapAcks = 0;
    this.ackDue = true;
    // Another gap: a second acknowledgement says so.
    if (this.#ahead > 0) this.#extraAcks = 1;
  }

  #onOrder(nowUs: number, last: boolean): void {
    this.#sinceAck++;
    if (this.#reliable) {
      const every = Math.min(ACK_EVERY_PACKETS, this.#window / UPDATE_PART);
      if (last || this.#sinceAck >= every) this.ackDue = true;
      else if (this.ackAtUs === NEVER) this.ackAtUs = nowUs + ACK_DELAY_US;
    } else if ((last || this.#sinceAck >= FC_EVERY_PACKETS) && this.owesWindow) {
      this.ackDue = true;
    }
  }

  #onGap(last: boolean): void {
    const n = this.#gapAcks++;
    if (last || n < GAP_ACKS || (n & 7) === 0) this.ackDue = true;
  }

  #onDuplicate(nowUs: number): void {
    if (nowUs - this.#duplicateAckUs >= DUPLICATE_ACK_US) {
      this.#duplicateAckUs = nowUs;
      this.ackDue = true;
    } else {
      this.ackAtUs = Math.min(this.ackAtUs, this.#duplicateAckUs + DUPLICATE_ACK_US);
    }
  }

  #dropAhead(): void {
    for (let p = this.#next; this.#ahead > 0; p++) {
      const i = p & this.#mask;
      if (this.#payload[i] == null) continue;
      this.#release(i);
      this.#ahead--;
    }
  }

  /** Makes room for `position`; the window bounds how far it can be from `#read`. */
  #grow(position: number): void {
    let n = Math.max(CAPACITY_FIRST, (this.#mask + 1) * 2);
    while (n <= position - this.#read) n *= 2;
    const payload: (Uint8Array | null)[] = new Array(n).fill(null);
    const bytes = new Int32Array(n);
    for (let k = 0; k <= this.#mask; k++) {
      const from = (this.#read + k) & this.#mask;
      const to = (this.#read + k) & (n - 1);
      payload[to] = this.#payload[from]!;
      bytes[to] = this.#bytes[from]!;
    }
    this.#mask = n - 1;
    this.#payload = payload;
    this.#bytes = bytes;
  }

  /** Whether the edge told last is behind what could be told (tests, statistics). */
  get owesWindow(): boolean {
    return before(this.edgeSent, this.edge);
  }
}

/**
 * The data path of one flow: reads and writes in the calling thread (spec 30 §6, §7).
 *
 * Raw flows without CRC and encryption go straight from the caller's buffer to a block and the ring:
 * one copy, no allocation, no promise. Other flows go through `frct_driver.ts` and `protection.ts`.
 * Results are bytes or negative error numbers; nothing here throws.
 */

import { Errno } from "../errno.ts";
import { Acl, Block, FlowEvent, HEAD_SPACE } from "../shm/layout.ts";
import type { Pool } from "../shm/pool.ts";
import { monotonicNs, monotonicUs, sleepNs, yieldCpu } from "../sys/clock.ts";
import { FLOW_ACCESS_MASK, FLOW_FLAGS_DEFAULT, FlowFlag } from "./flags.ts";
import type { FlowCounters, FrctDriver } from "./frct_driver.ts";
import type { OuroProcess } from "./process.ts";
import type { Protection } from "./protection.ts";
import type { Rings } from "./rings.ts";
import { RingReader } from "../shm/ring_reader.ts";
import { deadlineNs, SPIN_BATCH, SPIN_NS, SpinBudget } from "./wait.ts";

/** Options of one blocking call. */
export interface CallOptions {
  /** How long to wait, ms; undefined: the flow's own time-out, Infinity: for ever. */
  timeoutMs?: number | undefined;
  /** Return -EAGAIN instead of waiting; undefined: as the flow's flags say. */
  nonblock?: boolean | undefined;
}

const PAYLOAD_AT = Block.DATA + HEAD_SPACE;
/** Blocks of a class that a flow may take, and that end a spinning wait early. */
const FREE_ENOUGH = 128;
const NO_BYTES = new Uint8Array(0);
/** Pause between tries while a class of blocks is exhausted or the peer's window is closed, ns. */
const RETRY_NS = 1e6;
/** Unread packets that every flow may have, however few blocks are free. */
const UNREAD_ALWAYS = 4;
/** The part of a class of blocks that flows with more unread packets leave alone. */
const RESERVED_PART = 6;
/** Unread packets that a flow may have for each free block of the size. */
const UNREAD_TO_FREE = 3;
/** Packets between two looks at the free blocks; they are in memory that others write all the time. */
const UNREAD_LOOK = 16;
/** First pause of a wait for a block, ns; it doubles up to RETRY_NS. */
const WAIT_FIRST_NS = 20e3;

/** A stream: so many packets since the ring was empty, at most so many ns each. */
const STREAM_PACKETS = 4;
const STREAM_GAP_NS = 1500;
/** How long packets of a stream may gather, ns. */
const GATHER_NS = 8e3;

/** Refused calls between two looks at the deadlines, less one: a busy loop makes them in about 10 µs. */
const IDLE_CALLS_MASK = 0xff;

/** Blocking reads and writes of a {@linkcode Flow}, its sizes, flags and counters. Programs use `Flow`. */
export abstract class FlowData {
  /** Flow id. */
  readonly id: number;
  /** {@linkcode FlowFlag} bits. */
  flags: number = FLOW_FLAGS_DEFAULT;
  /** Time-out of blocking reads and writes, ms; undefined: none. */
  rcvTimeoutMs: number | undefined = undefined;
  /** Time-out of blocking writes, ms; undefined: none. */
  sndTimeoutMs: number | undefined = undefined;
  /** Numbers of this flow since it began. */
  readonly counters: FlowCounters = {
    txPackets: 0,
    txBytes: 0,
    rxPackets: 0,
    rxBytes: 0,
    rxDropped: 0,
    txDropped: 0,
  };

  /** @internal */
  protected readonly process: OuroProcess;
  /** @internal */
  /** @internal */
  protected readonly pool: Pool;
  /** @internal */
  /** @internal */
  protected readonly rings: Rings;
  /** @internal The one reader of the receive ring. */
  protected readonly reader: RingReader;
  /** @internal The reliable or ordered part; null on raw flows. */
  protected frct: FrctDriver | null = null;
  /** @internal CRC and encryption; null when there is neither. */
  protected protection: Protection | null = null;
  /** No FRCT, CRC or cipher: the short way. */
  protected plain = true;
  /** @internal */
  protected closed = false;
  /** See {@linkcode messageBytesMax} and {@linkcode streamBytes}; set when the flow is made. */
  protected messageMax = 0;
  /** @internal */
  protected pieceMax = 1;
  /** What a partial read left: bytes of one message from `#restAt`. */
  protected rest: Uint8Array<ArrayBuffer> = NO_BYTES;
  #restAt = 0;
  /** The last read filled its buffer exactly: the next one says 0, "end of message". */
  protected endOfMessage = false;

  /** @internal */
  protected constructor(process: OuroProcess, rings: Rings, id: number) {
    this.process = process;
    this.pool = process.pool;
    this.rings = rings;
    this.reader = new RingReader(rings.rx, process.pool);
    this.id = id;
  }

  /** Packets waiting in the receive ring, and in the peer's (0 when it took all). */
  get rxQueued(): number {
    return this.closed ? 0 : this.rings.rx.queued();
  }
  /** Packets waiting in the receive ring of the peer, 0 when it took all. */
  get txQueued(): number {
    return this.closed ? 0 : this.rings.tx.queued();
  }

  /**
   * Sends `bytes` as one message. Returns their number, or: -EMSGSIZE (longer than {@linkcode messageBytesMax}),
   * -EPERM (read-only access), -EAGAIN (would wait: for the peer to read, or for a free block), -ETIMEDOUT,
   * -EFLOWDOWN, -EFLOWPEER (would wait for a peer that timed out), -ENOTALLOC (flow closed, or the peer made the ring
   * read-only). Empty bytes are a sign of life that the peer doesn't see.
   *
   * @example
   * ```ts
   * import { Errno, Flow, OuroProcess } from "@ouro/ouro";
   * import { assertEquals } from "@std/assert";
   *
   * using flow = Flow.allocSync(OuroProcess.current(), "echo");
   * assertEquals(flow.writeSync(Uint8Array.of(1, 2, 3)), 3);
   * const big = new Uint8Array(flow.messageBytesMax + 1);
   * assertEquals(flow.writeSync(big), -Errno.EMSGSIZE);
   * ```
   */
  writeSync(bytes: Uint8Array, options?: CallOptions): number {
    if (this.closed) return -Errno.ENOTALLOC;
    if ((this.flags & FLOW_ACCESS_MASK) === FlowFlag.RdOnly) return -Errno.EPERM;
    const len = bytes.length;
    if (len > this.messageMax) return -Errno.EMSGSIZE;
    if (this.frct !== null && len > 0) return this.writeFrct(bytes, options);
    const pool = this.pool;
    let off = this.takesTooMuch(len) ? -Errno.EAGAIN : this.process.blocks.alloc(len);
    if (off < 0) {
      if (off !== -Errno.EAGAIN || this.noBlock(options, FlowFlag.WNoBlock)) {
        return off === -Errno.EAGAIN ? this.whyNoBlock() : off;
      }
      off = this.allocWaiting(len, options);
      if (off < 0) return off;
    }
    pool.u8.set(bytes, off + PAYLOAD_AT);
    if (this.protection !== null) {
      const sealed = this.protection.seal(off);
      if (sealed < 0) {
        pool.remove(off);
        return sealed;
      }
    }
    const result = this.put(off, options);
    if (result < 0) return result;
    this.counters.txBytes += len;
    return len;
  }

  /** Puts a block in the ring and tells the peer; frees it on failure. */
  protected put(off: number, options: CallOptions | undefined): number {
    const rings = this.rings;
    let result = rings.tx.write(off);
    if (result === -Errno.EAGAIN && !this.noBlock(options, FlowFlag.WNoBlock)) {
      result = this.#putWaiting(off, options);
    }
    if (result === -Errno.EAGAIN) result = this.whyNoBlock();
    if (result < 0) {
      this.pool.remove(off);
      this.counters.txDropped += 1;
      return result;
    }
    rings.peerSet.notify(this.id, FlowEvent.PKT);
    this.counters.txPackets += 1;
    return 0;
  }

  /** @internal */
  protected noBlock(options: CallOptions | undefined, flag: number): boolean {
    return options?.nonblock ?? ((this.flags & flag) !== 0);
  }

  /**
   * -EAGAIN. A caller that tries again and again without going back to its event loop would starve the deadlines
   * (keepalive, retransmission): every so many tries runs them.
   */
  protected wouldWait(): number {
    if ((++this.#idleCalls & IDLE_CALLS_MASK) === 0) this.process.tick(monotonicNs());
    return -Errno.EAGAIN;
  }
  #idleCalls = 0;
  readonly #spin = new SpinBudget();

  /**
   * Whether the peer has so many packets to read that more would leave too few blocks of this size to
   * others: three times as many as are free (a dynamic threshold), and hardly any once the last sixth is
   * touched. Peers that never read would otherwise take all 768 small blocks of the host into their rings
   * of 1023 places and stop every process that shares the pool (spec 10 §8.2, §11.18).
   */
  protected takesTooMuch(len: number): boolean {
    // The ring's counts are in the peer's cache: look only when enough was written to matter.
    if (--this.#unlooked > 0) return false;
    const unread = this.rings.tx.queued();
    if (unread < UNREAD_ALWAYS) {
      this.#unlooked = UNREAD_ALWAYS - unread;
      return false;
    }
    const { pool } = this;
    const c = pool.classFor(len);
    if (c < 0) return false;
    const free = pool.freeHint(len);
    const spare = free - Math.trunc(pool.geometry.objectCount[c]! / RESERVED_PART);
    const left = UNREAD_TO_FREE * free - unread;
    if (spare <= 0 || left < 0) return true;
    this.#unlooked = Math.min(UNREAD_LOOK, left >> 2, spare >> 2);
    return false;
  }
  #unlooked = 0;

  /** No block, none for us or no place in the ring: -EAGAIN, unless the flow is over and waiting is in vain. */
  protected whyNoBlock(): number {
    const { rx, tx } = this.rings;
    if ((tx.acl() & Acl.FLOWDOWN) !== 0) return -Errno.EFLOWDOWN;
    return (rx.acl() & Acl.FLOWPEER) !== 0 ? -Errno.EFLOWPEER : -Errno.EAGAIN;
  }

  /** @internal */
  protected allocWaiting(len: number, options: CallOptions | undefined): number {
    const { pool, rings } = this;
    const until = deadlineNs(options?.timeoutMs ?? this.sndTimeoutMs);
    if (SPIN_NS > 0) {
      // A reader on another processor frees blocks all the time: wait for a few of them, not for one.
      const spinUntil = Math.min(until, monotonicNs() + SPIN_NS);
      while (
        UNREAD_TO_FREE * pool.freeHint(len) - rings.tx.queued() < FREE_ENOUGH &&
        monotonicNs() < spinUntil
      ) yieldCpu();
    }
    for (let pauseNs = WAIT_FIRST_NS;; pauseNs = Math.min(2 * pauseNs, RETRY_NS)) {
      if (!this.takesTooMuch(len)) {
        const off = pool.alloc(len);
        if (off !== -Errno.EAGAIN) return off;
      }
      const why = this.whyNoBlock();
      if (why !== -Errno.EAGAIN) return why;
      const nowNs = monotonicNs();
      if (nowNs >= until) return -Errno.ETIMEDOUT;
      this.process.tick(nowNs);
      // Nobody is told of a free block (spec 10 §3.3): look again soon.
      sleepNs(Math.max(0, Math.min(nowNs + pauseNs, until, this.process.wakeAtNs()) - nowNs));
    }
  }

  #putWaiting(off: number, options: CallOptions | undefined): number {
    const tx = this.rings.tx;
    const until = deadlineNs(options?.timeoutMs ?? this.sndTimeoutMs);
    const spinUntil = SPIN_NS === 0 ? 0 : monotonicNs() + SPIN_NS;
    while (SPIN_NS > 0 && monotonicNs() < spinUntil) {
      const result = tx.write(off);
      if (result !== -Errno.EAGAIN) return result;
      yieldCpu();
    }
    for (;;) {
      this.process.tick(monotonicNs());
      const result = tx.writeBlocking(off, Math.min(until, this.process.wakeAtNs()));
      if (result !== -Errno.ETIMEDOUT || monotonicNs() >= until) return result;
      const why = this.whyNoBlock();
      if (why !== -Errno.EAGAIN) return why;
    }
  }

  /** @internal */
  protected writeFrct(bytes: Uint8Array, options: CallOptions | undefined): number {
    const frct = this.frct!;
    let until = 0;
    for (;;) {
      const n = frct.write(bytes);
      if (n !== -Errno.EAGAIN) {
        if (n > 0) this.counters.txBytes += n;
        this.armFrct();
        return n;
      }
      if (until === 0) {
        // Acknowledgements that wait in the ring may open the window.
        frct.pump(monotonicUs());
        if (this.noBlock(options, FlowFlag.WNoBlock)) {
          if (frct.endpoint.writable()) {
            const again = frct.write(bytes);
            this.armFrct();
            return again;
          }
          this.armFrct();
          return this.wouldWait();
        }
        until = deadlineNs(options?.timeoutMs ?? this.sndTimeoutMs);
        continue;
      }
      this.armFrct();
      const waited = this.waitForPacket(until, RETRY_NS);
      if (waited > 0) frct.take(waited, monotonicUs(), null);
      else if (waited === -Errno.ETIMEDOUT || waited === -Errno.EFLOWDOWN) return waited;
      frct.tick(monotonicUs());
      if (frct.down) return -Errno.EFLOWDOWN;
    }
  }

  /**
   * Longest message, bytes: what a block holds, and over a layer what one packet of it carries beside all that
   * this flow adds (FRCT, CRC, encryption). A layer of the prototype tells no limit: there what is too long for it
   * is lost without notice. The limit is that of the beginning of the flow, and of this end's interface.
   *
   * @example
   * ```ts
   * import { Errno, Flow, OuroError } from "@ouro/ouro";
   * import { assertEquals, assertRejects } from "@std/assert";
   *
   * await using flow = await Flow.alloc("echo");
   * const most = flow.messageBytesMax;
   * const more = new Uint8Array(most + 1);
   * const error = await assertRejects(() => flow.write(more), OuroError, `at most ${most}`);
   * assertEquals(error.code, -Errno.EMSGSIZE);
   * ```
   */
  get messageBytesMax(): number {
    return this.messageMax;
  }

  /**
   * Pieces that {@linkcode Flow.writable} cuts bytes to: what travels in one packet that nobody cuts further
   * below, 1400 bytes with all that the flow adds where the layer doesn't tell.
   */
  get streamBytes(): number {
    return this.pieceMax;
  }

  /** Tells the process when the FRCT machine wants to be called. */
  protected armFrct(): void {}

  /**
   * In a fast stream a reader that takes each packet as it comes fights with the writer for the ring:
   * when many packets came in a short time, wait a moment for some to gather. Returns the time.
   */
  #letGather(nowNs: number, untilNs: number): number {
    const got = this.counters.rxPackets - this.#emptyPackets;
    const streaming = got >= STREAM_PACKETS && nowNs - this.#emptyNs < got * STREAM_GAP_NS;
    this.#emptyPackets = this.counters.rxPackets;
    if (streaming && SPIN_NS > 0) {
      const gatherUntil = Math.min(nowNs + GATHER_NS, untilNs);
      while (nowNs < gatherUntil) nowNs = monotonicNs();
    }
    this.#emptyNs = nowNs;
    return nowNs;
  }
  /** When the ring was empty last, and packets received until then. */
  #emptyNs = 0;
  #emptyPackets = 0;

  /**
   * Waits for a packet: spins briefly, then blocks; serves deadlines meanwhile. Returns an offset
   * (0: one to ignore), -EAGAIN after `sliceNs`, or the ring's error, -ETIMEDOUT at `untilNs`.
   */
  protected waitForPacket(untilNs: number, sliceNs: number): number {
    const rx = this.rings.rx;
    this.process.blocks.release();
    let nowNs = monotonicNs();
    nowNs = this.#letGather(nowNs, untilNs);
    if (SPIN_NS > 0) {
      const spin = this.#spin;
      const yieldFrom = nowNs + spin.aloneNs;
      const spinUntil = Math.min(nowNs + spin.ns, untilNs);
      while (nowNs < spinUntil) {
        for (let k = 0; k < SPIN_BATCH; k++) {
          const off = this.reader.take();
          if (off !== -Errno.EAGAIN) {
            spin.found(nowNs > yieldFrom);
            return off;
          }
        }
        nowNs = monotonicNs();
        // The peer may be waiting for this very processor.
        if (nowNs > yieldFrom) yieldCpu();
      }
      spin.missed();
    }
    this.process.tick(nowNs);
    const slice = Math.min(untilNs, this.process.wakeAtNs(), nowNs + sliceNs);
    const off = rx.readBlocking(slice);
    if (off !== -Errno.ETIMEDOUT) return off;
    nowNs = monotonicNs();
    this.process.tick(nowNs);
    return nowNs >= untilNs ? -Errno.ETIMEDOUT : -Errno.EAGAIN;
  }

  /**
   * Reads the next message, or the next piece of one that was longer than the last buffer. Returns its
   * bytes; 0 once after a piece that filled the buffer exactly ("end of message", off with
   * `FlowFlag.RNoPart`); or -EAGAIN (would wait), -ETIMEDOUT, -EFLOWDOWN, -EFLOWPEER, -EMSGSIZE (too
   * long with RNoPart, message lost), -ENOTALLOC (closed). Queued messages come before errors.
   *
   * @example
   * ```ts
   * import { Errno, Flow, OuroProcess } from "@ouro/ouro";
   * import { assertEquals } from "@std/assert";
   *
   * using flow = Flow.allocSync(OuroProcess.current(), "echo");
   * const buffer = new Uint8Array(4);
   * assertEquals(flow.readSync(buffer, { nonblock: true }), -Errno.EAGAIN);
   * assertEquals(flow.readSync(buffer, { timeoutMs: 10 }), -Errno.ETIMEDOUT);
   * flow.writeSync(Uint8Array.of(1, 2, 3, 4, 5, 6)); // longer than the buffer: read in pieces
   * assertEquals(flow.readSync(buffer, { timeoutMs: 5000 }), 4);
   * assertEquals(flow.readSync(buffer), 2);
   * ```
   */
  readSync(into: Uint8Array<ArrayBuffer>, options?: CallOptions): number {
    if (this.closed) return -Errno.ENOTALLOC;
    if (this.endOfMessage) {
      this.endOfMessage = false;
      return 0;
    }
    if (this.rest.length > 0) return this.#readRest(into);
    if (this.frct !== null) return this.#readFrct(into, options);
    let until = 0;
    for (;;) {
      let off = this.reader.read();
      if (off >= 0) {
        const n = this.#deliver(off, into);
        this.reader.done(off, this.#ours);
        if (n !== -Errno.EAGAIN) return n;
        continue;
      }
      if (off === -Errno.EAGAIN) {
        if (this.noBlock(options, FlowFlag.RNoBlock)) return this.wouldWait();
        if (until === 0) until = deadlineNs(options?.timeoutMs ?? this.rcvTimeoutMs);
        off = this.waitForPacket(until, Infinity);
      }
      if (off > 0) {
        const n = this.#deliver(off, into);
        if (this.#ours) this.pool.remove(off);
        if (n !== -Errno.EAGAIN) return n;
      } else if (off < 0 && off !== -Errno.EAGAIN) {
        return off;
      }
    }
  }

  /** Opens a block and copies its message out; -EAGAIN for one to ignore. `#ours`: free it. */
  #deliver(off: number, into: Uint8Array<ArrayBuffer>): number {
    const pool = this.pool;
    const protection = this.protection;
    let n = protection === null ? pool.inspect(off) : protection.open(off);
    if (n > 0) {
      const at = protection === null ? pool.at : protection.at;
      this.counters.rxPackets += 1;
      this.counters.rxBytes += n;
      if (n <= into.length) {
        if (protection === null) pool.copyOut(off, at, n, into);
        else into.set(protection.u8.subarray(at, at + n));
        this.endOfMessage = n === into.length && (this.flags & FlowFlag.RNoPart) === 0;
      } else if ((this.flags & FlowFlag.RNoPart) !== 0) {
        n = -Errno.EMSGSIZE;
      } else {
        const from = protection === null ? pool.u8 : protection.u8;
        this.rest = from.slice(at, at + n);
        this.#restAt = 0;
        n = this.#readRest(into);
      }
      this.#ours = true;
      return n;
    }
    if (n < 0) this.counters.rxDropped += 1;
    // A block without a reference was freed by its sender: it isn't ours to free (spec 10 §4.6).
    this.#ours = n !== -Errno.EINVAL;
    return -Errno.EAGAIN;
  }

  /** Whether the block that `#deliver` looked at last is ours to give back. */
  #ours = false;

  #readRest(into: Uint8Array<ArrayBuffer>): number {
    const n = Math.min(into.length, this.rest.length - this.#restAt);
    into.set(this.rest.subarray(this.#restAt, this.#restAt + n));
    this.#restAt += n;
    if (this.#restAt === this.rest.length) {
      this.rest = NO_BYTES;
      this.endOfMessage = n === into.length && (this.flags & FlowFlag.RNoPart) === 0;
    }
    return n;
  }

  #readFrct(into: Uint8Array<ArrayBuffer>, options: CallOptions | undefined): number {
    const frct = this.frct!;
    const ep = frct.endpoint;
    const whole = (this.flags & FlowFlag.RNoPart) !== 0;
    let until = 0;
    for (;;) {
      const pending = ep.pendingBytes();
      if (pending >= 0) return this.#readPending(into, pending, whole);
      if (frct.down) return -Errno.EFLOWDOWN;
      let off = this.reader.take();
      if (off === -Errno.EAGAIN) {
        if (ep.outputDue) frct.flush(monotonicUs());
        this.armFrct();
        if (this.noBlock(options, FlowFlag.RNoBlock)) return this.wouldWait();
        if (until === 0) until = deadlineNs(options?.timeoutMs ?? this.rcvTimeoutMs);
        off = this.waitForPacket(until, Infinity);
      }
      if (off > 0) {
        const n = frct.take(off, monotonicUs(), into);
        if (n >= 0) {
          if (ep.outputDue) frct.flush(monotonicUs());
          this.armFrct();
          this.counters.rxBytes += n;
          this.endOfMessage = n > 0 && n === into.length && !whole;
          return n;
        }
      } else if (off < 0 && off !== -Errno.EAGAIN) {
        return off;
      }
    }
  }

  #readPending(into: Uint8Array<ArrayBuffer>, pending: number, whole: boolean): number {
    const frct = this.frct!;
    const nowUs = monotonicUs();
    let n: number;
    if (pending > into.length && whole) {
      frct.endpoint.skip(nowUs);
      n = -Errno.EMSGSIZE;
    } else {
      n = frct.endpoint.read(nowUs, into, 0, into.length);
      if (n > 0) this.counters.rxBytes += n;
      this.endOfMessage = n > 0 && n === pending && n === into.length && !whole;
    }
    if (frct.endpoint.outputDue) frct.flush(nowUs);
    this.armFrct();
    return n;
  }

  /** Whether a read would find something now: a packet, a piece of one, or an error to report. */
  hasMessage(): boolean {
    if (this.closed || this.endOfMessage || this.rest.length > 0) return true;
    if (this.frct !== null) {
      this.frct.pump(monotonicUs());
      this.armFrct();
      return this.frct.endpoint.pendingBytes() >= 0 || this.frct.down;
    }
    return this.rings.rx.queued() > 0;
  }

  /** The next whole message as a new array, without waiting; or -EAGAIN and the other errors of a read. */
  protected takeMessage(): Uint8Array<ArrayBuffer> | number {
    if (this.closed) return -Errno.ENOTALLOC;
    this.endOfMessage = false;
    if (this.rest.length > 0) {
      const rest = this.rest.slice(this.#restAt);
      this.rest = NO_BYTES;
      return rest;
    }
    if (this.frct !== null) return this.#takeFrctMessage(this.frct);
    for (;;) {
      const off = this.reader.read();
      if (off < 0) return off;
      const bytes = new Uint8Array(Math.max(0, this.pool.inspect(off)));
      const n = this.#deliver(off, bytes);
      this.reader.done(off, this.#ours);
      this.endOfMessage = false;
      // Protection makes a message shorter than its packet.
      if (n >= 0) return n === bytes.length ? bytes : bytes.subarray(0, n);
    }
  }

  #takeFrctMessage(frct: FrctDriver): Uint8Array<ArrayBuffer> | number {
    const nowUs = monotonicUs();
    frct.pump(nowUs);
    const pending = frct.endpoint.pendingBytes();
    if (pending < 0) {
      this.armFrct();
      if (frct.down) return -Errno.EFLOWDOWN;
      const off = this.reader.take();
      if (off > 0) frct.take(off, nowUs, null);
      return off >= 0 ? -Errno.EAGAIN : off;
    }
    const bytes = new Uint8Array(pending);
    this.#readPending(bytes, pending, true);
    return bytes;
  }
}

/**
 * Reading from a flow in the calling thread (spec 30 §7).
 *
 * Raw flows without CRC and encryption go straight between the caller's buffer, a block and the ring: one
 * copy, no allocation, no promise, here as in `writer.ts`. Other flows go through `frct_driver.ts` and
 * `protection.ts`. Results are bytes or negative error numbers; nothing here throws.
 */

import { Errno } from "../errno.ts";
import { copyBytes } from "../frct/buffers.ts";
import { monotonicUs } from "../sys/clock.ts";
import type { FlowCore } from "./core.ts";
import type { FlowEvents } from "./events.ts";
import { FlowFlag } from "./flags.ts";
import type { FrctDriver } from "./frct_driver.ts";
import { type CallOptions, NO_WAIT } from "./options.ts";
import type { PacketWait } from "./packet_wait.ts";
import type { Slab } from "./slab.ts";
import { deadlineNs } from "./wait.ts";

const NO_BYTES = new Uint8Array(0);
/** Messages that are joined before what FRCT has due is sent: an eighth of its window. */
const JOINED_AN_ANSWER = 32;
/** Messages that are joined at most: many short or empty ones keep nobody from the event loop. */
const JOINED_MAX = 512;

/** See the head of this file. */
export class Reader {
  /** What a partial read left: bytes of one message from `#restAt`. */
  #rest: Uint8Array<ArrayBuffer> = NO_BYTES;
  #restAt = 0;
  /** The next read says 0, "end of message". */
  #endOfMessage = false;
  /** A read took a piece of the FRCT message that is next. */
  #inPieces = false;
  /** Whether the block that `#deliver` looked at last is ours to give back. */
  #ours = false;
  /** What the machine has due waits for further messages. */
  #holdsAnswers = false;

  constructor(
    private readonly core: FlowCore,
    private readonly events: FlowEvents,
    private readonly wait: PacketWait,
  ) {}

  /** Whether a piece of a message is left to read. */
  get hasRest(): boolean {
    return this.#rest.length > 0;
  }

  /** Forgets that a message ended just now: the caller takes whole messages. */
  skipEnd(): void {
    this.#endOfMessage = false;
  }

  /** Reads the next message, or the next piece of one; see `Flow.readSync`. */
  read(into: Uint8Array<ArrayBuffer>, options?: CallOptions): number {
    const { core } = this;
    if (core.over) return -Errno.ENOTALLOC;
    if (!(into instanceof Uint8Array)) return -Errno.EINVAL;
    if (this.#endOfMessage) {
      this.#endOfMessage = false;
      return 0;
    }
    if (this.#rest.length > 0) return this.#readRest(into);
    if (core.frct !== null) return this.#readFrct(into, options);
    let until = 0;
    for (;;) {
      let off = core.reader.read();
      if (off >= 0) {
        const n = this.#deliver(off, into);
        core.reader.done(off, this.#ours);
        if (n !== -Errno.EAGAIN) return n;
        continue;
      }
      if (off === -Errno.EAGAIN) {
        if (core.noBlock(options, FlowFlag.RNoBlock)) return core.wouldWait();
        if (until === 0) until = deadlineNs(options?.timeoutMs ?? core.rcvTimeoutMs);
        off = this.wait.packet(until, Infinity);
      }
      if (off > 0) {
        const n = this.#deliver(off, into);
        if (this.#ours) core.pool.remove(off);
        if (n !== -Errno.EAGAIN) return n;
      } else if (off < 0 && off !== -Errno.EAGAIN) {
        return off;
      }
    }
  }

  /** Opens a block and copies its message out; -EAGAIN for one to ignore. `#ours`: free it. */
  #deliver(off: number, into: Uint8Array<ArrayBuffer>): number {
    const { core } = this;
    const { pool, protection } = core;
    let n = protection === null ? pool.inspect(off) : protection.open(off);
    if (n > 0) {
      const at = protection === null ? pool.at : protection.at;
      core.counters.rxPackets += 1;
      core.counters.rxBytes += n;
      if (n <= into.length) {
        if (protection === null) pool.copyOut(off, at, n, into);
        else copyBytes(protection.u8, at, n, into, 0);
        this.#endOfMessage = core.endMark && n === into.length &&
          (core.flags & FlowFlag.RNoPart) === 0;
      } else if ((core.flags & FlowFlag.RNoPart) !== 0) {
        n = -Errno.EMSGSIZE;
      } else {
        const from = protection === null ? pool.u8 : protection.u8;
        this.#rest = from.slice(at, at + n);
        this.#restAt = 0;
        n = this.#readRest(into);
      }
      this.#ours = true;
      return n;
    }
    if (n < 0) core.counters.rxDropped += 1;
    // A block without a reference was freed by its sender: it isn't ours to free (spec 10 §4.6).
    this.#ours = n !== -Errno.EINVAL;
    return -Errno.EAGAIN;
  }

  #readRest(into: Uint8Array<ArrayBuffer>): number {
    const n = Math.min(into.length, this.#rest.length - this.#restAt);
    into.set(this.#rest.subarray(this.#restAt, this.#restAt + n));
    this.#restAt += n;
    if (this.#restAt === this.#rest.length) {
      this.#rest = NO_BYTES;
      this.#endOfMessage = n === into.length && (this.core.flags & FlowFlag.RNoPart) === 0;
    }
    return n;
  }

  #readFrct(into: Uint8Array<ArrayBuffer>, options: CallOptions | undefined): number {
    const { core } = this;
    const frct = core.frct!;
    const ep = frct.endpoint;
    const whole = (core.flags & FlowFlag.RNoPart) !== 0;
    let until = 0;
    for (;;) {
      if (core.peerDone) return -Errno.ENODATA;
      const pending = ep.pendingBytes();
      if (pending >= 0) return this.#readPending(into, pending, whole);
      if (frct.down) return -Errno.EFLOWDOWN;
      let off = core.reader.read();
      const inRing = off >= 0;
      if (off === -Errno.EAGAIN) {
        this.#answer();
        if (core.noBlock(options, FlowFlag.RNoBlock)) return core.wouldWait();
        if (until === 0) until = deadlineNs(options?.timeoutMs ?? core.rcvTimeoutMs);
        off = this.wait.packet(until, Infinity);
      }
      if (off === 0 && inRing) core.reader.done(off, false);
      if (off > 0) {
        const nowUs = monotonicUs();
        const n = inRing ? frct.accept(off, nowUs, into) : frct.take(off, nowUs, into);
        if (inRing) core.reader.done(off, frct.ours);
        if (n >= 0) {
          this.#answer();
          if (n === 0) return this.#noData();
          core.counters.rxBytes += n;
          this.#endOfMessage = core.endMark && n === into.length && !whole;
          this.#inPieces = false;
          return n;
        }
      } else if (off < 0 && off !== -Errno.EAGAIN) {
        return off;
      }
    }
  }

  #readPending(into: Uint8Array<ArrayBuffer>, pending: number, whole: boolean): number {
    const { core } = this;
    const frct = core.frct!;
    const nowUs = monotonicUs();
    let n: number;
    if (pending > into.length) this.#inPieces = true;
    if (pending > into.length && whole) {
      frct.endpoint.skip(nowUs);
      n = -Errno.EMSGSIZE;
    } else {
      n = frct.endpoint.read(nowUs, into, 0, into.length);
      if (n > 0) core.counters.rxBytes += n;
      this.#endOfMessage = n > 0 && n === pending && n === into.length && !whole &&
        (core.endMark || this.#inPieces);
      if (n === pending) this.#inPieces = false;
    }
    this.#answer();
    frct.changed(nowUs);
    return n === 0 && pending === 0 ? this.#noData() : n;
  }

  /** A packet of FRCT without payload: an empty message, or the peer's closeWrite. */
  #noData(): number {
    if (!this.core.frct!.endpoint.ended) return 0;
    this.core.peerDone = true;
    return -Errno.ENODATA;
  }

  /**
   * Whether there is something to {@linkcode join}: a packet that waits, or a message that the machine has taken already.
   * Not with RNoPart, where what does not fit would be lost: a peer may send longer messages than we may. Cheap.
   */
  get canJoin(): boolean {
    const { frct, over, flags, rxQueued } = this.core;
    if (over || (flags & FlowFlag.RNoPart) !== 0) return false;
    return rxQueued > 0 || (frct !== null && frct.endpoint.pendingBytes() >= 0);
  }

  /**
   * Puts messages that are there behind each other into `bytes` from `at` on, while there is room for one of usual length.
   * @returns where they end
   */
  join(bytes: Uint8Array<ArrayBuffer>, at: number): number {
    const room = this.core.limits.streamBytes;
    let end = at;
    for (let k = 1; k <= JOINED_MAX && bytes.length - end >= room; k++) {
      this.#holdsAnswers = k % JOINED_AN_ANSWER !== 0;
      const n = this.read(bytes.subarray(end), NO_WAIT);
      // What else there is to say the next read says again.
      if (n < 0) break;
      end += n;
    }
    this.#holdsAnswers = false;
    this.#answer();
    return end;
  }

  /** Sends what the machine has due, an acknowledgement mostly: one for all messages that are joined. */
  #answer(): void {
    const { frct } = this.core;
    if (frct === null || this.#holdsAnswers) return;
    if (frct.endpoint.outputDue) frct.flush(monotonicUs());
    this.events.armFrct();
  }

  /** Whether a read would find something now: a packet, a piece of one, or an error to report. */
  hasMessage(): boolean {
    const { core } = this;
    if (core.over || this.#endOfMessage || this.#rest.length > 0) return true;
    if (core.peerDone) return false;
    if (core.frct !== null) {
      core.frct.pump(monotonicUs());
      this.events.armFrct();
      return core.frct.endpoint.pendingBytes() >= 0 || core.frct.down;
    }
    return core.rings.rx.queued() > 0;
  }

  /**
   * The next whole message as a new array, without waiting; or -EAGAIN and the other errors of a read.
   * @param slab where the array lies; in memory of its own when absent
   */
  takeMessage(slab?: Slab): Uint8Array<ArrayBuffer> | number {
    const { core } = this;
    if (core.over) return -Errno.ENOTALLOC;
    this.#endOfMessage = false;
    if (this.#rest.length > 0) {
      const rest = this.#rest.slice(this.#restAt);
      this.#rest = NO_BYTES;
      return rest;
    }
    if (core.frct !== null) return this.#takeFrctMessage(core.frct, slab);
    for (;;) {
      const off = core.reader.read();
      if (off < 0) return off;
      const bytes = newBytes(Math.max(0, core.pool.inspect(off)), slab);
      const n = this.#deliver(off, bytes);
      if (n > 0) slab?.keep(n);
      core.reader.done(off, this.#ours);
      this.#endOfMessage = false;
      // Protection makes a message shorter than its packet.
      if (n >= 0) return n === bytes.length ? bytes : bytes.subarray(0, n);
    }
  }

  #takeFrctMessage(
    frct: FrctDriver,
    slab: Slab | undefined,
  ): Uint8Array<ArrayBuffer> | number {
    const { core } = this;
    if (core.peerDone) return -Errno.ENODATA;
    const ep = frct.endpoint;
    let pending = ep.pendingBytes();
    while (pending < 0) {
      const off = core.reader.read();
      if (off < 0) {
        this.#answer();
        return frct.down ? -Errno.EFLOWDOWN : off;
      }
      if (off === 0) {
        core.reader.done(off, false);
        continue;
      }
      const room = core.pool.inspect(off) - ep.headerBytes;
      // A packet in order goes straight into its message; others (and acknowledgements) are kept by the machine.
      const message = room > 0 ? newBytes(room, slab) : null;
      const n = frct.accept(off, monotonicUs(), message);
      core.reader.done(off, frct.ours);
      if (n > 0) {
        this.#answer();
        core.counters.rxBytes += n;
        slab?.keep(n);
        return n === room ? message! : message!.subarray(0, n);
      }
      if (n === 0) {
        const ended = this.#noData();
        return ended < 0 ? ended : NO_BYTES;
      }
      pending = ep.pendingBytes();
    }
    const bytes = newBytes(pending, slab);
    const n = this.#readPending(bytes, pending, true);
    if (n > 0) slab?.keep(n);
    return n < 0 ? n : bytes;
  }
}

function newBytes(n: number, slab: Slab | undefined): Uint8Array<ArrayBuffer> {
  return slab === undefined ? new Uint8Array(n) : slab.next(n);
}

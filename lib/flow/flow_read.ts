/**
 * Reading from a flow in the calling thread (spec 30 §7).
 *
 * Raw flows without CRC and encryption go straight between the caller's buffer, a block and the ring: one
 * copy, no allocation, no promise, here as in `flow_write.ts`. Other flows go through `frct_driver.ts` and
 * `protection.ts`. Results are bytes or negative error numbers; nothing here throws.
 */

import { Errno } from "../errno.ts";
import { FrctFlag } from "../frct/mod.ts";
import { monotonicUs } from "../sys/clock.ts";
import { FlowFlag } from "./flags.ts";
import type { FrctDriver } from "./frct_driver.ts";
import { deadlineNs } from "./wait.ts";
import type { CallOptions } from "./flow_base.ts";
import { FlowWrite } from "./flow_write.ts";

const NO_BYTES = new Uint8Array(0);

/** Blocking reads of a {@linkcode Flow}. Programs use `Flow`. */
export abstract class FlowRead extends FlowWrite {
  /** What a partial read left: bytes of one message from `#restAt`. */
  protected rest: Uint8Array<ArrayBuffer> = NO_BYTES;
  #restAt = 0;
  /** The next read says 0, "end of message". */
  protected endOfMessage = false;

  /**
   * Reads the next message, or the next piece of one that was longer than the last buffer. Returns its
   * bytes; 0 once after the last piece of a longer message that filled the buffer exactly ("end of message", off with
   * `FlowFlag.RNoPart`; see `endMark`); -ENODATA when the peer sends no more (its closeWrite); or -EINVAL (the buffer
   * isn't a Uint8Array), -EAGAIN (would wait), -ETIMEDOUT, -EFLOWDOWN, -EFLOWPEER, -EMSGSIZE (too
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
    if (this.over) return -Errno.ENOTALLOC;
    if (!(into instanceof Uint8Array)) return -Errno.EINVAL;
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
        this.endOfMessage = this.endMark && n === into.length &&
          (this.flags & FlowFlag.RNoPart) === 0;
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
      if (this.peerDone) return -Errno.ENODATA;
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
          if (n === 0) return this.#noData();
          this.counters.rxBytes += n;
          this.endOfMessage = this.endMark && n === into.length && !whole;
          this.#inPieces = false;
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
    if (pending > into.length) this.#inPieces = true;
    if (pending > into.length && whole) {
      frct.endpoint.skip(nowUs);
      n = -Errno.EMSGSIZE;
    } else {
      n = frct.endpoint.read(nowUs, into, 0, into.length);
      if (n > 0) this.counters.rxBytes += n;
      this.endOfMessage = n > 0 && n === pending && n === into.length && !whole &&
        (this.endMark || this.#inPieces);
      if (n === pending) this.#inPieces = false;
    }
    if (frct.endpoint.outputDue) frct.flush(nowUs);
    this.armFrct();
    return n === 0 && pending === 0 ? this.#noData() : n;
  }
  /** A read took a piece of the message that is next. */
  #inPieces = false;

  /** An empty message of FRCT: only closeWrite sends one on a reliable flow. */
  #noData(): number {
    if (!this.isReliable) return 0;
    this.peerDone = true;
    return -Errno.ENODATA;
  }

  /** Whether everything that is written arrives, in order (FRCT with retransmission). */
  get isReliable(): boolean {
    return this.frct !== null && (this.frct.endpoint.flags & FrctFlag.Rtx) !== 0;
  }

  /** Whether a read would find something now: a packet, a piece of one, or an error to report. */
  hasMessage(): boolean {
    if (this.over || this.endOfMessage || this.rest.length > 0) return true;
    if (this.peerDone) return false;
    if (this.frct !== null) {
      this.frct.pump(monotonicUs());
      this.armFrct();
      return this.frct.endpoint.pendingBytes() >= 0 || this.frct.down;
    }
    return this.rings.rx.queued() > 0;
  }

  /** The next whole message as a new array, without waiting; or -EAGAIN and the other errors of a read. */
  protected takeMessage(): Uint8Array<ArrayBuffer> | number {
    if (this.over) return -Errno.ENOTALLOC;
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
    if (this.peerDone) return -Errno.ENODATA;
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
    const n = this.#readPending(bytes, pending, true);
    return n < 0 ? n : bytes;
  }
}

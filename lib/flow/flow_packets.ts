/**
 * Whole packets of a flow: written and read in place in the pool, or passed on as blocks (spec 30 §14),
 * beside the copying calls of `flow_read.ts`. Results are bytes, offsets or negative error numbers.
 */

import { Errno } from "../errno.ts";
import { Block, HEAD_SPACE } from "../shm/layout.ts";
import { FLOW_ACCESS_MASK, FlowFlag } from "./flags.ts";
import type { CallOptions } from "./flow_base.ts";
import { FlowRead } from "./flow_read.ts";
import type { Packet } from "./packet.ts";
import { deadlineNs } from "./wait.ts";

const PAYLOAD_AT = Block.DATA + HEAD_SPACE;
const NO_WAIT: CallOptions = { nonblock: true };
const NO_BYTES = new Uint8Array(0);
/** Where `receive` puts messages of flows that can't be read in place; made on first use. */
let scratch: Uint8Array<ArrayBuffer> | undefined;

/** In-place packets and blocks. */
export abstract class FlowPackets extends FlowRead {
  /**
   * Reserves a block for a message of `len` bytes and points `packet` at it. 0, or as `writeSync`.
   * Fill it and {@linkcode commit} it, or release it.
   *
   * @example
   * ```ts
   * import { Flow, OuroProcess, Packet } from "@ouro/ouro";
   * import { assertEquals } from "@std/assert";
   *
   * using flow = Flow.allocSync(OuroProcess.current(), "echo");
   * using packet = new Packet(); // made once, used for every message
   * assertEquals(flow.reserve(packet, 5), 0);
   * packet.u8.set([1, 2, 3, 4, 5], packet.at);
   * assertEquals(flow.commit(packet), 5);
   * assertEquals(flow.receive(packet, { timeoutMs: 5000 }), 5);
   * assertEquals(packet.u8[packet.at], 1);
   * ```
   */
  reserve(packet: Packet, len: number, options?: CallOptions): number {
    if (this.over) return -Errno.ENOTALLOC;
    if ((this.flags & FLOW_ACCESS_MASK) === FlowFlag.RdOnly) return -Errno.EPERM;
    if (len > this.messageMax) return -Errno.EMSGSIZE;
    let off = this.takesTooMuch(len) ? -Errno.EAGAIN : this.pool.alloc(len);
    if (off === -Errno.EAGAIN) {
      off = this.noBlock(options, FlowFlag.WNoBlock)
        ? this.whyNoBlock()
        : this.allocWaiting(len, options);
    }
    if (off < 0) return off;
    packet.point(this.pool, off, this.pool.u8, off + PAYLOAD_AT, len);
    return 0;
  }

  /** Sends a reserved packet of its present `length`. The block is given away in every case. */
  commit(packet: Packet, options?: CallOptions): number {
    const len = packet.length;
    if (len > this.messageMax) {
      packet.release();
      return -Errno.EMSGSIZE;
    }
    if (this.over || this.frct !== null) {
      const copy = packet.u8.slice(packet.at, packet.at + len);
      packet.release();
      return this.over ? -Errno.ENOTALLOC : this.writeFrct(copy, options);
    }
    const off = packet.takeOff();
    if (off === 0) return -Errno.EINVAL;
    const result = this.pool.truncate(off, len) || (this.protection?.seal(off) ?? 0);
    if (result < 0) {
      this.pool.remove(off);
      return result;
    }
    const put = this.put(off, options);
    if (put < 0) return put;
    this.counters.txBytes += len;
    return len;
  }

  /**
   * Takes the next message in place: points `packet` at it and returns its bytes, or as `readSync`.
   * Release the packet soon: its block is missing to everybody else. On flows with FRCT, CRC or
   * encryption the message is in private memory, valid until the next `receive` in this thread.
   */
  receive(packet: Packet, options?: CallOptions): number {
    packet.release();
    if (this.over) return -Errno.ENOTALLOC;
    if (!this.plain || this.rest.length > 0) return this.#receiveCopy(packet, options);
    this.endOfMessage = false;
    let until = 0;
    for (;;) {
      let off = this.reader.take();
      if (off === -Errno.EAGAIN) {
        if (this.noBlock(options, FlowFlag.RNoBlock)) return off;
        if (until === 0) until = deadlineNs(options?.timeoutMs ?? this.rcvTimeoutMs);
        off = this.waitForPacket(until, Infinity);
      }
      if (off > 0) {
        const n = this.pool.inspect(off);
        if (n > 0) {
          this.counters.rxPackets += 1;
          this.counters.rxBytes += n;
          packet.point(this.pool, off, this.pool.u8, this.pool.at, n);
          return n;
        }
        if (n !== -Errno.EINVAL) this.pool.remove(off);
      } else if (off < 0 && off !== -Errno.EAGAIN) {
        return off;
      }
    }
  }

  #receiveCopy(packet: Packet, options: CallOptions | undefined): number {
    scratch ??= new Uint8Array(this.pool.payloadBytesMax);
    const bytes = scratch;
    const n = this.readSync(bytes, options);
    this.endOfMessage = false;
    if (n >= 0) packet.point(undefined, 0, bytes, 0, n);
    return n;
  }

  // Whole blocks, for IPCPs that pass packets on (ipcp_flow_read, ipcp_flow_write).

  /**
   * The next message as a block of our pool, without waiting; the caller frees it or passes it on.
   * An offset, -EAGAIN, or the errors of `readSync`.
   */
  takeBlock(): number {
    if (this.over) return -Errno.ENOTALLOC;
    if (this.plain) {
      for (;;) {
        const off = this.reader.take();
        if (off <= 0) {
          if (off < 0) return off;
          continue;
        }
        const n = this.pool.inspect(off);
        if (n > 0) {
          this.counters.rxPackets += 1;
          this.counters.rxBytes += n;
          return off;
        }
        if (n !== -Errno.EINVAL) this.pool.remove(off);
      }
    }
    const message = this.takeMessage();
    if (typeof message === "number") return message;
    const off = this.pool.alloc(message.length);
    if (off < 0) return -Errno.EAGAIN;
    this.pool.u8.set(message, off + PAYLOAD_AT);
    return off;
  }

  /**
   * Sends the packet in a block of our pool, headers in place. The block is consumed in every case.
   * Without waiting unless the options say so. 0, or the errors of `writeSync`.
   */
  giveBlock(off: number, options: CallOptions = NO_WAIT): number {
    const n = this.over ? -Errno.ENOTALLOC : this.pool.inspect(off);
    if (n === -Errno.EINVAL) return n;
    if (n > this.messageMax) {
      this.pool.remove(off);
      return -Errno.EMSGSIZE;
    }
    if (n >= 0 && this.frct === null) {
      const sealed = this.protection === null ? 0 : this.protection.seal(off);
      if (sealed < 0) {
        this.pool.remove(off);
        return sealed;
      }
      const put = this.put(off, options);
      if (put === 0) this.counters.txBytes += n;
      return put;
    }
    const at = this.pool.at;
    const copy = n > 0 ? this.pool.u8.slice(at, at + n) : NO_BYTES;
    this.pool.remove(off);
    if (n <= 0) return n;
    return Math.min(0, this.writeFrct(copy, options));
  }
}

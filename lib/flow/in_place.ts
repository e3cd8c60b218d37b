/**
 * Whole packets of a flow, written and read in place in the pool (spec 30 §14), or passed on as blocks by IPCPs, beside
 * the copying calls of `writer.ts` and `reader.ts`. Results are bytes, offsets or negative error numbers.
 */

import { Errno } from "../errno.ts";
import { Block, HEAD_SPACE } from "../shm/layout.ts";
import type { FlowCore } from "./core.ts";
import { FlowFlag } from "./flags.ts";
import { type CallOptions, NO_WAIT } from "./options.ts";
import type { Packet } from "./packet.ts";
import type { PacketWait } from "./packet_wait.ts";
import type { Reader } from "./reader.ts";
import { deadlineNs } from "./wait.ts";
import type { Writer } from "./writer.ts";

const PAYLOAD_AT = Block.DATA + HEAD_SPACE;
const NO_BYTES = new Uint8Array(0);
/** Where `receive` puts messages of flows that can't be read in place; made on first use. */
let scratch: Uint8Array<ArrayBuffer> | undefined;

/** See the head of this file. */
export class InPlace {
  constructor(
    private readonly core: FlowCore,
    private readonly reader: Reader,
    private readonly writer: Writer,
    private readonly wait: PacketWait,
  ) {}

  /** Points `packet` at a block for a message; see `Flow.reserve`. */
  reserve(packet: Packet, len: number, options?: CallOptions): number {
    const refused = this.writer.refusal(len);
    if (refused < 0) return refused;
    const off = this.writer.block(len, options);
    if (off < 0) return off;
    const { pool } = this.core;
    packet.point(pool, off, pool.u8, off + PAYLOAD_AT, len);
    return 0;
  }

  /** Sends a reserved packet; see `Flow.commit`. */
  commit(packet: Packet, options?: CallOptions): number {
    const { core } = this;
    const len = packet.length;
    const refused = this.writer.refusal(len);
    if (refused < 0) {
      packet.release();
      return refused;
    }
    if (core.frct !== null) {
      const copy = packet.u8.slice(packet.at, packet.at + len);
      packet.release();
      return this.writer.writeFrct(copy, options);
    }
    const off = packet.takeOff();
    if (off === 0) return -Errno.EINVAL;
    const cut = core.pool.truncate(off, len);
    if (cut < 0) {
      core.pool.remove(off);
      return cut;
    }
    const sent = this.writer.send(off, options);
    if (sent < 0) return sent;
    core.counters.txBytes += len;
    return len;
  }

  /** Takes the next message in place; see `Flow.receive`. */
  receive(packet: Packet, options?: CallOptions): number {
    packet.release();
    const { core } = this;
    if (core.over) return -Errno.ENOTALLOC;
    if (!core.plain || this.reader.hasRest) return this.#receiveCopy(packet, options);
    this.reader.skipEnd();
    let until = 0;
    for (;;) {
      let off = core.reader.take();
      if (off === -Errno.EAGAIN) {
        if (core.noBlock(options, FlowFlag.RNoBlock)) return off;
        if (until === 0) until = deadlineNs(options?.timeoutMs ?? core.rcvTimeoutMs);
        off = this.wait.packet(until, Infinity);
      }
      if (off > 0) {
        const n = this.#accept(off);
        if (n > 0) {
          packet.point(core.pool, off, core.pool.u8, core.pool.at, n);
          return n;
        }
      } else if (off < 0 && off !== -Errno.EAGAIN) {
        return off;
      }
    }
  }

  /** Counts a packet that was taken out of the ring; gives its block back when it has no message. */
  #accept(off: number): number {
    const { counters, pool } = this.core;
    const n = pool.inspect(off);
    if (n > 0) {
      counters.rxPackets += 1;
      counters.rxBytes += n;
    } else if (n !== -Errno.EINVAL) {
      pool.remove(off);
    }
    return n;
  }

  #receiveCopy(packet: Packet, options: CallOptions | undefined): number {
    scratch ??= new Uint8Array(this.core.pool.payloadBytesMax);
    const bytes = scratch;
    const n = this.reader.read(bytes, options);
    this.reader.skipEnd();
    if (n >= 0) packet.point(undefined, 0, bytes, 0, n);
    return n;
  }

  // Whole blocks, for IPCPs that pass packets on (ipcp_flow_read, ipcp_flow_write).

  /**
   * The next message as a block of our pool, without waiting; the caller frees it or passes it on.
   * An offset, -EAGAIN, or the errors of a read.
   */
  takeBlock(): number {
    const { core } = this;
    if (core.over) return -Errno.ENOTALLOC;
    if (core.plain) {
      for (;;) {
        const off = core.reader.take();
        if (off < 0) return off;
        if (off > 0 && this.#accept(off) > 0) return off;
      }
    }
    const message = this.reader.takeMessage();
    if (typeof message === "number") return message;
    const off = core.outlet.alloc(message.length);
    if (off < 0) return -Errno.EAGAIN;
    core.pool.u8.set(message, off + PAYLOAD_AT);
    return off;
  }

  /**
   * Sends the packet in a block of our pool, headers in place. The block is consumed in every case.
   * Without waiting unless the options say so. 0, or the errors of a write.
   */
  giveBlock(off: number, options: CallOptions = NO_WAIT): number {
    const { core } = this;
    const { pool } = core;
    const n = core.over ? -Errno.ENOTALLOC : pool.inspect(off);
    if (n === -Errno.EINVAL) return n;
    if (n > core.messageBytesMax) {
      pool.remove(off);
      return -Errno.EMSGSIZE;
    }
    if (n >= 0 && core.frct === null) {
      const sent = this.writer.send(off, options);
      if (sent === 0) core.counters.txBytes += n;
      return sent;
    }
    const at = pool.at;
    const copy = n > 0 ? pool.u8.slice(at, at + n) : NO_BYTES;
    pool.remove(off);
    return n <= 0 ? n : Math.min(0, this.writer.writeFrct(copy, options));
  }
}

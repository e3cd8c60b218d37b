/**
 * Writing to a flow in the calling thread (spec 30 §6). Results are bytes or negative error numbers; nothing here
 * throws.
 */

import { Errno } from "../errno.ts";
import { Block, HEAD_SPACE } from "../shm/layout.ts";
import { monotonicNs, monotonicUs, sleepNs, yieldCpu } from "../sys/clock.ts";
import type { FlowCore } from "./core.ts";
import type { FlowEvents } from "./events.ts";
import { FLOW_ACCESS_MASK, FlowFlag } from "./flags.ts";
import type { CallOptions } from "./options.ts";
import type { PacketWait } from "./packet_wait.ts";
import { deadlineNs, spinNs } from "./wait.ts";

const PAYLOAD_AT = Block.DATA + HEAD_SPACE;
/** Blocks of a class that a flow may take, and that end a spinning wait early. */
const FREE_ENOUGH = 128;
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

/** Whether an array without bytes has none on purpose: one whose buffer was moved away or shrunk looks the same. */
function isUsable(bytes: Uint8Array): boolean {
  try {
    bytes.fill(0);
    return true;
  } catch {
    return false;
  }
}

/** See the head of this file. */
export class Writer {
  /** Packets until the peer's unread ones are counted again. */
  #unlooked = 0;

  constructor(
    private readonly core: FlowCore,
    private readonly events: FlowEvents,
    private readonly wait: PacketWait,
  ) {}

  /** Whether a message may be written at all: 0, or -ENOTALLOC, -EINVAL (no length), -EPERM, -EPIPE, -EMSGSIZE. */
  refusal(len: number): number {
    const { core } = this;
    if (core.over) return -Errno.ENOTALLOC;
    if (!Number.isInteger(len) || len < 0) return -Errno.EINVAL;
    if ((core.flags & FLOW_ACCESS_MASK) === FlowFlag.RdOnly) return -Errno.EPERM;
    if (core.writesDone) return -Errno.EPIPE;
    return len > core.messageBytesMax ? -Errno.EMSGSIZE : 0;
  }

  /** Sends `bytes` as one message; see `Flow.writeSync`. */
  write(bytes: Uint8Array, options?: CallOptions): number {
    if (!(bytes instanceof Uint8Array)) return this.core.over ? -Errno.ENOTALLOC : -Errno.EINVAL;
    const len = bytes.length;
    const refused = this.refusal(len);
    if (refused < 0) return refused;
    if (len === 0 && !isUsable(bytes)) return -Errno.EINVAL;
    const { core } = this;
    if (core.frct !== null) return this.writeFrct(bytes, options);
    const off = this.block(len, options);
    if (off < 0) return off;
    core.pool.u8.set(bytes, off + PAYLOAD_AT);
    const sent = this.send(off, options);
    if (sent < 0) return sent;
    core.counters.txBytes += len;
    return len;
  }

  /** A block for a message of `len` bytes: its offset, or why there is none. Waits as the options say. */
  block(len: number, options: CallOptions | undefined): number {
    const { core } = this;
    const off = this.#takesTooMuch(len) ? -Errno.EAGAIN : core.outlet.alloc(len);
    if (off !== -Errno.EAGAIN) return off;
    return core.noBlock(options, FlowFlag.WNoBlock)
      ? core.outlet.whyRefused()
      : this.#blockWaiting(len, options);
  }

  /** Seals a block, puts it in the ring and tells the peer; frees it on failure. Waits as the options say. */
  send(off: number, options: CallOptions | undefined): number {
    const { outlet } = this.core;
    const sealed = outlet.seal(off);
    if (sealed < 0) return sealed;
    let result = outlet.offer(off);
    if (result === 0) return 0;
    if (result === -Errno.EAGAIN && !this.core.noBlock(options, FlowFlag.WNoBlock)) {
      result = this.#offerWaiting(off, options);
      if (result === 0) return 0;
    }
    if (result === -Errno.EAGAIN) result = outlet.whyRefused();
    outlet.drop(off);
    return result;
  }

  /**
   * Whether the peer has so many packets to read that more would leave too few blocks of this size to
   * others: three times as many as are free (a dynamic threshold), and hardly any once the last sixth is
   * touched. Peers that never read would otherwise take all 768 small blocks of the host into their rings
   * of 1023 places and stop every process that shares the pool (spec 10 §8.2, §11.18).
   */
  #takesTooMuch(len: number): boolean {
    // The ring's counts are in the peer's cache: look only when enough was written to matter.
    if (--this.#unlooked > 0) return false;
    const { pool, rings } = this.core;
    const unread = rings.tx.queued();
    if (unread < UNREAD_ALWAYS) {
      this.#unlooked = UNREAD_ALWAYS - unread;
      return false;
    }
    const c = pool.classFor(len);
    if (c < 0) return false;
    const free = pool.freeHint(len);
    const spare = free - Math.trunc(pool.geometry.objectCount[c]! / RESERVED_PART);
    const left = UNREAD_TO_FREE * free - unread;
    if (spare <= 0 || left < 0) return true;
    this.#unlooked = Math.min(UNREAD_LOOK, left >> 2, spare >> 2);
    return false;
  }

  #blockWaiting(len: number, options: CallOptions | undefined): number {
    const { outlet, pool, process, rings } = this.core;
    const until = deadlineNs(options?.timeoutMs ?? this.core.sndTimeoutMs);
    if (spinNs() > 0) {
      // A reader on another processor frees blocks all the time: wait for a few of them, not for one.
      const spinUntil = Math.min(until, monotonicNs() + spinNs());
      while (
        UNREAD_TO_FREE * pool.freeHint(len) - rings.tx.queued() < FREE_ENOUGH &&
        monotonicNs() < spinUntil
      ) yieldCpu();
    }
    for (let pauseNs = WAIT_FIRST_NS;; pauseNs = Math.min(2 * pauseNs, RETRY_NS)) {
      if (!this.#takesTooMuch(len)) {
        const off = outlet.alloc(len);
        if (off !== -Errno.EAGAIN) return off;
      }
      const why = outlet.whyRefused();
      if (why !== -Errno.EAGAIN) return why;
      const nowNs = monotonicNs();
      if (nowNs >= until) return -Errno.ETIMEDOUT;
      process.blocks.release();
      process.deadlines.tick(nowNs);
      // Nobody is told of a free block (spec 10 §3.3): look again soon.
      const wakeNs = Math.min(nowNs + pauseNs, until, process.deadlines.wakeAtNs());
      sleepNs(Math.max(0, wakeNs - nowNs));
    }
  }

  #offerWaiting(off: number, options: CallOptions | undefined): number {
    const { outlet, process } = this.core;
    const { deadlines } = process;
    const until = deadlineNs(options?.timeoutMs ?? this.core.sndTimeoutMs);
    const spinUntil = spinNs() === 0 ? 0 : monotonicNs() + spinNs();
    while (spinNs() > 0 && monotonicNs() < spinUntil) {
      const result = outlet.offer(off);
      if (result !== -Errno.EAGAIN) return result;
      yieldCpu();
    }
    for (;;) {
      process.blocks.release();
      deadlines.tick(monotonicNs());
      const result = outlet.offerBlocking(off, Math.min(until, deadlines.wakeAtNs()));
      if (result !== -Errno.ETIMEDOUT || monotonicNs() >= until) return result;
      const why = outlet.whyRefused();
      if (why !== -Errno.EAGAIN) return why;
    }
  }

  /** Sends a message through FRCT, or with `end` and no bytes: that no more comes. */
  writeFrct(bytes: Uint8Array, options: CallOptions | undefined, end = false): number {
    const { core, events } = this;
    const frct = core.frct!;
    let until = 0;
    for (;;) {
      const n = frct.write(bytes, end);
      if (n !== -Errno.EAGAIN) {
        if (n > 0) core.counters.txBytes += n;
        events.armFrct();
        return n;
      }
      if (until === 0) {
        // Acknowledgements that wait in the ring may open the window.
        frct.pump(monotonicUs());
        if (core.noBlock(options, FlowFlag.WNoBlock)) {
          if (frct.endpoint.writable()) {
            const again = frct.write(bytes, end);
            events.armFrct();
            return again;
          }
          events.armFrct();
          return core.wouldWait();
        }
        until = deadlineNs(options?.timeoutMs ?? core.sndTimeoutMs);
        continue;
      }
      events.armFrct();
      const waited = this.wait.packet(until, RETRY_NS);
      if (waited > 0) frct.take(waited, monotonicUs(), null);
      else if (waited === -Errno.ETIMEDOUT || waited === -Errno.EFLOWDOWN) return waited;
      frct.tick(monotonicUs());
      if (frct.down) return -Errno.EFLOWDOWN;
    }
  }
}

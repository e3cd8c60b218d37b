/**
 * Writing to a flow in the calling thread (spec 30 §6). Results are bytes or negative error numbers; nothing here
 * throws.
 */

import { Errno } from "../errno.ts";
import { Block, FlowEvent, HEAD_SPACE } from "../shm/layout.ts";
import { monotonicNs, monotonicUs, sleepNs, yieldCpu } from "../sys/clock.ts";
import { FLOW_ACCESS_MASK, FlowFlag } from "./flags.ts";
import { deadlineNs, SPIN_NS } from "./wait.ts";
import { type CallOptions, FlowBase } from "./flow_base.ts";

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

/** Blocking writes of a {@linkcode Flow}. Programs use `Flow`. */
export abstract class FlowWrite extends FlowBase {
  /**
   * Sends `bytes` as one message. Returns their number, or: -EMSGSIZE (longer than {@linkcode messageBytesMax}),
   * -EINVAL (not a Uint8Array), -EPERM (read-only access), -EPIPE (after closeWrite), -EAGAIN (would wait: for the peer to read, or for a free block), -ETIMEDOUT,
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
    if (this.over) return -Errno.ENOTALLOC;
    if ((this.flags & FLOW_ACCESS_MASK) === FlowFlag.RdOnly) return -Errno.EPERM;
    if (this.writesDone) return -Errno.EPIPE;
    if (!(bytes instanceof Uint8Array)) return -Errno.EINVAL;
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
}

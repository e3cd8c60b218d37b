/**
 * What a flow is made of, its sizes, and how a blocking call waits for a packet.
 */

import { Errno } from "../errno.ts";
import { Acl } from "../shm/layout.ts";
import type { Pool } from "../shm/pool.ts";
import { monotonicNs, yieldCpu } from "../sys/clock.ts";
import { FLOW_FLAGS_DEFAULT } from "./flags.ts";
import type { FlowCounters, FrctDriver } from "./frct_driver.ts";
import type { OuroProcess } from "./process.ts";
import type { Protection } from "./protection.ts";
import type { Rings } from "./rings.ts";
import { RingReader } from "../shm/ring_reader.ts";
import { SPIN_BATCH, SPIN_NS, SpinBudget } from "./wait.ts";

/** Options of one blocking call. */
export interface CallOptions {
  /** How long to wait, ms; undefined: the flow's own time-out, Infinity: for ever. */
  timeoutMs?: number | undefined;
  /** Return -EAGAIN instead of waiting; undefined: as the flow's flags say. */
  nonblock?: boolean | undefined;
}

/** A stream: so many packets since the ring was empty, at most so many ns each. */
const STREAM_PACKETS = 4;
const STREAM_GAP_NS = 1500;
/** How long packets of a stream may gather, ns. */
const GATHER_NS = 8e3;
/** Refused calls between two looks at the deadlines, less one: a busy loop makes them in about 10 µs. */
const IDLE_CALLS_MASK = 0xff;

/** Parts, sizes, flags and counters of a {@linkcode Flow}. Programs use `Flow`. */
export abstract class FlowBase {
  /** Flow id. */
  readonly id: number;
  /** {@linkcode FlowFlag} bits. */
  flags: number = FLOW_FLAGS_DEFAULT;
  /** Time-out of blocking reads and writes, ms; undefined: none. */
  rcvTimeoutMs: number | undefined = undefined;
  /** Time-out of blocking writes, ms; undefined: none. */
  sndTimeoutMs: number | undefined = undefined;
  /**
   * As the prototype does it: a blocking read that takes a whole message and fills its buffer exactly is followed by one
   * that returns 0, "end of message". Off, so that such a reader does not fall behind; with pieces of a longer
   * message the 0 comes in any case, because nothing else tells where the message ends.
   */
  endMark = false;
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
  protected readonly pool: Pool;
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
  /** @internal Closed here. */
  protected over = false;
  /** @internal The peer said that it sends no more; see `closeWrite`. */
  protected peerDone = false;
  /** @internal We said so. */
  protected writesDone = false;
  /** See {@linkcode messageBytesMax} and {@linkcode streamBytes}; set when the flow is made. */
  protected messageMax = 0;
  /** @internal */
  protected pieceMax = 1;
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
    return this.over ? 0 : this.rings.rx.queued();
  }
  /** Packets waiting in the receive ring of the peer, 0 when it took all. */
  get txQueued(): number {
    return this.over ? 0 : this.rings.tx.queued();
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

  /** No block, none for us or no place in the ring: -EAGAIN, unless the flow is over and waiting is in vain. */
  protected whyNoBlock(): number {
    const { rx, tx } = this.rings;
    if ((tx.acl() & Acl.FLOWDOWN) !== 0) return -Errno.EFLOWDOWN;
    return (rx.acl() & Acl.FLOWPEER) !== 0 ? -Errno.EFLOWPEER : -Errno.EAGAIN;
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
}

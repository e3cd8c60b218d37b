/**
 * How a blocking call of one flow waits for a packet: it looks a little, then blocks; the process's deadlines are served
 * meanwhile.
 */

import { Errno } from "../errno.ts";
import { monotonicNs, yieldCpu } from "../sys/clock.ts";
import type { FlowCore } from "./core.ts";
import { SPIN_BATCH, SpinBudget, spinNs } from "./wait.ts";

/** A stream: so many packets since the ring was empty, at most so many ns each. */
const STREAM_PACKETS = 4;
const STREAM_GAP_NS = 1500;
/** How long packets of a stream may gather, ns. */
const GATHER_NS = 8e3;

/** See the head of this file. */
export class PacketWait {
  readonly #spin = new SpinBudget();
  /** When the ring was empty last, and packets received until then. */
  #emptyNs = 0;
  #emptyPackets = 0;

  constructor(private readonly core: FlowCore) {}

  /**
   * Waits for a packet. Returns an offset (0: one to ignore), -EAGAIN after `sliceNs`, or the ring's error, -ETIMEDOUT
   * at `untilNs`.
   */
  packet(untilNs: number, sliceNs: number): number {
    const { process, reader, rings } = this.core;
    process.blocks.release();
    let nowNs = monotonicNs();
    nowNs = this.#letGather(nowNs, untilNs);
    if (spinNs() > 0) {
      const spin = this.#spin;
      const yieldFrom = nowNs + spin.aloneNs;
      const spinUntil = Math.min(nowNs + spin.ns, untilNs);
      while (nowNs < spinUntil) {
        for (let k = 0; k < SPIN_BATCH; k++) {
          const off = reader.take();
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
    const { deadlines } = process;
    deadlines.tick(nowNs);
    const slice = Math.min(untilNs, deadlines.wakeAtNs(), nowNs + sliceNs);
    const off = rings.rx.readBlocking(slice);
    if (off !== -Errno.ETIMEDOUT) return off;
    nowNs = monotonicNs();
    deadlines.tick(nowNs);
    return nowNs >= untilNs ? -Errno.ETIMEDOUT : -Errno.EAGAIN;
  }

  /**
   * In a fast stream a reader that takes each packet as it comes fights with the writer for the ring:
   * when many packets came in a short time, wait a moment for some to gather. Returns the time.
   */
  #letGather(nowNs: number, untilNs: number): number {
    const { rxPackets } = this.core.counters;
    const got = rxPackets - this.#emptyPackets;
    const streaming = got >= STREAM_PACKETS && nowNs - this.#emptyNs < got * STREAM_GAP_NS;
    this.#emptyPackets = rxPackets;
    if (streaming && spinNs() > 0) {
      const gatherUntil = Math.min(nowNs + GATHER_NS, untilNs);
      while (nowNs < gatherUntil) nowNs = monotonicNs();
    }
    this.#emptyNs = nowNs;
    return nowNs;
  }
}

/**
 * What is said of packets that were dropped because the layer does not carry their size ({@linkcode NowAndThen}).
 * Applications of ours know the limit and keep to it; those of the prototype, and flows that are older than a change of
 * the MTU, do not. The clock is handed in.
 */

import { NowAndThen } from "../now_and_then.ts";

/** A report about packets that were too long. */
export interface LongPackets {
  /** `out`: from a process to the network; `in`: from the network, longer than any peer should send. */
  readonly way: "out" | "in";
  /** The flow of the last one; 0 when it is not known. */
  readonly flowId: number;
  /** Size of the last one, bytes. */
  readonly bytes: number;
  /** What the layer carries now, bytes. */
  readonly limitBytes: number;
  /** Packets that this report is about. */
  readonly count: number;
}

/** Counts packets of one direction and reports them now and then. */
export class LongPacketReports {
  readonly #way: "out" | "in";
  readonly #tell: (report: LongPackets) => void;
  readonly #nowNs: () => number;
  readonly #drops = new NowAndThen();

  constructor(way: "out" | "in", tell: (report: LongPackets) => void, nowNs: () => number) {
    this.#way = way;
    this.#tell = tell;
    this.#nowNs = nowNs;
  }

  /** A packet was dropped. */
  add(flowId: number, bytes: number, limitBytes: number): void {
    const count = this.#drops.happened(this.#nowNs() / 1000);
    if (count === 0) return;
    this.#tell({ way: this.#way, flowId, bytes, limitBytes, count });
  }
}

/** A line for the log. */
export function describe(r: LongPackets): string {
  const which = r.count === 1
    ? `a packet of ${r.bytes} bytes`
    : `${r.count} packets, the last of ${r.bytes} bytes`;
  if (r.way === "in") return `Dropped ${which} from the network: at most ${r.limitBytes} fit.`;
  return `Dropped ${which} of flow ${r.flowId}: the layer carries at most ${r.limitBytes}.`;
}

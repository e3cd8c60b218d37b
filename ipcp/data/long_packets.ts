/**
 * What is said of packets that were dropped because the layer does not carry their size: the first at once, later
 * ones with their number, at most once in {@linkcode QUIET_NS}. Applications of ours know the limit and keep to it;
 * those of the prototype, and flows that are older than a change of the MTU, do not. The clock is handed in.
 */

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

/** Pause between two reports, ns. */
export const QUIET_NS = 60e9;

/** Counts packets of one direction and reports them now and then. */
export class LongPacketReports {
  readonly #way: "out" | "in";
  readonly #tell: (report: LongPackets) => void;
  readonly #nowNs: () => number;
  #count = 0;
  #quietUntilNs = -Infinity;

  constructor(way: "out" | "in", tell: (report: LongPackets) => void, nowNs: () => number) {
    this.#way = way;
    this.#tell = tell;
    this.#nowNs = nowNs;
  }

  /** A packet was dropped. */
  add(flowId: number, bytes: number, limitBytes: number): void {
    this.#count++;
    const nowNs = this.#nowNs();
    if (nowNs < this.#quietUntilNs) return;
    this.#quietUntilNs = nowNs + QUIET_NS;
    const count = this.#count;
    this.#count = 0;
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

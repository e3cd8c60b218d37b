/**
 * When a constant-bit-rate sender sends and when it ends (spec 80 §4). Pure: time is given, in ns.
 *
 * Packet n leaves at start + n × gap, whatever the writes before it took. The duration is compared in
 * whole seconds with the deadline of the packet just sent, so at least one packet leaves.
 */

/** What to do next. */
export type PacerStep =
  | { readonly do: "send" }
  | { readonly do: "wait"; readonly untilNs: number }
  | { readonly do: "end" };

/** How a sender is paced. */
export interface PacerOptions {
  /** Whole seconds. */
  readonly durationS: number;
  /** Time of one packet at the rate wanted, ns; 0 sends as fast as possible. */
  readonly gapNs: number;
  readonly startNs: number;
  /** Packets after which to end, whatever the time. */
  readonly packetsMax?: number | undefined;
}

/** A sender's clockwork. */
export class Pacer {
  readonly #options: PacerOptions;
  #sent = 0;
  /** The deadline of the last packet, or in a flood the time just before it left, ns. */
  #atNs: number;
  #flooding: boolean;

  constructor(options: PacerOptions) {
    this.#options = options;
    this.#atNs = options.startNs;
    this.#flooding = options.gapNs <= 0;
  }

  /** Packets that were sent. */
  get sent(): number {
    return this.#sent;
  }

  /** What to do now. Calling it twice does no harm. */
  step(nowNs: number): PacerStep {
    const { durationS, startNs, packetsMax } = this.#options;
    if (packetsMax !== undefined && this.#sent >= packetsMax) return { do: "end" };
    if (!this.#flooding && nowNs < this.#atNs) return { do: "wait", untilNs: this.#atNs };
    if (this.#sent > 0 && Math.floor((this.#atNs - startNs) / 1e9) >= durationS) {
      return { do: "end" };
    }
    return { do: "send" };
  }

  /** A packet was sent; `beforeNs` is the time just before it. */
  onSent(beforeNs: number): void {
    this.#sent++;
    const { startNs, gapNs } = this.#options;
    this.#atNs = this.#flooding ? beforeNs : startNs + this.#sent * gapNs;
  }
}

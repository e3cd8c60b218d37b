/**
 * Round trip estimator (spec 31 §6), integers in ns; shifts of the specification are floor divisions here so that samples
 * of more than two seconds do not overflow. Pure.
 */
import {
  MDEV_INITIAL_NS,
  MDEV_MIN_NS,
  RTO_INITIAL_NS,
  RTO_MAX_NS,
  RTO_MIN_NS,
  SRTT_MIN_NS,
} from "./constants.ts";

/** Smoothed RTT, deviation and retransmission time-out. */
export class RttEstimator {
  /** Smoothed RTT, ns; 0 before the first sample. */
  srttNs = 0;
  /** Mean deviation, ns. */
  mdevNs = MDEV_INITIAL_NS;
  /** Smallest sample of the flow, ns: the path without queues. */
  leastNs = Infinity;
  /** Smallest sample of late, ns: follows a path that got longer within about 64 samples. */
  minNs = Infinity;
  /** Samples taken. */
  samples = 0;
  #baseNs = RTO_INITIAL_NS;
  #rtoNs = RTO_INITIAL_NS;
  readonly #floorNs: number;

  /** @param floorNs lowest RTO; the specification's own value is 250000 */
  constructor(floorNs = RTO_MIN_NS) {
    this.#floorNs = floorNs;
  }

  /** Retransmission time-out with its back-off, ns. */
  get rtoNs(): number {
    return this.#rtoNs;
  }

  /** Whether the time-out was doubled and nothing was heard since. */
  get backedOff(): boolean {
    return this.#rtoNs > this.#baseNs;
  }

  /** Feeds one sample; ends back-off. */
  sample(ns: number): void {
    const m = Math.max(0, Math.floor(ns));
    if (m < this.leastNs) this.leastNs = m;
    if (m < this.minNs) this.minNs = m;
    else this.minNs += Math.ceil((m - this.minNs) / 64);
    if (this.samples++ === 0) {
      this.srttNs = m;
      this.mdevNs = Math.floor(m / 2);
    } else {
      const d = m - this.srttNs;
      this.srttNs += Math.floor(d / 8);
      let e = Math.floor((Math.abs(d) - this.mdevNs) / 4);
      if (e < 0) e = Math.floor(e / 8);
      this.mdevNs += e;
    }
    if (this.srttNs < SRTT_MIN_NS) this.srttNs = SRTT_MIN_NS;
    if (this.mdevNs < MDEV_MIN_NS) this.mdevNs = MDEV_MIN_NS;
    this.#baseNs = Math.min(RTO_MAX_NS, Math.max(this.#floorNs, this.srttNs + this.mdevNs * 4));
    this.#rtoNs = this.#baseNs;
  }

  /** Doubles the time-out after it fired. */
  backOff(): void {
    this.#rtoNs = Math.min(RTO_MAX_NS, this.#rtoNs * 2);
  }

  /** The peer made progress without a usable sample: back-off ends. */
  progress(): void {
    this.#rtoNs = this.#baseNs;
  }
}

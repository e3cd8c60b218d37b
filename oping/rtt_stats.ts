/**
 * Statistics over round-trip times (spec 80 §2.3): mean and deviation as the prototype computes them,
 * and beyond it jitter (RFC 3550), percentiles and a histogram, in constant memory. Pure.
 *
 * Percentiles come from counters on a logarithmic scale, 512 a factor of two: off by 0.2 % at most.
 */

const STEPS = 512;
const STEP_BITS = 9;
/** Factors of two above the exact range; 2^44 ns are 4.8 hours. */
const OCTAVES = 36;

/** A row of the histogram: times in [fromNs, toNs). */
export interface HistogramRow {
  readonly fromNs: number;
  readonly toNs: number;
  readonly count: number;
}

/** Running statistics. Times in the text form are whole µs like the prototype's. */
export class RttStats {
  count = 0;
  /** Milliseconds. */
  min = Infinity;
  max = 0;
  mean = 0;
  #m2 = 0;
  /** Smoothed difference of consecutive times, ns. */
  jitterNs = 0;
  #lastNs = -1;
  #maxNs = 0;
  /** Exact below STEPS ns, then STEPS counters a factor of two. */
  readonly #counters = new Uint32Array(STEPS * (OCTAVES + 1));

  /** Takes in one round-trip time. */
  add(ns: number): void {
    const ms = Math.trunc(ns / 1000) / 1000;
    this.count++;
    if (ms < this.min) this.min = ms;
    if (ms > this.max) this.max = ms;
    const d = ms - this.mean;
    this.mean += d / this.count;
    this.#m2 += d * (ms - this.mean);
    if (this.#lastNs >= 0) this.jitterNs += (Math.abs(ns - this.#lastNs) - this.jitterNs) / 16;
    this.#lastNs = ns;
    if (ns > this.#maxNs) this.#maxNs = Math.floor(ns);
    const index = slotOf(ns);
    this.#counters[index] = this.#counters[index]! + 1;
  }

  /** Standard deviation of the sample, ms; 0 for fewer than two, which do not deviate. */
  get mdev(): number {
    return this.count < 2 ? 0 : Math.sqrt(this.#m2 / (this.count - 1));
  }

  /** The time that `percent` % of the samples do not exceed, whole ns; NaN without samples. */
  percentileNs(percent: number): number {
    if (this.count === 0) return NaN;
    const rank = Math.max(1, Math.ceil((percent / 100) * this.count));
    let seen = 0;
    for (let i = 0; i < this.#counters.length; i++) {
      seen += this.#counters[i]!;
      if (seen >= rank) return Math.min(slotStart(i + 1) - 1, this.#maxNs);
    }
    return this.#maxNs;
  }

  /** Rows of powers of two µs from the smallest to the largest time. */
  histogram(): HistogramRow[] {
    const rows: { fromNs: number; toNs: number; count: number }[] = [];
    let toNs = 1000;
    let row = { fromNs: 0, toNs, count: 0 };
    for (let i = 0; i < this.#counters.length; i++) {
      const count = this.#counters[i]!;
      if (count === 0) continue;
      while (slotStart(i) >= toNs) {
        rows.push(row);
        row = { fromNs: toNs, toNs: toNs * 2, count: 0 };
        toNs *= 2;
      }
      row.count += count;
    }
    rows.push(row);
    const first = rows.findIndex((r) => r.count > 0);
    return first < 0 ? [] : rows.slice(first);
  }
}

function slotOf(ns: number): number {
  const whole = ns < 0 ? 0 : Math.floor(ns);
  if (whole < STEPS) return whole;
  const octave = Math.floor(Math.log2(whole)) - STEP_BITS;
  if (octave >= OCTAVES) return STEPS * (OCTAVES + 1) - 1;
  // Rounding of log2 next to a power of two is put right by the clamp.
  const within = Math.floor(whole / 2 ** octave) - STEPS;
  return STEPS * (octave + 1) + Math.min(STEPS - 1, Math.max(0, within));
}

function slotStart(index: number): number {
  if (index < STEPS) return index;
  const octave = Math.floor(index / STEPS) - 1;
  return (STEPS + (index % STEPS)) * 2 ** octave;
}

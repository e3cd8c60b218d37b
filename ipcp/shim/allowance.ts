/**
 * How much may be sent to addresses that have not shown that they receive, beyond {@linkcode REFLECTED_TIMES} what came
 * from there. Prototypes cannot show it and are answered all the same, but whoever forges addresses has of each network
 * just this, and of all together. Pure.
 */

/** An answer may be so many times as long as its request. */
export const REFLECTED_TIMES = 3;
/** Bytes for one network and for all, and what comes back of them in a second. */
export const NETWORK_BYTES = 16_384;
export const NETWORK_BYTES_S = 2048;
export const ALL_BYTES = 262_144;
export const ALL_BYTES_S = 65_536;
/** Networks that are remembered; the longest forgotten one has all its bytes again. */
const NETWORKS_MAX = 1024;

/** Bytes that come back with time. */
class Bucket {
  #left: number;
  #atUs: number;

  constructor(private readonly most: number, private readonly perSecond: number, nowUs: number) {
    this.#left = most;
    this.#atUs = nowUs;
  }

  left(nowUs: number): number {
    const more = (Math.max(0, nowUs - this.#atUs) * this.perSecond) / 1e6;
    this.#left = Math.min(this.most, this.#left + more);
    this.#atUs = nowUs;
    return this.#left;
  }

  take(bytes: number): void {
    this.#left -= bytes;
  }
}

export class Allowance {
  readonly #all = new Bucket(ALL_BYTES, ALL_BYTES_S, 0);
  /** By network; the one used last is the last. */
  readonly #networks = new Map<string, Bucket>();

  /** Whether so many bytes more may go there; they are taken then. */
  take(nowUs: number, network: string, bytes: number): boolean {
    const bucket = this.#networks.get(network) ?? new Bucket(NETWORK_BYTES, NETWORK_BYTES_S, nowUs);
    this.#networks.delete(network);
    this.#networks.set(network, bucket);
    const oldest = this.#networks.keys().next().value;
    if (this.#networks.size > NETWORKS_MAX && oldest !== undefined) this.#networks.delete(oldest);
    if (bucket.left(nowUs) < bytes || this.#all.left(nowUs) < bytes) return false;
    bucket.take(bytes);
    this.#all.take(bytes);
    return true;
  }
}

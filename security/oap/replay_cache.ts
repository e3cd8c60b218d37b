/**
 * Which requests a server has already seen, and which are too old or too new to be looked at
 * (spec 40 §7).
 *
 * Pure: the time comes from the caller. Compared with the prototype: a hash set instead of a list,
 * bounded, filled by the caller only after authentication (§18.10, 11), entries are kept until the
 * time test itself would refuse them (the gap at 20 s, §18.12), and headers older than the start of
 * this process are refused, so a restart forgets nothing.
 */

/** How old a request may be, ms (`OAP_REPLAY_TIMER`). */
export const AGE_MS_MAX = 20000;
/** How far a request may come from the future, ms. */
export const FUTURE_MS_MAX = 100;

/** Requests remembered at most: at 1M in 20 s a node is far beyond its flow rate (our choice). */
export const ENTRIES_MAX = 1_000_000;

/** Verdict of the time test; `ms` is the whole-millisecond age (negative: from the future). */
export type AgeVerdict =
  | { readonly ok: true }
  | { readonly ok: false; readonly why: "future" | "old"; readonly ms: bigint };

/**
 * Whether a timestamp is acceptable at `nowNs`: age in whole ms, truncated toward zero, in
 * [-100, 20000]. The difference wraps as a signed 64-bit number.
 */
export function checkAge(nowNs: bigint, timestampNs: bigint): AgeVerdict {
  const ms = BigInt.asIntN(64, nowNs - timestampNs) / 1_000_000n;
  if (ms < BigInt(-FUTURE_MS_MAX)) return { ok: false, why: "future", ms };
  if (ms > BigInt(AGE_MS_MAX)) return { ok: false, why: "old", ms };
  return { ok: true };
}

/** A set of (id, timestamp), bounded in number and time; every operation is O(1) amortised. */
export class ReplayCache {
  readonly #entriesMax: number;
  /** Two generations: a generation is dropped whole when all its entries are too old. */
  #young = new Set<string>();
  #old = new Set<string>();
  /** Time after which `#old` may be dropped and `#young` become `#old`, ns. */
  #turnAtNs: bigint | undefined;

  constructor(entriesMax: number = ENTRIES_MAX) {
    this.#entriesMax = entriesMax;
  }

  /** Entries held. */
  get size(): number {
    return this.#young.size + this.#old.size;
  }

  /** Whether the cache is full: then a request cannot be remembered and must be refused. */
  get full(): boolean {
    return this.size >= this.#entriesMax;
  }

  /** Whether this request was seen. */
  has(id: Uint8Array, timestampNs: bigint): boolean {
    const k = key(id, timestampNs);
    return this.#young.has(k) || this.#old.has(k);
  }

  /**
   * Remembers a request that passed authentication.
   * @returns `"known"` when it was there already, `"full"` when there is no room
   */
  add(id: Uint8Array, timestampNs: bigint, nowNs: bigint): "added" | "known" | "full" {
    this.expire(nowNs);
    const k = key(id, timestampNs);
    if (this.#young.has(k) || this.#old.has(k)) return "known";
    if (this.full) return "full";
    this.#young.add(k);
    return "added";
  }

  /**
   * Drops what the time test refuses anyway. A generation lasts as long as the widest acceptance
   * (20 s old plus 100 ms ahead, plus the truncated millisecond of either end), so each entry is
   * kept for at least one and at most two such spans.
   */
  expire(nowNs: bigint): void {
    const spanNs = BigInt(AGE_MS_MAX + FUTURE_MS_MAX + 2) * 1_000_000n;
    if (this.#turnAtNs === undefined || nowNs < this.#turnAtNs - spanNs) {
      // First use, or the clock was set back: what is held stays for a whole span from now.
      this.#turnAtNs = nowNs + spanNs;
      return;
    }
    if (nowNs <= this.#turnAtNs) return;
    this.#old = nowNs > this.#turnAtNs + spanNs ? new Set() : this.#young;
    this.#young = new Set();
    this.#turnAtNs = nowNs + spanNs;
  }
}

/** Id and timestamp as one string of 24 UTF-16 units of a byte each. */
function key(id: Uint8Array, timestampNs: bigint): string {
  return String.fromCharCode(...id) + timestampNs.toString(36);
}

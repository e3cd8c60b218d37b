/**
 * Which requests a server has already seen, and which are too old or too new to be looked at
 * (spec 40 §7).
 *
 * Pure: the time comes from the caller. Compared with the prototype: hash sets instead of a list,
 * bounded, filled by the caller only after authentication (§18.10, 11), and entries are kept until the
 * time test itself refuses them (the gap at 20 s, §18.12), and longer while there is room: then no step of the clock
 * makes a request new again. `tests/models/replay.pml` is the model.
 */

/** How old a request may be, ms (`OAP_REPLAY_TIMER`). */
export const AGE_MS_MAX = 20000;
/** How much longer entries are kept, ms: so far a clock may be set back without any of them being forgotten. */
export const KEEP_LONGER_MS = 1000;
/** How far a request may come from the future, ms. */
export const FUTURE_MS_MAX = 100;

/**
 * Requests remembered at most (our choice): 6500 a second for the whole window, some times what a node serves.
 * An entry takes some 80 bytes, so a flood costs a daemon 10 MB.
 */
export const ENTRIES_MAX = 131_072;

/** So many entries are kept however old they are. */
export const ENTRIES_ROOM = 16_384;

const KEEP_LONGER_NS = BigInt(KEEP_LONGER_MS) * 1_000_000n;

/** Entries are kept in sets by the second of their timestamp. */
const BUCKET_NS = 1_000_000_000n;

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

/** A set of (id, timestamp), bounded in number and time; every operation is O(1). */
export class ReplayCache {
  readonly #entriesMax: number;
  readonly #whenFull: "refuse" | "forget";
  readonly #buckets = new Map<bigint, Set<string>>();
  readonly #entriesRoom: number;
  #size = 0;
  #expiredAt = -1n;

  /**
   * @param entriesRoom so many are kept however old they are
   * @param whenFull `refuse` new entries, or `forget` the oldest second. Signed requests must not be
   * forgotten; unsigned ones anybody can make anew, so a flood of them must not block good ones.
   */
  constructor(
    entriesMax: number = ENTRIES_MAX,
    whenFull: "refuse" | "forget" = "refuse",
    entriesRoom: number = Math.min(ENTRIES_ROOM, entriesMax >> 1),
  ) {
    this.#entriesMax = entriesMax;
    this.#entriesRoom = entriesRoom;
    this.#whenFull = whenFull;
  }

  /** Entries held. */
  get size(): number {
    return this.#size;
  }

  /** Whether this request was seen. */
  has(id: Uint8Array, timestampNs: bigint): boolean {
    return this.#buckets.get(timestampNs / BUCKET_NS)?.has(key(id, timestampNs)) ?? false;
  }

  /** Remembers a request that passed authentication; the caller has checked its age. */
  add(id: Uint8Array, timestampNs: bigint, nowNs: bigint): "added" | "known" | "full" {
    // Each second once: there are as many buckets as seconds.
    const at = nowNs / BUCKET_NS;
    if (this.#size >= this.#entriesRoom && at !== this.#expiredAt) {
      this.#expiredAt = at;
      this.expire(nowNs);
    }
    const second = timestampNs / BUCKET_NS;
    const k = key(id, timestampNs);
    let bucket = this.#buckets.get(second);
    if (bucket?.has(k)) return "known";
    if (this.#size >= this.#entriesMax) {
      if (this.#whenFull === "refuse") return "full";
      this.#forgetOldest();
      bucket = this.#buckets.get(second);
    }
    if (!bucket) this.#buckets.set(second, bucket = new Set());
    bucket.add(k);
    this.#size++;
    return "added";
  }

  /** Drops the seconds whose every timestamp the time test refuses. */
  expire(nowNs: bigint): void {
    for (const [second, bucket] of this.#buckets) {
      const newest = (second + 1n) * BUCKET_NS - 1n;
      const age = checkAge(nowNs - KEEP_LONGER_NS, newest);
      if (age.ok || age.why === "future") continue;
      this.#size -= bucket.size;
      this.#buckets.delete(second);
    }
  }

  #forgetOldest(): void {
    let oldest: bigint | undefined;
    for (const second of this.#buckets.keys()) {
      if (oldest === undefined || second < oldest) oldest = second;
    }
    if (oldest === undefined) return;
    this.#size -= this.#buckets.get(oldest)!.size;
    this.#buckets.delete(oldest);
  }
}

const keyBytes = new Uint8Array(24);
const keyView = new DataView(keyBytes.buffer);

/** Id (16 bytes) and timestamp as one string of 24 one-byte characters: the smallest thing a Set can hash. */
function key(id: Uint8Array, timestampNs: bigint): string {
  keyBytes.set(id);
  keyView.setBigUint64(16, timestampNs);
  return String.fromCharCode.apply(null, keyBytes as unknown as number[]);
}

/**
 * Deadlines of many flows: a binary heap with one live entry a flow, corrected lazily (pure).
 *
 * An owner may move its deadline later without telling; when the old entry comes up, the owner is
 * asked again. So the data path only touches the heap when a deadline moves forward.
 */

/** Something with a deadline. */
export interface Timed {
  /** When this owner's heap entry is due (ns), Infinity when it has none. Kept by the heap. */
  heapAtNs: number;
  /** Does what is due and returns the next deadline, ns of the monotonic clock, Infinity for none. */
  onDeadline(nowNs: number): number;
}

/** Old entries that are not worth clearing up. */
const STALE_MIN = 64;

/** The heap. All times are ns of one monotonic clock. */
export class TimerHeap {
  #at: number[] = [];
  #who: Timed[] = [];
  /** Entries whose owner armed again or left. */
  #stale = 0;

  /** When the first entry is due, or Infinity. */
  get nextNs(): number {
    return this.#at.length === 0 ? Infinity : this.#at[0]!;
  }

  get size(): number {
    return this.#at.length;
  }

  /** Makes sure `who` is asked no later than `atNs`. True when the first deadline moved forward. */
  arm(who: Timed, atNs: number): boolean {
    if (atNs >= who.heapAtNs) return false;
    const first = atNs < this.nextNs;
    if (who.heapAtNs !== Infinity) this.#stale += 1;
    who.heapAtNs = atNs;
    this.#push(atNs, who);
    return first;
  }

  /** Asks up to `most` owners whose entry is due. Returns how many. */
  run(nowNs: number, most = 4096): number {
    let n = 0;
    while (n < most && this.#at.length > 0 && this.#at[0]! <= nowNs) {
      const at = this.#at[0]!;
      const who = this.#pop();
      if (who.heapAtNs !== at) { // An older entry of an owner that armed again.
        this.#stale -= 1;
        continue;
      }
      who.heapAtNs = Infinity;
      const next = who.onDeadline(nowNs);
      if (next !== Infinity) this.arm(who, Math.max(next, nowNs + 1));
      n += 1;
    }
    return n;
  }

  /** Forgets an owner. */
  disarm(who: Timed): void {
    if (who.heapAtNs === Infinity) return;
    who.heapAtNs = Infinity;
    this.#stale += 1;
    if (this.#stale === this.#at.length) return this.#rebuild();
    // Old entries keep their owners in memory: not more of them than of live ones.
    if (this.#stale > STALE_MIN && this.#stale > this.#at.length / 2) this.#rebuild();
  }

  #rebuild(): void {
    const ats = this.#at;
    const whos = this.#who;
    this.#at = [];
    this.#who = [];
    this.#stale = 0;
    for (let k = 0; k < ats.length; k++) {
      if (whos[k]!.heapAtNs === ats[k]) this.#push(ats[k]!, whos[k]!);
    }
  }

  #push(at: number, who: Timed): void {
    const ats = this.#at;
    const whos = this.#who;
    let i = ats.length;
    ats.push(at);
    whos.push(who);
    while (i > 0) {
      const up = (i - 1) >> 1;
      if (ats[up]! <= at) break;
      ats[i] = ats[up]!;
      whos[i] = whos[up]!;
      i = up;
    }
    ats[i] = at;
    whos[i] = who;
  }

  #pop(): Timed {
    const ats = this.#at;
    const whos = this.#who;
    const result = whos[0]!;
    const at = ats.pop()!;
    const who = whos.pop()!;
    const n = ats.length;
    if (n === 0) return result;
    let i = 0;
    for (;;) {
      let down = 2 * i + 1;
      if (down >= n) break;
      if (down + 1 < n && ats[down + 1]! < ats[down]!) down += 1;
      if (ats[down]! >= at) break;
      ats[i] = ats[down]!;
      whos[i] = whos[down]!;
      i = down;
    }
    ats[i] = at;
    whos[i] = who;
    return result;
  }
}

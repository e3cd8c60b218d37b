/**
 * Which flows wait to send, and until when: a heap of (time, flow) in flat arrays. Pure.
 *
 * The prototype sleeps in a shared thread instead, which stops all flows of a cube (spec 60 §9.4).
 */

export class Pacer {
  #at: Float64Array;
  #flow: Int32Array;
  #size = 0;

  /** Room for `capacity` flows at first; it grows. */
  constructor(capacity = 64) {
    this.#at = new Float64Array(capacity);
    this.#flow = new Int32Array(capacity);
  }

  /** Flows that wait. */
  get size(): number {
    return this.#size;
  }

  /** When the first may go, ns, or Infinity. */
  get nextNs(): number {
    return this.#size === 0 ? Infinity : this.#at[0]!;
  }

  /** A flow waits until `atNs`. The same flow must not wait twice. */
  add(flow: number, atNs: number): void {
    if (this.#size === this.#at.length) this.#grow();
    let i = this.#size++;
    while (i > 0) {
      const up = (i - 1) >> 1;
      if (this.#at[up]! <= atNs) break;
      this.#set(i, this.#at[up]!, this.#flow[up]!);
      i = up;
    }
    this.#set(i, atNs, flow);
  }

  /** The next flow whose time has come, or -1. */
  take(nowNs: number): number {
    if (this.#size === 0 || this.#at[0]! > nowNs) return -1;
    const flow = this.#flow[0]!;
    const last = --this.#size;
    const at = this.#at[last]!;
    const who = this.#flow[last]!;
    let i = 0;
    for (;;) {
      let down = 2 * i + 1;
      if (down >= last) break;
      if (down + 1 < last && this.#at[down + 1]! < this.#at[down]!) down += 1;
      if (this.#at[down]! >= at) break;
      this.#set(i, this.#at[down]!, this.#flow[down]!);
      i = down;
    }
    if (last > 0) this.#set(i, at, who);
    return flow;
  }

  #set(i: number, at: number, flow: number): void {
    this.#at[i] = at;
    this.#flow[i] = flow;
  }

  #grow(): void {
    const at = new Float64Array(this.#at.length * 2);
    const flow = new Int32Array(at.length);
    at.set(this.#at);
    flow.set(this.#flow);
    this.#at = at;
    this.#flow = flow;
  }
}

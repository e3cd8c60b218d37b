/**
 * The virtual clock of a simulation: events in order of time, then of insertion. Pure.
 *
 * A binary heap in flat memory: times and orders are compared often, and numbers in objects are found one by one.
 */

/** Events that there is room for at first. */
const CAPACITY_FIRST = 64;

/** A binary heap of events and the time of the last one run. */
export class EventQueue {
  /** Virtual time, µs. */
  nowUs: number;
  #times = new Float64Array(CAPACITY_FIRST);
  #orders = new Float64Array(CAPACITY_FIRST);
  readonly #runs: (() => void)[] = [];
  #order = 0;

  constructor(startUs = 0) {
    this.nowUs = startUs;
  }

  /** Runs `run` at `atUs`, or now when that has passed. */
  at(atUs: number, run: () => void): void {
    const time = Math.max(atUs, this.nowUs);
    let i = this.#runs.length;
    if (i === this.#times.length) this.#grow();
    this.#runs.push(run);
    const times = this.#times;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      // What came before at the same time has a lower order.
      if (times[parent]! <= time) break;
      this.#move(parent, i);
      i = parent;
    }
    this.#put(i, time, this.#order++, run);
  }

  #grow(): void {
    const [times, orders] = [this.#times, this.#orders];
    this.#times = new Float64Array(times.length * 2);
    this.#orders = new Float64Array(times.length * 2);
    this.#times.set(times);
    this.#orders.set(orders);
  }

  #put(i: number, time: number, order: number, run: () => void): void {
    this.#times[i] = time;
    this.#orders[i] = order;
    this.#runs[i] = run;
  }

  #move(from: number, to: number): void {
    this.#put(to, this.#times[from]!, this.#orders[from]!, this.#runs[from]!);
  }

  /** Time of the next event, Infinity when there is none. */
  get nextUs(): number {
    return this.#runs.length > 0 ? this.#times[0]! : Infinity;
  }

  /** Runs the next event. @returns false when there is none */
  step(): boolean {
    const first = this.#runs[0];
    if (first === undefined) return false;
    this.nowUs = this.#times[0]!;
    const last = this.#runs.pop()!;
    const length = this.#runs.length;
    if (length > 0) this.#sink(length, last);
    first();
    return true;
  }

  /** The event that was at `length`, behind all others, takes the place of the first. */
  #sink(length: number, run: () => void): void {
    const time = this.#times[length]!;
    const order = this.#orders[length]!;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= length) break;
      if (
        child + 1 < length && this.#sooner(child + 1, this.#times[child]!, this.#orders[child]!)
      ) {
        child++;
      }
      if (!this.#sooner(child, time, order)) break;
      this.#move(child, i);
      i = child;
    }
    this.#put(i, time, order, run);
  }

  #sooner(i: number, time: number, order: number): boolean {
    const t = this.#times[i]!;
    return t < time || (t === time && this.#orders[i]! < order);
  }
}

/** The virtual clock of a simulation: events in order of time, then of insertion. Pure. */

interface Event {
  atUs: number;
  order: number;
  run: () => void;
}

/** A binary heap of events and the time of the last one run. */
export class EventQueue {
  /** Virtual time, µs. */
  nowUs: number;
  #heap: Event[] = [];
  #order = 0;

  constructor(startUs = 0) {
    this.nowUs = startUs;
  }

  /** Runs `run` at `atUs`, or now when that has passed. */
  at(atUs: number, run: () => void): void {
    const e = { atUs: Math.max(atUs, this.nowUs), order: this.#order++, run };
    const h = this.#heap;
    let i = h.length;
    h.push(e);
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (!sooner(e, h[parent]!)) break;
      h[i] = h[parent]!;
      i = parent;
    }
    h[i] = e;
  }

  /** Time of the next event, Infinity when there is none. */
  get nextUs(): number {
    return this.#heap.length > 0 ? this.#heap[0]!.atUs : Infinity;
  }

  /** Runs the next event. @returns false when there is none */
  step(): boolean {
    const h = this.#heap;
    const first = h[0];
    if (first === undefined) return false;
    const last = h.pop()!;
    if (h.length > 0) {
      let i = 0;
      for (;;) {
        let child = 2 * i + 1;
        if (child >= h.length) break;
        if (child + 1 < h.length && sooner(h[child + 1]!, h[child]!)) child++;
        if (!sooner(h[child]!, last)) break;
        h[i] = h[child]!;
        i = child;
      }
      h[i] = last;
    }
    this.nowUs = first.atUs;
    first.run();
    return true;
  }
}

function sooner(a: Event, b: Event): boolean {
  return a.atUs < b.atUs || (a.atUs === b.atUs && a.order < b.order);
}

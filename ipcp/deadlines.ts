/**
 * Deadlines of many things by key: a binary heap, so that nobody looks through all of them. Pure.
 *
 * Moving a deadline leaves the old entry in the heap, which is skipped when it comes up.
 */

export class Deadlines<K> {
  readonly #due = new Map<K, number>();
  readonly #heap: { readonly atUs: number; readonly key: K }[] = [];

  /** Keys with a deadline. */
  get size(): number {
    return this.#due.size;
  }

  /** Whether a key has a deadline. */
  has(key: K): boolean {
    return this.#due.has(key);
  }

  /** The deadline of a key is `atUs` from now on. */
  set(key: K, atUs: number): void {
    this.#due.set(key, atUs);
    const heap = this.#heap;
    const entry = { atUs, key };
    let i = heap.push(entry) - 1;
    while (i > 0 && heap[(i - 1) >> 1]!.atUs > atUs) {
      heap[i] = heap[(i - 1) >> 1]!;
      i = (i - 1) >> 1;
    }
    heap[i] = entry;
    if (heap.length > 64 && heap.length > 4 * this.#due.size) this.#compact();
  }

  /** A key has no deadline any more. */
  delete(key: K): void {
    this.#due.delete(key);
  }

  #compact(): void {
    const live = this.#heap.filter((e) => this.#due.get(e.key) === e.atUs);
    live.sort((a, b) => a.atUs - b.atUs); // A sorted array is a heap.
    this.#heap.length = 0;
    for (const e of live) this.#heap.push(e);
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    let i = 0;
    for (;;) {
      let down = 2 * i + 1;
      if (down >= heap.length) break;
      if (down + 1 < heap.length && heap[down + 1]!.atUs < heap[down]!.atUs) down += 1;
      if (heap[down]!.atUs >= last.atUs) break;
      heap[i] = heap[down]!;
      i = down;
    }
    heap[i] = last;
  }

  /** A key whose time has come, which has no deadline then; undefined if there is none. */
  take(nowUs: number): K | undefined {
    while (this.#heap.length > 0) {
      const { atUs, key } = this.#heap[0]!;
      const live = this.#due.get(key) === atUs;
      if (live && atUs > nowUs) return undefined;
      this.#pop();
      if (!live) continue;
      this.#due.delete(key);
      return key;
    }
    return undefined;
  }

  /** The earliest deadline, µs, or Infinity. */
  get nextUs(): number {
    while (this.#heap.length > 0) {
      const { atUs, key } = this.#heap[0]!;
      if (this.#due.get(key) === atUs) return atUs;
      this.#pop();
    }
    return Infinity;
  }

  /** Forget all. */
  clear(): void {
    this.#due.clear();
    this.#heap.length = 0;
  }
}

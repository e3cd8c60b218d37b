/**
 * First in, first out, in time that does not depend on how many wait: `Array.shift` moves all others. Pure.
 */

/** Items whose room is kept for good: bursts of that size do not grow it anew each time. */
const ROOM_KEPT = 256;

/** More room is given back only when everything was taken. */
export class Fifo<T> {
  #items: (T | undefined)[] = [];
  #first = 0;
  #end = 0;

  /** How many wait. */
  get length(): number {
    return this.#end - this.#first;
  }

  push(item: T): void {
    this.#items[this.#end++] = item;
  }

  /** The oldest, or undefined. */
  shift(): T | undefined {
    if (this.#first === this.#end) return undefined;
    const item = this.#items[this.#first];
    this.#items[this.#first++] = undefined;
    if (this.#first === this.#end) {
      if (this.#end > ROOM_KEPT) this.#items = [];
      this.#first = 0;
      this.#end = 0;
    }
    return item;
  }
}

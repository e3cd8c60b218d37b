/**
 * A wait that the registry ends: for a request to accept, for the answer to an allocation, for an
 * acceptor, an IPCP or a process. It is settled exactly once; whoever comes later is told so. Pure.
 *
 * No promise and no timer here: the shell turns a waiter into a promise where it needs one, and ends it at
 * a deadline or a hang-up through the registry's method for that (so that the registry's own lists follow).
 */

/** See the file's comment. `T` is the result, for failures usually a negative error number in it. */
export class Waiter<T> {
  #result: { value: T } | undefined;
  #then: ((value: T) => void) | undefined;

  /** Whether the result is there. */
  get settled(): boolean {
    return this.#result !== undefined;
  }

  /** The result, undefined before it is there. */
  get result(): T | undefined {
    return this.#result?.value;
  }

  /** Gives the result; false when there was one already, which then stays. */
  settle(value: T): boolean {
    if (this.#result !== undefined) return false;
    this.#result = { value };
    const then = this.#then;
    this.#then = undefined;
    then?.(value);
    return true;
  }

  /** Calls back with the result, at once if it is there. One listener; a second replaces the first. */
  onSettle(then: (value: T) => void): void {
    if (this.#result !== undefined) then(this.#result.value);
    else this.#then = then;
  }
}

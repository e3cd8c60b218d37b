/** Promises by token: how the answers of a pure machine find the commands that wait for them. */

export class Waiters {
  readonly #resolve = new Map<number, (result: number) => void>();
  #next = 1;

  /** A token, and the promise that {@linkcode answer} settles. */
  open(): { token: number; result: Promise<number> } {
    const token = this.#next++;
    const { promise, resolve } = Promise.withResolvers<number>();
    this.#resolve.set(token, resolve);
    return { token, result: promise };
  }

  answer(token: number, result: number): void {
    this.#resolve.get(token)?.(result);
    this.#resolve.delete(token);
  }

  get size(): number {
    return this.#resolve.size;
  }
}

/** Calls back when a machine's deadline comes; armed again after each input. */
export class DeadlineTimer {
  #timer: ReturnType<typeof setTimeout> | undefined;
  #atUs = Infinity;

  /** @param due called with no argument when the deadline has come. */
  constructor(private readonly due: () => void) {}

  /** Be called at `atUs` of the clock that gives `nowUs`; Infinity is never. */
  arm(nowUs: number, atUs: number): void {
    if (atUs === this.#atUs) return;
    clearTimeout(this.#timer);
    this.#atUs = atUs;
    if (atUs === Infinity) return;
    this.#timer = setTimeout(() => {
      this.#atUs = Infinity;
      this.due();
    }, Math.max(0, (atUs - nowUs) / 1000));
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#atUs = Infinity;
  }
}

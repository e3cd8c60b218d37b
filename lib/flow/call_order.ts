/**
 * Calls of one kind that wait, in the order they were made: none overtakes another. Writes of a flow have one of these,
 * reads another.
 */

/** See the head of this file. */
export class CallOrder {
  readonly #calls: { go: (() => void) | undefined }[] = [];

  /** Whether a call waits: another one must not go ahead of it. */
  get isBusy(): boolean {
    return this.#calls.length > 0;
  }

  /**
   * Runs a call behind those that wait. `attempt` is told whether it is the first of them, and gives undefined to be asked
   * again after `pause` (the first) or after its turn may have come, `ms` or the signal.
   */
  async run<T>(
    leftMs: () => number,
    signal: AbortSignal | undefined,
    attempt: (first: boolean) => T | undefined,
    pause: (ms: number) => Promise<void>,
  ): Promise<T> {
    const call: { go: (() => void) | undefined } = { go: undefined };
    this.#calls.push(call);
    try {
      for (;;) {
        const first = this.#calls[0] === call;
        const result = attempt(first);
        if (result !== undefined) return result;
        const left = leftMs();
        if (first) await pause(left);
        else await turnOf(call, left, signal);
        signal?.throwIfAborted();
      }
    } finally {
      this.#calls.splice(this.#calls.indexOf(call), 1);
      this.#calls[0]?.go?.();
    }
  }
}

/** Resolves when the calls before this one are through, after `ms`, or when the signal aborts. */
function turnOf(
  call: { go: (() => void) | undefined },
  ms: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  return new Promise((resolve) => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const go = () => {
      call.go = undefined;
      if (timer !== undefined) clearTimeout(timer);
      signal?.removeEventListener("abort", go);
      resolve();
    };
    call.go = go;
    if (ms !== Infinity) timer = setTimeout(go, Math.min(ms, 0x7fffffff));
    signal?.addEventListener("abort", go, { once: true });
  });
}

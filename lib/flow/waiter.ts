/**
 * Wake-ups for asynchronous callers: one waiter thread a process (and one for each Worker that joined
 * it) blocks on the flow set and wakes this thread through `Atomics.waitAsync`. No polling.
 *
 * The process stays alive while somebody waits here, and only then.
 */

import { Worker } from "node:worker_threads";
import type { FlowSetShm } from "../shm/flow_set.ts";
import { WAITER_SOURCE } from "./waiter_source.ts";
import { type WaiterStart, WaiterWords } from "./waiter_words.ts";

/** The thread's module: a text, so that no file is read where the application was bundled or may not read. */
const WAITER_URL = `data:text/javascript,${encodeURIComponent(WAITER_SOURCE)}`;

/** Longest timer of the runtime, ms. */
const TIMER_MAX_MS = 0x7fffffff;

/** The owner's end of the waiter thread. */
export class Waiter {
  readonly #words: Int32Array<SharedArrayBuffer>;
  readonly #worker: Worker;
  #closed = false;
  #pending = 0;
  #keepAlive: ReturnType<typeof setInterval> | undefined;

  /**
   * @param onEvents called for each flow id with events, with their bits
   * @param onSweep called when events may have been lost
   */
  constructor(
    private readonly set: FlowSetShm,
    private readonly start: Omit<WaiterStart, "words">,
    private readonly onEvents: (flowId: number, events: number) => void,
    private readonly onSweep: () => void,
  ) {
    this.#words = new Int32Array(new SharedArrayBuffer(WaiterWords.COUNT * 4));
    this.#worker = new Worker(new URL(WAITER_URL), {
      workerData: { ...start, words: this.#words.buffer } satisfies WaiterStart,
    });
    this.#worker.unref();
    this.#listen();
  }

  /** Counts somebody who waits; call {@linkcode release} once when the wait is over. */
  hold(): void {
    this.#pending += 1;
    this.#keepAlive ??= setInterval(() => {}, TIMER_MAX_MS);
  }

  release(): void {
    this.#pending -= 1;
    if (this.#pending > 0 || this.#keepAlive === undefined) return;
    clearInterval(this.#keepAlive);
    this.#keepAlive = undefined;
  }

  #listen(): void {
    if (this.#closed) return;
    const seen = Atomics.load(this.#words, WaiterWords.WAKE);
    this.#collect();
    const wait = Atomics.waitAsync(this.#words, WaiterWords.WAKE, seen);
    if (wait.async) wait.value.then(() => this.#listen());
    else queueMicrotask(() => this.#listen());
  }

  #collect(): void {
    const words = this.#words;
    if (Atomics.exchange(words, WaiterWords.SWEEP, 0) !== 0) this.onSweep();
    for (let w = WaiterWords.DIRTY; w < WaiterWords.EVENTS; w++) {
      if (words[w] === 0) continue;
      let bits = Atomics.exchange(words, w, 0);
      while (bits !== 0) {
        const bit = 31 - Math.clz32(bits);
        bits &= ~(1 << bit);
        const id = ((w - WaiterWords.DIRTY) << 5) + bit;
        this.onEvents(id, Atomics.exchange(words, WaiterWords.EVENTS + id, 0));
      }
    }
  }

  /** Ends the thread. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    Atomics.store(this.#words, WaiterWords.STOP, 1);
    this.set.wake(this.start.index);
    Atomics.notify(this.#words, WaiterWords.WAKE);
    if (this.#keepAlive !== undefined) clearInterval(this.#keepAlive);
    this.#keepAlive = undefined;
  }
}

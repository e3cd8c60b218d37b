/**
 * Wake-ups for asynchronous callers: one waiter thread a process (and one for each Worker that joined
 * it) blocks on the flow set and wakes this thread through `Atomics.waitAsync`. No polling.
 *
 * Once woken, this thread takes further events out of the flow set itself, one batch a turn of its event loop, and the
 * waiter rests: senders find nobody asleep there and make no system call a packet. When a look finds nothing (for a moment,
 * where that has paid), the waiter goes back to its wait.
 *
 * The process stays alive while somebody waits here, and only then.
 */

import { builtin } from "../builtin.ts";
import type { Worker } from "node:worker_threads";
import { EVENTS_MAX, type FlowSetShm } from "../shm/flow_set.ts";
import { monotonicNs, yieldCpu } from "../sys/clock.ts";
import { SpinBudget, spinNs } from "./wait.ts";
import { WAITER_SOURCE } from "./waiter_source.ts";
import { type WaiterStart, WaiterWords } from "./waiter_words.ts";

/** The thread's module: a text, so that no file is read where the application was bundled or may not read. */
const WAITER_URL = `data:text/javascript,${encodeURIComponent(WAITER_SOURCE)}`;

/**
 * The longest look for further events, in those of a blocking call: what a peer takes that has to be woken. With less two
 * ends that both sleep would never find each other awake, though each answers at once.
 */
const LOOKS = 4;
/** Longest timer of the runtime, ms. */
const TIMER_MAX_MS = 0x7fffffff;

/** The owner's end of the waiter thread. */
export class Waiter {
  readonly #words: Int32Array<SharedArrayBuffer>;
  readonly #worker: Worker;
  #closed = false;
  #pending = 0;
  #keepAlive: ReturnType<typeof setInterval> | undefined;
  readonly #events = new Int32Array(2 * EVENTS_MAX);
  /** This thread takes events itself, until {@linkcode #lookUntilNs} if it finds none. */
  #looking = false;
  #lookUntilNs = 0;
  readonly #spin = new SpinBudget(LOOKS * spinNs());
  /** Flows whose packets are left to those who were woken. */
  #left: number[] = [];
  readonly #look = () => this.#turn();
  readonly #immediate = builtin("node:timers").setImmediate;

  /**
   * @param onEvents called for each flow id with events, with their bits; whether it leaves the packets to those it woke
   * @param onLeft called for such a flow a turn of the event loop later
   * @param onSweep called when events may have been lost
   */
  constructor(
    private readonly set: FlowSetShm,
    private readonly start: Omit<WaiterStart, "words">,
    private readonly onEvents: (flowId: number, events: number) => boolean,
    private readonly onLeft: (flowId: number) => void,
    private readonly onSweep: () => void,
  ) {
    this.#words = new Int32Array(new SharedArrayBuffer(WaiterWords.COUNT * 4));
    this.#worker = new (builtin("node:worker_threads").Worker)(new URL(WAITER_URL), {
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
    // While this thread looks it is alive anyway, and the next wait is soon.
    if (this.#pending === 0 && !this.#looking) this.#letEnd();
  }

  #letEnd(): void {
    if (this.#keepAlive === undefined) return;
    clearInterval(this.#keepAlive);
    this.#keepAlive = undefined;
  }

  #listen(): void {
    if (this.#closed) return;
    const seen = Atomics.load(this.#words, WaiterWords.WAKE);
    this.#collect();
    if (!this.#looking && Atomics.load(this.#words, WaiterWords.HELD) !== 0) this.#startLooking();
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
        this.#tell(id, Atomics.exchange(words, WaiterWords.EVENTS + id, 0));
      }
    }
  }

  #tell(flowId: number, events: number): void {
    if (this.onEvents(flowId, events)) this.#left.push(flowId);
  }

  #startLooking(): void {
    this.#looking = true;
    this.#lookUntilNs = monotonicNs() + this.#spin.ns;
    this.#immediate(this.#look);
  }

  /** One turn of the event loop later: those who were woken have run. */
  #turn(): void {
    if (this.#closed) return;
    if (this.#left.length > 0) {
      const left = this.#left;
      this.#left = [];
      for (const id of left) this.onLeft(id);
    }
    if (this.#take()) {
      this.#spin.found(false);
      this.#startLooking();
    } else if (monotonicNs() < this.#lookUntilNs) {
      // The peer may be waiting for this very processor.
      yieldCpu();
      this.#immediate(this.#look);
    } else {
      this.#spin.missed();
      this.#looking = false;
      if (this.#pending === 0) this.#letEnd();
      Atomics.store(this.#words, WaiterWords.HELD, 0);
      Atomics.notify(this.#words, WaiterWords.HELD);
    }
  }

  /** Takes the events that are there. Whether there were any. */
  #take(): boolean {
    const { set, start: { index } } = this;
    if (set.pending(index) === 0) return false;
    const events = this.#events;
    const n = set.wait(index, events, 0);
    for (let k = 0; k < n;) {
      const id = events[2 * k]!;
      let bits = 0;
      for (; k < n && events[2 * k] === id; k++) bits |= events[2 * k + 1]!;
      this.#tell(id, bits);
      // Somebody who was told may have closed the process.
      if (this.#closed) return false;
    }
    if (n === EVENTS_MAX) this.onSweep();
    return n > 0;
  }

  /** Ends the thread. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    Atomics.store(this.#words, WaiterWords.STOP, 1);
    Atomics.store(this.#words, WaiterWords.HELD, 0);
    Atomics.notify(this.#words, WaiterWords.HELD);
    this.set.wake(this.start.index);
    Atomics.notify(this.#words, WaiterWords.WAKE);
    this.#letEnd();
  }
}

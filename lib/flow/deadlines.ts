/**
 * The deadlines of one thread's flows: run by a timer of the event loop, and by blocking calls while they wait. Flows
 * whose peer expects answers (FRCT) are served in the same turn although the application doesn't call.
 */

import { monotonicNs } from "../sys/clock.ts";
import { type Timed, TimerHeap } from "./timer_heap.ts";

/** A flow whose peer expects answers. */
export interface Served {
  /** Queue of the flow set that the flow is in, -1 none. */
  readonly queue: number;
  /** Takes in what waits for this flow. */
  service(): void;
}

/** How often such flows are served while the thread blocks in a call on another flow, ns. */
const SERVICE_NS = 5e6;
/** Flows served in that time; more flows are served less often, so that serving stays cheap. */
const SERVICE_FLOWS = 256;
/** Timers of the runtime are whole ms and stop at 2^31; we look at least this often. */
const TIMER_MAX_MS = 60e3;

/** See the head of this file. */
export class Deadlines {
  /** Flows to serve. */
  readonly served: Set<Served> = new Set();
  readonly #heap = new TimerHeap();
  #servedAtNs = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #timerAtNs = Infinity;
  #closed = false;

  /** @param queues whose watched queue tells its flows of events while the event loop runs */
  constructor(private readonly queues: { readonly watched: number }) {}

  /** Makes sure `who.onDeadline` is called by `atNs`, by the event loop or by a blocking call. */
  arm(who: Timed, atNs: number): void {
    if (!this.#heap.arm(who, atNs)) return;
    if (atNs < this.#timerAtNs) this.#armTimer(atNs);
  }

  /** Forgets a flow. */
  leave(who: Timed & Served): void {
    this.#heap.disarm(who);
    this.served.delete(who);
    if (this.#heap.size > 0 || this.#timer === undefined) return;
    // Nobody is left to be called.
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#timerAtNs = Infinity;
  }

  #armTimer(atNs: number): void {
    if (this.#timer !== undefined) clearTimeout(this.#timer);
    this.#timerAtNs = atNs;
    const delayMs = Math.max(0, Math.min(TIMER_MAX_MS, Math.ceil((atNs - monotonicNs()) / 1e6)));
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#timerAtNs = Infinity;
      if (!this.#closed) this.tick(monotonicNs(), true);
    }, delayMs);
    // Deadlines alone don't keep a program alive.
    Deno.unrefTimer(this.#timer as unknown as number);
  }

  /** When a thread that blocks must come back for {@linkcode tick}, ns. */
  wakeAtNs(): number {
    const next = this.#heap.nextNs;
    return this.served.size === 0 ? next : Math.min(next, this.#servedAtNs + this.#serviceNs());
  }

  #serviceNs(): number {
    return SERVICE_NS * Math.ceil(this.served.size / SERVICE_FLOWS);
  }

  /**
   * Runs the deadlines that are due; blocking calls do this while they wait.
   * @param looping the event loop runs, so that flows in the waiter's queue are served by their events
   */
  tick(nowNs: number, looping = false): void {
    if (this.#heap.nextNs <= nowNs) this.#heap.run(nowNs);
    if (this.served.size > 0 && nowNs >= this.#servedAtNs + this.#serviceNs()) {
      this.#servedAtNs = nowNs;
      const watched = looping && this.queues.watched >= 0 ? this.queues.watched : NaN;
      for (const flow of this.served) if (flow.queue !== watched) flow.service();
    }
    const next = this.#heap.nextNs;
    if (next < this.#timerAtNs) this.#armTimer(next);
  }

  /** Ends the timer. */
  close(): void {
    this.#closed = true;
    if (this.#timer !== undefined) clearTimeout(this.#timer);
  }
}

/**
 * Sets of flows and their events (spec 30 §8), level-triggered: a flow with something to read keeps
 * giving FLOW_PKT until it is empty. Read until -EAGAIN, or one message an event; both work.
 */

import { Errno, OuroError } from "../errno.ts";
import { EVENTS_MAX } from "../shm/flow_set.ts";
import { FlowEvent } from "../shm/layout.ts";
import { monotonicNs, yieldCpu } from "../sys/clock.ts";
import type { Flow } from "./flow.ts";
import { eventLoopTurn } from "./flow_async.ts";
import type { OuroProcess } from "./process.ts";
import { deadlineNs, SPIN_BATCH, SPIN_NS } from "./wait.ts";

/** Answers of `next` between two turns of the event loop, less one. */
const TURN_MASK = 0xf;

/** Something happened on a flow: {@linkcode FlowEvent} bits. */
export interface FlowSetEvent {
  /** The flow it happened on. */
  readonly flow: Flow;
  /** Bits of {@linkcode FlowEvent}. */
  readonly events: number;
}

/**
 * A set of flows to wait on together.
 *
 * @example
 * ```ts
 * import { Flow, FlowEvent, FlowSet, OuroProcess } from "@ouro/ouro";
 * import { assertEquals } from "@std/assert";
 *
 * const process = OuroProcess.current();
 * using set = new FlowSet(process);
 * using one = Flow.allocSync(process, "echo");
 * using two = Flow.allocSync(process, "echo");
 * set.add(one);
 * set.add(two);
 * two.writeSync(Uint8Array.of(1));
 * const events = set.wait(5000); // or `await set.next({ signal })`
 * assertEquals(events.map((e) => e.flow === two && e.events), [FlowEvent.PKT]);
 * ```
 */
export class FlowSet implements Disposable {
  readonly #process: OuroProcess;
  readonly #members = new Set<Flow>();
  /** Event bits by flow that were not given out yet. */
  readonly #pending = new Map<Flow, number>();
  readonly #out = new Int32Array(EVENTS_MAX * 2);
  /** Answers of `next`. */
  #atOnce = 0;
  /** Own queue of the process's flow set, for blocking waits; -1 until the first one. */
  #index = -1;
  #waiting: (() => void) | undefined;
  #closed = false;

  /** An empty set for flows of `process`. */
  constructor(process: OuroProcess) {
    this.#process = process;
  }

  /** Flows in the set. */
  get size(): number {
    return this.#members.size;
  }

  /** Adds a flow. 0, -EPERM when it is in a set already, -EINVAL when it is closed. */
  add(flow: Flow): number {
    if (flow.isClosed || this.#closed) return -Errno.EINVAL;
    if (flow.memberOf !== null) return -Errno.EPERM;
    flow.memberOf = this;
    this.#members.add(flow);
    if (this.#index >= 0) flow.place(this.#index);
    this.#look(flow);
    // Whoever waits has to look at this flow as well.
    this.#waiting?.();
    return 0;
  }

  /** Takes a flow out. 0, or -EINVAL when it isn't in this set. */
  del(flow: Flow): number {
    if (!this.#members.delete(flow)) return -Errno.EINVAL;
    this.#pending.delete(flow);
    flow.memberOf = null;
    flow.place(-1);
    return 0;
  }

  /** Whether a flow is in the set. */
  has(flow: Flow): boolean {
    return this.#members.has(flow);
  }

  /** The flows of the set. */
  [Symbol.iterator](): IterableIterator<Flow> {
    return this.#members.values();
  }

  /** For flows of this set: events that came another way than through a blocking wait. */
  onFlowEvents(flow: Flow, events: number): void {
    if (flow.isClosed) {
      this.#members.delete(flow);
      this.#pending.delete(flow);
      flow.memberOf = null;
      return;
    }
    // No bits: events were lost, or nobody can tell of any.
    if (events === 0) this.#look(flow);
    else this.#note(flow, events);
    this.#waiting?.();
  }

  /** Notes what a flow has, for events that came before it was in our queue, or were lost. */
  #look(flow: Flow): void {
    if (flow.hasMessage()) this.#note(flow, FlowEvent.PKT);
    if (!flow.isClosed && flow.hasEnded()) this.#note(flow, FlowEvent.DOWN);
  }

  #note(flow: Flow, events: number): void {
    this.#pending.set(flow, (this.#pending.get(flow) ?? 0) | events);
  }

  /**
   * Waits until something happens and returns it, blocking; an empty array after `timeoutMs` (absent:
   * never). One entry a flow.
   */
  wait(timeoutMs?: number): FlowSetEvent[] {
    this.#useQueue();
    const until = deadlineNs(timeoutMs);
    let spinUntil = SPIN_NS > 0 ? monotonicNs() + SPIN_NS : 0;
    for (;;) {
      this.#collect(0);
      const events = this.#takeReady();
      if (events.length > 0) return events;
      let nowNs = monotonicNs();
      if (nowNs >= until) return [];
      while (nowNs < spinUntil) {
        for (let k = 0; k < SPIN_BATCH; k++) {
          if (this.#process.set.pending(this.#index) > 0) {
            spinUntil = 0;
            break;
          }
        }
        yieldCpu();
        nowNs = monotonicNs();
      }
      if (this.#process.set.pending(this.#index) > 0) continue;
      this.#process.tick(nowNs);
      if (this.#pending.size === 0) this.#collect(Math.min(until, this.#process.wakeAtNs()));
    }
  }

  /** Moves events of our queue to `#pending`; waits for the first until `deadline`, 0: don't. */
  #collect(deadline: number): void {
    const n = this.#process.set.wait(this.#index, this.#out, deadline);
    for (let k = 0; k < n; k++) {
      const flow = this.#process.flowById(this.#out[2 * k]!) as Flow | undefined;
      if (flow !== undefined && this.#members.has(flow)) {
        this.#note(flow, this.#out[2 * k + 1]!);
      }
    }
    // A full queue may have lost events.
    if (n === EVENTS_MAX) { for (const flow of this.#members) this.#look(flow); }
  }

  /** Events to give out; flows that can still be read stay pending. */
  #takeReady(): FlowSetEvent[] {
    const events: FlowSetEvent[] = [];
    for (const [flow, bits] of this.#pending) {
      const readable = (bits & FlowEvent.PKT) !== 0 && flow.hasMessage();
      const shown = readable ? bits : bits & ~FlowEvent.PKT;
      if (readable) this.#pending.set(flow, FlowEvent.PKT);
      else this.#pending.delete(flow);
      if (shown !== 0) events.push({ flow, events: shown });
    }
    return events;
  }

  /** Gives the set a queue of its own and puts the members there. */
  #useQueue(): void {
    if (this.#closed) throw new OuroError(-Errno.EBADF, "Cannot wait: the set is closed");
    if (this.#index < 0) {
      const idx = this.#process.takeIndex();
      if (idx < 0) throw new OuroError(idx, "Cannot wait: all queues of the flow set are in use");
      this.#index = idx;
    }
    for (const flow of this.#members) {
      if (flow.queue === this.#index) continue;
      flow.place(this.#index);
      this.#look(flow);
    }
  }

  /**
   * Waits until something happens, without blocking the thread. Resolves to an empty array after
   * `timeoutMs`; rejects with the signal's reason.
   */
  async next(
    options: AbortSignal | { signal?: AbortSignal; timeoutMs?: number } = {},
  ): Promise<FlowSetEvent[]> {
    const { signal, timeoutMs } = options instanceof AbortSignal
      ? { signal: options, timeoutMs: undefined }
      : options;
    const index = this.#process.asyncIndex();
    const until = deadlineNs(timeoutMs);
    for (;;) {
      signal?.throwIfAborted();
      for (const flow of this.#members) {
        if (flow.queue === index) continue;
        flow.place(index);
        this.#look(flow);
      }
      const events = this.#takeReady();
      if (events.length > 0) {
        // A member that is left unread is there again at once: the event loop must have its turn all the same.
        if ((++this.#atOnce & TURN_MASK) === 0) await eventLoopTurn();
        return events;
      }
      const leftMs = until === Infinity ? Infinity : (until - monotonicNs()) / 1e6;
      if (leftMs <= 0) return [];
      await this.#wake(leftMs, signal);
    }
  }

  #wake(ms: number, signal: AbortSignal | undefined): Promise<void> {
    const waiter = this.#process.waiter();
    waiter.hold();
    return new Promise<void>((resolve) => {
      let timer: ReturnType<typeof setTimeout> | undefined;
      const done = () => {
        waiter.release();
        if (timer !== undefined) clearTimeout(timer);
        signal?.removeEventListener("abort", done);
        if (this.#waiting === done) this.#waiting = undefined;
        resolve();
      };
      this.#waiting?.();
      this.#waiting = done;
      if (ms !== Infinity) timer = setTimeout(done, Math.min(ms, 0x7fffffff));
      signal?.addEventListener("abort", done);
    });
  }

  /** Empties the set and gives its queue back; the flows live on. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const flow of this.#members) {
      flow.memberOf = null;
      flow.place(-1);
    }
    this.#members.clear();
    this.#pending.clear();
    this.#process.giveIndex(this.#index);
    this.#waiting?.();
  }

  /** What a person or a log wants to see. */
  toJSON(): { flows: number } {
    return { flows: this.size };
  }

  /** Takes all flows out and closes the set; the flows live on. */
  [Symbol.dispose](): void {
    this.close();
  }
}

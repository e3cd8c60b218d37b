/**
 * Sets of flows and their events (spec 30 §8), level-triggered: a flow with something to read keeps
 * giving FLOW_PKT until it is empty. Read until -EAGAIN, or one message an event; both work.
 */

import { Errno, OuroError } from "../errno.ts";
import { EVENTS_MAX } from "../shm/flow_set.ts";
import { FlowEvent } from "../shm/layout.ts";
import { monotonicNs, yieldCpu } from "../sys/clock.ts";
import { type Flow, partsOf } from "./flow.ts";
import type { FlowListener } from "./events.ts";
import type { FlowParts } from "./parts.ts";
import { type OuroProcess, partsOfProcess } from "./process.ts";
import type { ProcessParts } from "./process_parts.ts";
import { eventLoopTurn } from "./turns.ts";
import { deadlineNs, SPIN_BATCH, spinNs } from "./wait.ts";

/** Time without events after which the members' places are looked at, ns. */
const REPAIR_NS = 1e9;
/** Answers of `next` between two turns of the event loop, less one. */
const TURN_MASK = 0xf;

/** Something happened on a flow: {@linkcode FlowEvent} bits. */
export interface FlowSetEvent {
  /** The flow it happened on. */
  readonly flow: Flow;
  /** Bits of {@linkcode FlowEvent}. */
  readonly events: number;
}

/** A flow in a set, which hears of its events. */
class Member implements FlowListener {
  /** Event bits that were not given out yet. */
  pending = 0;
  readonly parts: FlowParts;

  constructor(
    readonly flow: Flow,
    private readonly changed: (member: Member) => void,
  ) {
    this.parts = partsOf(flow);
  }

  onFlowEvents(events: number): void {
    // No bits: events were lost, or nobody can tell of any.
    if (events === 0) this.look();
    else this.pending |= events;
    this.changed(this);
  }

  /** Notes what the flow has, for events that came before it was in our queue, or were lost. */
  look(): void {
    if (this.parts.reader.hasMessage()) this.pending |= FlowEvent.PKT;
    if (!this.flow.isClosed && this.flow.hasEnded()) this.pending |= FlowEvent.DOWN;
  }

  /** Moves the flow to a queue, unless it is there. */
  place(queue: number): void {
    if (this.parts.events.queue === queue) return;
    this.parts.events.place(queue);
    this.look();
  }

  /** Lets the flow go. */
  leave(): void {
    this.parts.events.listener = null;
    this.parts.events.place(-1);
  }
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
  readonly #process: ProcessParts;
  readonly #members = new Map<Flow, Member>();
  /** Those with something to give out. */
  readonly #pending = new Set<Member>();
  readonly #out = new Int32Array(EVENTS_MAX * 2);
  /** Answers of `next`. */
  #atOnce = 0;
  /** Own queue of the process's flow set, for blocking waits; -1 until the first one. */
  #index = -1;
  #waiting: (() => void) | undefined;
  #closed = false;

  /** An empty set for flows of `process`. */
  constructor(process: OuroProcess) {
    this.#process = partsOfProcess(process);
  }

  /** Flows in the set. */
  get size(): number {
    return this.#members.size;
  }

  /** Adds a flow. 0, -EPERM when it is in a set already, -EINVAL when it is closed. */
  add(flow: Flow): number {
    if (flow.isClosed || this.#closed) return -Errno.EINVAL;
    const { events } = partsOf(flow);
    if (events.listener !== null) return -Errno.EPERM;
    const member = new Member(flow, (m) => this.#onChange(m));
    events.listener = member;
    this.#members.set(flow, member);
    if (this.#index >= 0) events.place(this.#index);
    this.#look(member);
    // Whoever waits has to look at this flow as well.
    this.#waiting?.();
    return 0;
  }

  /** Takes a flow out. 0, or -EINVAL when it isn't in this set. */
  del(flow: Flow): number {
    const member = this.#members.get(flow);
    if (member === undefined) return -Errno.EINVAL;
    this.#drop(member);
    member.leave();
    return 0;
  }

  #drop(member: Member): void {
    this.#members.delete(member.flow);
    this.#pending.delete(member);
  }

  /** Whether a flow is in the set. */
  has(flow: Flow): boolean {
    return this.#members.has(flow);
  }

  /** The flows of the set. */
  [Symbol.iterator](): IterableIterator<Flow> {
    return this.#members.keys();
  }

  /** Events that came another way than through a blocking wait. */
  #onChange(member: Member): void {
    if (member.flow.isClosed) {
      this.#drop(member);
      member.parts.events.listener = null;
      return;
    }
    this.#note(member);
    this.#waiting?.();
  }

  #note(member: Member): void {
    if (member.pending !== 0) this.#pending.add(member);
  }

  #look(member: Member): void {
    member.look();
    this.#note(member);
  }

  /**
   * Waits until something happens and returns it, blocking; an empty array after `timeoutMs` (absent:
   * never). One entry a flow.
   */
  wait(timeoutMs?: number): FlowSetEvent[] {
    this.#useQueue();
    const until = deadlineNs(timeoutMs);
    let spinUntil = spinNs() > 0 ? monotonicNs() + spinNs() : 0;
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
        if (spinUntil > 0) yieldCpu();
        nowNs = monotonicNs();
      }
      if (this.#process.set.pending(this.#index) > 0) continue;
      const { deadlines } = this.#process;
      deadlines.tick(nowNs);
      if (this.#pending.size > 0) continue;
      const look = nowNs + REPAIR_NS;
      if (this.#collect(Math.min(until, deadlines.wakeAtNs(), look)) && monotonicNs() >= look) {
        this.#repair();
      }
    }
  }

  /** Puts members back that somebody who wrote over the process's flow set took out, and looks at them. */
  #repair(): void {
    for (const member of this.#members.values()) {
      if (member.parts.events.repair()) this.#look(member);
    }
  }

  /** Moves events of our queue to `#pending`; waits for the first until `deadline`, 0: don't. Whether there were none. */
  #collect(deadline: number): boolean {
    const n = this.#process.set.wait(this.#index, this.#out, deadline);
    for (let k = 0; k < n; k++) {
      const owned = this.#process.table.byId(this.#out[2 * k]!) as FlowParts | undefined;
      const member = owned?.events.listener;
      if (member instanceof Member && this.#members.get(member.flow) === member) {
        member.pending |= this.#out[2 * k + 1]!;
        this.#note(member);
      }
    }
    // A full queue may have lost events.
    if (n === EVENTS_MAX) { for (const member of this.#members.values()) this.#look(member); }
    return n <= 0;
  }

  /** Events to give out; flows that can still be read stay pending. */
  #takeReady(): FlowSetEvent[] {
    const events: FlowSetEvent[] = [];
    for (const member of this.#pending) {
      const { flow, parts, pending } = member;
      const readable = (pending & FlowEvent.PKT) !== 0 && parts.reader.hasMessage();
      const shown = readable ? pending : pending & ~FlowEvent.PKT;
      member.pending = readable ? FlowEvent.PKT : 0;
      if (!readable) this.#pending.delete(member);
      if (shown !== 0) events.push({ flow, events: shown });
    }
    return events;
  }

  #checkOpen(): void {
    if (this.#closed) throw new OuroError(-Errno.EBADF, "Cannot wait: the set is closed");
  }

  /** Gives the set a queue of its own and puts the members there. */
  #useQueue(): void {
    this.#checkOpen();
    if (this.#index < 0) {
      const idx = this.#process.queues.take();
      if (idx < 0) throw new OuroError(idx, "Cannot wait: all queues of the flow set are in use");
      this.#index = idx;
    }
    this.#placeAll(this.#index);
  }

  #placeAll(queue: number): void {
    for (const member of this.#members.values()) {
      member.place(queue);
      this.#note(member);
    }
  }

  /**
   * Waits until something happens, without blocking the thread. Resolves to an empty array after
   * `timeoutMs`; rejects with the signal's reason, or `OuroError` -EBADF when the set is closed.
   */
  async next(
    options: AbortSignal | { signal?: AbortSignal; timeoutMs?: number } = {},
  ): Promise<FlowSetEvent[]> {
    const { signal, timeoutMs } = options instanceof AbortSignal
      ? { signal: options, timeoutMs: undefined }
      : options;
    const index = this.#process.queues.asyncIndex();
    const until = deadlineNs(timeoutMs);
    for (;;) {
      signal?.throwIfAborted();
      this.#checkOpen();
      this.#placeAll(index);
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
    const waiter = this.#process.queues.waiter();
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
    for (const member of this.#members.values()) member.leave();
    this.#members.clear();
    this.#pending.clear();
    this.#process.queues.give(this.#index);
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

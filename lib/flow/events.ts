/**
 * What a flow hears and when it wants to be called: its place in the process's flow set, those who wait for it, and its
 * deadlines (spec 30 §8).
 */

import { Errno } from "../errno.ts";
import { FlowEvent } from "../shm/layout.ts";
import { monotonicUs } from "../sys/clock.ts";
import type { FlowCore } from "./core.ts";
import type { Served } from "./deadlines.ts";
import type { Keepalive } from "./keepalive.ts";
import type { Timed } from "./timer_heap.ts";

/** Who hears of a flow's events beside those who wait for the flow itself. */
export interface FlowListener {
  /** Bits of `FlowEvent`; none: look at the flow. */
  onFlowEvents(events: number): void;
}

/** Longest timer of the runtime, ms. */
const TIMER_MAX_MS = 0x7fffffff;
/** Queues of a flow set. */
const QUEUES = 32;

/** See the head of this file. */
export class FlowEvents implements Timed, Served {
  /** When the process calls {@linkcode onDeadline} next, ns. */
  heapAtNs: number = Infinity;
  /** Queue of the process's flow set that this flow is in, -1 none. Kept by {@linkcode place}. */
  queue: number = -1;
  /** The set this flow is in, or what else hears of it. */
  listener: FlowListener | null = null;
  readonly #wakers = new Set<() => void>();

  constructor(private readonly core: FlowCore, private readonly keepalive: Keepalive | null) {
    const { frct, process } = core;
    if (frct !== null) process.deadlines.served.add(this);
    if (keepalive !== null) process.deadlines.arm(this, keepalive.nextNs);
  }

  /**
   * Whether packets are left in the ring for those who were woken: a reader takes them from there with one copy less. Who
   * calls this says {@linkcode service} when they have run.
   */
  onEvents(events: number): boolean {
    if (this.core.over) return false;
    const left = this.core.frct !== null && this.listener === null && this.#wakers.size > 0;
    if (!left && this.core.frct !== null) this.service();
    this.tell(events);
    this.wake();
    return left;
  }

  /** Tells the listener alone. */
  tell(events: number): void {
    this.listener?.onFlowEvents(events);
  }

  /** Lets everybody who waits for this flow look again. */
  wake(): void {
    if (this.#wakers.size === 0) return;
    const wakers = [...this.#wakers];
    this.#wakers.clear();
    for (const wake of wakers) wake();
  }

  service(): void {
    const { frct, over, rings } = this.core;
    if (frct === null || over || rings.rx.queued() === 0) return;
    frct.pump(monotonicUs());
    this.armFrct();
  }

  onDeadline(nowNs: number): number {
    const { frct, over, reader } = this.core;
    if (over) return Infinity;
    let next = Infinity;
    if (frct !== null) {
      frct.tick(nowNs / 1000);
      if (frct.takeEvents() !== 0) this.wake();
      next = frct.deadlineUs() * 1000;
    }
    const keepalive = this.keepalive;
    if (keepalive !== null) {
      reader.flush();
      if (keepalive.nextNs <= nowNs && keepalive.check(nowNs)) {
        this.tell(FlowEvent.PEER);
        this.wake();
      }
      next = Math.min(next, keepalive.nextNs);
    }
    return next;
  }

  /** Makes sure the process calls when the FRCT machine wants it. */
  armFrct(): void {
    const { frct, process } = this.core;
    if (frct === null) return;
    const atNs = frct.deadlineUs() * 1000;
    if (atNs < this.heapAtNs) process.deadlines.arm(this, atNs);
  }

  /** Moves the flow to a queue of the process's flow set (-1: none). */
  place(queue: number): void {
    const { core } = this;
    if (this.queue === queue || core.over) return;
    const { set, table } = core.process;
    // The IRMd gives an id anew as soon as it has heard of the end; the next flow of that id may be in its place here.
    if (this.queue >= 0 && table.byId(core.id)?.core === core) set.del(this.queue, core.id);
    this.queue = queue;
    if (queue < 0) return;
    if (set.add(queue, core.id) === -Errno.EPERM) {
      // Left by an earlier flow of this id in this process.
      for (let idx = 0; idx < QUEUES; idx++) set.del(idx, core.id);
      set.add(queue, core.id);
    }
  }

  /** Puts the flow back in its queue when the flow set was written over. Whether it was missing there. */
  repair(): boolean {
    const { core, queue } = this;
    return !core.over && core.process.set.repair(queue, core.id);
  }

  /** Puts the flow where this thread's waiter sees it. */
  listen(): void {
    this.place(this.core.process.queues.asyncIndex());
  }

  /** Resolves at the next event of this flow, after `ms`, or when the signal aborts. */
  wait(ms: number, signal: AbortSignal | undefined): Promise<void> {
    const waiter = this.core.process.queues.waiter();
    waiter.hold();
    return new Promise<void>((resolve) => {
      let timer: ReturnType<typeof setTimeout> | undefined;
      const done = () => {
        waiter.release();
        this.#wakers.delete(done);
        if (timer !== undefined) clearTimeout(timer);
        signal?.removeEventListener("abort", done);
        resolve();
      };
      this.#wakers.add(done);
      if (ms !== Infinity) timer = setTimeout(done, Math.min(ms, TIMER_MAX_MS));
      signal?.addEventListener("abort", done);
    });
  }
}

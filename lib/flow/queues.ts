/**
 * The queues of a process's flow set that one thread uses, and the waiter that watches one of them (spec 30 §8).
 */

import { Errno, OuroError } from "../errno.ts";
import { FQUEUES_MAX } from "../limits.ts";
import type { FlowSetShm } from "../shm/flow_set.ts";
import type { FlowTable } from "./flow_table.ts";
import { monotonicNs, sleepNs } from "../sys/clock.ts";
import { threadExists } from "../sys/futex.ts";
import { threadId } from "../sys/thread_end.ts";
import { ThreadWords } from "./thread_words.ts";
import { Waiter } from "./waiter.ts";

/** Pause and longest wait for the waiters of threads that have ended, ns. */
const ENDING_PAUSE_NS = 10e6;
const ENDING_MAX_NS = 10e9;

/** See the head of this file. */
export class Queues {
  #waiter: Waiter | undefined;
  #closed = false;
  /** The queue that this thread's waiter watches; -1 until there is one. */
  watched = -1;

  constructor(
    private readonly of: { readonly prefix: string; readonly pid: number },
    private readonly set: FlowSetShm,
    private readonly words: Int32Array<SharedArrayBuffer>,
    /** This thread announced the process: the library's queue 0 is its. */
    private readonly first: boolean,
    private readonly table: FlowTable,
  ) {}

  /** Reserves a queue, lowest first, or -ENOMEM when all are in use. */
  take(): number {
    const untilNs = monotonicNs() + ENDING_MAX_NS;
    for (;;) {
      const { words } = this;
      const used = Atomics.load(words, ThreadWords.QUEUES);
      const free = ~used;
      if (free === 0) {
        const ended = this.#takeBack();
        if (ended === 0) return -Errno.ENOMEM;
        // Waiters see within a second that their owner has ended.
        if (ended < 0) {
          if (monotonicNs() > untilNs) return -Errno.ENOMEM;
          sleepNs(ENDING_PAUSE_NS);
        }
        continue;
      }
      const idx = 31 - Math.clz32(free & -free);
      const now = used | (1 << idx);
      if (Atomics.compareExchange(words, ThreadWords.QUEUES, used, now) !== used) continue;
      Atomics.store(words, ThreadWords.OWNERS + idx, threadId());
      return idx;
    }
  }

  /**
   * Takes the queues of threads that have ended without a word. How many; -1: none yet, but there will be when a waiter
   * has ended.
   */
  #takeBack(): number {
    const { words } = this;
    let found = 0;
    let waits = false;
    for (let idx = 0; idx < FQUEUES_MAX; idx++) {
      const owner = Atomics.load(words, ThreadWords.OWNERS + idx);
      if (owner === 0 || threadExists(owner)) continue;
      const waiter = Atomics.load(words, ThreadWords.WAITERS + idx);
      if (waiter !== 0 && threadExists(waiter)) {
        waits = true;
        continue;
      }
      // Two may find it: one of them takes it.
      if (Atomics.compareExchange(words, ThreadWords.OWNERS + idx, owner, 0) !== owner) continue;
      this.give(idx);
      found += 1;
    }
    return found === 0 && waits ? -1 : found;
  }

  /** Empties a queue and gives it back. */
  give(idx: number): void {
    if (idx < 0 || idx >= FQUEUES_MAX) return;
    const { words } = this;
    this.set.zero(idx);
    Atomics.store(words, ThreadWords.OWNERS + idx, 0);
    Atomics.store(words, ThreadWords.WAITERS + idx, 0);
    Atomics.and(words, ThreadWords.QUEUES, ~(1 << idx));
  }

  /** The queue that this thread's waiter watches; starts the waiter on first use. */
  asyncIndex(): number {
    this.waiter();
    return this.watched;
  }

  /** The waiter thread of this thread's flows, started on first use. */
  waiter(): Waiter {
    if (this.#waiter !== undefined) return this.#waiter;
    if (this.#closed) throw new OuroError(-Errno.EBADF, "Cannot wait: the process is closed");
    const index = this.first ? 0 : this.take();
    if (index < 0) throw new OuroError(index, "Cannot wait: no queue of the flow set is free");
    this.watched = index;
    return this.#waiter = new Waiter(
      this.set,
      { ...this.of, index, threads: this.words.buffer, owner: threadId() },
      (id, events) => this.table.byId(id)?.events.onEvents(events) ?? false,
      (id) => this.table.byId(id)?.events.service(),
      () => {
        for (const flow of this.table) {
          flow.events.repair();
          flow.events.onEvents(0);
        }
      },
    );
  }

  /** Ends the waiter. */
  stop(): void {
    this.#closed = true;
    this.#waiter?.close();
  }

  /** Gives the watched queue back, when no flow is left. */
  close(): void {
    if (!this.first && this.watched >= 0) this.give(this.watched);
  }
}

/**
 * The queues of a process's flow set that one thread uses, and the waiter that watches one of them (spec 30 §8).
 */

import { Errno, OuroError } from "../errno.ts";
import { FQUEUES_MAX } from "../limits.ts";
import type { FlowSetShm } from "../shm/flow_set.ts";
import type { FlowTable } from "./flow_table.ts";
import { Waiter } from "./waiter.ts";

/** See the head of this file. */
export class Queues {
  #waiter: Waiter | undefined;
  #closed = false;
  /** The queue that this thread's waiter watches; -1 until there is one. */
  watched = -1;

  constructor(
    private readonly of: { readonly prefix: string; readonly pid: number },
    private readonly set: FlowSetShm,
    /** One word: bit n is set when queue n of the set is in use by some thread. */
    private readonly indexes: Int32Array<SharedArrayBuffer>,
    /** This thread announced the process: the library's queue 0 is its. */
    private readonly first: boolean,
    private readonly table: FlowTable,
  ) {}

  /** Reserves a queue, lowest first, or -ENOMEM when all are in use. */
  take(): number {
    for (;;) {
      const used = Atomics.load(this.indexes, 0);
      const free = ~used;
      if (free === 0) return -Errno.ENOMEM;
      const idx = 31 - Math.clz32(free & -free);
      if (Atomics.compareExchange(this.indexes, 0, used, used | (1 << idx)) === used) return idx;
    }
  }

  /** Empties a queue and gives it back. */
  give(idx: number): void {
    if (idx < 0 || idx >= FQUEUES_MAX) return;
    this.set.zero(idx);
    Atomics.and(this.indexes, 0, ~(1 << idx));
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
      { ...this.of, index },
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

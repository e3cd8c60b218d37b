/**
 * The waiter thread of a process: blocks on one queue of the process's flow set and tells the thread
 * that owns the flows, through shared words, which flows have events. It touches nothing else.
 *
 * Started by `waiter.ts` with {@linkcode WaiterStart} as worker data, from the text that `scripts/waiter_source.ts` makes of
 * this file: run it after changes here and in what is imported here.
 */

import { workerData } from "node:worker_threads";
import { Errno } from "../errno.ts";
import { instanceOf } from "../instance.ts";
import { FLOW_IDS_MAX } from "../limits.ts";
import { EVENTS_MAX, FlowSetShm } from "../shm/flow_set.ts";
import { monotonicNs } from "../sys/clock.ts";
import { SysError } from "../sys/ffi.ts";
import { LockOwner, threadExists } from "../sys/futex.ts";
import { ThreadWords } from "./thread_words.ts";
import { type WaiterStart, WaiterWords } from "./waiter_words.ts";

/** Time between two looks at flows without a flow set, ms. */
const LOOK_AGAIN_MS = 100;
/**
 * Time without events after which flow set and owner are looked at, ns: others may have written over the set, and the
 * owner may have ended.
 */
const LOOK_NS = 1e9;

function run(start: WaiterStart): void {
  const words = new Int32Array(start.words);
  const events = new Int32Array(EVENTS_MAX * 2);
  const waiterOf = ThreadWords.WAITERS + start.index;
  Atomics.store(new Int32Array(start.threads), waiterOf, LockOwner.self.tid);
  let set: FlowSetShm;
  try {
    set = FlowSetShm.open(instanceOf(start.prefix), start.pid);
  } catch (e) {
    // The process closed before this thread ran.
    if (Atomics.load(words, WaiterWords.STOP) !== 0) return;
    if (!(e instanceof SysError) || e.errno !== Errno.ENOENT) throw e;
    return withoutSet(words, start.owner);
  }
  let members = set.members();
  while (Atomics.load(words, WaiterWords.STOP) === 0) {
    const n = set.wait(start.index, events, monotonicNs() + LOOK_NS);
    if (n === -Errno.ETIMEDOUT && !threadExists(start.owner)) break;
    if (n <= 0) {
      // Only the owner knows who belongs there.
      const now = n === -Errno.ETIMEDOUT ? set.members() : members;
      if (now !== members) sweep(words);
      members = now;
      continue;
    }
    let told = false;
    for (let k = 0; k < n; k++) {
      const id = events[2 * k]!;
      if (id < 0 || id >= FLOW_IDS_MAX) continue;
      Atomics.or(words, WaiterWords.EVENTS + id, events[2 * k + 1]!);
      Atomics.or(words, WaiterWords.DIRTY + (id >> 5), 1 << (id & 31));
      told = true;
    }
    // A full queue may have lost events: the owner looks at every flow.
    if (n === EVENTS_MAX) Atomics.store(words, WaiterWords.SWEEP, 1);
    if (told || n === EVENTS_MAX) {
      Atomics.store(words, WaiterWords.HELD, 1);
      Atomics.add(words, WaiterWords.WAKE, 1);
      Atomics.notify(words, WaiterWords.WAKE);
      // Each further packet would wake this thread to no purpose while the owner is at work.
      while (Atomics.wait(words, WaiterWords.HELD, 1, LOOK_NS / 1e6) === "timed-out") {
        // The runtime does not end the Workers of a Worker that ends.
        if (!threadExists(start.owner)) return set.close();
      }
    }
  }
  set.close();
}

/**
 * The IRMd ended, and took the flow set's name away, before this thread ran: nobody can tell us of events, so
 * the owner looks at its flows now and then. They are down, or go on until their peer ends.
 */
function withoutSet(words: Int32Array, owner: number): void {
  while (Atomics.load(words, WaiterWords.STOP) === 0 && threadExists(owner)) {
    sweep(words);
    Atomics.wait(words, WaiterWords.STOP, 0, LOOK_AGAIN_MS);
  }
}

/** The owner looks at all its flows. */
function sweep(words: Int32Array): void {
  Atomics.store(words, WaiterWords.SWEEP, 1);
  Atomics.add(words, WaiterWords.WAKE, 1);
  Atomics.notify(words, WaiterWords.WAKE);
}

run(workerData as WaiterStart);

/**
 * Flow sets: which flows of a process have something to do (spec 10 §6).
 *
 * One set a process, 32 queues of events in it. A peer notifies by flow id; the set's table says in
 * which queue the event goes. Events are counted and in order, one FLOW_PKT a packet, because C
 * consumers read one packet an event. A queue never grows beyond 1024 events (spec 10 §11.15), the
 * indexes read from the table are checked, and an owner that died is repaired in every operation
 * (spec 10 §11.16).
 *
 * Results: counts or 0; negative errno on failure.
 */

import { Errno } from "../errno.ts";
import { type Instance, shmName } from "../instance.ts";
import { FLOW_IDS_MAX, FQUEUES_MAX, RBUFF_SLOTS } from "../limits.ts";
import { monotonicNs, sleepNs } from "../sys/clock.ts";
import { type Mapping, ShmObject } from "../sys/mman.ts";
import { Cond, COND_BYTES } from "../sys/cond.ts";
import { SysError } from "../sys/ffi.ts";
import { Mutex } from "../sys/mutex.ts";
import { assertLayout, FlowSetLayout as L } from "./layout.ts";
import type { Owner } from "./pool.ts";

/** Events that one queue holds. */
export const EVENTS_MAX = RBUFF_SLOTS;

/** When a queue is full: tries and pause between them, then the event is dropped (spec 10 §11.15). */
const FULL_TRIES_MAX = 20;
const FULL_PAUSE_NS = 50e3;
/** Longest uninterrupted wait, ns, so that a set whose mutex was lost is noticed. */
const WAIT_SLICE_NS = 1e9;
/** Wake-ups without an event in a row that are believed; a few are {@linkcode FlowSetShm.wake}'s. */
const HOLLOW_MAX = 32;

/** Name of the flow set of a process. */
export function flowSetName(instance: Instance, pid: number): string {
  return shmName(instance, "set", pid);
}

/** An open flow set. One object a thread. */
export class FlowSetShm implements Disposable {
  i32: Int32Array<ArrayBuffer>;
  /** Events dropped because a queue stayed full. */
  dropped = 0;
  /** Wake-ups in a row that came before their time and for nothing. */
  #hollow = 0;
  readonly #mapping: Mapping;
  readonly #mutex: Mutex;
  readonly #conds: Cond[] = [];

  private constructor(mapping: Mapping) {
    assertLayout();
    this.#mapping = mapping;
    this.i32 = mapping.words;
    this.#mutex = new Mutex(mapping, L.LOCK);
    for (let i = 0; i < FQUEUES_MAX; i++) {
      this.#conds.push(new Cond(mapping, L.CONDS + COND_BYTES * i));
    }
  }

  /** Creates an empty set, replacing what an earlier process of this pid left. Throws `SysError`. */
  static create(instance: Instance, pid: number, mode = 0o660, owner?: Owner): FlowSetShm {
    const name = flowSetName(instance, pid);
    ShmObject.unlink(name);
    using object = ShmObject.create(name, L.BYTES, mode, owner);
    try {
      const set = new FlowSetShm(object.map(L.BYTES));
      set.i32.fill(-1, 0, FLOW_IDS_MAX * 2);
      set.#mutex.init();
      for (const cond of set.#conds) cond.init();
      return set;
    } catch (e) {
      ShmObject.unlink(name);
      throw e;
    }
  }

  /** Opens a set; one that was cut short is made whole. Throws `SysError`: ENOENT, EACCES, ENOSPC. */
  static open(instance: Instance, pid: number): FlowSetShm {
    const name = flowSetName(instance, pid);
    using object = ShmObject.open(name);
    // Any user may lengthen or cut the set of an IPCP; that is no reason to refuse it to others.
    object.lengthen(L.BYTES);
    return new FlowSetShm(object.map(L.BYTES));
  }

  /** Whether it still is, whole, what a process of `pid` has: not what an earlier one left. */
  isOf(instance: Instance, pid: number): boolean {
    try {
      using object = ShmObject.open(flowSetName(instance, pid));
      const { ino, size } = object.stat();
      return ino === this.#mapping.ino && size >= L.BYTES;
    } catch (e) {
      if (!(e instanceof SysError)) throw e;
      return false;
    }
  }

  /** Removes the name. Returns 0 or a negative errno. */
  static unlink(instance: Instance, pid: number): number {
    return ShmObject.unlink(flowSetName(instance, pid));
  }

  /** The queue index a flow is in, or -1; a value from foreign memory, checked. */
  #indexOf(flowId: number): number {
    const idx = this.i32[flowId << 1]!;
    return idx >= 0 && idx < FQUEUES_MAX ? idx : -1;
  }

  /** Puts a flow in queue `idx`. 0, -EPERM when it is in a queue already, -EINVAL. */
  add(idx: number, flowId: number): number {
    if (!valid(idx, flowId)) return -Errno.EINVAL;
    this.#mutex.lock();
    const free = this.#indexOf(flowId) === -1;
    if (free) {
      this.i32[(flowId << 1) + 1] = 0;
      Atomics.store(this.i32, flowId << 1, idx);
    }
    this.#mutex.unlock();
    return free ? 0 : -Errno.EPERM;
  }

  /** Puts a flow in queue `idx` whatever the table says; false when it was there. */
  repair(idx: number, flowId: number): boolean {
    if (!valid(idx, flowId) || this.has(idx, flowId)) return false;
    this.#mutex.lock();
    this.i32[(flowId << 1) + 1] = 0;
    Atomics.store(this.i32, flowId << 1, idx);
    this.#mutex.unlock();
    return true;
  }

  /** How many flow ids are in a queue, by the table: other than its owner put there when somebody wrote over it. */
  members(): number {
    let n = 0;
    for (let id = 0; id < FLOW_IDS_MAX; id++) if (this.i32[id << 1] !== -1) n += 1;
    return n;
  }

  /** Takes a flow out of queue `idx`; its queued events stay. 0, or -EINVAL. */
  del(idx: number, flowId: number): number {
    if (!valid(idx, flowId)) return -Errno.EINVAL;
    this.#mutex.lock();
    if (this.#indexOf(flowId) === idx) this.#clear(flowId);
    this.#mutex.unlock();
    return 0;
  }

  #clear(flowId: number): void {
    Atomics.store(this.i32, flowId << 1, -1);
    this.i32[(flowId << 1) + 1] = -1;
  }

  /** Whether a flow is in queue `idx`. */
  has(idx: number, flowId: number): boolean {
    return valid(idx, flowId) && this.#indexOf(flowId) === idx;
  }

  /** Empties queue `idx`: no members, no events. */
  zero(idx: number): void {
    if (!valid(idx, 0)) return;
    this.#mutex.lock();
    for (let id = 0; id < FLOW_IDS_MAX; id++) {
      if (this.i32[id << 1] === idx) this.#clear(id);
    }
    this.i32[(L.HEADS >> 2) + (idx << 1)] = 0;
    this.#mutex.unlock();
  }

  /**
   * Appends an event for a flow, if the flow is in a queue. 0; -EAGAIN when the queue stayed full for
   * a millisecond and the event was dropped.
   */
  notify(flowId: number, event: number): number {
    // Nobody listens: no lock. Whoever adds the flow just now looks at the rbuff afterwards.
    if (flowId < 0 || flowId >= FLOW_IDS_MAX) return -Errno.EINVAL;
    if (this.#indexOf(flowId) === -1) return 0;
    for (let tries = 0; tries < FULL_TRIES_MAX; tries++) {
      this.#mutex.lock();
      const appended = this.#append(flowId, event);
      this.#mutex.unlock();
      // After the unlock: woken inside, the waiter would run only to block again on the mutex.
      if (appended > 0) this.#conds[appended - 1]!.signal();
      if (appended >= 0) return 0;
      sleepNs(FULL_PAUSE_NS);
    }
    this.dropped += 1;
    return -Errno.EAGAIN;
  }

  /**
   * Appends an event with the lock held; -1 when the queue is full, else 0, or the queue's index + 1
   * when somebody waits there and must be woken.
   */
  #append(flowId: number, event: number): number {
    const i32 = this.i32;
    const idx = this.#indexOf(flowId);
    if (idx === -1) return 0;
    const at = (L.HEADS >> 2) + (idx << 1);
    const n = i32[at]! >>> 0;
    if (n >= EVENTS_MAX) return -1;
    const slot = ((L.EVENTS >> 2) + idx * EVENTS_MAX * 2) + (n << 1);
    i32[slot] = flowId;
    i32[slot + 1] = event;
    Atomics.store(i32, at, n + 1);
    return this.#conds[idx]!.waited ? idx + 1 : 0;
  }

  /** Number of events queued at `idx`, clamped; a hint. */
  pending(idx: number): number {
    const n = Atomics.load(this.i32, (L.HEADS >> 2) + (idx << 1)) >>> 0;
    return n > EVENTS_MAX ? EVENTS_MAX : n;
  }

  /**
   * Moves all events of queue `idx` to `out` as pairs (flow id, event) and returns their number. Waits
   * for the first until `deadlineNs` (monotonic; Infinity: for ever; 0: don't), then -ETIMEDOUT.
   * 0: woken without an event ({@linkcode wake}), call again.
   * `out` holds `2 * EVENTS_MAX` numbers. A full queue (1024) means events may have been lost: look at
   * every member. Flow ids are unchecked numbers of another process.
   */
  wait(idx: number, out: Int32Array, deadlineNs: number): number {
    if (!valid(idx, 0) || out.length < EVENTS_MAX * 2) return -Errno.EINVAL;
    this.#mutex.lock();
    const i32 = this.i32;
    const at = (L.HEADS >> 2) + (idx << 1);
    while (i32[at] === 0) {
      const nowNs = deadlineNs === 0 ? 0 : monotonicNs();
      if (deadlineNs <= nowNs) {
        this.#mutex.unlock();
        return -Errno.ETIMEDOUT;
      }
      const until = Math.min(deadlineNs, nowNs + WAIT_SLICE_NS);
      this.#conds[idx]!.wait(this.#mutex, until);
      if (monotonicNs() >= until) {
        // Nobody woke us for what is there, or another waiter is counted where there is but one: it was written over.
        const cond = this.#conds[idx]!;
        if (i32[at] !== 0 || !cond.idle) cond.init();
        this.#hollow = 0;
      } else if (i32[at] === 0) {
        // It was written over so that it wakes whoever waits at once, always.
        if (++this.#hollow >= HOLLOW_MAX) {
          this.#conds[idx]!.init();
          this.#hollow = 0;
        }
        this.#mutex.unlock();
        return 0;
      }
    }
    const queued = i32[at]! >>> 0;
    const n = queued > EVENTS_MAX ? EVENTS_MAX : queued;
    const first = (L.EVENTS >> 2) + idx * EVENTS_MAX * 2;
    for (let k = 0; k < n * 2; k++) out[k] = i32[first + k]!;
    this.#hollow = 0;
    i32[at + 1] = 0;
    Atomics.store(i32, at, 0);
    this.#mutex.unlock();
    return n;
  }

  /** Wakes whoever waits at `idx`, without an event. */
  wake(idx: number): void {
    if (!valid(idx, 0)) return;
    this.#mutex.lock();
    this.#conds[idx]!.broadcast();
    this.#mutex.unlock();
  }

  /** Unmaps. No method may be called afterwards. Idempotent. */
  close(): void {
    this.i32 = new Int32Array(0);
    this.#mapping.unmap();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

function valid(idx: number, flowId: number): boolean {
  return idx >= 0 && idx < FQUEUES_MAX && flowId >= 0 && flowId < FLOW_IDS_MAX;
}

/**
 * The words that the waiter thread and the thread owning the flows share (pure numbers).
 */

import { FLOW_IDS_MAX } from "../limits.ts";

/** Indexes of the shared Int32Array. */
export const WaiterWords = {
  /** Changes with each batch of events; the owner waits here. */
  WAKE: 0,
  /** Not 0: the thread ends. */
  STOP: 1,
  /** Not 0: events may be lost, look at every flow. */
  SWEEP: 2,
  /** Not 0: the thread rests, because the owner takes events out of the flow set itself until it finds none. */
  HELD: 3,
  /** One bit a flow id that has events. */
  DIRTY: 16,
  /** Event bits by flow id. */
  EVENTS: 16 + FLOW_IDS_MAX / 32,
  COUNT: 16 + FLOW_IDS_MAX / 32 + FLOW_IDS_MAX,
} as const;

/** What the waiter thread is started with. */
export interface WaiterStart {
  readonly words: SharedArrayBuffer;
  /** What the threads of the process share, see `ThreadWords`. */
  readonly threads: SharedArrayBuffer;
  readonly prefix: string;
  readonly pid: number;
  /** Queue of the process's flow set it waits at. */
  readonly index: number;
  /** Kernel id of the thread that it works for, without which it ends. */
  readonly owner: number;
}

/**
 * The words that the threads of a process share about each other (pure numbers): plain data that
 * `OuroProcess.share` hands on.
 */

import { FQUEUES_MAX } from "../limits.ts";

/** Indexes of the shared Int32Array. */
export const ThreadWords = {
  /** Bit n is set when queue n of the flow set is in use by some thread. */
  QUEUES: 0,
  /** See `closeAtThreadEnd`. */
  KEY: 1,
  /** Kernel id of the thread that uses queue n, by queue; 0: not known. */
  OWNERS: 8,
  /** Kernel id of its waiter, by queue; 0: none. */
  WAITERS: 8 + FQUEUES_MAX,
  COUNT: 8 + 2 * FQUEUES_MAX,
} as const;

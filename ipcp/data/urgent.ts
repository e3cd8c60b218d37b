/**
 * Which flows have packets, by how urgent these are: the more urgent have more turns, but every class has some, so none
 * starves. Within a class flows take turns ({@linkcode ReadyQueue}).
 */

import { ReadyQueue } from "./ready.ts";

/** Classes: 0 is the least urgent; QoS cubes are such numbers. */
export const CLASSES = 3;
/** Whose turn it is; a class without flows gives its turn to the next. Of seven, four are the most urgent's. */
const TURNS = [2, 1, 2, 0, 2, 1, 2] as const;

export class UrgentQueues {
  readonly #classes = Array.from({ length: CLASSES }, () => new ReadyQueue());
  #turn = 0;

  get isEmpty(): boolean {
    const classes = this.#classes;
    for (let i = 0; i < CLASSES; i++) if (!classes[i]!.isEmpty) return false;
    return true;
  }

  /** Add a flow unless it is in its class; numbers that are no flow id or class are ignored. */
  add(flowId: number, urgency: number): boolean {
    return this.#classes[urgency]?.add(flowId) ?? false;
  }

  /** Take the next flow; the queues are not all empty. */
  take(): number {
    for (;;) {
      const queue = this.#classes[TURNS[this.#turn]!]!;
      this.#turn = this.#turn + 1 === TURNS.length ? 0 : this.#turn + 1;
      if (!queue.isEmpty) return queue.take();
    }
  }
}

/**
 * Costly arithmetic that waits for a thread: one piece of each user at a time, users by turns, a bounded number
 * waiting that users share, and of the threads one that only administrators get (uid 0 here).
 *
 * Pure.
 */

import type { Share } from "./shares.ts";

/** What an entry of the queue says of itself. */
export interface Waiting {
  /** Whether anybody wants it still. */
  wanted(): boolean;
  /** It left the queue because nobody does. */
  left(): void;
}

/** See the file's comment. */
export class CostlyQueue<T extends Waiting> {
  /** In the order of their turns. */
  readonly #waiting = new Map<number, T[]>();
  readonly #running = new Set<number>();

  /**
   * @param share what waits and runs, by user
   * @param threads at least two
   */
  constructor(readonly share: Share, readonly threads: number) {}

  /** Users whose work is being done. */
  get running(): number {
    return this.#running.size;
  }

  /** Enters work of a user; false when the user has its share of what waits. */
  enter(uid: number, item: T): boolean {
    if (!this.share.take(uid)) {
      this.sweep();
      if (!this.share.take(uid)) return false;
    }
    const queue = this.#waiting.get(uid);
    if (queue === undefined) this.#waiting.set(uid, [item]);
    else queue.push(item);
    return true;
  }

  /** What is to be done now, if there is something and a thread for it; say {@linkcode done} when it is. */
  next(): { readonly uid: number; readonly item: T } | undefined {
    for (const [uid, queue] of this.#waiting) {
      if (this.#running.has(uid) || !this.#threadFor(uid)) continue;
      this.#sweep(uid, queue);
      const item = queue.shift();
      if (item === undefined) continue;
      this.#running.add(uid);
      // Behind the others, or gone.
      this.#waiting.delete(uid);
      if (queue.length > 0) this.#waiting.set(uid, queue);
      return { uid, item };
    }
    return undefined;
  }

  /** The work of a user that ran has ended. */
  done(uid: number): void {
    if (this.#running.delete(uid)) this.share.give(uid);
  }

  #threadFor(uid: number): boolean {
    return this.#running.size < (uid === 0 ? this.threads : this.threads - 1);
  }

  /** Work that nobody wants any more leaves. */
  sweep(): void {
    for (const [uid, queue] of this.#waiting) this.#sweep(uid, queue);
  }

  #sweep(uid: number, queue: T[]): void {
    for (let i = queue.length - 1; i >= 0; i--) {
      const item = queue[i]!;
      if (item.wanted()) continue;
      queue.splice(i, 1);
      this.share.give(uid);
      item.left();
    }
    if (queue.length === 0) this.#waiting.delete(uid);
  }
}

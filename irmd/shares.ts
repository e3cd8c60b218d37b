/**
 * Who holds how much of what there is a bounded number of, and whether one may have more: a user may hold at most as
 * much as is left, after dbus-broker's model, so that no number of users takes all; the last part is the
 * administrators' (uid 0 here).
 *
 * Pure.
 */

/** One bounded thing: connections, processes, bytes … */
export class Share {
  readonly #held = new Map<number, number>();
  #used = 0;

  /**
   * @param total how much there is
   * @param kept how much of it only administrators get
   */
  constructor(readonly total: number, readonly kept: number) {}

  /** In use, by all. */
  get used(): number {
    return this.#used;
  }

  /** In use by one user. */
  heldBy(uid: number): number {
    return this.#held.get(uid) ?? 0;
  }

  /** Users that hold some, and how much. */
  users(): ReadonlyMap<number, number> {
    return this.#held;
  }

  /** Whether more than half of what there is is in use. */
  get isTight(): boolean {
    return this.#used * 2 > this.total;
  }

  /** Whether a user may have `n` more. */
  allows(uid: number, n = 1): boolean {
    const left = this.total - this.#used;
    if (uid === 0) return n <= left;
    return this.heldBy(uid) + n <= left - this.kept;
  }

  /** Takes `n`; false, and nothing is taken, when the share does not allow that. */
  take(uid: number, n = 1): boolean {
    if (!this.allows(uid, n)) return false;
    this.#used += n;
    this.#held.set(uid, this.heldBy(uid) + n);
    return true;
  }

  /** Gives `n` back. */
  give(uid: number, n = 1): void {
    const rest = this.heldBy(uid) - n;
    this.#used -= n;
    if (rest > 0) this.#held.set(uid, rest);
    else this.#held.delete(uid);
  }
}

/** Things to do, of several users who take turns. */
export class Turns<T> {
  readonly #queues = new Map<number, T[]>();
  #length = 0;

  /** How much there is to do. */
  get length(): number {
    return this.#length;
  }

  push(uid: number, item: T): void {
    const queue = this.#queues.get(uid);
    if (queue === undefined) this.#queues.set(uid, [item]);
    else queue.push(item);
    this.#length += 1;
  }

  /** The next; each user's in their order, one of each in turn. */
  next(): T | undefined {
    for (const [uid, queue] of this.#queues) {
      // Behind the others, or gone.
      this.#queues.delete(uid);
      const item = queue.shift()!;
      if (queue.length > 0) this.#queues.set(uid, queue);
      this.#length -= 1;
      return item;
    }
    return undefined;
  }
}

/**
 * How the IRMd hears that a Worker has ended, and closes its flows: the thread holds a connection, which the end of the
 * OS thread closes. The runtime tells nobody of a Worker that is terminated or fails.
 *
 * The thread that the process began with needs none, as the end of its process is the end of it: unless a Worker announced
 * the process, whose farewell the IRMd then says when the last thread has gone.
 */

import { THREAD_ANNOUNCED } from "../codes.ts";
import { IrmCode, type IrmMsg } from "../irm/messages.ts";
import { OuroError } from "../errno.ts";
import { SysError } from "../sys/ffi.ts";
import { closeAtThreadEnd, forgetThreadEnd, threadId } from "../sys/thread_end.ts";
import { ThreadWords } from "./thread_words.ts";

/** A connection that stays open. */
export interface Held {
  readonly fd: number;
  close(): void;
}

/** The connection of one thread, with the process's handles that it is for. */
export class ThreadLife {
  static readonly #lives = new Map<string, ThreadLife>();
  #users = 1;

  private constructor(
    private readonly key: string,
    private readonly words: Int32Array<SharedArrayBuffer>,
    private readonly held: Held,
    /** The thread's number in the process; requests for flows name it. */
    readonly number: number,
  ) {}

  /**
   * The life of the calling thread in a process; undefined where the IRMd need not or cannot watch it.
   * @param announced whether this thread announced the process
   */
  static of(
    process: { readonly prefix: string; readonly pid: number },
    words: Int32Array<SharedArrayBuffer>,
    announced: boolean,
    hold: (message: IrmMsg) => Held,
  ): ThreadLife | undefined {
    const key = `${process.pid} ${process.prefix}`;
    const there = ThreadLife.#lives.get(key);
    if (there !== undefined && there.words.buffer === words.buffer) {
      there.#users += 1;
      return there;
    }
    if (announced && threadId() === process.pid) return undefined;
    // Never one of a thread that has ended.
    const number = crypto.getRandomValues(new Uint32Array(1))[0]!;
    const opts = announced ? THREAD_ANNOUNCED : 0;
    let held: Held;
    try {
      held = hold({ code: IrmCode.IRM_THREAD, pid: process.pid, thread: number, opts });
    } catch (e) {
      if (e instanceof OuroError || e instanceof SysError) return undefined;
      throw e;
    }
    if (!closeAtThreadEnd(words, ThreadWords.KEY, held.fd)) {
      held.close();
      return undefined;
    }
    const life = new ThreadLife(key, words, held, number);
    ThreadLife.#lives.set(key, life);
    return life;
  }

  /** A handle of the process is closed in this thread. */
  release(): void {
    if (--this.#users > 0) return;
    if (ThreadLife.#lives.get(this.key) === this) ThreadLife.#lives.delete(this.key);
    forgetThreadEnd(this.words, ThreadWords.KEY);
    this.held.close();
  }
}

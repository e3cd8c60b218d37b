/**
 * A thread that uses locks in shared memory together with others, by our code or by libc's; for
 * mutex_test.ts and cond_test.ts. Answers with the number of rounds it did.
 */

import { LibcCond, LibcMutex } from "../../../support/pthread.ts";
import { monotonicNs } from "../../../../lib/sys/clock.ts";
import { Cond } from "../../../../lib/sys/cond.ts";
import { ShmObject } from "../../../../lib/sys/mman.ts";
import { Mutex } from "../../../../lib/sys/mutex.ts";

/** Layout of the object that the threads share: a mutex, conditions, words. */
export const Shared = { MUTEX: 0, CONDS: 64, WORDS: 512, BYTES: 4096 } as const;

/** What a thread does. */
export interface LockJob {
  /** Name of the object. */
  name: string;
  libc: boolean;
  inherit: boolean;
  /**
   * `count`: adds 1 to a plain word; `turn`: waits on its condition until the word names it, then names
   * the next; `die`: ends with the mutex locked; `wait`: waits on condition 0 once, for `waitMs`.
   */
  role: "count" | "turn" | "die" | "wait";
  rounds: number;
  me: number;
  threads: number;
  /** All threads wait on condition 0 and are woken together. */
  broadcast: boolean;
  waitMs: number;
}

function run(job: LockJob): number {
  using object = ShmObject.open(job.name);
  // Stays mapped: the kernel looks at what a dead thread held.
  const mapping = object.map(Shared.BYTES);
  const words = new Int32Array(mapping.buffer, Shared.WORDS, 4);
  const mutex = job.libc
    ? new LibcMutex(mapping, Shared.MUTEX)
    : new Mutex(mapping, Shared.MUTEX, job.inherit);
  const cond = (i: number) => {
    const at = Shared.CONDS + 48 * (job.broadcast ? 0 : i);
    return job.libc ? new LibcCond(mapping, at) : new Cond(mapping, at);
  };
  const [own, next] = [cond(job.me), cond((job.me + 1) % job.threads)];
  for (let k = 0; k < job.rounds; k++) {
    mutex.lock();
    if (job.role === "die") return 1;
    if (job.role === "count") words[0] = words[0]! + 1;
    if (job.role === "wait") {
      Atomics.store(words, 1, 1);
      // deno-lint-ignore no-explicit-any -- each kind takes its own kind of mutex
      own.wait(mutex as any, monotonicNs() + job.waitMs * 1e6);
    }
    if (job.role === "turn") {
      const deadlineNs = monotonicNs() + job.waitMs * 1e6;
      while (words[0] !== job.me) {
        if (monotonicNs() > deadlineNs) {
          mutex.unlock();
          return k;
        }
        // deno-lint-ignore no-explicit-any -- as above
        own.wait(mutex as any, deadlineNs);
      }
      words[0] = (job.me + 1) % job.threads;
    }
    mutex.unlock();
    if (job.role === "turn") job.broadcast ? next.broadcast() : next.signal();
  }
  return job.rounds;
}

const scope = self as unknown as {
  onmessage(e: MessageEvent<LockJob>): void;
  postMessage(rounds: number): void;
  close(): void;
};

scope.onmessage = (e) => {
  scope.postMessage(run(e.data));
  scope.close();
};

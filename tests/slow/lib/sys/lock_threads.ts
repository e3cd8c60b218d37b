/** Runs threads of lock_worker.ts on one shared object. */

import { ShmObject } from "../../../../lib/sys/mman.ts";
import type { Mapping } from "../../../../lib/sys/mman.ts";
import { Cond } from "../../../../lib/sys/cond.ts";
import { Mutex } from "../../../../lib/sys/mutex.ts";
import { type LockJob, Shared } from "./lock_worker.ts";

/** An object with a fresh mutex and conditions, and how to run threads on it. */
export interface LockRoom {
  mapping: Mapping;
  mutex: Mutex;
  words: Int32Array;
  /** Starts a thread; its end is the number of rounds it did. */
  start(job: Partial<LockJob>): Promise<number>;
}

export async function withLocks(
  inherit: boolean,
  body: (room: LockRoom) => Promise<void> | void,
): Promise<void> {
  const name = `/ouro-test-locks-${crypto.randomUUID()}`;
  using object = ShmObject.create(name, Shared.BYTES, 0o600);
  const workers: Worker[] = [];
  try {
    using mapping = object.map(Shared.BYTES);
    const mutex = new Mutex(mapping, Shared.MUTEX, inherit);
    mutex.init();
    for (let i = 0; i < 4; i++) new Cond(mapping, Shared.CONDS + 48 * i).init();
    const start = (job: Partial<LockJob>) => {
      const worker = new Worker(new URL("./lock_worker.ts", import.meta.url), { type: "module" });
      workers.push(worker);
      return new Promise<number>((done, fail) => {
        worker.onmessage = (e) => done(e.data);
        worker.onerror = (e) => {
          e.preventDefault();
          fail(new Error(e.message));
        };
        worker.postMessage({
          ...{ name, inherit, libc: false, role: "count", rounds: 1, me: 0, threads: 1 },
          ...{ broadcast: false, waitMs: 20_000, ...job },
        });
      });
    };
    const words = new Int32Array(mapping.buffer, Shared.WORDS, 4);
    await body({ mapping, mutex, words, start });
  } finally {
    for (const worker of workers) worker.terminate();
    ShmObject.unlink(name);
  }
}

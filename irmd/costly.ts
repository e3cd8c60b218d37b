/**
 * Costly arithmetic of flows (long signatures, large groups) in threads of their own, so that the daemon goes on
 * answering. Who comes next is said by `costly_queue.ts`.
 *
 * A thread is started when there is work and ends when there was none for a while. One that dies or hangs costs the one
 * flow whose work it had; the next work gets another.
 */

import type { CostlyJob, CostlyParts, CostlyWork } from "../security/costly_work.ts";
import type { CostlyReport } from "./costly_worker.ts";
import { CostlyQueue, type Waiting } from "./costly_queue.ts";
import type { Share } from "./shares.ts";
import { OTHER_HOSTS } from "../lib/irm/messages.ts";

/** Threads: as many as there are processors, one of them for administrators alone. */
const THREADS_MIN = 2;
const THREADS_MAX = 4;
/** A thread without work ends, ms. */
const IDLE_MS = 10_000;
/** Longest signatures take seconds, on a busy host a minute; what takes longer hangs, ms. */
const HANGS_MS = 300_000;
/** Longest time that a timer takes, ms. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/** What waits for its turn, or is being done. */
interface Item extends Waiting {
  readonly job: CostlyJob;
  end(outcome: CostlyReport): void;
}

/** What is said of work that left the queue; hardly anybody hears it. */
const UNWANTED: CostlyReport = {
  kind: "failed",
  cause: "nobody waits for its costly signature or key exchange any more",
};

/** A thread and what it does. */
interface Thread {
  readonly worker: Worker;
  item: Item | undefined;
  timer: ReturnType<typeof setTimeout> | undefined;
}

/** For whom work is done, and how long. */
export interface Asker {
  /** Administrators are 0, other hosts {@linkcode OTHER_HOSTS}. */
  readonly uid: number;
  /** Whether anybody waits for the flow still. */
  readonly wanted: () => boolean;
  /** How long it will be wanted at most, ms; undefined where nobody can say. */
  readonly leftMs?: () => number;
}

function startThread(): Worker {
  return new Worker(new URL("./costly_worker.ts", import.meta.url), { type: "module" });
}

/** See the file's comment. */
export class Costly implements Disposable {
  readonly #queue: CostlyQueue<Item>;
  readonly #idle: Thread[] = [];
  readonly #busy = new Set<Thread>();
  #closed = false;

  /** @param share how much may wait, by user */
  constructor(
    readonly share: Share,
    readonly start: () => Worker = startThread,
    threads: number = navigator.hardwareConcurrency,
  ) {
    const n = Math.min(Math.max(threads, THREADS_MIN), THREADS_MAX);
    this.#queue = new CostlyQueue<Item>(share, n);
  }

  /** Does what is costly of one flow. */
  for(asker: Asker): CostlyWork {
    return new FlowWork((job) => this.#enter(asker, job));
  }

  async #enter({ uid, wanted, leftMs }: Asker, job: CostlyJob): Promise<CostlyReport> {
    const ms = leftMs?.() ?? Infinity;
    // A moment later, so that it is over by the clock of who wants it.
    const timer = ms < TIMER_MS_MAX ? setTimeout(() => this.sweep(), ms + 1) : undefined;
    try {
      return await this.#queued(uid, job, wanted);
    } finally {
      clearTimeout(timer);
    }
  }

  #queued(uid: number, job: CostlyJob, wanted: () => boolean): Promise<CostlyReport> {
    return new Promise((resolve) => {
      const item: Item = { job, wanted, end: resolve, left: () => resolve(UNWANTED) };
      if (this.#closed || !this.#queue.enter(uid, item)) {
        const who = uid === OTHER_HOSTS
          ? "requests of other hosts have their"
          : `uid ${uid} has its`;
        const waiting = `${this.share.heldBy(uid)} of ${this.share.used} that wait`;
        const cause = `${who} share of costly signatures and key exchanges (${waiting})`;
        return resolve({ kind: "failed", cause });
      }
      this.#pump();
    });
  }

  /**
   * What nobody waits for any more leaves; called now and then. Whose work is being done is told at once, too: the thread
   * goes on, since it cannot be stopped within a signature, and what it finds is nobody's.
   */
  sweep(): void {
    this.#queue.sweep();
    for (const { item } of this.#busy) if (item?.wanted() === false) item.left();
  }

  #pump(): void {
    for (let next = this.#queue.next(); next !== undefined; next = this.#queue.next()) {
      this.#give(next.uid, next.item);
    }
  }

  #give(uid: number, item: Item): void {
    let over = false;
    const ended = (outcome: CostlyReport) => {
      if (over) return;
      over = true;
      this.#queue.done(uid);
      item.end(outcome);
      this.#pump();
    };
    let thread: Thread;
    try {
      thread = this.#idle.pop() ?? { worker: this.start(), item: undefined, timer: undefined };
    } catch (e) {
      // Nobody else's turn waits for this.
      const cause = `no thread for costly arithmetic: ${e instanceof Error ? e.message : e}`;
      return queueMicrotask(() => ended({ kind: "failed", cause }));
    }
    clearTimeout(thread.timer);
    thread.item = item;
    this.#busy.add(thread);
    const { worker } = thread;
    const lost = (why: string) => {
      this.#drop(thread);
      ended({ kind: "failed", cause: `the thread for costly arithmetic ${why}` });
    };
    worker.onmessage = ({ data }: MessageEvent<CostlyReport>) => {
      this.#rest(thread);
      ended(data);
    };
    worker.onerror = (e) => {
      e.preventDefault();
      lost(`ended: ${e.message}`);
    };
    worker.onmessageerror = () => lost("said what cannot be read");
    thread.timer = setTimeout(() => lost(`hangs (${HANGS_MS / 1000} s)`), HANGS_MS);
    try {
      worker.postMessage(item.job);
    } catch (e) {
      lost(`takes no work: ${e instanceof Error ? e.message : e}`);
    }
  }

  #rest(thread: Thread): void {
    this.#busy.delete(thread);
    clearTimeout(thread.timer);
    thread.item = undefined;
    if (this.#closed) return thread.worker.terminate();
    this.#idle.push(thread);
    thread.timer = setTimeout(() => this.#drop(thread), IDLE_MS);
  }

  #drop(thread: Thread): void {
    clearTimeout(thread.timer);
    this.#busy.delete(thread);
    const at = this.#idle.indexOf(thread);
    if (at >= 0) this.#idle.splice(at, 1);
    thread.worker.terminate();
  }

  /** Ends all threads; what waits gets no answer. */
  [Symbol.dispose](): void {
    this.#closed = true;
    for (const thread of [...this.#idle, ...this.#busy]) this.#drop(thread);
  }
}

/** The work of one flow, and why a part of it was not done. */
class FlowWork implements CostlyWork {
  #refusal: string | undefined;

  constructor(private readonly enter: (job: CostlyJob) => Promise<CostlyReport>) {}

  get refusal(): string | undefined {
    return this.#refusal;
  }

  async run(job: CostlyJob): Promise<CostlyParts> {
    if (this.#refusal !== undefined) return [];
    const outcome = await this.enter(job);
    if (outcome.kind === "done") return outcome.parts;
    this.#refusal = outcome.cause;
    return [];
  }
}

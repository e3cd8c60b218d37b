/**
 * Work on the memory of unprivileged users after a death: mark flows as down, wake the other end, free packets
 * (spec 10 §11.3, 7, 11). The user can truncate that memory under whoever maps it, so the daemon does none of it
 * itself: a short-lived child that has become that user does, and nothing is lost if it dies.
 */

import type { Instance } from "../lib/instance.ts";
import { Pool } from "../lib/shm/pool.ts";
import { SysError } from "../lib/sys/ffi.ts";
import { becomeUser, effectiveUid } from "../lib/sys/users.ts";
import type { Children } from "./children.ts";
import { reclaimFrom, type RingId, takeDown } from "./objects.ts";

/** First word of the child's command line, for nobody else. */
export const UPKEEP_WORD = "--upkeep";
/** Jobs gathered before a child is started, ms: one death brings several. */
const GATHER_MS = 10;
/** The same for deaths of processes that had no flow, ms: anybody can bring about any number of them, and a child is dear. */
const GATHER_IDLE_MS = 1000;
/**
 * Time between a death and the reclaim of its blocks, ms: a peer may just be copying a packet that it has
 * taken out of its ring.
 */
export const RECLAIM_AFTER_MS = 250;

/** What is to be done as one user. */
export interface UpkeepJob {
  readonly uid: number;
  readonly gid: number;
  /** Flows that go down: id, who is left. */
  readonly downs: [flowId: number, pid: number][];
  /** Packets that nobody will read, as found in the rings of the gone. */
  readonly offsets: number[];
  /** Dead processes whose blocks come back. */
  readonly dead: number[];
  /** Rings whose packets stay. */
  rings: RingId[];
}

/** A job that gathers. */
interface PendingJob extends UpkeepJob {
  /** Somebody may wait for it. */
  isUrgent: boolean;
}

/** Gathers jobs and starts a child for each user. */
export class Upkeep {
  readonly #jobs = new Map<number, PendingJob>();
  /** Users for whom a child is at work; what comes meanwhile waits for the next. */
  readonly #busy = new Set<number>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #idleTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(readonly children: Children) {}

  #job(uid: number, gid: number, isUrgent = true): UpkeepJob {
    let job = this.#jobs.get(uid);
    if (job === undefined) {
      job = { uid, gid, downs: [], offsets: [], dead: [], rings: [], isUrgent };
      this.#jobs.set(uid, job);
    }
    job.isUrgent ||= isUrgent;
    this.#gather(job);
    return job;
  }

  #gather(job: PendingJob): void {
    if (job.isUrgent) this.#timer ??= setTimeout(() => this.#start(), GATHER_MS);
    else this.#idleTimer ??= setTimeout(() => this.#start(), GATHER_IDLE_MS);
  }

  /** `offsets` are packets of the user's pool that the gone end has not read. */
  flowDown(uid: number, gid: number, flowId: number, pid: number, offsets: number[]): void {
    this.#job(uid, gid).downs.push([flowId, pid]);
    this.free(uid, gid, offsets);
  }

  /** `offsets` are packets of the user's pool that nobody will read. */
  free(uid: number, gid: number, offsets: readonly number[]): void {
    const job = this.#job(uid, gid);
    for (const off of offsets) job.offsets.push(off);
  }

  /** `rings` are all rings of that user's processes; `hadFlow`: the dead process had some. */
  reclaim(uid: number, gid: number, pid: number, rings: RingId[], hadFlow: boolean): void {
    const job = this.#job(uid, gid, hadFlow);
    job.dead.push(pid);
    job.rings = rings;
  }

  #start(): void {
    this.#clearTimers();
    for (const job of this.#jobs.values()) {
      if (this.#busy.has(job.uid)) continue;
      this.#jobs.delete(job.uid);
      const pid = this.#startFor(job);
      if (pid === undefined) continue;
      this.#busy.add(job.uid);
      this.children.onEnd(pid, () => {
        this.#busy.delete(job.uid);
        const next = this.#jobs.get(job.uid);
        if (next !== undefined) this.#gather(next);
      });
    }
  }

  /** The pid of the child; without one (no room for its job, no descriptor) what it would do is left undone. */
  #startFor(job: UpkeepJob): number | undefined {
    let path: string | undefined;
    try {
      // Too long for an argument; opened by the child before it becomes the user.
      path = Deno.makeTempFileSync({ dir: this.children.instance.socketDir, prefix: ".upkeep-" });
      Deno.writeTextFileSync(path, JSON.stringify(job));
      return this.children.startSelf(["irmd", UPKEEP_WORD], path);
    } catch (e) {
      const why = e instanceof Error ? e.message : String(e);
      this.children.log.warn(`Cannot take back the packets of uid ${job.uid}: ${why}.`);
      return undefined;
    } finally {
      removeQuietly(path);
    }
  }

  #clearTimers(): void {
    clearTimeout(this.#timer);
    clearTimeout(this.#idleTimer);
    this.#timer = this.#idleTimer = undefined;
  }

  close(): void {
    this.#clearTimers();
    this.#jobs.clear();
  }
}

function removeQuietly(path: string | undefined): void {
  if (path === undefined) return;
  try {
    Deno.removeSync(path);
  } catch {
    // The directory has gone; then so has the file.
  }
}

/** The child: does the job on its standard input as its user. Gives the exit code. */
export async function upkeepMain(instance: Instance): Promise<number> {
  const job = readJob(await new Response(Deno.stdin.readable).text());
  if (job === undefined) return 1;
  try {
    if (effectiveUid() !== job.uid) becomeUser(job.uid, job.gid);
    await work(instance, job);
    return 0;
  } catch (e) {
    // The pool may have gone with the user's last process.
    return e instanceof SysError ? 0 : 1;
  }
}

async function work(instance: Instance, job: UpkeepJob): Promise<void> {
  using pool = Pool.open(instance, job.uid);
  for (const [flowId, pid] of job.downs) takeDown(instance, pool, flowId, pid, 0);
  for (const off of job.offsets) pool.remove(off);
  if (job.dead.length === 0) return;
  await new Promise((done) => setTimeout(done, RECLAIM_AFTER_MS));
  for (const pid of job.dead) reclaimFrom(instance, pool, pid, job.rings);
}

/** A job, or undefined for anything else; never root's. */
function readJob(text: string): UpkeepJob | undefined {
  const number = (x: unknown) => Number.isInteger(x) && (x as number) >= 0;
  const list = (x: unknown, length: number) =>
    Array.isArray(x) &&
    x.every((e) => Array.isArray(e) && e.length === length && e.every(number));
  try {
    const { uid, gid, downs, offsets, dead, rings } = JSON.parse(text);
    const good = number(uid) && uid > 0 && number(gid) && list(downs, 2) && list(rings, 2) &&
      [offsets, dead].every((l) => Array.isArray(l) && l.every(number));
    return good ? { uid, gid, downs, offsets, dead, rings } : undefined;
  } catch {
    return undefined;
  }
}

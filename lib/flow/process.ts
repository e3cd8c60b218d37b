/**
 * A process of the node (spec 30 §3): announced to the IRMd, with its pool, its flow set, its table of
 * flows and their deadlines. Everything a thread needs to have flows hangs on one of these.
 *
 * A Worker joins the process of its main thread with {@linkcode OuroProcess.share} and
 * {@linkcode OuroProcess.join}: same pid and pool, its own table and its own queues of the flow set.
 */

import { Errno, type ErrorDetail, OuroError } from "../errno.ts";
import { currentInstance, type Instance, instanceOf } from "../instance.ts";
import { irmRequest, irmRequestSync } from "../irm/client.ts";
import { IrmCode } from "../irm/codes.ts";
import type { IrmMsg } from "../irm/messages.ts";
import { FD_FIRST, FDS_MAX, FQUEUES_MAX } from "../limits.ts";
import { BlockCache } from "../shm/block_cache.ts";
import { FlowSetShm } from "../shm/flow_set.ts";
import { flowUid } from "../shm/flow_uid.ts";
import { Pool } from "../shm/pool.ts";
import { monotonicNs } from "../sys/clock.ts";
import { SysError } from "../sys/ffi.ts";
import { realUid } from "../sys/users.ts";
import { announceRequest, exitRequest, resultOf } from "./irmd.ts";
import { PeerSets } from "./rings.ts";
import { type Timed, TimerHeap } from "./timer_heap.ts";
import { Waiter } from "./waiter.ts";

/** What the process needs to know of a flow it owns. */
export interface OwnedFlow extends Timed {
  readonly fd: number;
  readonly id: number;
  /** Events for this flow arrived (bits); 0: look anyway. */
  onEvents(events: number): void;
  /** Queue of the flow set that the flow is in, -1 none. */
  readonly queue: number;
  /** Takes in what waits for this flow, if it is one whose peer expects answers (FRCT). */
  service(): void;
  /** The process ends: close without lingering. */
  abandon(): void;
}

/** What a Worker needs to join; plain data for `postMessage`. */
export interface SharedProcess {
  /** Prefix of the instance. */
  readonly prefix: string;
  /** Pid of the process. */
  readonly pid: number;
  /** Flow uid: 0 for the global pool. */
  readonly uid: number;
  /** Which queues of the flow set are in use. */
  readonly indexes: SharedArrayBuffer;
}

/**
 * How a process opens.
 *
 * @example
 * ```ts
 * import { instanceOf, OuroProcess, type OuroProcessOptions } from "@ouro/ouro";
 * import { assertThrows } from "@std/assert";
 *
 * const options: OuroProcessOptions = { instance: instanceOf("/nonexistent"), prog: "demo" };
 * assertThrows(() => OuroProcess.open(options), Error, "IRMd"); // no IRMd there
 * ```
 */
export interface OuroProcessOptions {
  /** The node; `OURO_PREFIX` decides when absent. */
  instance?: Instance;
  /**
   * Program name for bindings, at most 255 bytes; when absent the file name of the program, for a script that is not
   * executable without its extension.
   */
  prog?: string;
  /** @internal How the IRMd is reached; its socket when absent. Tests put a double here. */
  link?: IrmdLink;
  /** @internal Pid to act as; our own when absent. Only a double accepts another. */
  pid?: number;
}

/** The way to the IRMd. */
export interface IrmdLink {
  requestSync(message: IrmMsg): IrmMsg;
  request(message: IrmMsg, signal?: AbortSignal): Promise<IrmMsg>;
}

/** Longest wait for the answer to a farewell, ms. */
const FAREWELL_MS = 60;

function socketLink(instance: Instance): IrmdLink {
  return {
    requestSync: (message) => {
      // A process that ends does not wait for an IRMd that is stopped: it reads the farewell later.
      const farewell = message.code === IrmCode.IRM_PROC_EXIT;
      return irmRequestSync(instance, message, farewell ? { timeoutMs: FAREWELL_MS } : {});
    },
    request: (message, signal) =>
      irmRequest(instance, message, signal === undefined ? {} : { signal }),
  };
}

/** How the runtime asks for the text of a value. */
const INSPECT: unique symbol = Symbol.for("Deno.customInspect") as typeof INSPECT;

/** How often flows with FRCT are served while the thread blocks in a call on another flow, ns. */
const SERVICE_NS = 5e6;
/** Flows served in that time; more flows are served less often, so that serving stays cheap. */
const SERVICE_FLOWS = 256;

/** Timers of the runtime are whole ms and stop at 2^31; we look at least this often. */
const TIMER_MAX_MS = 60e3;

/**
 * An open process; see the head of this file.
 *
 * @example
 * ```ts
 * import { currentInstance, OuroProcess } from "@ouro/ouro";
 * import { assertEquals } from "@std/assert";
 *
 * using process = OuroProcess.open({ instance: currentInstance(), prog: "my-program" });
 * assertEquals(process.pid, Deno.pid);
 * ```
 */
export class OuroProcess implements Disposable {
  static #current: OuroProcess | undefined;
  /** What this thread announced and did not take back. */
  static readonly #announced = new Map<string, Announcement>();
  #announcement: Announcement | undefined;

  /** @internal Where flows take blocks for packets they send. */
  readonly blocks: BlockCache;
  /** @internal Peers' flow sets. */
  readonly peerSets: PeerSets;
  /** @internal Deadlines of this thread's flows. */
  readonly timers: TimerHeap = new TimerHeap();

  /** @internal Flows whose peer expects answers although the application doesn't call. */
  readonly served: Set<OwnedFlow> = new Set();
  #servedAtNs = 0;

  readonly #flows: (OwnedFlow | undefined)[] = new Array(FDS_MAX);
  readonly #byId = new Map<number, OwnedFlow>();
  #firstFree = FD_FIRST;
  #waiter: Waiter | undefined;
  #asyncIndex = -1;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #timerAtNs = Infinity;
  #closed = false;
  readonly #onUnload = () => this.close();

  private constructor(
    readonly instance: Instance,
    readonly pid: number,
    /** Flow uid: 0 for the global pool. */
    readonly uid: number,
    /** @internal */
    readonly pool: Pool,
    /** @internal The process's own flow set. */
    readonly set: FlowSetShm,
    /** @internal One word: bit n is set when queue n of the set is in use by some thread. */
    readonly indexes: Int32Array<SharedArrayBuffer>,
    /** This handle announced: the library's queue 0 is its. */
    private readonly first: boolean,
    private readonly link: IrmdLink,
  ) {
    this.peerSets = new PeerSets(instance);
    this.blocks = new BlockCache(pool);
    globalThis.addEventListener("unload", this.#onUnload);
  }

  /**
   * Announces this process to the IRMd and opens its pool and flow set. Blocking, a few ms at most.
   * Throws `OuroError`: -EIRMD when no IRMd answers, or the IRMd's refusal.
   */
  static open(options: OuroProcessOptions = {}): OuroProcess {
    const instance = options.instance ?? currentInstance();
    const pid = options.pid ?? Deno.pid;
    const link = options.link ?? socketLink(instance);
    const again = OuroProcess.#openAgain(instance, pid, link);
    if (again !== undefined) return again;
    const reply = link.requestSync(announceRequest(pid, options.prog ?? programName()));
    const result = resultOf(reply);
    if (result !== 0) {
      throw new OuroError(result, "Cannot announce to the IRMd", announceProblem(reply));
    }
    const uid = flowUid(instance, realUid());
    const words = new Int32Array(new SharedArrayBuffer(4));
    // Queue 0 is the library's, as in the prototype.
    words[0] = 1;
    const process = OuroProcess.#openMemory(instance, pid, uid, words, true, link);
    process.#announcement = { uid, indexes: words, users: 1 };
    OuroProcess.#announced.set(announcementKey(instance, pid), process.#announcement);
    return process;
  }

  /** A second handle of a process that this thread announced; the last one to close says farewell. */
  static #openAgain(instance: Instance, pid: number, link: IrmdLink): OuroProcess | undefined {
    const first = OuroProcess.#announced.get(announcementKey(instance, pid));
    if (first === undefined) return undefined;
    try {
      const { uid, indexes } = first;
      const process = OuroProcess.#openMemory(instance, pid, uid, indexes, false, link);
      process.#announcement = first;
      first.users += 1;
      return process;
    } catch (e) {
      // Its memory is gone with an earlier IRMd: announce anew.
      if (e instanceof OuroError && e.code === -Errno.ENOENT) return undefined;
      throw e;
    }
  }

  /**
   * The process of this thread, opened on first use with default options. A process is announced by one thread: others
   * {@linkcode join} it and call {@linkcode makeCurrent}.
   */
  static current(): OuroProcess {
    const current = OuroProcess.#current;
    if (current !== undefined && !current.closed) return current;
    return OuroProcess.#current = OuroProcess.open();
  }

  /** Makes this the process that calls without one use. */
  makeCurrent(): this {
    OuroProcess.#current = this;
    return this;
  }

  /** Joins the process of another thread. Throws `OuroError` when its memory can't be opened. */
  static join(shared: SharedProcess): OuroProcess {
    const instance = instanceOf(shared.prefix);
    const indexes = new Int32Array(shared.indexes);
    const link = socketLink(instance);
    return OuroProcess.#openMemory(instance, shared.pid, shared.uid, indexes, false, link);
  }

  static #openMemory(
    instance: Instance,
    pid: number,
    uid: number,
    indexes: Int32Array<SharedArrayBuffer>,
    first: boolean,
    link: IrmdLink,
  ): OuroProcess {
    let pool: Pool | undefined;
    try {
      pool = Pool.open(instance, uid, false, pid);
      const set = FlowSetShm.open(instance, pid);
      return new OuroProcess(instance, pid, uid, pool, set, indexes, first, link);
    } catch (e) {
      pool?.close();
      if (!(e instanceof SysError)) throw e;
      throw new OuroError(
        -e.errno,
        `Cannot open ${pool === undefined ? "the packet pool" : "the flow set"} (${e.object})`,
      );
    }
  }

  /**
   * What another thread needs to {@linkcode join}.
   *
   * @example
   * ```ts
   * import { OuroProcess } from "@ouro/ouro";
   * import { assertEquals } from "@std/assert";
   *
   * const shared = OuroProcess.current().share(); // postMessage(shared) to a Worker, which does
   * using process = OuroProcess.join(shared);
   * assertEquals(process.pid, Deno.pid);
   * ```
   */
  share(): SharedProcess {
    return {
      prefix: this.instance.prefix,
      pid: this.pid,
      uid: this.uid,
      indexes: this.indexes.buffer,
    };
  }

  /** Whether the process was closed. */
  get closed(): boolean {
    return this.#closed;
  }

  /** Number of flows this thread owns. */
  get flows(): number {
    return this.#byId.size;
  }

  /** @internal A request to the IRMd, blocking. Throws `OuroError` when there is no answer. */
  requestSync(message: IrmMsg): IrmMsg {
    return this.link.requestSync(message);
  }

  /** @internal A request to the IRMd. Rejects with `OuroError`, or the signal's reason. */
  request(message: IrmMsg, signal?: AbortSignal): Promise<IrmMsg> {
    return this.link.request(message, signal);
  }

  /** @internal Lowest free descriptor, or -EMFILE. It is taken with {@linkcode enter}. */
  freeFd(): number {
    let fd = this.#firstFree;
    while (fd < FDS_MAX && this.#flows[fd] !== undefined) fd += 1;
    this.#firstFree = fd;
    return fd < FDS_MAX ? fd : -Errno.EMFILE;
  }

  /** @internal Puts a flow in the table. */
  enter(flow: OwnedFlow): void {
    this.#flows[flow.fd] = flow;
    this.#byId.set(flow.id, flow);
  }

  /** @internal Takes a flow out of the table; its descriptor is free again. */
  leave(flow: OwnedFlow): void {
    if (this.#flows[flow.fd] !== flow) return;
    this.#flows[flow.fd] = undefined;
    if (this.#byId.get(flow.id) === flow) this.#byId.delete(flow.id);
    this.#firstFree = Math.min(this.#firstFree, flow.fd);
    this.timers.disarm(flow);
    this.served.delete(flow);
  }

  /** @internal The flow with a descriptor. */
  flowOf(fd: number): OwnedFlow | undefined {
    return this.#flows[fd];
  }

  /** @internal The flow with a flow id; undefined for ids that aren't ours. */
  flowById(id: number): OwnedFlow | undefined {
    return this.#byId.get(id);
  }

  /** @internal Reserves a queue of the flow set, lowest first, or -ENOMEM when all are in use. */
  takeIndex(): number {
    for (;;) {
      const used = Atomics.load(this.indexes, 0);
      const free = ~used;
      if (free === 0) return -Errno.ENOMEM;
      const idx = 31 - Math.clz32(free & -free);
      if (Atomics.compareExchange(this.indexes, 0, used, used | (1 << idx)) === used) return idx;
    }
  }

  /** @internal Empties a queue and gives it back. */
  giveIndex(idx: number): void {
    if (idx < 0 || idx >= FQUEUES_MAX) return;
    this.set.zero(idx);
    Atomics.and(this.indexes, 0, ~(1 << idx));
  }

  /** @internal The queue that this thread's waiter watches; starts the waiter on first use. */
  asyncIndex(): number {
    this.waiter();
    return this.#asyncIndex;
  }

  /** @internal The waiter thread of this thread's flows, started on first use. */
  waiter(): Waiter {
    if (this.#waiter !== undefined) return this.#waiter;
    if (this.#closed) throw new OuroError(-Errno.EBADF, "Cannot wait: the process is closed");
    const index = this.first ? 0 : this.takeIndex();
    if (index < 0) throw new OuroError(index, "Cannot wait: no queue of the flow set is free");
    this.#asyncIndex = index;
    this.#waiter = new Waiter(
      this.set,
      { prefix: this.instance.prefix, pid: this.pid, index },
      (id, events) => this.#byId.get(id)?.onEvents(events),
      () => {
        for (const flow of this.#byId.values()) flow.onEvents(0);
      },
    );
    return this.#waiter;
  }

  /** @internal Makes sure `flow.onDeadline` is called by `atNs`, by the event loop or by a blocking call. */
  arm(flow: OwnedFlow, atNs: number): void {
    if (!this.timers.arm(flow, atNs)) return;
    if (atNs >= this.#timerAtNs) return;
    this.#armTimer(atNs);
  }

  #armTimer(atNs: number): void {
    if (this.#timer !== undefined) clearTimeout(this.#timer);
    this.#timerAtNs = atNs;
    const delayMs = Math.max(0, Math.min(TIMER_MAX_MS, Math.ceil((atNs - monotonicNs()) / 1e6)));
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#timerAtNs = Infinity;
      if (!this.#closed) this.tick(monotonicNs(), true);
    }, delayMs);
    // Deadlines alone don't keep a program alive.
    Deno.unrefTimer(this.#timer as unknown as number);
  }

  /** @internal When a thread that blocks must come back for {@linkcode tick}, ns. */
  wakeAtNs(): number {
    const next = this.timers.nextNs;
    return this.served.size === 0 ? next : Math.min(next, this.#servedAtNs + this.#serviceNs());
  }

  #serviceNs(): number {
    return SERVICE_NS * Math.ceil(this.served.size / SERVICE_FLOWS);
  }

  /**
   * Runs the deadlines that are due; blocking calls do this while they wait.
   * @param looping the event loop runs, so that flows in the waiter's queue are served by their events
   */
  tick(nowNs: number, looping = false): void {
    if (this.timers.nextNs <= nowNs) this.timers.run(nowNs);
    if (this.served.size > 0 && nowNs >= this.#servedAtNs + this.#serviceNs()) {
      this.#servedAtNs = nowNs;
      const watched = looping && this.#asyncIndex >= 0 ? this.#asyncIndex : NaN;
      for (const flow of this.served) if (flow.queue !== watched) flow.service();
    }
    const next = this.timers.nextNs;
    if (next < this.#timerAtNs) this.#armTimer(next);
  }

  /** Closes all flows (without lingering), says farewell and unmaps everything. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    globalThis.removeEventListener("unload", this.#onUnload);
    if (this.#timer !== undefined) clearTimeout(this.#timer);
    this.#waiter?.close();
    for (const flow of [...this.#byId.values()]) flow.abandon();
    if (!this.first && this.#asyncIndex >= 0) this.giveIndex(this.#asyncIndex);
    this.blocks.close();
    const announcement = this.#announcement;
    if (announcement !== undefined && --announcement.users === 0) {
      const key = announcementKey(this.instance, this.pid);
      if (OuroProcess.#announced.get(key) === announcement) OuroProcess.#announced.delete(key);
      try {
        this.requestSync(exitRequest(this.pid));
      } catch {
        // The IRMd is gone: nobody to tell.
      }
    }
    this.set.close();
    this.pool.close();
  }

  /** What a person or a log wants to see. */
  toJSON(): { pid: number; prefix: string; flows: number; closed: boolean } {
    return { pid: this.pid, prefix: this.instance.prefix, flows: this.flows, closed: this.closed };
  }

  /** `console.log` shows what {@linkcode toJSON} gives. */
  [INSPECT](inspect: (value: unknown) => string): string {
    return `OuroProcess ${inspect(this.toJSON())}`;
  }

  /** Closes the process. */
  [Symbol.dispose](): void {
    this.close();
  }
}

/** A process as this thread announced it, and its handles that are open. */
interface Announcement {
  readonly uid: number;
  readonly indexes: Int32Array<SharedArrayBuffer>;
  users: number;
}

function announcementKey(instance: Instance, pid: number): string {
  return `${pid} ${instance.prefix}`;
}

/** What the IRMd says, and what a Worker should do about it when another thread announced the process. */
function announceProblem({ result, error }: IrmMsg): ErrorDetail | undefined {
  const inWorker = (Deno.mainModule as string | undefined) === undefined;
  if (result !== -Errno.EPERM || error === undefined || !inWorker) return error;
  return { ...error, cause: `${error.cause} by another thread (see OuroProcess.share and join)` };
}

/**
 * What the IRMd knows the program by: the file name of a compiled program or of an executable script, which is what
 * `irm bind program` takes; of other scripts without the extension, as they are installed.
 */
function programName(): string {
  const path = Deno.build.standalone ? Deno.execPath() : scriptPath();
  const file = path.slice(path.lastIndexOf("/") + 1);
  const name = isExecutable(path) ? file : file.replace(SCRIPT_END, "");
  return name.slice(0, 255) || "deno";
}

const SCRIPT_END = /\.[cm]?[jt]sx?$/;

function scriptPath(): string {
  // A Worker has no main module.
  const url = Deno.mainModule as string | undefined;
  if (url !== undefined) return decodeURIComponent(new URL(url).pathname);
  const words = Deno.readTextFileSync("/proc/self/cmdline").split("\0");
  return words.find((w) => SCRIPT_END.test(w)) ?? "";
}

function isExecutable(path: string): boolean {
  try {
    return ((Deno.statSync(path).mode ?? 0) & 0o111) !== 0;
  } catch {
    return false; // not a file: a module from elsewhere
  }
}

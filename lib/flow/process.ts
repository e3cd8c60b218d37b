/**
 * A process of the node (spec 30 §3): announced to the IRMd. Everything a thread needs to have flows hangs on one of
 * these; what that is made of is in `process_parts.ts`.
 *
 * A Worker joins the process of its main thread with {@linkcode OuroProcess.share} and
 * {@linkcode OuroProcess.join}: same pid and pool, its own table and its own queues of the flow set.
 */

import { Errno, type ErrorDetail, OuroError } from "../errno.ts";
import { currentInstance, type Instance, instanceOf } from "../instance.ts";
import type { IrmMsg } from "../irm/messages.ts";
import { FlowSetShm } from "../shm/flow_set.ts";
import { flowUid } from "../shm/flow_uid.ts";
import { Pool } from "../shm/pool.ts";
import { monotonicNs } from "../sys/clock.ts";
import { onlineCpus } from "../sys/cpus.ts";
import { SysError } from "../sys/ffi.ts";
import { realUid } from "../sys/users.ts";
import { announceRequest, exitRequest, resultOf } from "./irmd.ts";
import { type IrmdLink, ProcessParts, socketLink } from "./process_parts.ts";
import { programName } from "./program_name.ts";
import { ThreadWords } from "./thread_words.ts";

/** What a Worker needs to join; plain data for `postMessage`. */
export interface SharedProcess {
  /** Prefix of the instance. */
  readonly prefix: string;
  /** Pid of the process. */
  readonly pid: number;
  /** Flow uid: 0 for the global pool. */
  readonly uid: number;
  /** What the threads of the process say of each other. */
  readonly words: SharedArrayBuffer;
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
}

/** What tests set beside the options of a program. */
export interface OpenProcessOptions extends OuroProcessOptions {
  /** How the IRMd is reached; its socket when absent. */
  link?: IrmdLink;
  /** Pid to act as; our own when absent. Only a double accepts another. */
  pid?: number;
}

/** How the runtime asks for the text of a value. */
const INSPECT: unique symbol = Symbol.for("Deno.customInspect") as typeof INSPECT;

let open: (options: OpenProcessOptions) => OuroProcess;
let parts: (process: OuroProcess) => ProcessParts;

/** As {@linkcode OuroProcess.open}, with doubles. */
export function openProcess(options: OpenProcessOptions): OuroProcess {
  return open(options);
}

/** What the flows of a process stand on; for the library and for IPCPs. */
export function partsOfProcess(process: OuroProcess): ProcessParts {
  return parts(process);
}

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

  readonly #parts: ProcessParts;
  #closed = false;
  readonly #onUnload = () => this.close();

  static {
    open = (options) => OuroProcess.#open(options);
    parts = (process) => process.#parts;
  }

  private constructor(parts: ProcessParts) {
    this.#parts = parts;
    globalThis.addEventListener("unload", this.#onUnload);
  }

  /** The node. */
  get instance(): Instance {
    return this.#parts.instance;
  }

  /** Process id. */
  get pid(): number {
    return this.#parts.pid;
  }

  /** Flow uid: 0 for the global pool. */
  get uid(): number {
    return this.#parts.uid;
  }

  /** Longest message that a packet of this process holds, bytes; a flow may carry less ({@linkcode Flow.messageBytesMax}). */
  get packetBytesMax(): number {
    return this.#parts.pool.payloadBytesMax;
  }

  /**
   * Announces this process to the IRMd and opens its pool and flow set. Blocking, a few ms at most.
   * Throws `OuroError`: -EIRMD when no IRMd answers, or the IRMd's refusal.
   */
  static open(options: OuroProcessOptions = {}): OuroProcess {
    return OuroProcess.#open(options);
  }

  static #open(options: OpenProcessOptions): OuroProcess {
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
    const words = new Int32Array(new SharedArrayBuffer(ThreadWords.COUNT * 4));
    // Queue 0 is the library's, as in the prototype.
    words[ThreadWords.QUEUES] = 1;
    const process = OuroProcess.#openMemory(instance, pid, uid, words, true, link);
    process.#announcement = { uid, words, users: 1 };
    OuroProcess.#announced.set(announcementKey(instance, pid), process.#announcement);
    return process;
  }

  /** A second handle of a process that this thread announced; the last one to close says farewell. */
  static #openAgain(instance: Instance, pid: number, link: IrmdLink): OuroProcess | undefined {
    const first = OuroProcess.#announced.get(announcementKey(instance, pid));
    if (first === undefined) return undefined;
    try {
      const { uid, words } = first;
      const process = OuroProcess.#openMemory(instance, pid, uid, words, false, link);
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
    const words = new Int32Array(shared.words);
    const link = socketLink(instance);
    return OuroProcess.#openMemory(instance, shared.pid, shared.uid, words, false, link);
  }

  static #openMemory(
    instance: Instance,
    pid: number,
    uid: number,
    words: Int32Array<SharedArrayBuffer>,
    first: boolean,
    link: IrmdLink,
  ): OuroProcess {
    // What waits need of libc: opened in a test of its own, `deno test` would call it a leak of that test.
    monotonicNs();
    onlineCpus();
    let pool: Pool | undefined;
    try {
      pool = Pool.open(instance, uid, false, pid);
      const set = FlowSetShm.open(instance, pid);
      const memory = { instance, pid, uid, pool, set, words, first };
      return new OuroProcess(new ProcessParts(memory, link));
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
      words: this.#parts.words.buffer,
    };
  }

  /** Whether the process was closed. */
  get closed(): boolean {
    return this.#closed;
  }

  /** Number of flows this thread owns. */
  get flows(): number {
    return this.#parts.table.size;
  }

  /** Closes all flows (without lingering), says farewell and unmaps everything. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    globalThis.removeEventListener("unload", this.#onUnload);
    this.#parts.close(() => this.#sayFarewell());
  }

  #sayFarewell(): void {
    const announcement = this.#announcement;
    if (announcement === undefined || --announcement.users > 0) return;
    const key = announcementKey(this.instance, this.pid);
    if (OuroProcess.#announced.get(key) === announcement) OuroProcess.#announced.delete(key);
    try {
      this.#parts.requestSync(exitRequest(this.pid), this.#parts.farewellMs);
    } catch {
      // The IRMd is gone: nobody to tell.
    }
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
  readonly words: Int32Array<SharedArrayBuffer>;
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

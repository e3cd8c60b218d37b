/**
 * Flows: allocation, sharing between threads (spec 30 §5). The data path is in `flow_write.ts` and
 * `flow_read.ts`, the end in `flow_end.ts`.
 *
 * Blocking calls (`…Sync`) return bytes or negative error numbers and never throw, but for those that
 * make a flow; asynchronous calls reject with `OuroError` carrying the same numbers.
 */

import { PacketCipher } from "../crypt/mod.ts";
import { Errno, OuroError } from "../errno.ts";
import { type FlowInfo, sduLimitsOf } from "../irm/messages.ts";
import { QOS, type QosSpec } from "../qos.ts";
import { SysError } from "../sys/ffi.ts";
import { FlowEnd } from "./flow_end.ts";
import { FrctDriver } from "./frct_driver.ts";
import {
  deallocRequest,
  type FlowCall,
  type FlowGrant,
  flowRequest,
  grantOf,
  grantProblem,
} from "./irmd.ts";
import { Keepalive } from "./keepalive.ts";
import { messageLimit, pieceBytes } from "./message_limit.ts";
import { OuroProcess } from "./process.ts";
import { Protection } from "./protection.ts";
import { Rings } from "./rings.ts";

/** How a flow is made. */
export interface FlowOptions {
  /** What the flow must provide, or a predefined spec by name; raw when absent. */
  qos?: QosSpec | keyof typeof QOS | undefined;
  /** Give up after so many ms (-ETIMEDOUT). Absent: the IRMd's 20 s for alloc, no limit for accept. */
  timeoutMs?: number | undefined;
  /** The same by its short name, ms. */
  timeout?: number | undefined;
  /** Aborts the wait; the promise rejects with the signal's reason. */
  signal?: AbortSignal | undefined;
  /** The process that owns the flow; the thread's own when absent. */
  process?: OuroProcess | undefined;
  /** See {@linkcode Flow.lingerMs}; undefined: as long as FRCT would retransmit, 120 s. */
  lingerMs?: number | undefined;
  /** Ask for a CRC when the QoS says `ber: 0`; both ends must be able to (default builds of C aren't). */
  crc?: boolean | undefined;
}

/** Plain data with which another thread of the process takes part in a flow. */
export interface SharedFlow {
  /** As the IRMd described the flow. */
  readonly info: FlowInfo;
  /** The flow is given away for good: its signs of life go with it. */
  readonly whole?: boolean | undefined;
}

/**
 * One end of a flow.
 *
 * @example
 * ```ts
 * import { Flow, QOS } from "@ouro/ouro";
 *
 * await using flow = await Flow.alloc("echo", { qos: QOS.data, timeoutMs: 5000 });
 * await flow.write(Uint8Array.of(1, 2, 3));
 * const answer = await flow.read({ timeoutMs: 5000 });
 * console.log(answer.length, flow.qos.inOrder, flow.info.mpl);
 * ```
 */
export class Flow extends FlowEnd<Flow> implements Disposable, AsyncDisposable {
  /** Descriptor: 64..4095, unique in the thread's process. */
  override readonly fd: number;
  /** As the IRMd described the flow: pids, MPL, QoS. */
  override readonly info: FlowInfo;
  /** This flow, for those who listen to it. */
  protected override readonly self: Flow = this;

  private constructor(process: OuroProcess, rings: Rings, grant: FlowGrant, fd: number) {
    super(process, rings, grant.info.id);
    this.fd = fd;
    this.info = grant.info;
    const { qos } = grant.info;
    const crc = qos.ber === 0;
    let cipher: PacketCipher | null = null;
    if (grant.cipherNid !== 0) {
      const made = PacketCipher.create(grant.cipherNid, grant.symKey);
      if (typeof made === "number") throw new OuroError(made, "Cannot encrypt the flow");
      cipher = made;
    }
    let overhead = 0;
    if (crc || cipher !== null || qos.inOrder !== 0) {
      this.plain = false;
      const protection = new Protection(this.pool, crc, cipher);
      overhead = protection.overheadBytes;
      if (crc || cipher !== null) this.protection = protection;
      if (qos.inOrder !== 0) {
        this.frct = new FrctDriver(
          this.pool,
          rings,
          protection,
          this.id,
          this.counters,
          qos.loss === 0,
          grant.info.mpl,
        );
        overhead += this.frct.endpoint.headerBytes;
        process.served.add(this);
      }
    }
    const sdu = sduLimitsOf(grant.info);
    // Direct flows have an MPL of 1 ms, all layers more (spec 30 §5.2).
    const direct = grant.info.mpl <= 1;
    this.messageMax = messageLimit(this.pool.payloadBytesMax, overhead, sdu);
    this.pieceMax = pieceBytes(this.messageMax, overhead, sdu, direct);
    this.keepalive = qos.timeout > 0
      ? new Keepalive(qos.timeout, rings, process, this.id, this.counters)
      : null;
    process.enter(this);
    if (this.keepalive !== null) process.arm(this, this.keepalive.nextNs);
  }

  /** What the IRMd granted. */
  get qos(): QosSpec {
    return this.info.qos;
  }

  /**
   * Allocates a flow to a name, blocking. Throws `OuroError` with the IRMd's code and reason.
   *
   * @example
   * ```ts
   * import { Flow, OuroProcess } from "@ouro/ouro";
   * import { assertEquals } from "@std/assert";
   *
   * using process = OuroProcess.open();
   * using flow = Flow.allocSync(process, "echo", { timeoutMs: 5000 });
   * flow.writeSync(Uint8Array.of(1, 2, 3));
   * const buffer = new Uint8Array(100);
   * assertEquals(flow.readSync(buffer, { timeoutMs: 5000 }), 3);
   * ```
   */
  static allocSync(process: OuroProcess, dst: string, options: FlowOptions = {}): Flow {
    return Flow.#makeSync("alloc", process, dst, options);
  }

  /**
   * Waits for a flow to one of the process's names, blocking. Throws `OuroError`.
   *
   * @example
   * ```ts
   * import { Errno, Flow, OuroError, OuroProcess } from "@ouro/ouro";
   * import { assertEquals, assertThrows } from "@std/assert";
   *
   * using process = OuroProcess.open();
   * const error = assertThrows(() => Flow.acceptSync(process, { timeoutMs: 10 }), OuroError);
   * assertEquals(error.code, -Errno.ETIMEDOUT); // nobody came
   * ```
   */
  static acceptSync(process: OuroProcess, options: FlowOptions = {}): Flow {
    return Flow.#makeSync("accept", process, "", options);
  }

  /**
   * Joins a broadcast layer by name, blocking. Throws `OuroError`.
   *
   * @example
   * ```ts
   * import { Flow, OuroError, OuroProcess } from "@ouro/ouro";
   * import { assertThrows } from "@std/assert";
   *
   * using process = OuroProcess.open();
   * assertThrows(() => Flow.joinSync(process, "no.such.layer", { timeoutMs: 500 }), OuroError);
   * ```
   */
  static joinSync(process: OuroProcess, layer: string, options: FlowOptions = {}): Flow {
    return Flow.#makeSync("join", process, layer, options);
  }

  /**
   * Allocates a flow to a name. Rejects with `OuroError`: -ENAME, -EIPCP, -ETIMEDOUT, -EIRMD, …
   *
   * @example
   * ```ts
   * import { Flow, QOS } from "@ouro/ouro";
   * import { assertEquals } from "@std/assert";
   *
   * await using flow = await Flow.alloc("echo", { qos: QOS.data, timeoutMs: 5000 });
   * await flow.write(new TextEncoder().encode("hello"));
   * assertEquals(new TextDecoder().decode(await flow.read()), "hello");
   * ```
   */
  static alloc(dst: string, options?: FlowOptions): Promise<Flow>;
  /** Allocates a flow to a name for a process other than the thread's own. As above. */
  static alloc(process: OuroProcess, dst: string, options?: FlowOptions): Promise<Flow>;
  static alloc(
    first: OuroProcess | string,
    second?: string | FlowOptions,
    third?: FlowOptions,
  ): Promise<Flow> {
    if (typeof first === "string") {
      return Flow.#make("alloc", undefined, first, (second ?? {}) as FlowOptions);
    }
    return Flow.#make("alloc", first, second as string, third ?? {});
  }

  /**
   * Waits for a flow to one of the process's names. Rejects with `OuroError`.
   *
   * @example
   * ```ts
   * import { Errno, Flow, OuroError } from "@ouro/ouro";
   * import { assertEquals, assertRejects } from "@std/assert";
   *
   * const error = await assertRejects(() => Flow.accept({ timeoutMs: 10 }), OuroError);
   * assertEquals(error.code, -Errno.ETIMEDOUT); // nobody came
   * ```
   */
  static accept(process?: OuroProcess | FlowOptions, options?: FlowOptions): Promise<Flow> {
    if (process instanceof OuroProcess) return Flow.#make("accept", process, "", options ?? {});
    return Flow.#make("accept", undefined, "", process ?? options ?? {});
  }

  /**
   * Joins a broadcast layer by name. Rejects with `OuroError`.
   *
   * @example
   * ```ts
   * import { Flow, OuroError } from "@ouro/ouro";
   * import { assertRejects } from "@std/assert";
   *
   * await assertRejects(() => Flow.join("no.such.layer", { timeoutMs: 500 }), OuroError);
   * ```
   */
  static join(layer: string, options: FlowOptions = {}): Promise<Flow> {
    return Flow.#make("join", options.process, layer, options);
  }

  /**
   * Flows as they come, until the signal aborts or the loop ends (`return()` ends a pending `next()` as well). A
   * failed set-up of one flow is passed over; rejects with `OuroError` -EIRMD, -ETIMEDOUT (`timeoutMs` for each
   * flow), -EPERM, -EINVAL or -EBADF.
   *
   * @example
   * ```ts
   * import { Flow } from "@ouro/ouro";
   *
   * async function serve(flow: Flow): Promise<void> {
   *   await using f = flow;
   *   for await (const message of f.readable) await f.write(message);
   * }
   *
   * // A server has no signal, or the one of its own end.
   * for await (const flow of Flow.listen({ signal: AbortSignal.timeout(50) })) serve(flow);
   * ```
   */
  static listen(options: FlowOptions = {}): AsyncGenerator<Flow, void, void> {
    const stop = new AbortController();
    const { signal } = options;
    const flows = Flow.#accepted({
      ...options,
      signal: signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal]),
    });
    // A generator that waits does not hear of its end: the wait has to be ended for it.
    const end = flows.return.bind(flows);
    flows.return = (value) => {
      stop.abort();
      return end(value);
    };
    return flows;
  }

  static async *#accepted(options: FlowOptions): AsyncGenerator<Flow, void, void> {
    const signal = options.signal;
    while (!signal?.aborted) {
      try {
        yield await Flow.#make("accept", options.process, "", options);
      } catch (e) {
        if (signal?.aborted) return;
        // A flow that failed while it was set up is its peer's trouble; a lost IRMd is ours.
        if (!(e instanceof OuroError) || LISTEN_ENDS.has(e.code)) throw e;
      }
    }
  }

  static #makeSync(call: FlowCall, process: OuroProcess, dst: string, o: FlowOptions): Flow {
    const request = flowRequest(call, process.pid, dst, askedQos(o), askedTimeoutMs(o));
    const grant = grantOf(process.requestSync(request), call, dst, process.pid);
    const flow = Flow.#adopt(process, grant);
    flow.lingerMs = o.lingerMs;
    return flow;
  }

  static async #make(
    call: FlowCall,
    process: OuroProcess | undefined,
    dst: string,
    o: FlowOptions,
  ): Promise<Flow> {
    const owner = process ?? o.process ?? OuroProcess.current();
    o.signal?.throwIfAborted();
    const request = flowRequest(call, owner.pid, dst, askedQos(o), askedTimeoutMs(o));
    const grant = grantOf(await owner.request(request, o.signal), call, dst, owner.pid);
    const flow = Flow.#adopt(owner, grant);
    flow.lingerMs = o.lingerMs;
    if (flow.frct !== null) flow.place(owner.asyncIndex());
    return flow;
  }

  /** Builds our end of a granted flow; gives the flow back to the IRMd when that fails. */
  static #adopt(process: OuroProcess, grant: FlowGrant): Flow {
    try {
      const problem = grantProblem(grant);
      if (problem < 0) throw new OuroError(problem, "Cannot use the flow: bad key from the IRMd");
      const fd = process.freeFd();
      if (fd < 0) throw new OuroError(fd, "Cannot use the flow: all descriptors are in use");
      return Flow.#openEnd(process, grant, fd);
    } catch (e) {
      try {
        process.requestSync(deallocRequest(process.pid, grant.info.id, 0));
      } catch {
        // The first error says more.
      }
      throw e;
    } finally {
      grant.symKey.fill(0);
    }
  }

  static #openEnd(process: OuroProcess, grant: FlowGrant, fd: number): Flow {
    const { id, nPid, n1Pid } = grant.info;
    let rings: Rings;
    try {
      rings = Rings.open(process.instance, process.peerSets, nPid, n1Pid, id);
    } catch (e) {
      if (!(e instanceof SysError)) throw e;
      throw new OuroError(-Errno.ENOMEM, `Cannot open the flow's memory (${e.message})`);
    }
    try {
      return new Flow(process, rings, grant, fd);
    } catch (e) {
      rings.close();
      throw e;
    }
  }

  /**
   * What another thread needs to use this flow with {@linkcode attach}; -ENOTSUP unless raw and plain.
   *
   * @example
   * ```ts
   * import { Flow, OuroProcess } from "@ouro/ouro";
   * import { assertEquals } from "@std/assert";
   *
   * const process = OuroProcess.current();
   * await using flow = await Flow.alloc(process, "echo");
   * // In a Worker: OuroProcess.join(shared) and Flow.attach(process, message).
   * const other = OuroProcess.join(process.share());
   * const attached = Flow.attach(other, flow.share());
   * assertEquals(attached.writeSync(Uint8Array.of(1)), 1);
   * attached.detach();
   * other.close();
   * ```
   */
  share(): SharedFlow {
    if (!this.plain) {
      throw new OuroError(-Errno.ENOTSUP, "Cannot share a flow with FRCT, CRC or encryption");
    }
    return { info: this.info };
  }

  /**
   * Uses a flow of this process in another thread. One thread reads and one thread writes; only the
   * thread that made the flow deallocates it, here {@linkcode detach} ends the use.
   */
  static attach(process: OuroProcess, shared: SharedFlow): Flow {
    const fd = process.freeFd();
    if (fd < 0) throw new OuroError(fd, "Cannot attach: all descriptors are in use");
    const { qos } = shared.info;
    const timeout = shared.whole === true ? qos.timeout : 0;
    const info = { ...shared.info, qos: { ...qos, timeout } };
    return Flow.#openEnd(process, { info, cipherNid: 0, symKey: new Uint8Array(0) }, fd);
  }

  /**
   * @internal Gives the flow to another thread of the process, which attaches it: this thread's use ends, the flow
   * lives on. -ENOTSUP as {@linkcode share}.
   */
  handOver(): SharedFlow {
    const shared = { ...this.share(), whole: true };
    this.detach();
    return shared;
  }

  /** Ends the use of an attached flow; the flow itself lives on. */
  detach(): void {
    if (this.closed) return;
    this.forget();
  }
}

/** Codes that end {@linkcode Flow.listen}: the IRMd is gone, or we aren't known to it. */
const LISTEN_ENDS: ReadonlySet<number> = new Set([
  -Errno.EIRMD,
  -Errno.EINVAL,
  -Errno.EPERM,
  -Errno.ETIMEDOUT,
  -Errno.EBADF,
]);

/** Refuses a time that is none before it reaches the wire. */
function askedTimeoutMs(o: FlowOptions): number | undefined {
  const ms = o.timeoutMs ?? o.timeout;
  if (ms === undefined || ms === Infinity) return undefined;
  if (ms >= 0) return ms;
  throw badOption(`timeoutMs is ${ms}`);
}

function badOption(cause: string): OuroError {
  return new OuroError(-Errno.EINVAL, "Cannot ask for a flow", {
    stage: "options",
    process: "flow library",
    cause,
  });
}

/** What is asked of the IRMd: `ber` 1 unless a CRC is wanted, as in default builds of the prototype. */
function askedQos(o: FlowOptions): QosSpec {
  const qos = typeof o.qos === "string" ? QOS[o.qos] : o.qos ?? QOS.raw;
  if (qos === undefined) {
    throw badOption(`qos is "${o.qos}", not one of ${Object.keys(QOS).join(", ")}`);
  }
  return o.crc === true ? qos : { ...qos, ber: 1 };
}

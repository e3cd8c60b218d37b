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
import type { QosSpec } from "../qos.ts";
import { SysError } from "../sys/ffi.ts";
import { FlowEnd } from "./flow_end.ts";
import { FrctDriver } from "./frct_driver.ts";
import { ask, askSync, giveBackSync, type GrantOptions, wipeGrant } from "./grant.ts";
import { type FlowCall, type FlowGrant, grantProblem } from "./irmd.ts";
import { Keepalive } from "./keepalive.ts";
import { messageLimit, pieceBytes } from "./message_limit.ts";
import { OuroProcess } from "./process.ts";
import { Protection } from "./protection.ts";
import { Rings } from "./rings.ts";

/** How the runtime asks for the text of a value. */
const INSPECT: unique symbol = Symbol.for("Deno.customInspect") as typeof INSPECT;

/** How a flow is made. */
export interface FlowOptions extends GrantOptions {
  /** Aborts the wait; the promise rejects with the signal's reason. */
  signal?: AbortSignal | undefined;
  /** The process that owns the flow; the thread's own when absent. */
  process?: OuroProcess | undefined;
  /** See {@linkcode Flow.lingerMs}; undefined: as long as FRCT would retransmit, 120 s. */
  lingerMs?: number | undefined;
}

/** Plain data with which another thread of the process takes part in a flow. */
export interface SharedFlow {
  /** As the IRMd described the flow. */
  readonly info: FlowInfo;
  /** The flow is given away for good: its signs of life go with it. */
  readonly whole?: boolean | undefined;
  /**
   * The cipher of a flow that is given away, as `PacketCipher.takeState` gave it: secret. Attaching wipes it; move it
   * (`postMessage(shared, [shared.cipher.buffer])`) so that no copy stays behind.
   */
  readonly cipher?: Uint8Array<ArrayBuffer> | undefined;
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

  private constructor(
    process: OuroProcess,
    rings: Rings,
    info: FlowInfo,
    cipher: PacketCipher | null,
    fd: number,
  ) {
    super(process, rings, info.id);
    this.fd = fd;
    this.info = info;
    const { qos } = info;
    const crc = qos.ber === 0;
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
          info.mpl,
        );
        overhead += this.frct.endpoint.headerBytes;
        process.served.add(this);
      }
    }
    const sdu = sduLimitsOf(info);
    // Direct flows have an MPL of 1 ms, all layers more (spec 30 §5.2).
    const direct = info.mpl <= 1;
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
    return Flow.open(process, askSync(process, call, dst, o), o);
  }

  static async #make(
    call: FlowCall,
    process: OuroProcess | undefined,
    dst: string,
    o: FlowOptions,
  ): Promise<Flow> {
    const owner = process ?? o.process ?? OuroProcess.current();
    const flow = Flow.open(owner, await ask(owner, call, dst, o), o);
    if (flow.frct !== null) flow.place(owner.asyncIndex());
    return flow;
  }

  /**
   * @internal Opens our end of a granted flow in this thread, which owns it from now on. Wipes the grant's key; gives
   * the flow back to the IRMd and throws `OuroError` when it can't be opened.
   */
  static open(
    process: OuroProcess,
    grant: FlowGrant,
    options: { lingerMs?: number | undefined } = {},
  ): Flow {
    try {
      const problem = grantProblem(grant);
      if (problem < 0) throw new OuroError(problem, "Cannot use the flow: bad key from the IRMd");
      const fd = process.freeFd();
      if (fd < 0) throw new OuroError(fd, "Cannot use the flow: all descriptors are in use");
      const cipher = grant.cipherNid === 0
        ? null
        : cipherOf(PacketCipher.create(grant.cipherNid, grant.symKey));
      const flow = Flow.#openEnd(process, grant.info, cipher, fd);
      flow.lingerMs = options.lingerMs;
      return flow;
    } catch (e) {
      giveBackSync(process, grant.info.id);
      throw e;
    } finally {
      wipeGrant(grant);
    }
  }

  static #openEnd(
    process: OuroProcess,
    info: FlowInfo,
    cipher: PacketCipher | null,
    fd: number,
  ): Flow {
    const { id, nPid, n1Pid } = info;
    let rings: Rings;
    try {
      rings = Rings.open(process.instance, process.peerSets, nPid, n1Pid, id);
    } catch (e) {
      cipher?.wipe();
      if (!(e instanceof SysError)) throw e;
      throw new OuroError(-Errno.ENOMEM, `Cannot open the flow's memory (${e.message})`);
    }
    try {
      return new Flow(process, rings, info, cipher, fd);
    } catch (e) {
      cipher?.wipe();
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
    const { cipher: state, info } = shared;
    try {
      const fd = process.freeFd();
      if (fd < 0) throw new OuroError(fd, "Cannot attach: all descriptors are in use");
      const cipher = state === undefined ? null : cipherOf(PacketCipher.fromState(state));
      const timeout = shared.whole === true ? info.qos.timeout : 0;
      return Flow.#openEnd(process, { ...info, qos: { ...info.qos, timeout } }, cipher, fd);
    } finally {
      state?.fill(0);
    }
  }

  /**
   * @internal Gives the flow to another thread of the process, which attaches it: this thread's use ends, the flow
   * lives on, its cipher in the state it is in. -ENOTSUP with FRCT.
   */
  handOver(): SharedFlow {
    if (this.frct !== null) {
      throw new OuroError(-Errno.ENOTSUP, "Cannot hand over a flow with FRCT");
    }
    const cipher = this.protection?.takeCipherState();
    const shared: SharedFlow = { info: this.info, whole: true, ...(cipher ? { cipher } : {}) };
    this.detach();
    return shared;
  }

  /** What a person or a log wants to see; short, without a look at shared memory. */
  toJSON(): FlowText {
    const { id, fd, info } = this;
    const { nPid, n1Pid, mpl, qos } = info;
    const asked = { ...qos, bandwidth: Number(qos.bandwidth) };
    return { id, fd, pid: nPid, peerPid: n1Pid, mpl, qos: asked, closed: this.isClosed };
  }

  /** `console.log` shows what {@linkcode toJSON} gives. */
  [INSPECT](inspect: (value: unknown) => string): string {
    return `Flow ${inspect(this.toJSON())}`;
  }

  /** Ends the use of an attached flow; the flow itself lives on. */
  detach(): void {
    if (this.over) return;
    this.forget();
  }
}

/** A flow as a log shows it. */
export interface FlowText {
  /** Flow id. */
  readonly id: number;
  /** Descriptor. */
  readonly fd: number;
  /** The process that uses the flow. */
  readonly pid: number;
  /** The IPCP below, or the other process of a direct flow. */
  readonly peerPid: number;
  /** Maximum packet lifetime, ms. */
  readonly mpl: number;
  /** What was granted. */
  readonly qos: Readonly<Record<keyof QosSpec, number>>;
  /** Whether it was closed here. */
  readonly closed: boolean;
}

/** Codes that end {@linkcode Flow.listen}: the IRMd is gone, or we aren't known to it. */
const LISTEN_ENDS: ReadonlySet<number> = new Set([
  -Errno.EIRMD,
  -Errno.EINVAL,
  -Errno.EPERM,
  -Errno.ETIMEDOUT,
  -Errno.EBADF,
]);

function cipherOf(made: PacketCipher | number): PacketCipher {
  if (typeof made !== "number") return made;
  throw new OuroError(made, "Cannot encrypt the flow");
}

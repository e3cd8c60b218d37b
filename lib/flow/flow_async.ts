/**
 * Asynchronous calls of a flow, its events and its options (spec 30 §8, §13), over the data path of
 * `flow_read.ts`. Calls reject with `OuroError` carrying the numbers of the blocking calls.
 */

import { setImmediate } from "node:timers";
import { Errno, OuroError } from "../errno.ts";
import type { FrctStats } from "../frct/mod.ts";
import { Acl, FlowEvent } from "../shm/layout.ts";
import { monotonicNs, monotonicUs } from "../sys/clock.ts";
import { FlowFlag } from "./flags.ts";
import type { CallOptions } from "./flow_base.ts";
import { FlowPackets } from "./flow_packets.ts";
import type { Keepalive } from "./keepalive.ts";
import { tooLongText } from "./message_limit.ts";
import { flowReadable, flowWritable } from "./streams.ts";

/** Options of an asynchronous read or write. */
export interface AsyncCallOptions {
  /** Reject with -ETIMEDOUT after so many ms; absent: the flow's own time-out. */
  timeoutMs?: number | undefined;
  /** The same by its short name, ms. */
  timeout?: number | undefined;
  /** Aborts the wait; the promise rejects with its reason. */
  signal?: AbortSignal | undefined;
}

/** Pauses of an asynchronous write that waits for room nobody announces, ms. */
export const ROOM_PAUSE_FIRST_MS = 1;
export const ROOM_PAUSE_MAX_MS = 16;

/** Calls without a wait between two turns of the event loop, less one: a busy flow must not starve it. */
export const AT_ONCE_MASK = 0x7f;

/** Lets timers, signals and other input have their turn. */
export function eventLoopTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

const NO_WAIT: CallOptions = { nonblock: true };
const NO_BYTES = new Uint8Array(0);
const NOT_BYTES = {
  stage: "write",
  process: "flow library",
  cause: "a message is a Uint8Array; make one of other views and buffers first",
};

/** A write that waits for those before it. */
interface Turn {
  go: (() => void) | undefined;
}

/** Resolves when the writes before this one are through, after `ms`, or when the signal aborts. */
function itsTurn(turn: Turn, ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const go = () => {
      turn.go = undefined;
      if (timer !== undefined) clearTimeout(timer);
      signal?.removeEventListener("abort", go);
      resolve();
    };
    turn.go = go;
    if (ms !== Infinity) timer = setTimeout(go, Math.min(ms, 0x7fffffff));
    signal?.addEventListener("abort", go, { once: true });
  });
}

/** Who hears of a flow's events beside those who wait for the flow itself. */
export interface FlowListener<F> {
  onFlowEvents(flow: F, events: number): void;
}

/**
 * Events, asynchronous calls and options of a {@linkcode Flow}, which adds beginning and end. Programs use `Flow`.
 */
export abstract class FlowAsync<F> extends FlowPackets {
  /** Descriptor: 64..4095, unique in the thread's process. */
  abstract readonly fd: number;
  /** @internal When the process calls {@linkcode onDeadline} next, ns. */
  heapAtNs: number = Infinity;
  /** Queue of the process's flow set that this flow is in, -1 none. Kept by {@linkcode place}. */
  queue: number = -1;
  /** @internal The set this flow is in; kept by {@linkcode FlowSet}. */
  memberOf: FlowListener<F> | null = null;

  /** @internal */
  protected keepalive: Keepalive | null = null;
  /** Calls that had nothing to wait for. */
  #atOnce = 0;
  readonly #wakers = new Set<() => void>();
  #readable: ReadableStream<Uint8Array<ArrayBuffer>> | undefined;
  #writable: WritableStream<Uint8Array> | undefined;

  /** This flow as its listeners know it. */
  protected abstract readonly self: F;

  /** The process ends: close without lingering. */
  abstract abandon(): void;
  /** @internal Which halves have ended. */
  abstract readonly ends: { readonly read: boolean; readonly write: boolean };
  /** Closes the flow (streams do it at their end). */
  abstract dealloc(options?: { signal?: AbortSignal | undefined }): Promise<void>;

  /** @internal */
  onEvents(events: number): void {
    if (this.over) return;
    if (this.frct !== null) this.service();
    this.memberOf?.onFlowEvents(this.self, events);
    this.wake();
  }

  /** Lets everybody who waits for this flow look again. */
  protected wake(): void {
    if (this.#wakers.size === 0) return;
    const wakers = [...this.#wakers];
    this.#wakers.clear();
    for (const wake of wakers) wake();
  }

  /** @internal */
  service(): void {
    if (this.frct === null || this.over || this.rings.rx.queued() === 0) return;
    this.frct.pump(monotonicUs());
    this.armFrct();
  }

  /** @internal */
  onDeadline(nowNs: number): number {
    if (this.over) return Infinity;
    let next = Infinity;
    if (this.frct !== null) {
      this.frct.tick(nowNs / 1000);
      if (this.frct.takeEvents() !== 0) this.wake();
      next = this.frct.endpoint.deadlineUs() * 1000;
    }
    const keepalive = this.keepalive;
    if (keepalive !== null) {
      this.reader.flush();
      if (keepalive.nextNs <= nowNs && keepalive.check(nowNs)) {
        this.memberOf?.onFlowEvents(this.self, FlowEvent.PEER);
        this.wake();
      }
      next = Math.min(next, keepalive.nextNs);
    }
    return next;
  }

  /** @internal Makes sure the process calls when the FRCT machine wants it. */
  protected override armFrct(): void {
    const atUs = this.frct!.endpoint.deadlineUs();
    if (atUs * 1000 < this.heapAtNs) this.process.arm(this, atUs * 1000);
  }

  /** @internal Moves the flow to a queue of the process's flow set (-1: none). */
  place(queue: number): void {
    if (this.queue === queue || this.over) return;
    const set = this.process.set;
    // The IRMd gives an id anew as soon as it has heard of the end; the next flow of that id may be in its place here.
    if (this.queue >= 0 && this.process.flowById(this.id) === this) set.del(this.queue, this.id);
    this.queue = queue;
    if (queue < 0) return;
    if (set.add(queue, this.id) === -Errno.EPERM) {
      // Left by an earlier flow of this id in this process.
      for (let idx = 0; idx < 32; idx++) set.del(idx, this.id);
      set.add(queue, this.id);
    }
  }

  /** @internal Resolves at the next event of this flow, after `ms`, or when the signal aborts. */
  protected event(ms: number, signal: AbortSignal | undefined): Promise<void> {
    const waiter = this.process.waiter();
    waiter.hold();
    return new Promise<void>((resolve) => {
      let timer: ReturnType<typeof setTimeout> | undefined;
      const done = () => {
        waiter.release();
        this.#wakers.delete(done);
        if (timer !== undefined) clearTimeout(timer);
        signal?.removeEventListener("abort", done);
        resolve();
      };
      this.#wakers.add(done);
      if (ms !== Infinity) timer = setTimeout(done, Math.min(ms, 0x7fffffff));
      signal?.addEventListener("abort", done);
    });
  }

  /** @internal Puts the flow where this thread's waiter sees it, unless a FlowSet already shares that place. */
  protected listenAsync(): void {
    this.place(this.process.asyncIndex());
  }

  /**
   * The next message. Rejects with `OuroError` (-EFLOWDOWN, -EFLOWPEER, -ETIMEDOUT, -ENOTALLOC) or the
   * signal's reason.
   *
   * @example
   * ```ts
   * import { Errno, Flow, OuroError, QOS } from "@ouro/ouro";
   * import { assertEquals, assertRejects } from "@std/assert";
   *
   * await using flow = await Flow.alloc("echo", { qos: QOS.data });
   * const error = await assertRejects(() => flow.read({ timeoutMs: 20 }), OuroError);
   * assertEquals(error.code, -Errno.ETIMEDOUT);
   * ```
   */
  read(options?: AsyncCallOptions): Promise<Uint8Array<ArrayBuffer>>;
  /**
   * The next message, or as much of it as `into` takes, without an allocation for it: resolves to its bytes. As
   * {@linkcode Flow.readSync} in all else.
   */
  read(into: Uint8Array<ArrayBuffer>, options?: AsyncCallOptions): Promise<number>;
  async read(
    first: Uint8Array<ArrayBuffer> | AsyncCallOptions = {},
    second: AsyncCallOptions = {},
  ): Promise<Uint8Array<ArrayBuffer> | number> {
    const into = ArrayBuffer.isView(first) ? first : undefined;
    const options = into === undefined ? first as AsyncCallOptions : second;
    const got = this.#tryRead(into);
    if (typeof got !== "number" || got >= 0) {
      if ((++this.#atOnce & AT_ONCE_MASK) === 0) await eventLoopTurn();
      return got;
    }
    const timeoutMs = options.timeoutMs ?? options.timeout ?? this.rcvTimeoutMs;
    const until = timeoutMs === undefined ? Infinity : monotonicNs() + timeoutMs * 1e6;
    for (;;) {
      options.signal?.throwIfAborted();
      if (!this.over) this.listenAsync();
      const message = this.#tryRead(into);
      if (typeof message !== "number" || message >= 0) return message;
      if (message !== -Errno.EAGAIN) throw new OuroError(message, "Cannot read");
      const leftMs = until === Infinity ? Infinity : (until - monotonicNs()) / 1e6;
      if (leftMs <= 0) throw new OuroError(-Errno.ETIMEDOUT, "Cannot read");
      await this.event(leftMs, options.signal);
    }
  }

  #tryRead(into: Uint8Array<ArrayBuffer> | undefined): Uint8Array<ArrayBuffer> | number {
    return into === undefined ? this.takeMessage() : this.readSync(into, NO_WAIT);
  }

  /**
   * Up to `most` messages that are there, at least one: waits for the first as {@linkcode read} does.
   *
   * @example
   * ```ts
   * import { Flow, QOS } from "@ouro/ouro";
   * import { assertEquals } from "@std/assert";
   *
   * await using flow = await Flow.alloc("echo", { qos: QOS.data });
   * await flow.writeBatch([Uint8Array.of(1), Uint8Array.of(2)]);
   * let n = 0;
   * while (n < 2) n += (await flow.readBatch(16)).length;
   * assertEquals(n, 2);
   * ```
   */
  async readBatch(
    most: number,
    options: AsyncCallOptions = {},
  ): Promise<Uint8Array<ArrayBuffer>[]> {
    const messages = [await this.read(options)];
    while (messages.length < most) {
      const next = this.takeMessage();
      if (typeof next === "number") break;
      messages.push(next);
    }
    return messages;
  }

  /**
   * Sends one message. Resolves to its bytes when it is in the ring; rejects as {@linkcode read}.
   *
   * @example
   * ```ts
   * import { Errno, Flow, OuroError } from "@ouro/ouro";
   * import { assertEquals, assertRejects } from "@std/assert";
   *
   * await using flow = await Flow.alloc("echo");
   * assertEquals(await flow.write(new Uint8Array(1000)), 1000);
   * // One write is one message, and no message is larger than a packet.
   * const big = new Uint8Array(flow.messageBytesMax + 1);
   * const error = await assertRejects(() => flow.write(big), OuroError);
   * assertEquals(error.code, -Errno.EMSGSIZE);
   * ```
   */
  write(bytes: Uint8Array, options: AsyncCallOptions = {}): Promise<number> {
    if (this.#writers.length > 0 || options.signal?.aborted === true) {
      return this.#writeInTurn(bytes, options);
    }
    const n = this.writeSync(bytes, NO_WAIT);
    if (n === -Errno.EAGAIN) return this.#writeInTurn(bytes, options);
    if (n < 0) return Promise.reject(this.#writeError(n, bytes.length));
    if ((++this.#atOnce & AT_ONCE_MASK) !== 0) return Promise.resolve(n);
    return eventLoopTurn().then(() => n);
  }

  /** Writes that wait, in the order they were asked for: none overtakes another. */
  readonly #writers: Turn[] = [];

  async #writeInTurn(bytes: Uint8Array, options: AsyncCallOptions): Promise<number> {
    const { signal } = options;
    signal?.throwIfAborted();
    const timeoutMs = options.timeoutMs ?? options.timeout ?? this.sndTimeoutMs;
    const until = timeoutMs === undefined ? Infinity : monotonicNs() + timeoutMs * 1e6;
    const turn: Turn = { go: undefined };
    this.#writers.push(turn);
    let pauseMs = ROOM_PAUSE_FIRST_MS;
    try {
      for (;;) {
        const first = this.#writers[0] === turn;
        if (first) {
          const n = this.writeSync(bytes, NO_WAIT);
          if (n >= 0) return n;
          if (n !== -Errno.EAGAIN) throw this.#writeError(n, bytes.length);
        }
        const leftMs = until === Infinity ? Infinity : (until - monotonicNs()) / 1e6;
        if (leftMs <= 0) throw new OuroError(-Errno.ETIMEDOUT, "Cannot write");
        if (first) {
          this.listenAsync();
          // A peer that takes packets out of a full ring tells nobody: look again soon.
          await this.event(Math.min(leftMs, pauseMs), signal);
          pauseMs = Math.min(pauseMs * 2, ROOM_PAUSE_MAX_MS);
        } else {
          await itsTurn(turn, leftMs, signal);
        }
        signal?.throwIfAborted();
      }
    } finally {
      this.#writers.splice(this.#writers.indexOf(turn), 1);
      this.#writers[0]?.go?.();
    }
  }

  /**
   * Sends messages one after the other and resolves to their number when all are in the ring; rejects as
   * {@linkcode write}, and those before the one that failed were sent.
   */
  async writeBatch(
    messages: Iterable<Uint8Array>,
    options: AsyncCallOptions = {},
  ): Promise<number> {
    let n = 0;
    for (const bytes of messages) {
      const sent = this.#writers.length === 0 ? this.writeSync(bytes, NO_WAIT) : -Errno.EAGAIN;
      if (sent < 0) await this.write(bytes, options);
      n += 1;
    }
    return n;
  }

  /**
   * Says that no more is written on a reliable flow, and waits until the peer has acknowledged everything, as long as
   * `lingerMs` of the flow. The peer's reads give -ENODATA after the last message, its `readable` ends; a C
   * program reads 0 bytes. What the peer writes can still be read. Rejects with -ENOTSUP on other flows.
   *
   * @example
   * ```ts
   * import { Flow, QOS } from "@ouro/ouro";
   * import { assertEquals } from "@std/assert";
   *
   * await using flow = await Flow.alloc("echo", { qos: QOS.data });
   * await flow.write(Uint8Array.of(1, 2, 3));
   * await flow.closeWrite();
   * assertEquals((await flow.read({ timeoutMs: 5000 })).length, 3);
   * ```
   */
  async closeWrite(options: AsyncCallOptions = {}): Promise<void> {
    const { frct } = this;
    if (frct === null || !this.isReliable) {
      throw new OuroError(-Errno.ENOTSUP, "Cannot close one side of a flow without retransmission");
    }
    while (this.#writers.length > 0) await this.event(ROOM_PAUSE_MAX_MS, options.signal);
    let pauseMs = ROOM_PAUSE_FIRST_MS;
    while (!this.over && !this.writesDone) {
      options.signal?.throwIfAborted();
      const n = this.writeFrct(NO_BYTES, NO_WAIT);
      if (n >= 0) this.writesDone = true;
      else if (n !== -Errno.EAGAIN) throw new OuroError(n, "Cannot close the writing side");
      else {
        this.listenAsync();
        await this.event(pauseMs, options.signal);
        pauseMs = Math.min(pauseMs * 2, ROOM_PAUSE_MAX_MS);
      }
    }
    await this.acknowledged(options.signal);
  }

  /** Waits until the peer has acknowledged everything, or the flow is over. */
  protected abstract acknowledged(signal: AbortSignal | undefined): Promise<void>;

  #writeError(code: number, bytes: number): OuroError {
    if (code === -Errno.EMSGSIZE) {
      return new OuroError(code, `Cannot write ${tooLongText(bytes, this.messageBytesMax)}`);
    }
    const detail = code === -Errno.EINVAL ? NOT_BYTES : undefined;
    return new OuroError(code, "Cannot write", detail);
  }

  /**
   * Messages as a byte stream with back-pressure, one message a chunk. It ends when the flow is down or closed here,
   * or when the peer sends no more (`closeWrite`), and errors with `OuroError` -EFLOWPEER when the peer timed out.
   * Cancelling it (as `break` does) leaves the flow open for {@linkcode read}, and for the next `readable`. Readers that
   * bring their own buffer (`mode: "byob"`) are served.
   *
   * @example
   * ```ts
   * import { Flow, QOS } from "@ouro/ouro";
   * import { assertEquals } from "@std/assert";
   *
   * await using flow = await Flow.alloc("echo", { qos: QOS.data });
   * for (const word of ["one", "two"]) await flow.write(new TextEncoder().encode(word));
   * const words = [];
   * for await (const message of flow.readable.values({ preventCancel: true })) {
   *   words.push(new TextDecoder().decode(message));
   *   if (words.length === 2) break;
   * }
   * assertEquals(words, ["one", "two"]);
   * ```
   */
  get readable(): ReadableStream<Uint8Array<ArrayBuffer>> {
    return this.#readable ??= flowReadable(this, () => {
      this.#readable = undefined;
    });
  }

  /**
   * A byte stream whose chunks are cut into messages of {@linkcode Flow.streamBytes}; with back-pressure. Closing it
   * closes this side of a reliable flow as `closeWrite()` does, and the flow when the peer's side has ended as well; other
   * flows it closes as `dealloc()` does. Aborting it closes the flow without waiting: give `pipeTo` the options
   * `preventClose` and `preventAbort` where the flow is to live on. Errors with the `OuroError` of {@linkcode write}.
   * The signal of `pipeTo` waits for the chunk that is being written, as the standard has it: `sndTimeoutMs` limits
   * how long a peer that does not read can hold it up, `dealloc()` and the writer's `abort()` end it.
   *
   * @example
   * ```ts
   * import { Flow, QOS } from "@ouro/ouro";
   * import { assertEquals } from "@std/assert";
   *
   * await using flow = await Flow.alloc("echo", { qos: QOS.data });
   * const sent = new Uint8Array(100_000).fill(7);
   * const writer = flow.writable.getWriter();
   * const written = writer.write(sent);
   * let received = 0;
   * while (received < sent.length) received += (await flow.read()).length;
   * await written;
   * assertEquals(received, sent.length);
   * ```
   */
  get writable(): WritableStream<Uint8Array> {
    return this.#writable ??= flowWritable(this);
  }

  // Options (fccntl).

  /**
   * Replaces the flags (`FLOWSFLAGS`). Setting or clearing `FlowFlag.Down` marks both rings and tells
   * the other side.
   *
   * @example
   * ```ts
   * import { Errno, Flow, FLOW_FLAGS_DEFAULT, FlowFlag } from "@ouro/ouro";
   * import { assertEquals } from "@std/assert";
   *
   * await using flow = await Flow.alloc("echo");
   * flow.setFlags(FLOW_FLAGS_DEFAULT | FlowFlag.RNoBlock);
   * assertEquals(flow.readSync(new Uint8Array(10)), -Errno.EAGAIN);
   * ```
   */
  setFlags(flags: number): void {
    if (this.over) return;
    this.flags = flags & 0xffff;
    const { rx, tx, peerSet } = this.rings;
    if ((flags & FlowFlag.Down) !== 0) {
      rx.setAcl(Acl.FLOWDOWN);
      tx.setAcl(Acl.FLOWDOWN);
      this.#userDown = true;
      peerSet.notify(this.id, FlowEvent.DOWN);
    } else if (this.#userDown) {
      rx.clearAcl(Acl.FLOWDOWN);
      tx.clearAcl(Acl.FLOWDOWN);
      this.#userDown = false;
      peerSet.notify(this.id, FlowEvent.UP);
    }
  }
  /** We set the down bit ourselves; one that the peer set is never cleared (spec 30 §13). */
  #userDown = false;

  /** FRCT flags of the flow (`FRCTGFLAGS`), or -EPERM on a raw flow. */
  get frctFlags(): number {
    return this.frct === null ? -Errno.EPERM : this.frct.endpoint.flags;
  }

  /** Sets flow control and linger (`FRCTSFLAGS`). 0, or -EPERM on a raw flow. */
  setFrctFlags(flags: number): number {
    if (this.frct === null) return -Errno.EPERM;
    this.frct.endpoint.setFlags(flags);
    return 0;
  }

  /**
   * Statistics of the FRCT machine, undefined on raw flows.
   *
   * @example
   * ```ts
   * import { Flow, QOS } from "@ouro/ouro";
   * import { assert } from "@std/assert";
   *
   * await using flow = await Flow.alloc("echo", { qos: QOS.data });
   * await flow.write(Uint8Array.of(1));
   * await flow.read();
   * assert(flow.frctStats!.retransmissions >= 0);
   * ```
   */
  get frctStats(): FrctStats | undefined {
    return this.frct?.endpoint.stats(monotonicUs());
  }
}

/**
 * Flows as programs see them: allocation, calls, ends (spec 30 §5). What does the work are the parts of `parts.ts`; they
 * are not visible here.
 *
 * Blocking calls (`…Sync`) return bytes or negative error numbers and never throw, but for those that
 * make a flow; asynchronous calls reject with `OuroError` carrying the same numbers.
 */

import { Errno } from "../errno.ts";
import type { FrctStats } from "../frct/mod.ts";
import type { FlowInfo, FlowLosses } from "../irm/messages.ts";
import { qosNumbers, type QosSpec } from "../qos.ts";
import { monotonicUs } from "../sys/clock.ts";
import { ask, askSync } from "./grant.ts";
import { actionOf, type FlowCall, type FlowGrant } from "./irmd.ts";
import type {
  AsyncCallOptions,
  CallOptions,
  DeallocOptions,
  FlowOptions,
  FlowText,
  PeerInfo,
  SharedFlow,
} from "./options.ts";
import { awaitRequest, type FlowRequest } from "./flow_request.ts";
import { limited } from "./limited.ts";
import { untilEnd } from "./listen.ts";
import type { FlowCounters } from "./outlet.ts";
import type { Packet } from "./packet.ts";
import { FlowParts, freeFd, NO_DESCRIPTOR, noDescriptor } from "./parts.ts";
import { OuroProcess, partsOfProcess } from "./process.ts";
import { type FlowHandler, type FlowServer, serveName, type ServeOptions } from "./serve.ts";
import type { ProcessParts } from "./process_parts.ts";
import { FlowStreams } from "./streams.ts";

/** How the runtime asks for the text of a value. */
const INSPECT: unique symbol = Symbol.for("Deno.customInspect") as typeof INSPECT;

let partsOfFlow: (flow: Flow) => FlowParts;
let made: (parts: FlowParts) => Flow;

/** What a flow is made of; for the library and for IPCPs. */
export function partsOf(flow: Flow): FlowParts {
  return partsOfFlow(flow);
}

/** Opens our end of a granted flow, see {@linkcode FlowParts.open}. */
export function openFlow(
  process: OuroProcess,
  grant: FlowGrant,
  options: { lingerMs?: number | undefined } = {},
): Flow {
  return made(FlowParts.open(partsOfProcess(process), grant, options));
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
export class Flow implements Disposable, AsyncDisposable {
  readonly #parts: FlowParts;
  readonly #streams: FlowStreams;

  static {
    partsOfFlow = (flow) => flow.#parts;
    made = (parts) => new Flow(parts);
  }

  private constructor(parts: FlowParts) {
    this.#parts = parts;
    this.#streams = new FlowStreams(parts);
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

  /** Waits for a flow to one of the process's names, blocking. Throws `OuroError`. */
  static acceptSync(process: OuroProcess, options: FlowOptions = {}): Flow {
    return Flow.#makeSync("accept", process, "", options);
  }

  /** Joins a broadcast layer by name, blocking. Throws `OuroError`. */
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
    if (first instanceof OuroProcess) {
      return Flow.#make("alloc", first, second as string, third ?? {});
    }
    return Flow.#make("alloc", undefined, first, (second ?? {}) as FlowOptions);
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

  /** Joins a broadcast layer by name. Rejects with `OuroError`. */
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
    return untilEnd(options, (o) => Flow.#make("accept", o.process, "", o));
  }

  /**
   * Requests for flows as they come, before they are accepted; ends as {@linkcode Flow.listen} does.
   *
   * @example
   * ```ts
   * import { Flow } from "@ouro/ouro";
   *
   * for await (const request of Flow.requests({ signal: AbortSignal.timeout(50) })) {
   *   await request.refuse({ reason: `no flows to ${request.name} today` });
   * }
   * ```
   */
  static requests(options: FlowOptions = {}): AsyncGenerator<FlowRequest, void, void> {
    return untilEnd(options, (o) => {
      return Flow.#asked(partsOfProcess(o.process ?? OuroProcess.current()), o);
    });
  }

  /**
   * Serves a name: makes it where it does not exist, binds it to this process, registers it with the layers of the node,
   * and gives each flow to `handler`, which may keep it as long as it likes; then the flow is closed. Rejects with
   * `OuroError`: -EPERM for who may not administer the node (see `bound`), -EIRMD, -EINVAL.
   *
   * @example
   * ```ts
   * import { Flow } from "@ouro/ouro";
   * import { assertEquals } from "@std/assert";
   *
   * await using server = await Flow.serve("shout", async (flow) => {
   *   for await (const message of flow.readable) {
   *     await flow.write(new TextEncoder().encode(new TextDecoder().decode(message).toUpperCase()));
   *   }
   * });
   * assertEquals(server.name, "shout");
   * ```
   */
  static serve(
    name: string,
    handler: FlowHandler,
    options: ServeOptions = {},
  ): Promise<FlowServer> {
    return serveName(name, handler, options, Flow);
  }

  static #makeSync(call: FlowCall, process: OuroProcess, dst: string, o: FlowOptions): Flow {
    const owner = partsOfProcess(process);
    if (call !== "accept") freeFd(owner, actionOf(call, dst));
    return new Flow(FlowParts.open(owner, askSync(owner, call, dst, o), o));
  }

  static async #make(
    call: FlowCall,
    process: OuroProcess | undefined,
    dst: string,
    o: FlowOptions,
  ): Promise<Flow> {
    const owner = partsOfProcess(process ?? o.process ?? OuroProcess.current());
    if (owner.table.freeFd() < 0) {
      if (call === "accept") return await Flow.#acceptIfRoom(owner, o);
      freeFd(owner, actionOf(call, dst));
    }
    return Flow.#opened(FlowParts.open(owner, await ask(owner, call, dst, o), o));
  }

  static #asked(owner: ProcessParts, o: FlowOptions): Promise<FlowRequest> {
    return awaitRequest(owner, o, (grant) => Flow.#opened(FlowParts.open(owner, grant, o)));
  }

  /** The next request is refused unless a descriptor has become free by then: its client hears why. */
  static async #acceptIfRoom(owner: ProcessParts, o: FlowOptions): Promise<Flow> {
    const request = await Flow.#asked(owner, o);
    if (owner.table.freeFd() >= 0) return await request.accept();
    await request.refuse({ code: -Errno.EMFILE, reason: NO_DESCRIPTOR });
    throw noDescriptor(actionOf("accept", ""));
  }

  static #opened(parts: FlowParts): Flow {
    if (parts.core.frct !== null) parts.events.listen();
    return new Flow(parts);
  }

  /**
   * Uses a flow of this process in another thread. One thread reads and one thread writes; only the
   * thread that made the flow deallocates it, here {@linkcode detach} ends the use.
   */
  static attach(process: OuroProcess, shared: SharedFlow): Flow {
    return new Flow(FlowParts.attach(partsOfProcess(process), shared));
  }

  // What it is.

  /** Flow id. */
  get id(): number {
    return this.#parts.core.id;
  }

  /** Descriptor: 64..4095, unique in the thread's process. */
  get fd(): number {
    return this.#parts.core.fd;
  }

  /** As the IRMd described the flow: pids, MPL, QoS. */
  get info(): FlowInfo {
    return this.#parts.core.info;
  }

  /** What the IRMd granted. */
  get qos(): QosSpec {
    return this.#parts.core.info.qos;
  }

  /**
   * The name that the flow was allocated to, at both ends; undefined where an IRMd of the prototype accepted it, which
   * does not say.
   *
   * @example
   * ```ts
   * import { Flow } from "@ouro/ouro";
   * import { assertEquals } from "@std/assert";
   *
   * await using flow = await Flow.alloc("echo");
   * assertEquals([flow.name, flow.remoteName, flow.localName], ["echo", "echo", undefined]);
   * assertEquals(flow.layer, undefined); // a direct flow: both ends are on this host
   * ```
   */
  get name(): string | undefined {
    return this.#parts.core.about.name;
  }

  /** Our name on this flow: the one it was accepted for; undefined at the end that allocated it. */
  get localName(): string | undefined {
    const { accepted, name } = this.#parts.core.about;
    return accepted ? name : undefined;
  }

  /** The peer's name: the one we allocated the flow to, or that of an authenticated client's certificate. */
  get remoteName(): string | undefined {
    const { accepted, name, peer } = this.#parts.core.about;
    return accepted ? peer?.name || undefined : name;
  }

  /** The layer that carries the flow; undefined for a direct one, and where the IRMd does not say. */
  get layer(): string | undefined {
    return this.#parts.core.about.layer;
  }

  /** Who is at the other end, when the flow's key exchange authenticated it; else undefined. */
  get peer(): PeerInfo | undefined {
    return this.#parts.core.about.peer;
  }

  /** The cipher of the flow's packets, as `aes-256-gcm`; undefined when they are not encrypted. */
  get cipher(): string | undefined {
    return this.#parts.core.about.cipher;
  }

  /** Whether everything that is written arrives, in order (FRCT with retransmission). */
  get isReliable(): boolean {
    return this.#parts.core.isReliable;
  }

  /** Numbers of this flow since it began. */
  get counters(): Readonly<FlowCounters> {
    return this.#parts.core.counters;
  }

  /**
   * Packets of this flow that the IPCP below dropped on this host since the flow began: no room in a ring or a pool, no
   * route, refused by the network. Counts retransmissions and acknowledgements too, as they are packets. Resolves to
   * zeros on a direct flow, below which nobody drops; to undefined where it is not known: an IRMd or IPCP of the
   * prototype does not say. What is lost further on shows as `missing` in {@linkcode frctStats}. Rejects with
   * `OuroError` -ENOTALLOC, -EIRMD, or the signal's reason.
   *
   * @example
   * ```ts
   * import { Flow } from "@ouro/ouro";
   * import { assertEquals } from "@std/assert";
   *
   * await using flow = await Flow.alloc("echo");
   * assertEquals(await flow.lossesBelow(), { sent: 0, received: 0 });
   * ```
   */
  lossesBelow(options: AsyncCallOptions = {}): Promise<FlowLosses | undefined> {
    return this.#parts.lossesBelow(options);
  }

  /** Packets waiting in the receive ring. */
  get rxQueued(): number {
    return this.#parts.core.rxQueued;
  }

  /** Packets waiting in the receive ring of the peer, 0 when it took all. */
  get txQueued(): number {
    return this.#parts.core.txQueued;
  }

  /**
   * Longest message, bytes: what a block holds, and over a layer what one packet of it carries beside all that
   * this flow adds (FRCT, CRC, encryption). A layer of the prototype tells no limit: there what is too long for it
   * is lost without notice. The limit is that of this end's interface; it falls, and rises again up to that of the
   * beginning, when our IPCP says that its layer carries less (`docs/api.md`, "Sizes").
   */
  get messageBytesMax(): number {
    return this.#parts.core.messageBytesMax;
  }

  /**
   * Pieces that {@linkcode Flow.writable} cuts bytes to: what travels in one packet that nobody cuts further
   * below, 1400 bytes with all that the flow adds where the layer doesn't tell.
   */
  get streamBytes(): number {
    return this.#parts.core.limits.streamBytes;
  }

  // Options (fccntl).

  /** {@linkcode FlowFlag} bits. Setting `FlowFlag.Down` here tells nobody: {@linkcode setFlags} does. */
  get flags(): number {
    return this.#parts.core.flags;
  }
  set flags(flags: number) {
    this.#parts.core.flags = flags & 0xffff;
  }

  /**
   * Replaces the flags (`FLOWSFLAGS`). Setting or clearing `FlowFlag.Down` marks both rings and tells
   * the other side.
   */
  setFlags(flags: number): void {
    this.#parts.core.setFlags(flags);
  }

  /** Time-out of reads, ms; undefined: none. */
  get rcvTimeoutMs(): number | undefined {
    return this.#parts.core.rcvTimeoutMs;
  }
  set rcvTimeoutMs(ms: number | undefined) {
    this.#parts.core.rcvTimeoutMs = ms;
  }

  /** Time-out of writes, ms; undefined: none. */
  get sndTimeoutMs(): number | undefined {
    return this.#parts.core.sndTimeoutMs;
  }
  set sndTimeoutMs(ms: number | undefined) {
    this.#parts.core.sndTimeoutMs = ms;
  }

  /**
   * As the prototype does it: a blocking read that takes a whole message and fills its buffer exactly is followed by one
   * that returns 0, "end of message". Off, so that such a reader does not fall behind; with pieces of a longer
   * message the 0 comes in any case, because nothing else tells where the message ends.
   */
  get endMark(): boolean {
    return this.#parts.core.endMark;
  }
  set endMark(on: boolean) {
    this.#parts.core.endMark = on;
  }

  /**
   * Longest wait for acknowledgements when a reliable flow closes, ms; undefined: 120 s, after which FRCT
   * gives up (spec 31 §9, §10.12). Only a peer that is lost without a word makes it wait: one that closes,
   * exits or is killed on this host, or a link that goes down, ends it at once. Also for `await using`.
   *
   * @example
   * ```ts
   * import { Flow, QOS } from "@ouro/ouro";
   * import { assert } from "@std/assert";
   *
   * {
   *   await using flow = await Flow.alloc("echo", { qos: QOS.data, lingerMs: 2000 });
   *   await flow.write(Uint8Array.of(1));
   * } // here: at most 2 s, whatever became of the peer
   * const other = await Flow.alloc("echo", { qos: QOS.data });
   * await other.dealloc({ lingerMs: 0 }); // or once only
   * assert(other.isClosed);
   * ```
   */
  get lingerMs(): number | undefined {
    return this.#parts.core.lingerMs;
  }
  set lingerMs(ms: number | undefined) {
    this.#parts.core.lingerMs = ms;
  }

  /** FRCT flags of the flow (`FRCTGFLAGS`), or -EPERM on a raw flow. */
  get frctFlags(): number {
    const { frct } = this.#parts.core;
    return frct === null ? -Errno.EPERM : frct.endpoint.flags;
  }

  /** Sets flow control and linger (`FRCTSFLAGS`). 0, or -EPERM on a raw flow. */
  setFrctFlags(flags: number): number {
    const { frct } = this.#parts.core;
    if (frct === null) return -Errno.EPERM;
    frct.endpoint.setFlags(flags);
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
    return this.#parts.core.frct?.endpoint.stats(monotonicUs());
  }

  // Blocking calls.

  /**
   * Sends `bytes` as one message. Returns their number, or: -EMSGSIZE (longer than {@linkcode messageBytesMax}),
   * -EINVAL (not a Uint8Array), -EPERM (read-only access), -EPIPE (after closeWrite), -EAGAIN (would wait: for the
   * peer to read, or for a free block), -ETIMEDOUT,
   * -EFLOWDOWN, -EFLOWPEER (would wait for a peer that timed out), -ENOTALLOC (flow closed, or the peer made the ring
   * read-only). No bytes are a message as well on a flow with FRCT; on a raw one a sign of life that the peer doesn't
   * see, as in C, and refused by {@linkcode write}.
   *
   * @example
   * ```ts
   * import { Errno, Flow, OuroProcess } from "@ouro/ouro";
   * import { assertEquals } from "@std/assert";
   *
   * using flow = Flow.allocSync(OuroProcess.current(), "echo");
   * assertEquals(flow.writeSync(Uint8Array.of(1, 2, 3)), 3);
   * const big = new Uint8Array(flow.messageBytesMax + 1);
   * assertEquals(flow.writeSync(big), -Errno.EMSGSIZE);
   * ```
   */
  writeSync(bytes: Uint8Array, options?: CallOptions): number {
    return this.#parts.writer.write(bytes, options);
  }

  /**
   * Reads the next message, or the next piece of one that was longer than the last buffer. Returns its
   * bytes; 0 once after the last piece of a longer message that filled the buffer exactly ("end of message", off with
   * `FlowFlag.RNoPart`; see `endMark`); -ENODATA when the peer sends no more (its closeWrite); or -EINVAL (the buffer
   * isn't a Uint8Array), -EAGAIN (would wait), -ETIMEDOUT, -EFLOWDOWN, -EFLOWPEER, -EMSGSIZE (too
   * long with RNoPart, message lost), -ENOTALLOC (closed). Queued messages come before errors.
   *
   * @example
   * ```ts
   * import { Errno, Flow, OuroProcess } from "@ouro/ouro";
   * import { assertEquals } from "@std/assert";
   *
   * using flow = Flow.allocSync(OuroProcess.current(), "echo");
   * const buffer = new Uint8Array(4);
   * assertEquals(flow.readSync(buffer, { nonblock: true }), -Errno.EAGAIN);
   * assertEquals(flow.readSync(buffer, { timeoutMs: 10 }), -Errno.ETIMEDOUT);
   * flow.writeSync(Uint8Array.of(1, 2, 3, 4, 5, 6)); // longer than the buffer: read in pieces
   * assertEquals(flow.readSync(buffer, { timeoutMs: 5000 }), 4);
   * assertEquals(flow.readSync(buffer), 2);
   * ```
   */
  readSync(into: Uint8Array<ArrayBuffer>, options?: CallOptions): number {
    return this.#parts.reader.read(into, options);
  }

  /** Whether a read would find something now: a packet, a piece of one, or an error to report. */
  hasMessage(): boolean {
    return this.#parts.reader.hasMessage();
  }

  /**
   * Reserves a block for a message of `len` bytes and points `packet` at it. 0, or as `writeSync`.
   * Fill it and {@linkcode commit} it, or release it.
   *
   * @example
   * ```ts
   * import { Flow, OuroProcess, Packet } from "@ouro/ouro";
   * import { assertEquals } from "@std/assert";
   *
   * using flow = Flow.allocSync(OuroProcess.current(), "echo");
   * using packet = new Packet(); // made once, used for every message
   * assertEquals(flow.reserve(packet, 5), 0);
   * packet.u8.set([1, 2, 3, 4, 5], packet.at);
   * assertEquals(flow.commit(packet), 5);
   * assertEquals(flow.receive(packet, { timeoutMs: 5000 }), 5);
   * assertEquals(packet.u8[packet.at], 1);
   * ```
   */
  reserve(packet: Packet, len: number, options?: CallOptions): number {
    return this.#parts.inPlace.reserve(packet, len, options);
  }

  /** Sends a reserved packet of its present `length`. The block is given away in every case. */
  commit(packet: Packet, options?: CallOptions): number {
    return this.#parts.inPlace.commit(packet, options);
  }

  /**
   * Takes the next message in place: points `packet` at it and returns its bytes, or as `readSync`.
   * Release the packet soon: its block is missing to everybody else. On flows with FRCT, CRC or
   * encryption the message is in private memory, valid until the next `receive` in this thread.
   */
  receive(packet: Packet, options?: CallOptions): number {
    return this.#parts.inPlace.receive(packet, options);
  }

  // Asynchronous calls.

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
    const { asyncReader } = this.#parts;
    return await (isOptions(first)
      ? asyncReader.read(undefined, first)
      : asyncReader.read(first, second));
  }

  /**
   * Up to `most` messages that are there, at least one: waits for the first as {@linkcode read} does. For many short
   * messages: those of one batch may lie in one buffer, so do not transfer or keep `message.buffer` of one of them
   * (`message.slice()` has a buffer of its own).
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
  readBatch(
    most: number,
    options: AsyncCallOptions = {},
  ): Promise<Uint8Array<ArrayBuffer>[]> {
    return this.#parts.asyncReader.readBatch(most, options);
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
    return this.#parts.asyncWriter.write(bytes, options);
  }

  /**
   * Sends messages one after the other and resolves to their number when all are in the ring; rejects as
   * {@linkcode write}, and those before the one that failed were sent.
   */
  writeBatch(messages: Iterable<Uint8Array>, options: AsyncCallOptions = {}): Promise<number> {
    return this.#parts.asyncWriter.writeBatch(messages, options);
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
    return this.#streams.readable;
  }

  /**
   * The bytes of the messages, in chunks of up to 64 kB: what has come by then, of as many messages as it is. For files
   * and other byte streams, where it does not matter what a message was. It is like {@linkcode readable} in all else,
   * with fewer promises and acknowledgements. Read from one of the two at a time.
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
   * for await (const chunk of flow.readableBytes.values({ preventCancel: true })) {
   *   received += chunk.length;
   *   if (received === sent.length) break;
   * }
   * await written;
   * assertEquals(received, sent.length);
   * ```
   */
  get readableBytes(): ReadableStream<Uint8Array<ArrayBuffer>> {
    return this.#streams.readableBytes;
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
    return this.#streams.writable;
  }

  // The end.

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
  closeWrite(options: AsyncCallOptions = {}): Promise<void> {
    return limited(
      options,
      "Cannot close the writing side",
      (signal) => this.#parts.closeWrite(signal),
    );
  }

  /**
   * Closes the flow, blocking: waits for acknowledgements of a reliable flow, briefly for the peer to
   * take what is in its ring, and tells IRMd and peer. Returns the IRMd's result. Idempotent.
   */
  deallocSync(options: DeallocOptions = {}): number {
    return this.#parts.ending.deallocSync(options);
  }

  /**
   * Closes the flow as {@linkcode deallocSync}, without blocking the thread. Called again while it closes, it waits
   * for the same end, with the shorter `lingerMs`.
   *
   * @example
   * ```ts
   * import { Flow } from "@ouro/ouro";
   * import { assert } from "@std/assert";
   *
   * const flow = await Flow.alloc("echo");
   * await flow.dealloc(); // `await using` does this at the end of its block
   * assert(flow.isClosed);
   * ```
   */
  dealloc(options: DeallocOptions = {}): Promise<void> {
    return this.#parts.ending.dealloc(options);
  }

  /** Ends the flow at once, without lingering or waiting for the peer. */
  abandon(): void {
    this.#parts.ending.abandon();
  }

  /**
   * Resolves when the flow is over: closed here or by the peer, or the peer is silent for too long. It keeps the
   * program alive until then, and says nothing about messages that can still be read.
   */
  get closed(): Promise<void> {
    return this.#parts.ending.closed;
  }

  /** Whether the flow was closed here. */
  get isClosed(): boolean {
    return this.#parts.core.over;
  }

  /** Whether the other side closed the flow or timed out, whatever can still be read. */
  hasEnded(): boolean {
    return this.#parts.core.hasEnded();
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
    return this.#parts.share();
  }

  /** Ends the use of an attached flow; the flow itself lives on. */
  detach(): void {
    this.#parts.ending.forget();
  }

  /** What a person or a log wants to see; short, without a look at shared memory. */
  toJSON(): FlowText {
    const { id, fd, info, layer, name } = this;
    const { nPid, n1Pid, mpl, qos } = info;
    const asked = qosNumbers(qos);
    const about = { ...(name ? { name } : {}), ...(layer ? { layer } : {}) };
    return { id, fd, ...about, pid: nPid, peerPid: n1Pid, mpl, qos: asked, closed: this.isClosed };
  }

  /** `console.log` shows what {@linkcode toJSON} gives. */
  [INSPECT](inspect: (value: unknown) => string): string {
    return `Flow ${inspect(this.toJSON())}`;
  }

  /** Closes the flow, blocking. */
  [Symbol.dispose](): void {
    this.deallocSync();
  }

  /** Closes the flow. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.dealloc();
  }
}

/** Whether the first argument of a read is no buffer of any kind. */
function isOptions(first: Uint8Array<ArrayBuffer> | AsyncCallOptions): first is AsyncCallOptions {
  return typeof first === "object" && first !== null && !ArrayBuffer.isView(first) &&
    !Array.isArray(first) && !(first instanceof ArrayBuffer) &&
    !(first instanceof SharedArrayBuffer);
}

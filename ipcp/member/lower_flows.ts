/**
 * The flows of an IPCP in the layers below it: allocated to other members, accepted for the names bound to this
 * process. The shell under {@linkcode Connections}; it decides nothing.
 *
 * The IPCP is one process of the node that announced itself once (`IrmCalls.announce`); what uses flows here joins it.
 * Flows that the main thread owns (Enrollment, Management, and every flow until it is agreed what it is for) are read
 * here as their events come, without blocking. A Data Transfer flow is handed over to the data worker, with its signs
 * of life, and comes back to be closed: never two threads use it.
 */

import { Errno, OuroError } from "../../lib/errno.ts";
import type { Failure } from "../../lib/failure.ts";
import { FlowFlag } from "../../lib/flow/flags.ts";
import { Flow, partsOf } from "../../lib/flow/flow.ts";
import type { SharedFlow } from "../../lib/flow/options.ts";
import { ThreadWords } from "../../lib/flow/thread_words.ts";
import { OuroProcess, partsOfProcess, type SharedProcess } from "../../lib/flow/process.ts";
import type { Instance } from "../../lib/instance.ts";
import { NO_SDU_LIMITS, type SduLimits, sduLimitsOf } from "../../lib/irm/messages.ts";
import type { QosSpec } from "../../lib/qos.ts";
import { FlowEvent } from "../../lib/shm/layout.ts";
import { Rbuff } from "../../lib/shm/rbuff.ts";
import { flowUid } from "../../lib/shm/flow_uid.ts";
import { realUid } from "../../lib/sys/users.ts";
import { DATA_QUEUE } from "../data/table.ts";

/** Longest message that anything but data transfer sends, bytes. */
export const MESSAGE_BYTES_MAX = 2048;
/** Messages of one flow in a row, so that a flood of one neighbour stops nothing else. */
const BURST = 64;
/** Pause after an accept that failed because the IRMd did, ms. */
const ACCEPT_PAUSE_MS = 500;

/** What happens on lower flows. */
export interface LowerFlowEvents {
  /** Somebody allocated a flow to one of our names. */
  accepted(flow: number): void;
  message(flow: number, bytes: Uint8Array): void;
  /** The interface below went down, or came back. */
  usable(flow: number, usable: boolean): void;
  /** The flow is over. */
  gone(flow: number, cause: string): void;
}

interface Held {
  readonly flow: Flow;
  down: boolean;
  gone: boolean;
}

export class LowerFlows {
  readonly #process: OuroProcess;
  readonly #events: LowerFlowEvents;
  readonly #held = new Map<number, Held>();
  /** Flows that the data worker has. */
  readonly #away = new Map<number, SharedFlow>();
  readonly #stop = new AbortController();
  readonly #buffer: Uint8Array<ArrayBuffer>;

  /**
   * Joins the process `pid`, which is announced; throws an OuroError.
   * @param messageBytesMax longer messages are lost
   */
  constructor(
    instance: Instance,
    pid: number,
    events: LowerFlowEvents,
    messageBytesMax: number = MESSAGE_BYTES_MAX,
  ) {
    this.#buffer = new Uint8Array(messageBytesMax);
    const words = new Int32Array(new SharedArrayBuffer(ThreadWords.COUNT * 4));
    // Queue 0 is the library's, the data queue our worker's.
    words[ThreadWords.QUEUES] = 1 | (1 << DATA_QUEUE);
    this.#process = OuroProcess.join({
      prefix: instance.prefix,
      pid,
      uid: flowUid(instance, realUid()),
      words: words.buffer,
    });
    this.#events = events;
  }

  /** For the data worker. */
  share(): SharedProcess {
    return this.#process.share();
  }

  /** Take the flows that others allocate to our names, until {@linkcode close}. */
  async acceptAll(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        const flow = await Flow.accept(this.#process, { signal });
        if (signal.aborted) return void flow.abandon();
        this.#hold(flow);
        this.#events.accepted(flow.id);
        this.#read(flow);
      } catch (e) {
        if (signal.aborted) return;
        if (!(e instanceof OuroError)) throw e;
        if (e.code === -Errno.EIRMD || e.code === -Errno.EPERM) await pause(ACCEPT_PAUSE_MS);
      }
    }
  }

  /** A flow to a name in a layer below: its id, or why there is none. */
  async alloc(dst: string, qos: QosSpec, timeoutMs: number): Promise<number | Failure> {
    const { signal } = this.#stop;
    try {
      const flow = await Flow.alloc(this.#process, dst, { qos, timeoutMs, signal });
      this.#hold(flow);
      return flow.id;
    } catch (e) {
      if (e instanceof OuroError) {
        const who = e.detail?.process;
        const layer = who === undefined || who === "irmd" ? "" : ` (${who})`;
        return {
          code: e.code,
          stage: e.detail?.stage ?? "flow_alloc",
          cause: `no flow to "${dst}": ${e.detail?.cause ?? e.message}${layer}`,
        };
      }
      return { code: -Errno.EPERM, stage: "flow_alloc", cause: `no flow to "${dst}": stopped` };
    }
  }

  #hold(flow: Flow): void {
    flow.setFlags(flow.flags | FlowFlag.RNoBlock | FlowFlag.WNoBlock | FlowFlag.RNoPart);
    this.#hear(flow);
    this.#held.set(flow.id, { flow, down: false, gone: false });
    partsOf(flow).events.place(partsOfProcess(this.#process).queues.asyncIndex());
  }

  #hear(flow: Flow): void {
    partsOf(flow).events.listener = {
      onFlowEvents: (events) => this.#onFlowEvents(flow, events),
    };
  }

  #unhear(flow: Flow): void {
    partsOf(flow).events.listener = null;
  }

  /** Called by the library's waiter; no bits: look at everything. */
  #onFlowEvents(flow: Flow, events: number): void {
    const held = this.#held.get(flow.id);
    if (held === undefined || held.flow !== flow || flow.isClosed) return;
    this.#read(flow);
    if (this.#held.get(flow.id) !== held) return;
    if ((events & FlowEvent.PEER) !== 0) this.#gone(held, "it was silent for its time");
    else if ((events & FlowEvent.DEALLOC) !== 0) this.#gone(held, "the flow was closed");
    else this.#setDown(held, flow.hasEnded());
  }

  #gone(held: Held, cause: string): void {
    if (held.gone) return;
    held.gone = true;
    this.#events.gone(held.flow.id, cause);
  }

  #setDown(held: Held, down: boolean): void {
    if (held.down === down) return;
    held.down = down;
    this.#events.usable(held.flow.id, !down);
  }

  /** Takes in what has come on a flow. */
  #read(flow: Flow): void {
    const { id } = flow;
    for (let i = 0; i < BURST; i++) {
      // Each message may end the flow, or hand it over.
      if (this.#held.get(id)?.flow !== flow || flow.isClosed) return;
      const n = flow.readSync(this.#buffer);
      if (n > 0) this.#events.message(id, this.#buffer.slice(0, n));
      else if (n < 0 && n !== -Errno.EMSGSIZE) return;
    }
    setTimeout(() => this.#onFlowEvents(flow, 0), 0);
  }

  /** Send a message on a flow of ours: 0, or why it was lost. */
  write(id: number, bytes: Uint8Array): number {
    const held = this.#held.get(id);
    if (held === undefined) return -Errno.ENOTALLOC;
    return Math.min(0, held.flow.writeSync(bytes));
  }

  /** What a flow that the main thread has carries of the layer above. */
  limitsOf(id: number): SduLimits {
    const flow = this.#held.get(id)?.flow;
    if (flow === undefined) return NO_SDU_LIMITS;
    const { sduBytesMax: most, sduBytesWhole: whole } = sduLimitsOf(flow.info);
    if (most === undefined) return NO_SDU_LIMITS;
    const { messageBytesMax: sduBytesMax, overheadBytes } = partsOf(flow).core.limits;
    return whole === undefined
      ? { sduBytesMax }
      : { sduBytesMax, sduBytesWhole: Math.max(1, whole - overheadBytes) };
  }

  /** What the layer below carries whole on a flow, for the layer above; undefined if the flow is not ours. */
  infoOf(id: number): Flow["info"] | undefined {
    return this.#held.get(id)?.flow.info ?? this.#away.get(id)?.info;
  }

  /** Give a flow to the data worker; or why that cannot be. */
  handOver(id: number): SharedFlow | Failure {
    const held = this.#held.get(id);
    if (held === undefined) {
      return { code: -Errno.ENOTALLOC, stage: "data transfer", cause: "the flow is gone" };
    }
    try {
      this.#unhear(held.flow);
      const shared = partsOf(held.flow).handOver();
      this.#held.delete(id);
      this.#away.set(id, shared);
      return shared;
    } catch (e) {
      this.#hear(held.flow);
      const cause = e instanceof Error ? e.message : String(e);
      return { code: -Errno.ENOTSUP, stage: "data transfer", cause };
    }
  }

  /** The data worker has let go of a flow. */
  takeBack(id: number): void {
    const shared = this.#away.get(id);
    this.#away.delete(id);
    if (shared === undefined) return;
    try {
      this.#end(Flow.attach(this.#process, { info: shared.info }));
    } catch {
      // Its memory is gone, and with it the flow.
    }
  }

  /** Packets that wait in the rings of a flow that the data worker has: for us, and for the layer below. */
  queued(id: number): { readonly rx: number; readonly tx: number } {
    const info = this.#away.get(id)?.info;
    if (info === undefined) return { rx: 0, tx: 0 };
    const { instance } = this.#process;
    return { rx: queuedIn(instance, info.nPid, id), tx: queuedIn(instance, info.n1Pid, id) };
  }

  /** Whether the data worker has a flow. */
  isAway(id: number): boolean {
    return this.#away.has(id);
  }

  /** Let a flow of the main thread go; what was written still leaves. */
  release(id: number): void {
    const held = this.#held.get(id);
    if (held === undefined) return;
    this.#held.delete(id);
    this.#unhear(held.flow);
    this.#end(held.flow);
  }

  #end(flow: Flow): void {
    flow.dealloc().catch(() => {});
  }

  /** Let everything go. */
  close(): void {
    this.#stop.abort();
    for (const id of [...this.#away.keys()]) this.takeBack(id);
    for (const { flow } of this.#held.values()) this.#unhear(flow);
    this.#held.clear();
    this.#process.close();
  }
}

function queuedIn(instance: Instance, pid: number, flowId: number): number {
  try {
    using ring = Rbuff.open(instance, pid, flowId);
    return ring.queued();
  } catch {
    return 0; // Its memory is gone, and what was in it.
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

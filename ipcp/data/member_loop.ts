/**
 * The loop of the data worker of a member of a layer: flows above and lower flows have their events in one queue; orders
 * and letters of the main thread come as events too. What becomes of a packet is left to the type.
 *
 * A packet stays in its block from ring to ring; it is copied only between the pools of different users. Nothing
 * blocks: whoever does not take its packets loses them (spec 60 §19 W8).
 */

import { FLOW_IDS_MAX, RBUFF_SLOTS } from "../../lib/limits.ts";
import { BlockFlow } from "../../lib/flow/block_flow.ts";
import type { ProcessParts } from "../../lib/flow/process_parts.ts";
import { decodeIrmMsg } from "../../lib/irm/messages.ts";
import { EVENTS_MAX, type FlowSetShm } from "../../lib/shm/flow_set.ts";
import { FlowEvent } from "../../lib/shm/layout.ts";
import { monotonicNs } from "../../lib/sys/clock.ts";
import { isWireError } from "../../lib/wire/mod.ts";
import { ROUND } from "./flow_loop.ts";
import { LongPacketReports } from "./long_packets.ts";
import { type Letter, Mail, type Mailbox } from "./mailbox.ts";
import { Ports, type ThreadParts } from "./ports.ts";
import { Spinner } from "./spinner.ts";
import { DATA_QUEUE, ORDERS_FLOW } from "./table.ts";
import { UrgentQueues } from "./urgent.ts";

/** Packets of one flow in a row. */
export const BURST = 16;
/** Turns of one flow that is over: its ring holds no more packets than they move, whatever its words say. */
const LAST_TURNS = RBUFF_SLOTS / BURST;
/** Packets of data that may wait in the ring of a lower flow. */
export const LOWER_QUEUED_MAX = 384;
/** Longest time between two looks at all flows, ns. */
const SWEEP_NS = 1e9;

/** What the worker tells the main thread of lower flows. */
export interface LowerEvents {
  /** Something other than a packet happened; {@linkcode FlowEvent} bits. */
  lower(flowId: number, events: number): void;
  /** What the layer below carries of a message on a flow is `bytes` now. */
  carries(flowId: number, bytes: number): void;
  /** The worker has let go of a flow. */
  released(flowId: number): void;
}

/** What the loop is made of. */
export interface MemberLoopParts {
  readonly parts: ThreadParts;
  /** The own flow set. */
  readonly set: FlowSetShm;
  readonly process: ProcessParts;
  readonly mailbox: Mailbox;
  readonly events: LowerEvents;
}

export abstract class MemberLoop {
  protected readonly parts: ThreadParts;
  protected readonly ports: Ports;
  protected readonly process: ProcessParts;
  protected readonly longPackets: LongPacketReports;
  protected nowNs = monotonicNs();
  readonly #ready = new UrgentQueues();
  readonly #set: FlowSetShm;
  readonly #mailbox: Mailbox;
  readonly #events: LowerEvents;
  readonly #lowers: (BlockFlow | undefined)[] = new Array(FLOW_IDS_MAX).fill(undefined);
  readonly #lowerIds = new Set<number>();
  /** What the main thread knows that lower flows carry, bytes. */
  readonly #carried = new Int32Array(FLOW_IDS_MAX);
  readonly #eventWords = new Int32Array(EVENTS_MAX * 2);
  readonly #spinner: Spinner;
  readonly #letter: Letter = { kind: 0, b: 0, c: 0, bytes: new Uint8Array(0) };
  #sweepAtNs = monotonicNs() + SWEEP_NS;

  constructor({ parts, set, process, mailbox, events }: MemberLoopParts) {
    this.parts = parts;
    this.ports = new Ports(parts);
    this.process = process;
    this.#set = set;
    this.#mailbox = mailbox;
    this.#events = events;
    this.#spinner = new Spinner(() => set.pending(DATA_QUEUE) > 0);
    this.longPackets = new LongPacketReports("out", parts.tooLong, monotonicNs);
  }

  // What a type does.

  /** Move packets that the process above wrote; whether there may be more. */
  protected abstract moveDown(id: number): boolean;
  /** Move packets of a lower flow; whether there may be more. */
  protected abstract moveLower(id: number, lower: BlockFlow): boolean;
  /** What is left in the ring of a flow above that is closed. */
  protected abstract moveLast(id: number): void;
  /** A letter that is not about lower flows. */
  protected abstract onLetter(letter: Letter): void;
  /** Called when a lower flow is ours. */
  protected begin(_id: number): void {}
  /** Called before a lower flow is let go. */
  protected beforeRelease(_id: number, _lower: BlockFlow): void {}
  /** When {@linkcode moveDue} has something to do, ns. */
  protected dueNs(): number {
    return Infinity;
  }
  protected moveDue(): void {}
  /** How urgent the packets of a flow are, {@linkcode UrgentQueues}. */
  protected urgencyOf(_id: number): number {
    return 0;
  }

  /** A flow has, or may have, packets. */
  protected ready(id: number): void {
    this.#ready.add(id, this.urgencyOf(id));
  }

  /** The lower flow with an id, if it is ours. */
  protected lower(id: number): BlockFlow | undefined {
    return this.#lowers[id];
  }

  protected count(counter: number): void {
    this.parts.counters[counter]!++;
  }

  // The loop.

  /** Run until the order to stop. */
  run(): void {
    while (this.#turn());
    for (const id of [...this.#lowerIds]) this.#release(id);
  }

  #turn(): boolean {
    const rested = this.#ready.isEmpty;
    if (rested) this.#spinner.spin();
    const until = rested
      ? Math.min(this.#sweepAtNs, this.dueNs(), this.process.deadlines.wakeAtNs())
      : 0;
    const n = Math.max(0, this.#set.wait(DATA_QUEUE, this.#eventWords, until));
    this.nowNs = monotonicNs();
    let orders = n === EVENTS_MAX;
    for (let i = 0; i < n; i++) {
      const id = this.#eventWords[i * 2]!;
      if (id === ORDERS_FLOW) orders = true;
      else {
        this.ready(id);
        const events = this.#eventWords[i * 2 + 1]! & ~FlowEvent.PKT;
        if (events !== 0) this.#onEvents(id, events);
      }
    }
    this.process.deadlines.tick(this.nowNs);
    // A full queue may have lost events.
    if (n === EVENTS_MAX || this.nowNs >= this.#sweepAtNs) {
      this.#sweep();
      orders = true;
    }
    this.moveDue();
    if (!this.#ready.isEmpty) this.#moveReady();
    if (!orders) return true;
    this.#readMail();
    // Letters are about flows that had packets before.
    if (!this.#ready.isEmpty) this.#moveReady();
    return this.ports.obey((id) => this.moveLast(id));
  }

  #onEvents(id: number, events: number): void {
    const lower = this.#lowers[id];
    if (lower === undefined) return;
    // What came before the end comes before the news of it.
    if ((events & FlowEvent.DEALLOC) !== 0) {
      for (let i = 0; i < LAST_TURNS && this.moveLower(id, lower); i++);
    }
    this.#events.lower(id, events);
  }

  /** Serves flows in turn, but not for ever: a ring that never looks empty keeps neither others nor the main thread waiting. */
  #moveReady(): void {
    for (let k = 0; k < ROUND && !this.#ready.isEmpty; k++) {
      const id = this.#ready.take();
      const lower = this.#lowers[id];
      const more = lower === undefined ? this.moveDown(id) : this.moveLower(id, lower);
      if (more) this.ready(id);
    }
    this.#spinner.busy();
  }

  /** Events are hints in memory that others write: look at everything now and then. */
  #sweep(): void {
    this.#set.repair(DATA_QUEUE, ORDERS_FLOW);
    this.ports.forEachOpen((id, port) => {
      this.#set.repair(DATA_QUEUE, id);
      if (port.rx.queued() > 0) this.ready(id);
    });
    for (const id of this.#lowerIds) {
      this.#set.repair(DATA_QUEUE, id);
      const lower = this.#lowers[id]!;
      if (lower.rxQueued > 0) this.ready(id);
      this.#lookAtSize(id, lower);
    }
    this.#sweepAtNs = this.nowNs + SWEEP_NS;
  }

  #lookAtSize(id: number, lower: BlockFlow): void {
    const bytes = lower.messageBytesMax;
    if (bytes === this.#carried[id]) return;
    this.#carried[id] = bytes;
    this.#events.carries(id, bytes);
  }

  // From the main thread.

  /**
   * Reads the letters that are there. A type calls it when it has seen packets and before it takes them: what the main
   * thread had told before they were written is known then. A lower flow may be let go by it.
   */
  protected readLetters(): void {
    if (!this.#mailbox.isEmpty) this.#readMail();
  }

  #readMail(): void {
    const letter = this.#letter;
    while (this.#mailbox.take(letter)) {
      if (letter.kind === Mail.lower) this.#take(letter.bytes);
      else if (letter.kind === Mail.release) this.#release(letter.b);
      else this.onLetter(letter);
    }
  }

  #take(bytes: Uint8Array): void {
    const letter = bytes.slice();
    bytes.fill(0);
    const m = decodeIrmMsg(letter);
    const cipher = isWireError(m) || m.symKey === undefined ? undefined : m.symKey.slice();
    letter.fill(0);
    if (isWireError(m) || m.flowInfo === undefined) return;
    const { id } = m.flowInfo;
    try {
      const flow = BlockFlow.attach(this.process, { info: m.flowInfo, whole: true, cipher });
      this.#lowers[id] = flow;
      this.#lowerIds.add(id);
      this.#carried[id] = 0;
      this.#lookAtSize(id, flow);
      this.begin(id);
      flow.place(DATA_QUEUE);
      this.ready(id);
      if (flow.hasEnded()) this.#events.lower(id, FlowEvent.DOWN);
      this.#moveReady();
    } catch {
      // Its memory is gone with its layer.
      this.#events.lower(id, FlowEvent.DEALLOC);
    }
  }

  #release(id: number): void {
    const flow = this.#lowers[id];
    if (flow !== undefined) this.beforeRelease(id, flow);
    this.#lowers[id] = undefined;
    this.#lowerIds.delete(id);
    flow?.detach();
    this.#events.released(id);
  }
}

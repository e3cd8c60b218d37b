/**
 * One node of a simulated layer: the shipped control machine and forwarder, with simulated flows below and simple
 * applications above. It decides nothing that a real node does not decide by the same code. Pure.
 */

import { encode as encodePci, FLAT_LAYOUT } from "../lib/wire/dt_pci.ts";
import { encode as encodeFaMsg, parse as parseFaMsg } from "../lib/wire/fa_msg.ts";
import { isWireError } from "../lib/wire/mod.ts";
import { Errno } from "../lib/errno.ts";
import { QOS, type QosSpec } from "../lib/qos.ts";
import { drawAddress } from "../ipcp/unicast/address.ts";
import {
  type Congestion,
  type CongestionContext,
  NO_CONGESTION,
} from "../ipcp/unicast/congestion.ts";
import { Dht } from "../ipcp/unicast/dht/dht.ts";
import { EID_FLOW_ALLOCATOR } from "../ipcp/unicast/eids.ts";
import type { PublishedFlow } from "../ipcp/unicast/flow_effects.ts";
import { Forwarder, Verdict } from "../ipcp/unicast/forward.ts";
import { BEST_HOP, HOP_BY_FLOW } from "../ipcp/unicast/forwarding.ts";
import { LinkStateRouting } from "../ipcp/unicast/link_state.ts";
import { mark, MbEcn } from "../ipcp/unicast/mb_ecn.ts";
import { type NodeEffect, UnicastNode } from "../ipcp/unicast/node.ts";
import type { UnicastPolicies } from "../ipcp/unicast/policy/mod.ts";
import type { Settings } from "../ipcp/unicast/settings.ts";
import { ForwardTable, HopState, HopStates } from "../ipcp/unicast/table.ts";
import type { EventQueue } from "./event_queue.ts";
import type { Link } from "./link.ts";
import type { Prng } from "./prng.ts";

const EMPTY = new Uint8Array(0);
/** Room for packets that is made at once. */
const ROOM_BYTES = 8192;

/** Congestion avoidance by what packets met. */
export const MB_ECN: Congestion = { flow: (nowNs) => new MbEcn(nowNs), mark };

/** A flow of an application. */
interface AppFlow {
  readonly flowId: number;
  readonly congestion: CongestionContext;
  published: PublishedFlow | undefined;
  /** Told to the application. */
  onData: ((bytes: Uint8Array) => void) | undefined;
}

/** A flow that somebody opened to a name that is served here. */
export interface Accepted {
  readonly flowId: number;
  readonly hash: Uint8Array;
  /** What came with the request. */
  readonly data: Uint8Array;
}

/** What a node saw that it could not use, or that should not be. */
export interface SimAlarms {
  /** Its address is used by somebody else, or somebody speaks for it. */
  conflicts: number;
  /** Neighbours that fell silent. */
  silent: number;
}

/** What happened to packets of a node. */
export interface SimCounters {
  relayed: number;
  delivered: number;
  /** For a flow that is not here. */
  stray: number;
  expired: number;
  unroutable: number;
  short: number;
}

/** Policies of a simulated layer that are not the shipped ones. */
export interface SimPolicies extends Omit<UnicastPolicies, "congestion"> {
  /** For all nodes, or by their number. */
  readonly congestion?: Congestion | ((node: number) => Congestion);
}

export class SimNode {
  readonly number: number;
  readonly addr: number;
  readonly control: UnicastNode;
  readonly directory: Dht;
  readonly counters: SimCounters = {
    relayed: 0,
    delivered: 0,
    stray: 0,
    expired: 0,
    unroutable: 0,
    short: 0,
  };
  /** Routes that were published. */
  routesPublished = 0;
  readonly alarms: SimAlarms = { conflicts: 0, silent: 0 };
  alive = true;
  /** How long its IRMd and an acceptor take for a request, µs. */
  acceptUs = 0;
  /** Until when the node does nothing: its process was stopped, µs. */
  #stoppedUntilUs = 0;
  readonly #queue: EventQueue;
  readonly #table: ForwardTable;
  readonly #states: HopStates;
  readonly #forwarder: Forwarder;
  readonly #congestion: Congestion;
  readonly #links = new Map<number, Link>();
  readonly #flows = new Map<number, AppFlow>();
  /** Flows by slot of their EID. */
  readonly #bySlot = new Map<number, AppFlow>();
  readonly #answers = new Map<number, (result: number) => void>();
  readonly #replies = new Map<number, (response: number) => void>();
  #nextFd = 1;
  #nextFlow = 1;
  #nextToken = 1;
  #timerUs = Infinity;
  /** Room for packets, and how much of it is taken. */
  #rooms = EMPTY;
  #roomUsed = 0;

  constructor(
    number: number,
    queue: EventQueue,
    random: Prng,
    settings: Settings,
    nodes: number,
    policies: SimPolicies = {},
    addr?: number,
  ) {
    this.number = number;
    this.#queue = queue;
    const u32 = () => random.u32();
    const layer = settings.layer;
    const name = `node ${number}`;
    this.addr = addr ?? policies.address?.({ random: u32, name, layer }) ??
      drawAddress(u32, () => false);
    const id = new Uint8Array(settings.hashBytes);
    for (let i = 0; i < id.length; i++) id[i] = random.below(256);
    // Virtual time starts at 10^9 s, so that nothing takes it for a span.
    const unixSec = 1e9 + queue.nowUs / 1e6;
    const self = { id, addr: this.addr };
    this.directory = new Dht(queue.nowUs, self, settings.dht, unixSec, u32);
    this.control = new UnicastNode(queue.nowUs, {
      settings,
      self: this.addr,
      directory: policies.directory?.(this.addr, settings, queue.nowUs, u32) ?? this.directory,
      random: u32,
      ...(policies.routing === undefined
        ? {}
        : { routing: policies.routing(this.addr, settings, queue.nowUs) }),
    });
    const own = policies.congestion;
    this.#congestion = (typeof own === "function" ? own(number) : own) ??
      (settings.congestion === "mb-ecn" ? MB_ECN : NO_CONGESTION);
    let buckets = 16;
    while (buckets < 4 * nodes) buckets *= 2;
    this.#table = new ForwardTable(buckets);
    this.#states = new HopStates(Math.max(1024, 4 * nodes));
    this.#forwarder = new Forwarder(
      this.addr,
      FLAT_LAYOUT,
      settings.ttlMax,
      policies.forwarding ?? (settings.routing === "ecmp" ? HOP_BY_FLOW : BEST_HOP),
      this.#congestion,
      this.#table,
      this.#states,
    );
  }

  // Flows below.

  /** A flow to a neighbour; its descriptor. */
  attach(link: Link, state: number): number {
    const fd = this.#nextFd++;
    this.#links.set(fd, link);
    this.#states.set(fd, state);
    return fd;
  }

  /** It is gone. */
  detach(fd: number): void {
    this.#links.delete(fd);
    this.#states.set(fd, HopState.absent);
  }

  /** Stop the process for a while: what arrives waits. */
  stop(us: number): void {
    this.#stoppedUntilUs = Math.max(this.#stoppedUntilUs, this.#queue.nowUs + us);
  }

  /** Put off what happens while the process is stopped; true if it was. */
  #later(run: () => void): boolean {
    if (this.#stoppedUntilUs <= this.#queue.nowUs) return false;
    this.#queue.at(this.#stoppedUntilUs, run);
    return true;
  }

  /** Tell the machine something, and do what it then wants. */
  tell(what: (control: UnicastNode, nowUs: number) => void): void {
    if (!this.alive || this.#later(() => this.tell(what))) return;
    what(this.control, this.#queue.nowUs);
    this.#pump();
  }

  /** Set the wall clock so many seconds away from the right time. */
  setClock(aheadSec: number): void {
    this.directory.onClock(this.#queue.nowUs, 1e9 + this.#queue.nowUs / 1e6 + aheadSec);
  }

  setState(fd: number, up: boolean): void {
    this.#states.set(fd, up ? HopState.up : HopState.down);
  }

  /** Packets of a Management flow, in order. */
  onManagement(fd: number, packets: readonly Uint8Array[]): void {
    if (!this.#links.has(fd)) return;
    this.tell((control, nowUs) => {
      for (const bytes of packets) control.onManagement(nowUs, fd, bytes);
    });
  }

  /** A packet of a Data Transfer flow. */
  onTransfer(fd: number, bytes: Uint8Array): void {
    if (!this.alive || !this.#links.has(fd)) return;
    if (this.#later(() => this.onTransfer(fd, bytes))) return;
    this.#receive(fd, bytes);
  }

  #receive(fd: number, bytes: Uint8Array): void {
    const f = this.#forwarder;
    switch (f.receive(bytes, 0, bytes.length, fd)) {
      case Verdict.relay: {
        const link = this.#links.get(f.out);
        if (link === undefined) return void this.counters.unroutable++;
        f.relay(bytes, 0, link.queued);
        this.counters.relayed++;
        return link.send(bytes);
      }
      case Verdict.flow:
        return this.#deliver(bytes);
      case Verdict.component:
        return this.#component(f.pci.eidLo, bytes.subarray(f.layout.headerBytes));
      case Verdict.expired:
        return void this.counters.expired++;
      case Verdict.unroutable:
        return void this.counters.unroutable++;
      default:
        return void this.counters.short++;
    }
  }

  #component(eid: number, payload: Uint8Array): void {
    if (eid === EID_FLOW_ALLOCATOR) {
      // Updates are the data path's, as in a real node.
      const m = parseFaMsg(payload, this.control.settings.hashBytes);
      if (!isWireError(m) && m.kind === "update") {
        const flow = this.#bySlot.get(m.dstEid.lo);
        if (flow?.published?.localEid.hi === m.dstEid.hi) flow.congestion.onUpdate(m.ece);
        return;
      }
    }
    this.tell((control, nowUs) => control.onComponent(nowUs, eid, payload.slice()));
  }

  #deliver(bytes: Uint8Array): void {
    const { pci, layout } = this.#forwarder;
    const flow = this.#bySlot.get(pci.eidLo);
    if (flow?.published === undefined || flow.published.localEid.hi !== pci.eidHi) {
      this.counters.stray++;
      return;
    }
    this.counters.delivered++;
    const ece = flow.congestion.onReceive(bytes.length - layout.headerBytes, pci.ecn);
    flow.onData?.(bytes.subarray(layout.headerBytes));
    if (ece < 0) return;
    const { peer, remoteEid } = flow.published;
    const update = encodeFaMsg({ kind: "update", dstEid: remoteEid, ece });
    if (!isWireError(update)) this.#transfer(peer, 0, EID_FLOW_ALLOCATOR, update);
  }

  #transfer(dst: number, eidHi: number, eidLo: number, payload: Uint8Array): void {
    const f = this.#forwarder;
    if (dst === this.addr) {
      // No table routes what a node sends to itself.
      const packet = new Uint8Array(f.layout.headerBytes + payload.length);
      packet.set(payload, f.layout.headerBytes);
      const pci = { dst, cube: 0, ttl: this.control.settings.ttlMax, ecn: 0, eidHi, eidLo };
      encodePci(pci, packet, 0, f.layout);
      return this.#queue.at(this.#queue.nowUs, () => this.#receive(-1, packet));
    }
    if (!f.route(dst, 0, eidHi, eidLo)) return void this.counters.unroutable++;
    const link = this.#links.get(f.out);
    if (link === undefined) return void this.counters.unroutable++;
    const packet = this.#room(f.layout.headerBytes + payload.length);
    packet.set(payload, f.layout.headerBytes);
    f.head(packet, 0, link.queued);
    link.send(packet);
  }

  /** Room for a packet, from what is made for many at once: one by one, that costs more than all that is done with it. */
  #room(bytes: number): Uint8Array {
    const at = this.#roomUsed;
    if (at + bytes > this.#rooms.length) {
      this.#rooms = new Uint8Array(Math.max(ROOM_BYTES, bytes));
      this.#roomUsed = bytes;
      return this.#rooms.subarray(0, bytes);
    }
    this.#roomUsed += bytes;
    return this.#rooms.subarray(at, at + bytes);
  }

  // Applications.

  /** A name is served here; every flow to it is accepted. */
  register(hash: Uint8Array): void {
    this.tell((control, nowUs) => control.register(nowUs, hash));
  }
  unregister(hash: Uint8Array): void {
    this.tell((control, nowUs) => control.unregister(nowUs, hash));
  }

  /** Is a name known? `done` is told 0 or a negative number. */
  query(hash: Uint8Array, done: (result: number) => void): void {
    const token = this.#nextToken++;
    this.#answers.set(token, done);
    this.tell((control, nowUs) => control.query(nowUs, hash, token));
  }

  /** Allocate a flow: `done` is told its id, or a negative number. */
  alloc(
    hash: Uint8Array,
    done: (flowId: number) => void,
    qos: QosSpec = QOS.raw,
    data: Uint8Array = EMPTY,
  ): void {
    const flowId = this.#nextFlow++;
    const token = this.#nextToken++;
    this.#flow(flowId);
    this.#replies.set(flowId, (response) => {
      if (response < 0) this.#release(flowId);
      done(response < 0 ? response : flowId);
    });
    this.#answers.set(token, (result) => {
      if (result >= 0) return;
      const reply = this.#replies.get(flowId);
      this.#replies.delete(flowId);
      reply?.(result);
    });
    this.tell((control, nowUs) => control.alloc(nowUs, flowId, hash, qos, data, token));
  }

  dealloc(flowId: number): void {
    this.tell((control, nowUs) => control.dealloc(nowUs, flowId));
    this.#release(flowId);
  }

  /** Who reads a flow. */
  onData(flowId: number, onData: (bytes: Uint8Array) => void): void {
    const flow = this.#flows.get(flowId);
    if (flow !== undefined) flow.onData = onData;
  }
  /** Who reads the flows that others open to here. */
  onAccepted: ((flow: Accepted) => void) | undefined;
  /** Who is told that the other end closed a flow. */
  onClosed: ((flowId: number) => void) | undefined;

  /** Send bytes of one's own making on a lower flow: what a hostile member may do. */
  inject(fd: number, bytes: Uint8Array): void {
    if (this.alive) this.#links.get(fd)?.send(bytes);
  }
  /** Lower flows, by descriptor. */
  lowerFlows(): number[] {
    return [...this.#links.keys()];
  }

  /** A packet of an application, whose bytes stay its own: µs that it must wait before the next one (its policy paces it). */
  send(flowId: number, payload: Uint8Array): number {
    const flow = this.#flows.get(flowId);
    if (flow?.published === undefined || !this.alive) return -1;
    const waitNs = flow.congestion.onSend(this.#queue.nowUs * 1000, payload.length);
    const { peer, remoteEid } = flow.published;
    if (waitNs <= 0) {
      this.#transfer(peer, remoteEid.hi, remoteEid.lo, payload);
      return 0;
    }
    const later = payload.slice();
    const go = () => this.#transfer(peer, remoteEid.hi, remoteEid.lo, later);
    this.#queue.at(this.#queue.nowUs + waitNs / 1000, go);
    return waitNs / 1000;
  }

  /** The congestion context of a flow, to look at. */
  congestionOf(flowId: number): CongestionContext | undefined {
    return this.#flows.get(flowId)?.congestion;
  }

  /** The address of a flow's other end, 0 for no flow. */
  peerOf(flowId: number): number {
    return this.#flows.get(flowId)?.published?.peer ?? 0;
  }

  /** The shipped routing, when no other policy is in its place. */
  get linkState(): LinkStateRouting | undefined {
    const { routing } = this.control;
    return routing instanceof LinkStateRouting ? routing : undefined;
  }
  /** Flows that applications hold. */
  get heldFlows(): number {
    return this.#flows.size;
  }

  /** Flows that are open. */
  get flowCount(): number {
    return this.#bySlot.size;
  }

  #flow(flowId: number): AppFlow {
    const congestion = this.#congestion.flow(this.#queue.nowUs * 1000);
    const flow: AppFlow = { flowId, congestion, published: undefined, onData: undefined };
    this.#flows.set(flowId, flow);
    return flow;
  }

  #release(flowId: number): void {
    const flow = this.#flows.get(flowId);
    if (flow === undefined) return;
    this.#flows.delete(flowId);
    if (flow.published !== undefined) this.#bySlot.delete(flow.published.localEid.lo);
  }

  // The machine.

  #pump(): void {
    for (let e = this.control.poll(); e !== undefined; e = this.control.poll()) this.#do(e);
    const at = this.control.deadlineUs();
    if (at >= this.#timerUs) return;
    this.#timerUs = at;
    this.#queue.at(at, () => {
      if (!this.alive || this.#timerUs > this.#queue.nowUs) return;
      this.#timerUs = Infinity;
      this.tell((control, nowUs) => control.onTimer(nowUs));
    });
  }

  #do(e: NodeEffect): void {
    switch (e.kind) {
      case "send_mgmt":
        return this.#links.get(e.fd)?.send(e.bytes);
      case "transfer":
        return this.#transfer(e.dst, 0, e.eid, e.bytes);
      case "routes":
        this.routesPublished++;
        return void this.#table.publish(e.routes);
      case "publish": {
        const flow = this.#flows.get(e.flow.flowId) ?? this.#flow(e.flow.flowId);
        if (flow.published !== undefined) this.#bySlot.delete(flow.published.localEid.lo);
        flow.published = e.flow;
        this.#bySlot.set(e.flow.localEid.lo, flow);
        return;
      }
      case "release": {
        const reply = this.#replies.get(e.flowId);
        this.#replies.delete(e.flowId);
        this.#release(e.flowId);
        // Nobody answered; the IRMd's own patience ends about now.
        return reply?.(-Errno.ETIMEDOUT);
      }
      case "alloc_reply": {
        const reply = this.#replies.get(e.flowId);
        this.#replies.delete(e.flowId);
        return reply?.(e.response);
      }
      case "answer": {
        const answer = this.#answers.get(e.token);
        this.#answers.delete(e.token);
        return answer?.(e.result);
      }
      case "own":
        return this.tell((control, nowUs) => control.owned(nowUs, e.flowId, 0));
      case "ask_irmd": {
        const flowId = this.#nextFlow++;
        const { ask, hash, data } = e;
        this.#flow(flowId);
        // The IRMd and the acceptor answer at once.
        this.#queue.at(this.#queue.nowUs + this.acceptUs, () =>
          this.tell((control, nowUs) => {
            const flow = { flowId, pid: 0, uid: 0 };
            control.asked(nowUs, ask, { result: 0, ...flow });
            control.allocResp(nowUs, flow, { response: 0, data: EMPTY }, 0);
            this.onAccepted?.({ flowId, hash, data });
          }));
        return;
      }
      case "down": {
        const { flowId } = e;
        this.#queue.at(this.#queue.nowUs, () => {
          this.onClosed?.(flowId);
          this.dealloc(flowId);
        });
        return;
      }
      case "conflict":
        return void this.alarms.conflicts++;
      case "neighbour":
        if (!e.alive) this.alarms.silent++;
        return;
    }
  }

  /** The node dies without a word. */
  kill(): void {
    this.alive = false;
  }
}

/**
 * The control machine of a unicast node: flow allocator, directory and routing, and how they speak to each other.
 * Source: spec 60 §1; parts: `flow_alloc.ts`, `directory.ts`, `link_state.ts`. Pure.
 *
 * Four kinds of method: commands of the IRMd and its answers; what arrives (neighbours, management packets, packets for
 * components); time; and `poll`, which says what to do, in order. The shell (`ipcp.ts`) and the simulator do it:
 *
 * - `transfer` is a packet to a component of another node, to be routed and sent by the data path (`forward.ts`).
 * - `publish` comes before the message that makes packets possible leaves, so the data path knows the flow in time.
 * - `routes` replaces the forwarding table, once for all cubes.
 *
 * Neighbours are known by address and by descriptors of their flows, numbers that mean something to the shell alone.
 */

import { Errno } from "../../lib/errno.ts";
import { Fifo } from "../../lib/fifo.ts";
import type { QosSpec } from "../../lib/qos.ts";
import { type FaMsg, parse as parseFaMsg } from "../../lib/wire/fa_msg.ts";
import { isWireError } from "../../lib/wire/mod.ts";
import type { Asked, FlowOrder, Verdict } from "../machine.ts";
import { Registrations } from "../registrations.ts";
import { EID_DIRECTORY, EID_FLOW_ALLOCATOR } from "./eids.ts";
import type { Directory } from "./directory.ts";
import { FlowAllocator } from "./flow_alloc.ts";
import type { FlowEffect } from "./flow_effects.ts";
import { LinkStateRouting } from "./link_state.ts";
import type { Routing, RoutingEffect } from "./routing.ts";
import type { Settings } from "./settings.ts";

/** What a node asks for. */
export type NodeEffect =
  | Exclude<FlowEffect, { kind: "send" | "unanswered" | "denied" | "look_again" }>
  | RoutingEffect
  /** A packet to component `eid` of another node. */
  | {
    readonly kind: "transfer";
    readonly dst: number;
    readonly eid: number;
    readonly bytes: Uint8Array;
  };

/** What a node is made of. */
export interface NodeParts {
  readonly settings: Settings;
  /** Own address. */
  readonly self: number;
  readonly directory: Directory;
  /** Link state with the layer's policy when absent. */
  readonly routing?: Routing;
  /** Uniform 32-bit numbers. */
  readonly random: () => number;
}

/** What waits for the directory. */
type Query =
  | { readonly kind: "query"; readonly token: number }
  /** For the flow allocator, whose first addresses were wrong. */
  | { readonly kind: "again"; readonly flowId: number }
  | {
    readonly kind: "alloc";
    readonly token: number;
    readonly flowId: number;
    readonly hash: Uint8Array;
    readonly qos: QosSpec;
    readonly data: Uint8Array;
  };

/** Queries under way, at most. */
const QUERIES_MAX = 4096;

/** What could not be used, by reason. */
export interface NodeCounters {
  malformedFlowMessages: number;
}

export class UnicastNode {
  readonly self: number;
  readonly settings: Settings;
  readonly flows: FlowAllocator;
  readonly directory: Directory;
  readonly routing: Routing;
  readonly names = new Registrations();
  readonly counters: NodeCounters = { malformedFlowMessages: 0 };
  readonly #queries = new Map<number, Query>();
  #nextQuery = 1;
  /** Packets of this node to itself, which no table routes (spec 60 §6.2). */
  readonly #own = new Fifo<{ readonly eid: number; readonly bytes: Uint8Array }>();
  readonly #out = new Fifo<NodeEffect>();
  #nowUs: number;
  #members: readonly number[] = [];
  #routes: ReadonlyMap<number, readonly number[]> = new Map();

  constructor(nowUs: number, { settings, self, directory, routing, random }: NodeParts) {
    this.#nowUs = nowUs;
    this.self = self;
    this.settings = settings;
    this.directory = directory;
    this.routing = routing ?? new LinkStateRouting(self, settings.routing, settings, nowUs);
    this.flows = new FlowAllocator(
      self,
      random,
      (hash) => this.names.has(hash),
      settings.hashBytes,
      (addr) => addr === self || this.#routes.has(addr),
    );
  }

  /** The next thing to do, oldest first. */
  poll(): NodeEffect | undefined {
    for (;;) {
      const ready = this.#out.shift();
      if (ready !== undefined) return ready;
      const routed = this.routing.poll();
      if (routed?.kind === "routes") this.#onRoutes(routed.routes);
      if (routed !== undefined) return routed;
      if (!this.#pump()) return undefined;
    }
  }

  /** Move what the parts other than routing want between them and outwards; false if they want nothing. */
  #pump(): boolean {
    let moved = false;
    for (let e = this.directory.poll(); e !== undefined; e = this.directory.poll()) {
      moved = true;
      if (e.kind === "send") this.#send(e.dst, EID_DIRECTORY, e.bytes);
      else this.#onFound(e.token, e.addrs);
    }
    for (let e = this.flows.poll(); e !== undefined; e = this.flows.poll()) {
      moved = true;
      if (e.kind === "send") this.#send(e.dst, EID_FLOW_ALLOCATOR, e.bytes);
      else if (e.kind === "unanswered") this.directory.onUnanswered(this.#nowUs, e.hash, e.addr);
      else if (e.kind === "denied") this.directory.onDenied(this.#nowUs, e.hash, e.addr);
      else if (e.kind === "look_again") this.#lookAgain(e.flowId, e.hash);
      else this.#out.push(e);
    }
    for (let own = this.#own.shift(); own !== undefined; own = this.#own.shift()) {
      moved = true;
      this.onComponent(this.#nowUs, own.eid, own.bytes);
    }
    return moved;
  }

  #send(dst: number, eid: number, bytes: Uint8Array): void {
    if (dst === this.self) this.#own.push({ eid, bytes });
    else this.#out.push({ kind: "transfer", dst, eid, bytes });
  }

  #onRoutes(routes: ReadonlyMap<number, readonly number[]>): void {
    this.#routes = routes;
    this.#members = [...routes.keys()];
    this.directory.onMembers(this.#nowUs, this.#members);
  }

  /** Addresses that can be reached, without our own. */
  get members(): readonly number[] {
    return this.#members;
  }

  // Commands of the IRMd.

  /** REG: 0, -EINVAL for a hash of another length, -ENOMEM. */
  register(nowUs: number, hash: Uint8Array): number {
    this.#nowUs = nowUs;
    if (hash.length !== this.settings.hashBytes) return -Errno.EINVAL;
    if (!this.names.add(hash)) return -Errno.ENOMEM;
    this.directory.register(nowUs, hash);
    return 0;
  }

  /** UNREG: 0, or -ENOMEM (the prototype's answer) for a name that was not registered. */
  unregister(nowUs: number, hash: Uint8Array): number {
    this.#nowUs = nowUs;
    if (!this.names.remove(hash)) return -Errno.ENOMEM;
    this.directory.unregister(nowUs, hash);
    return 0;
  }

  /** QUERY: answers `token` with 0 if the name is known in the layer, else -1. */
  query(nowUs: number, hash: Uint8Array, token: number): void {
    this.#nowUs = nowUs;
    this.#ask(nowUs, hash, { kind: "query", token });
  }

  /** FLOW_ALLOC: answers `token` with 0 when the request is on its way, or why not. */
  alloc(
    nowUs: number,
    flowId: number,
    hash: Uint8Array,
    qos: QosSpec,
    data: Uint8Array,
    token: number,
  ): void {
    this.#nowUs = nowUs;
    const query = { flowId, hash: hash.slice(), qos, data: data.slice(), token };
    this.#ask(nowUs, hash, { kind: "alloc", ...query });
  }

  #ask(nowUs: number, hash: Uint8Array, query: Exclude<Query, { kind: "again" }>): void {
    if (hash.length !== this.settings.hashBytes) return this.#answer(query.token, -Errno.EINVAL);
    if (this.#queries.size >= QUERIES_MAX) return this.#answer(query.token, -Errno.EBUSY);
    const token = this.#nextQuery++;
    this.#queries.set(token, query);
    // A name served here needs no directory: the flow comes back to this node.
    if (this.names.has(hash)) this.#onFound(token, [this.self]);
    else this.directory.query(nowUs, hash, token);
  }

  #lookAgain(flowId: number, hash: Uint8Array): void {
    if (this.#queries.size >= QUERIES_MAX) return this.flows.found(this.#nowUs, flowId, []);
    const token = this.#nextQuery++;
    this.#queries.set(token, { kind: "again", flowId });
    this.directory.query(this.#nowUs, hash, token);
  }

  #onFound(token: number, addrs: readonly number[]): void {
    const query = this.#queries.get(token);
    if (query === undefined) return;
    this.#queries.delete(token);
    if (query.kind === "again") return this.flows.found(this.#nowUs, query.flowId, addrs);
    if (query.kind === "query") {
      return this.#answer(query.token, addrs.length > 0 ? 0 : -Errno.EPERM);
    }
    const { flowId, hash, qos, data } = query;
    this.#answer(
      query.token,
      this.flows.request(this.#nowUs, flowId, addrs, hash, qos, data),
    );
  }

  #answer(token: number, result: number): void {
    this.#out.push({ kind: "answer", token, result });
  }

  /** FLOW_ALLOC_RESP: answers `token`. */
  allocResp(nowUs: number, flow: FlowOrder, verdict: Verdict, token: number): void {
    this.#nowUs = nowUs;
    this.flows.allocResp(nowUs, flow, verdict, token);
  }

  /** The pool of a flow's acceptor is used from now on (0), or why it cannot be. */
  owned(nowUs: number, flowId: number, result: number): void {
    this.#nowUs = nowUs;
    this.flows.owned(nowUs, flowId, result);
  }

  /** FLOW_DEALLOC: 0, or -1 for a flow that is not here. A pending allocation is cancelled. */
  dealloc(nowUs: number, flowId: number): number {
    this.#nowUs = nowUs;
    for (const [token, query] of this.#queries) {
      if (query.kind !== "alloc" || query.flowId !== flowId) continue;
      this.#queries.delete(token);
      this.#answer(query.token, -Errno.EPERM);
      return 0;
    }
    return this.flows.dealloc(flowId);
  }

  /** FLOW_REQ_ARR was answered; see {@linkcode FlowAllocator.asked}. */
  asked(nowUs: number, ask: number, asked: Asked): void {
    this.#nowUs = nowUs;
    this.flows.asked(nowUs, ask, asked);
  }

  // What arrives.

  /** A packet for a component of this node. */
  onComponent(nowUs: number, eid: number, bytes: Uint8Array): void {
    this.#nowUs = nowUs;
    if (eid === EID_DIRECTORY) return this.directory.onMessage(nowUs, bytes);
    if (eid !== EID_FLOW_ALLOCATOR) return;
    const m = parseFaMsg(bytes, this.settings.hashBytes);
    if (isWireError(m)) this.counters.malformedFlowMessages += 1;
    else this.onFlowMessage(nowUs, m);
  }

  /** A message for the flow allocator. */
  onFlowMessage(nowUs: number, m: FaMsg): void {
    this.#nowUs = nowUs;
    this.flows.onMessage(nowUs, m);
  }

  /** A packet on a Management flow. */
  onManagement(nowUs: number, fd: number, bytes: Uint8Array): void {
    this.#nowUs = nowUs;
    this.routing.onPacket(nowUs, fd, bytes);
  }

  /** Neighbours come and go; see {@linkcode Routing}. */
  managementUp(nowUs: number, addr: number, fd: number): void {
    this.#nowUs = nowUs;
    this.routing.managementUp(nowUs, addr, fd);
  }
  managementDown(addr: number, fd: number): void {
    this.routing.managementDown(addr, fd);
  }
  transferUp(nowUs: number, addr: number, fd: number): void {
    this.#nowUs = nowUs;
    this.routing.transferUp(nowUs, addr, fd);
  }
  transferGone(nowUs: number, addr: number, fd: number): void {
    this.#nowUs = nowUs;
    this.routing.transferGone(nowUs, addr, fd);
  }
  transferState(nowUs: number, addr: number, fd: number, up: boolean): void {
    this.#nowUs = nowUs;
    this.routing.transferState(nowUs, addr, fd, up);
  }

  // Time.

  /** Do what is due. */
  onTimer(nowUs: number): void {
    this.#nowUs = nowUs;
    if (this.routing.deadlineUs() <= nowUs) this.routing.onTimer(nowUs);
    if (this.directory.deadlineUs() <= nowUs) this.directory.onTimer(nowUs);
    if (this.flows.deadlineUs() <= nowUs) this.flows.onTimer(nowUs);
  }

  /** When {@linkcode onTimer} has something to do next, µs. */
  deadlineUs(): number {
    return Math.min(
      this.routing.deadlineUs(),
      this.directory.deadlineUs(),
      this.flows.deadlineUs(),
    );
  }

  /** The node stops: what waits is answered, names are withdrawn, flows are told to their other ends. */
  close(nowUs: number): void {
    this.#nowUs = nowUs;
    for (const query of this.#queries.values()) {
      if (query.kind !== "again") this.#answer(query.token, -Errno.EIPCPSTATE);
    }
    this.#queries.clear();
    this.flows.close();
  }
}

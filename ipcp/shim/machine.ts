/**
 * The protocol machine of the shim IPCPs (udp4, udp6, eth-dix, eth-llc): flow allocation, names, ids.
 * Pure.
 *
 * Reading first: spec 50 §7, §8, §10.1, then §18. It is given commands of the IRMd, management messages
 * of the network, answers of the IRMd and the time, and says what to do through {@linkcode poll}.
 *
 * A flow is `requested` (our process asked, the peer has not answered), `arrived` (a peer asked, the IRMd
 * has not given its verdict) or `open`; anything else is not in the table. Rules that it keeps:
 *
 * - A reply is believed once, for a requested flow, from the address that was asked (S3).
 * - A request is considered only for a name registered here (S8), a copy of a recent one is not (replays),
 *   and the number under way is bounded, also per source.
 * - Peer and endpoint are stored before the flow can be answered (R1); a verdict that overtakes the answer
 *   to FLOW_REQ_ARR is kept with it (R2); what the IRMd refuses is answered to the peer (R3).
 * - Nothing stays for ever: a requested or arrived flow that is not settled is released (R4).
 *
 * Left to the shell: sockets, shared memory, the data path, resolving names over DNS.
 */

import { Errno } from "../../lib/errno.ts";
import type { QosSpec } from "../../lib/qos.ts";
import { isWireError } from "../../lib/wire/mod.ts";
import type {
  FlowEndMsg,
  FlowReply,
  FlowReq,
  ShimMgmt,
  ShimMgmtCodec,
} from "../../lib/wire/shim_mgmt.ts";
import { Registrations } from "../registrations.ts";
import { type Addr, NameCache, Queries, sameAddr } from "./name_cache.ts";
import { EidPool, type EidRange } from "./eids.ts";
import { ARRIVAL_LIFE_MS, EarlyVerdicts } from "../verdicts.ts";
import { RequestGate } from "./gate.ts";

/** The IRMd gives up an allocation after 20 s; then nobody waits for ours any more. */
export const REQUEST_LIFE_MS = 22_000;

/** Bytes at the start of OAP data that request and answer share: its id. */
export const TAG_BYTES = 16;

/** What a type of shim is made of. */
export interface ShimConfig {
  readonly codec: ShimMgmtCodec;
  readonly eids: EidRange;
  /** Bytes of a name hash in this layer. */
  readonly hashBytes: number;
  /** Largest management message that fits the lower layer. */
  readonly mgmtBytesMax: number;
  /** How names are found: by asking on the wire, or by a resolver of the shell. */
  readonly names: "ask" | "resolve";
}

/** What the data path needs of a flow. */
export interface OpenFlow {
  readonly flowId: number;
  readonly localEid: number;
  readonly remoteEid: number;
  readonly peer: Addr;
}

/** Everything that the machine can ask for. `to` undefined means every station (broadcast). */
export type Effect =
  | { readonly do: "send"; readonly to: Addr | undefined; readonly bytes: Uint8Array }
  | {
    readonly do: "ask_irmd";
    readonly ask: number;
    readonly peer: Addr;
    readonly hash: Uint8Array;
    readonly qos: QosSpec;
    readonly data: Uint8Array;
  }
  | {
    readonly do: "alloc_reply";
    readonly flowId: number;
    readonly response: number;
    readonly data: Uint8Array;
  }
  | { readonly do: "answer"; readonly token: number; readonly result: number }
  | { readonly do: "resolve"; readonly hash: Uint8Array }
  /** Packets may flow, both ways; in a requested flow (remote id unknown yet) only from the peer. */
  | { readonly do: "open"; readonly flow: OpenFlow }
  /** The other end has closed the flow. */
  | { readonly do: "ended"; readonly flowId: number }
  /** The allocation failed or was given up: release what the shell holds for the flow. */
  | { readonly do: "release"; readonly flowId: number };

interface Flow {
  readonly flowId: number;
  readonly localEid: number;
  remoteEid: number;
  readonly peer: Addr;
  /** `ended`: closed at the other end, not here yet. */
  state: "requested" | "arrived" | "open" | "ended";
  /** When a flow that is not open is given up, ms. */
  untilMs: number;
  /** Start of the request's data, which the answer repeats. */
  readonly tag: Uint8Array;
}

/** Counters of what was dropped and why; each is seen in the log at the end. */
export interface ShimCounters {
  malformed: number;
  unregistered: number;
  replayed: number;
  flooded: number;
  forged: number;
  unasked: number;
}

const EMPTY = new Uint8Array(0);

export class ShimMachine {
  readonly names = new Registrations();
  readonly cache = new NameCache();
  readonly counters: ShimCounters = {
    malformed: 0,
    unregistered: 0,
    replayed: 0,
    flooded: 0,
    forged: 0,
    unasked: 0,
  };
  readonly #config: ShimConfig;
  readonly #queries = new Queries();
  readonly #eids: EidPool;
  readonly #flows = new Map<number, Flow>();
  /** Flow ids by endpoint id, for replies. */
  readonly #byEid = new Map<number, number>();
  readonly #gate = new RequestGate<{ hash: Uint8Array; qos: QosSpec; data: Uint8Array }>();
  readonly #early = new EarlyVerdicts();
  readonly #out: Effect[] = [];

  constructor(config: ShimConfig, random: () => number) {
    this.#config = config;
    this.#eids = new EidPool(config.eids, random);
  }

  /** The next thing to do, oldest first. */
  poll(): Effect | undefined {
    return this.#out.shift();
  }

  /** Flows in the table. */
  get flowCount(): number {
    return this.#flows.size;
  }
  /** Requests of the network that the IRMd considers. */
  get askingCount(): number {
    return this.#gate.size;
  }
  /** The state of a flow, or undefined. */
  flowState(flowId: number): "requested" | "arrived" | "open" | "ended" | undefined {
    return this.#flows.get(flowId)?.state;
  }
  /** The other end of a flow, or undefined. */
  peerOf(flowId: number): Addr | undefined {
    return this.#flows.get(flowId)?.peer;
  }
  /** Open flows, for link events. */
  openFlows(): number[] {
    return [...this.#flows.values()].filter((f) => f.state === "open").map((f) => f.flowId);
  }

  // Commands of the IRMd. Each gives a result, or an `answer` effect for the token later.

  register(hash: Uint8Array): number {
    if (hash.length !== this.#config.hashBytes) return -Errno.EINVAL;
    return this.names.add(hash) ? 0 : -Errno.ENOMEM;
  }

  unregister(hash: Uint8Array): number {
    this.names.remove(hash);
    return 0;
  }

  query(nowMs: number, hash: Uint8Array, token: number): void {
    if (hash.length !== this.#config.hashBytes) return this.#answer(token, -Errno.EINVAL);
    if (this.cache.get(nowMs, hash) !== undefined) return this.#answer(token, 0);
    switch (this.#queries.ask(nowMs, hash, token)) {
      case "full":
        return this.#answer(token, -Errno.EBUSY);
      case "new":
        if (this.#config.names === "resolve") this.#out.push({ do: "resolve", hash });
        else this.#send(undefined, { kind: "name_query", hash });
    }
  }

  /** The shell's resolver is done: an address, or undefined if the name has none. */
  resolved(nowMs: number, hash: Uint8Array, addr: Addr | undefined): void {
    const waiters = this.#queries.answer(hash);
    if (waiters === undefined) return;
    if (addr !== undefined) this.cache.set(nowMs, hash, addr);
    for (const token of waiters) this.#answer(token, addr === undefined ? -Errno.EPERM : 0);
  }

  /** FLOW_ALLOC: the result for the IRMd; 0 means that the request is on its way. */
  alloc(nowMs: number, flowId: number, hash: Uint8Array, qos: QosSpec, data: Uint8Array): number {
    if (hash.length !== this.#config.hashBytes) return -Errno.EINVAL;
    if (this.#flows.has(flowId)) return -Errno.EEXIST;
    const peer = this.cache.get(nowMs, hash);
    if (peer === undefined) return -Errno.EPERM;
    const localEid = this.#eids.take(nowMs);
    if (localEid < 0) return -Errno.EBUSY;
    const bytes = this.#encode({ kind: "flow_req", requesterEid: localEid, qos, hash, data });
    if (bytes === undefined) {
      this.#eids.give(nowMs, localEid);
      return -Errno.EMSGSIZE;
    }
    this.#add({
      flowId,
      localEid,
      remoteEid: -1,
      peer,
      state: "requested",
      untilMs: nowMs + REQUEST_LIFE_MS,
      tag: data.slice(0, TAG_BYTES),
    });
    // Its first packets may come right behind the reply, so they are taken from now on.
    const remoteEid = this.#config.codec.lostEid;
    this.#out.push({ do: "open", flow: { flowId, localEid, remoteEid, peer } });
    this.#out.push({ do: "send", to: peer, bytes });
    return 0;
  }

  /** FLOW_ALLOC_RESP: answers `token` now or when the flow is known. */
  allocResp(
    nowMs: number,
    flowId: number,
    response: number,
    data: Uint8Array,
    token: number,
  ): void {
    const flow = this.#flows.get(flowId);
    if (flow !== undefined) {
      this.#answer(token, this.#verdict(nowMs, flow, response, data));
    } else if (
      this.#gate.size === 0 || !this.#early.add(nowMs, flowId, { token, response, data })
    ) {
      this.#answer(token, -Errno.EPERM);
    }
  }

  /** FLOW_DEALLOC: 0, or -1 for a flow that is not here. The peer is told; the id rests, late packets find nobody. */
  dealloc(nowMs: number, flowId: number): number {
    const flow = this.#flows.get(flowId);
    if (flow === undefined) return -Errno.EPERM;
    if (flow.state === "open") {
      const { localEid: senderEid, remoteEid: receiverEid, peer } = flow;
      this.#send(peer, { kind: "flow_end", senderEid, receiverEid });
    }
    this.#remove(nowMs, flow);
    return 0;
  }

  // The network.

  /** A management message from `from`, header of the lower layer removed. */
  onMgmt(nowMs: number, from: Addr, bytes: Uint8Array): void {
    const m = this.#config.codec.parse(bytes, this.#config.hashBytes);
    if (isWireError(m)) {
      this.counters.malformed++;
      return;
    }
    switch (m.kind) {
      case "flow_req":
        return this.#onFlowReq(nowMs, from, m, bytes);
      case "flow_reply":
        return this.#onFlowReply(nowMs, from, m);
      case "flow_end":
        return this.#onFlowEnd(from, m);
      case "name_query":
        if (this.names.has(m.hash)) this.#send(from, { kind: "name_reply", hash: m.hash });
        return;
      case "name_reply": {
        const waiters = this.#queries.answer(m.hash);
        if (waiters === undefined) {
          this.counters.unasked++;
          return;
        }
        this.cache.set(nowMs, m.hash, from);
        for (const token of waiters) this.#answer(token, 0);
      }
    }
  }

  #onFlowReq(nowMs: number, from: Addr, m: FlowReq, bytes: Uint8Array): void {
    if (!this.names.has(m.hash)) {
      this.counters.unregistered++;
      return;
    }
    if (m.requesterEid < 1 || m.requesterEid > this.#config.codec.eidMax) {
      this.counters.malformed++;
      return;
    }
    const { hash, qos, data } = m;
    const ask = this.#gate.enter(nowMs, from, m.requesterEid, bytes, () => ({
      hash: hash.slice(),
      qos,
      data: data.slice(),
    }));
    if (ask === "flooded" || ask === "replayed") this.counters[ask]++;
    else if (ask !== "waiting") {
      this.#out.push({ do: "ask_irmd", ask, peer: from, hash, qos, data });
    }
  }

  #onFlowReply(nowMs: number, from: Addr, m: FlowReply): void {
    const flow = m.requesterEid === this.#config.codec.lostEid
      ? this.#requesterOf(from, m.data)
      : this.#flows.get(this.#byEid.get(m.requesterEid) ?? -1);
    if (flow === undefined || flow.state !== "requested" || !sameAddr(flow.peer, from)) {
      this.counters.forged++;
      return;
    }
    const { flowId } = flow;
    if (m.response !== 0) {
      this.#remove(nowMs, flow);
      this.#out.push({ do: "alloc_reply", flowId, response: m.response, data: EMPTY });
      this.#out.push({ do: "release", flowId });
      return;
    }
    if (m.responderEid < 1 || m.responderEid > this.#config.codec.eidMax) {
      this.counters.malformed++;
      return;
    }
    flow.remoteEid = m.responderEid;
    this.#open(flow);
    this.#out.push({ do: "alloc_reply", flowId, response: 0, data: m.data });
  }

  #onFlowEnd(from: Addr, m: FlowEndMsg): void {
    const flow = this.#flows.get(this.#byEid.get(m.receiverEid) ?? -1);
    const ours = flow?.state === "open" && flow.remoteEid === m.senderEid;
    if (!ours || !sameAddr(flow.peer, from)) {
      this.counters.forged++;
      return;
    }
    flow.state = "ended";
    this.#out.push({ do: "ended", flowId: flow.flowId });
  }

  /** Our own address has changed, so that peers do not take packets of open flows for ours: they have ended. */
  endFlows(): void {
    for (const flow of this.#flows.values()) {
      if (flow.state !== "open") continue;
      flow.state = "ended";
      this.#out.push({ do: "ended", flowId: flow.flowId });
    }
  }

  /**
   * The flow that a reply without the requester's id answers: a C responder sends one, to no address, when
   * the verdict overtakes its own bookkeeping. OAP's 16 random bytes tell whose it is.
   */
  #requesterOf(from: Addr, data: Uint8Array): Flow | undefined {
    if (data.length < TAG_BYTES) return undefined;
    const tag = data.subarray(0, TAG_BYTES);
    for (const flow of this.#flows.values()) {
      if (flow.state === "requested" && sameAddr(flow.peer, from) && sameAddr(flow.tag, tag)) {
        return flow;
      }
    }
    return undefined;
  }

  // Answers of the IRMd.

  /**
   * FLOW_REQ_ARR was answered: 0 and the flow id, or a negative number, which goes to the peer. Says
   * whether the flow was taken up; if not, the shell releases it.
   */
  asked(nowMs: number, ask: number, result: number, flowId: number): boolean {
    const asking = this.#gate.leave(ask);
    if (asking === undefined) return false;
    for (let w = this.#gate.next(nowMs); w !== undefined; w = this.#gate.next(nowMs)) {
      this.#out.push({ do: "ask_irmd", ask: w.ask, peer: w.from, ...w.request });
    }
    const { peer, requesterEid } = asking;
    const refuse = (response: number) => {
      const reply = { requesterEid, responderEid: 0, response, data: EMPTY };
      this.#send(peer, { kind: "flow_reply", ...reply });
    };
    if (result < 0) {
      refuse(result);
      return false;
    }
    const localEid = this.#flows.has(flowId) ? -1 : this.#eids.take(nowMs);
    if (localEid < 0) {
      refuse(-Errno.EBUSY);
      return false;
    }
    const untilMs = nowMs + ARRIVAL_LIFE_MS;
    const flow: Flow = {
      flowId,
      localEid,
      remoteEid: requesterEid,
      peer,
      state: "arrived",
      untilMs,
      tag: EMPTY,
    };
    this.#add(flow);
    const early = this.#early.take(flowId);
    if (early !== undefined) {
      this.#answer(early.token, this.#verdict(nowMs, flow, early.response, early.data));
    }
    return true;
  }

  #verdict(nowMs: number, flow: Flow, response: number, data: Uint8Array): number {
    if (flow.state !== "arrived") return -Errno.EPERM;
    const reply: FlowReply = {
      kind: "flow_reply",
      requesterEid: flow.remoteEid,
      responderEid: flow.localEid,
      response,
      data: response === 0 ? data : EMPTY,
    };
    const bytes = this.#encode(reply);
    const accepted = response === 0 && bytes !== undefined;
    // Open first: the peer's first packet may be faster than we are after the reply.
    if (accepted) this.#open(flow);
    if (bytes !== undefined) this.#out.push({ do: "send", to: flow.peer, bytes });
    if (accepted) return 0;
    this.#remove(nowMs, flow);
    this.#out.push({ do: "release", flowId: flow.flowId });
    return bytes === undefined ? -Errno.EMSGSIZE : 0;
  }

  // Time.

  /** Do what is due. */
  onTimer(nowMs: number): void {
    const { repeat, expired } = this.#queries.due(nowMs);
    if (this.#config.names === "ask") {
      for (const hash of repeat) this.#send(undefined, { kind: "name_query", hash });
    }
    for (const token of expired) this.#answer(token, -Errno.ETIMEDOUT);
    for (const token of this.#early.expired(nowMs)) this.#answer(token, -Errno.EPERM);
    for (const flow of this.#flows.values()) {
      if (flow.untilMs > nowMs) continue;
      this.#remove(nowMs, flow);
      this.#out.push({ do: "release", flowId: flow.flowId });
    }
  }

  /** When {@linkcode onTimer} has something to do next, ms, or Infinity. */
  deadlineMs(): number {
    let at = Math.min(this.#queries.deadlineMs(), this.#early.deadlineMs());
    for (const flow of this.#flows.values()) at = Math.min(at, flow.untilMs);
    return at;
  }

  /** Shutdown: every waiting command is answered with -1004, every flow forgotten. */
  close(nowMs: number): void {
    for (const token of this.#early.clear()) this.#answer(token, -Errno.EIPCPSTATE);
    for (const flow of this.#flows.values()) this.#remove(nowMs, flow);
    this.#gate.clear();
  }

  #open(flow: Flow): void {
    flow.state = "open";
    flow.untilMs = Infinity;
    const { flowId, localEid, remoteEid, peer } = flow;
    this.#out.push({ do: "open", flow: { flowId, localEid, remoteEid, peer } });
  }

  #add(flow: Flow): void {
    this.#flows.set(flow.flowId, flow);
    this.#byEid.set(flow.localEid, flow.flowId);
  }

  #remove(nowMs: number, flow: Flow): void {
    this.#flows.delete(flow.flowId);
    this.#byEid.delete(flow.localEid);
    this.#eids.give(nowMs, flow.localEid);
  }

  #answer(token: number, result: number): void {
    this.#out.push({ do: "answer", token, result });
  }

  #encode(m: ShimMgmt): Uint8Array | undefined {
    const { codec, mgmtBytesMax } = this.#config;
    const length = codec.encodedLength(m);
    if (length > mgmtBytesMax) return undefined;
    const bytes = new Uint8Array(length);
    return isWireError(codec.encode(m, bytes, 0)) ? undefined : bytes;
  }

  #send(to: Addr | undefined, m: ShimMgmt): void {
    const bytes = this.#encode(m);
    if (bytes !== undefined) this.#out.push({ do: "send", to, bytes });
  }
}

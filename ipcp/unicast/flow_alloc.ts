/**
 * The flow allocator of a unicast node: asks other nodes for flows and answers them.
 * Source: spec 60 §8, improvements W3, W7, W9 and "Flow allocation" of §19. Pure.
 *
 * A flow is `requested` (we asked, no answer yet), `arrived` (a node asked, the acceptor has not decided), `open`, or not
 * in the table. Rules that it keeps:
 *
 * - A flow is published to the data path before its request or its acceptance leaves, so no packet meets nothing.
 * - A reply is believed once, for a requested flow. Its only proof is the random half of our EID.
 * - What the IRMd or the acceptor refuses is answered at once, with the cause in a message
 *   of its own ahead, which prototypes ignore.
 * - A name may have several addresses: one that does not answer in {@linkcode TRY_US} is left for the next, as is one
 *   that says it does not have the name. When all say so, the directory was told lies: it is asked again.
 * - A flow that ends is told to the other end (a message that prototypes ignore).
 * - What is too long for the layers below goes in pieces, which our own nodes rejoin; where nobody does, what a prototype
 *   would take goes whole, and the rest is refused at both ends.
 * - Packets of a flow go in the cube of its request, at both ends.
 */

import {
  CAUSE_BYTES_MAX,
  type Eid,
  encode,
  FA_BYTES_MAX,
  type FaMsg,
  LENGTH,
  parse,
} from "../../lib/wire/fa_msg.ts";
import { TOTAL_BYTES_MAX } from "../../lib/wire/mgmt_piece.ts";
import { isWireError } from "../../lib/wire/mod.ts";
import { Errno } from "../../lib/errno.ts";
import { qosCube, type QosSpec } from "../../lib/qos.ts";
import { Acceptance, type GivenVerdict } from "../acceptance.ts";
import { ARRIVAL_LIFE_US, Arrivals } from "../arrivals.ts";
import type { Asked, FlowOrder, Verdict } from "../machine.ts";
import { Pieces } from "../pieces.ts";
import type { FlowEffect, FlowPeer, PublishedFlow, Requester } from "./flow_effects.ts";
import { type Flow, Flows, type FlowState, published, type Request, sameEid } from "./flows.ts";
import { Prototypes } from "./prototypes.ts";

/** The IRMd gives up an allocation after 20 s; then nobody waits for ours any more, µs. */
export const REQUEST_LIFE_US = 22e6;
/** How long one address of several may take to answer, µs. */
export const TRY_US = 1e6;
/** Bytes of the hashes of a layer that says nothing. */
const HASH_BYTES_DEFAULT = 32;
/** Longer messages are sent in pieces of this length, so that the layers below carry each whole, bytes. */
export const WHOLE_BYTES_MAX = 1300;
/** Addresses tried for one flow before the directory is believed no more. */
const TRIES_MAX = 16;

/** The EID of a peer that has not answered. */
const UNKNOWN: Eid = { hi: 0xffffffff, lo: 0xffffffff };
const NONE: Eid = { hi: 0, lo: 0 };
const EMPTY = new Uint8Array(0);

/** What was dropped, by reason. */
export interface FlowAllocCounters {
  requests: number;
  unregistered: number;
  replayed: number;
  flooded: number;
  /** Replies, causes and deallocs for no flow of ours, or not in that state. */
  forged: number;
}

export class FlowAllocator {
  readonly counters: FlowAllocCounters = {
    requests: 0,
    unregistered: 0,
    replayed: 0,
    flooded: 0,
    forged: 0,
  };
  readonly #self: number;
  readonly #isMember: (addr: number) => boolean;
  readonly #isRegistered: (hash: Uint8Array) => boolean;
  readonly #flows: Flows;
  readonly #arrivals = new Arrivals<Requester>();
  readonly #out: FlowEffect[] = [];
  readonly #acceptance = new Acceptance<Flow>({
    flow: (flowId) => this.#flows.get(flowId),
    isAsking: () => this.#arrivals.size > 0,
    want: (e) => this.#out.push(e),
    settle: (...settled) => this.#settle(...settled),
  });
  readonly #random: () => number;
  readonly #hashBytes: number;
  /** Made when the first of them comes or goes. */
  #pieces: Pieces<number> | undefined;
  readonly #prototypes = new Prototypes();

  constructor(
    self: number,
    random: () => number,
    isRegistered: (hash: Uint8Array) => boolean,
    hashBytes = HASH_BYTES_DEFAULT,
    isMember: (addr: number) => boolean = () => true,
  ) {
    this.#isMember = isMember;
    this.#self = self;
    this.#random = random;
    this.#hashBytes = hashBytes;
    this.#isRegistered = isRegistered;
    this.#flows = new Flows(random);
  }

  /** The next thing to do, oldest first. */
  poll(): FlowEffect | undefined {
    return this.#out.shift() ?? this.#arrivals.poll();
  }

  /** Flows in the table. */
  get size(): number {
    return this.#flows.size;
  }
  /** The state of a flow, or undefined. */
  flowState(flowId: number): FlowState | undefined {
    return this.#flows.get(flowId)?.state;
  }
  /** All flows, for people and the RIB. */
  flows(): (PublishedFlow & { readonly state: string })[] {
    return [...this.#flows.values()].map((f) => ({ ...published(f), state: f.state }));
  }

  // Commands of the IRMd.

  /** FLOW_ALLOC, once the directory has given addresses: 0 when the request is on its way, or why not. */
  request(
    nowUs: number,
    flowId: number,
    addrs: readonly number[],
    hash: Uint8Array,
    qos: QosSpec,
    data: Uint8Array,
  ): number {
    if (this.#flows.has(flowId)) return -Errno.EEXIST;
    if (addrs.length === 0) return -Errno.EPERM;
    const tried = new Set([addrs[0]!]);
    const request = { hash, qos, data, others: addrs.slice(1), tried };
    const flow = this.#flows.add({
      flowId,
      remoteEid: UNKNOWN,
      peer: addrs[0]!,
      cube: qosCube(qos),
      state: "requested",
      untilUs: nowUs + REQUEST_LIFE_US,
      request,
    });
    if (flow === undefined) return -Errno.EBUSY;
    if (!this.#try(nowUs, flow, request)) {
      this.#forget(flow);
      return -Errno.EMSGSIZE;
    }
    return 0;
  }

  /** Send the request to the flow's present peer; false if it is too long. */
  #try(nowUs: number, flow: Flow, request: Request): boolean {
    const bytes = this.#requestBytes(flow, request);
    if (bytes === undefined) return false;
    const inPieces = this.#goesInPieces(nowUs, flow.peer, bytes.length);
    if (inPieces) {
      this.#allPieces().cancel(flow.flowId); // Those for the last address.
      const { peer, flowId } = flow;
      if (!this.#allPieces().send(nowUs, peer, `${peer}`, bytes, flowId)) return false;
    }
    this.#awaitAnswer(nowUs, flow, request);
    this.#out.push({ kind: "publish", flow: published(flow) });
    if (inPieces) this.#doPieces(nowUs);
    else this.#out.push({ kind: "send", dst: flow.peer, bytes });
    return true;
  }

  /** One address of several is given less time. */
  #awaitAnswer(nowUs: number, flow: Flow, request: Request): void {
    const patience = request.others.length > 0 ? TRY_US : Infinity;
    this.#flows.until(flow, Math.min(flow.untilUs, nowUs + patience));
  }

  /** The request of a flow; undefined if it is too long in pieces too. */
  #requestBytes(flow: Flow, { qos, hash, data }: Request): Uint8Array | undefined {
    const { localEid: srcEid } = flow;
    const m: FaMsg = { kind: "request", srcAddr: this.#self, srcEid, qos, hash, data };
    const bytes = encode(m, TOTAL_BYTES_MAX);
    return isWireError(bytes) ? undefined : bytes;
  }

  #allPieces(): Pieces<number> {
    return this.#pieces ??= new Pieces(WHOLE_BYTES_MAX - LENGTH, this.#random);
  }

  /** Whether a message is too long for the layers below to carry it whole; a prototype gets what it can take whole. */
  #goesInPieces(nowUs: number, peer: number, bytes: number): boolean {
    if (bytes <= WHOLE_BYTES_MAX) return false;
    return bytes > FA_BYTES_MAX || !this.#prototypes.has(nowUs, peer);
  }

  /** Do what the pieces ask for. */
  #doPieces(nowUs: number): void {
    for (let e = this.#pieces?.poll(); e !== undefined; e = this.#pieces?.poll()) {
      if (e.kind === "send_piece") {
        this.#send(e.to, { kind: "piece", srcAddr: this.#self, piece: e.m });
        continue;
      }
      const flow = this.#flows.get(e.token);
      if (flow !== undefined) this.#onPieces(nowUs, flow, e.kind === "taken");
    }
  }

  /** The far end takes the message of a flow in pieces, or rejoins none: a prototype gets what it can take whole. */
  #onPieces(nowUs: number, flow: Flow, taken: boolean): void {
    const { answer, request, verdict } = flow;
    if (!taken) this.#prototypes.add(nowUs, flow.peer);
    if (flow.state === "arrived" && answer !== undefined && verdict !== undefined) {
      flow.answer = flow.verdict = undefined;
      if (taken) this.#accepted(flow, undefined);
      else if (answer.length <= FA_BYTES_MAX) this.#accepted(flow, answer);
      else return this.#tooLong(flow, verdict);
      return this.#answer(verdict.token, 0);
    }
    if (request === undefined) return;
    if (taken) return this.#awaitAnswer(nowUs, flow, request);
    const bytes = this.#requestBytes(flow, request)!;
    if (bytes.length <= FA_BYTES_MAX) {
      this.#out.push({ kind: "send", dst: flow.peer, bytes });
    } else if (request.others.length > 0) this.#next(nowUs, flow, request);
    else this.#fail(flow, -Errno.EMSGSIZE, "the request is too long for the layer");
  }

  /** FLOW_ALLOC_RESP: answers `token` now or when the flow is known. */
  allocResp(nowUs: number, flow: FlowOrder, verdict: Verdict, token: number): void {
    this.#acceptance.respond(nowUs, flow, verdict, token);
  }
  owned(nowUs: number, flowId: number, result: number): void {
    this.#acceptance.owned(nowUs, flowId, result);
  }

  /** FLOW_DEALLOC: 0, or -1 for a flow that is not here. The other end is told. */
  dealloc(flowId: number): number {
    const flow = this.#flows.get(flowId);
    if (flow === undefined) {
      this.#acceptance.tookBack(flowId);
      return -Errno.EPERM;
    }
    if (flow.state === "open") {
      this.#send(flow.peer, { kind: "dealloc", dstEid: flow.remoteEid, srcEid: flow.localEid });
    } else if (flow.state === "arrived") {
      this.#refuse({ addr: flow.peer, eid: flow.remoteEid }, -Errno.EPERM, "");
    } else this.#flows.keepLate(flow);
    this.#forget(flow);
    return 0;
  }

  #answer(token: number, result: number): void {
    this.#out.push({ kind: "answer", token, result });
  }

  #send(dst: number, m: FaMsg): boolean {
    const bytes = encode(m);
    if (isWireError(bytes)) return false;
    this.#out.push({ kind: "send", dst, bytes });
    return true;
  }

  #refuse(to: FlowPeer, response: number, cause: string): void {
    const short = cause.slice(0, CAUSE_BYTES_MAX / 3);
    if (short !== "") this.#send(to.addr, { kind: "why", dstEid: to.eid, cause: short });
    const reply = { dstEid: to.eid, srcEid: NONE, response, data: EMPTY };
    this.#send(to.addr, { kind: "reply", ...reply });
  }

  #forget(flow: Flow): void {
    this.#flows.remove(flow);
    if (flow.state !== "open") this.#pieces?.cancel(flow.flowId);
    this.#acceptance.leave(flow);
  }

  // The layer.

  /** A message of another flow allocator. Updates are the data path's. */
  onMessage(nowUs: number, m: FaMsg): void {
    switch (m.kind) {
      case "request": {
        this.counters.requests += 1;
        const peer = { addr: m.srcAddr, eid: m.srcEid, cube: qosCube(m.qos) };
        if (!this.#isRegistered(m.hash)) {
          this.counters.unregistered += 1;
          // The code says it all.
          return this.#refuse(peer, -Errno.ENAME, "");
        }
        const copy = `${m.srcEid.hi} ${m.srcEid.lo}`;
        const { hash, qos, data } = m;
        // Addresses that routing does not know share one part: forged ones are many.
        const proven = this.#isMember(m.srcAddr);
        const source = proven ? String(m.srcAddr) : "strangers";
        const took = this.#arrivals.enter(nowUs, { source, proven }, copy, {
          peer,
          hash,
          qos,
          data,
        });
        if (took === "flooded") {
          this.counters.flooded += 1;
          this.#refuse(peer, -Errno.EBUSY, "too many requests wait there");
        } else if (took === "replayed") this.counters.replayed += 1;
        return;
      }
      case "why": {
        const flow = this.#flows.byEid(m.dstEid);
        if (flow?.state === "requested") flow.why = m.cause;
        else this.counters.forged += 1;
        return;
      }
      case "reply":
        return this.#onReply(nowUs, m);
      case "piece": {
        const { srcAddr: from } = m;
        this.#prototypes.forget(from);
        const bytes = this.#allPieces().onMessage(nowUs, from, `${from}`, m.piece);
        this.#doPieces(nowUs);
        const whole = bytes && parse(bytes, this.#hashBytes, TOTAL_BYTES_MAX);
        if (whole === undefined || isWireError(whole) || whole.kind === "piece") return;
        // A request says who asks; it is who sent the pieces.
        if (whole.kind !== "request" || whole.srcAddr === from) this.onMessage(nowUs, whole);
        return;
      }
      case "dealloc": {
        const flow = this.#flows.byEid(m.dstEid);
        if (flow === undefined || flow.state !== "open" || !sameEid(flow.remoteEid, m.srcEid)) {
          this.counters.forged += 1;
          return;
        }
        this.#out.push({ kind: "down", flowId: flow.flowId });
        return;
      }
    }
  }

  #fail(flow: Flow, response: number, cause: string): void {
    const { flowId } = flow;
    this.#forget(flow);
    this.#out.push({ kind: "alloc_reply", flowId, response, data: EMPTY, cause });
    this.#out.push({ kind: "release", flowId });
  }

  /** The address that was asked does not have the name. */
  #onMisled(nowUs: number, flow: Flow, request: Request): void {
    const { flowId } = flow;
    const { hash, others, tried } = request;
    this.#out.push({ kind: "denied", hash, addr: flow.peer });
    if (others.length > 0) return this.#next(nowUs, flow, request);
    if (tried.size >= TRIES_MAX) return this.#nowhere(flow);
    // Until the directory answers nobody is asked; its search ends before this flow's patience does.
    this.#flows.until(flow, flow.untilUs);
    this.#out.push({ kind: "look_again", flowId, hash });
  }

  #nowhere(flow: Flow): void {
    this.#fail(flow, -Errno.ENAME, "the name is not registered where the directory says");
  }

  /** The directory was asked again: what it knows now. */
  found(nowUs: number, flowId: number, addrs: readonly number[]): void {
    const flow = this.#flows.get(flowId);
    const request = flow?.request;
    if (flow === undefined || request === undefined) return;
    request.others.push(...addrs.filter((a) => !request.tried.has(a)));
    if (request.others.length > 0) this.#next(nowUs, flow, request);
    else this.#nowhere(flow);
  }

  #onReply(nowUs: number, m: FaMsg & { readonly kind: "reply" }): void {
    const flow = this.#flows.byEid(m.dstEid);
    if (flow === undefined || flow.state !== "requested") return this.#onLate(m);
    const { flowId } = flow;
    if (m.response === -Errno.ENAME && flow.request !== undefined) {
      return this.#onMisled(nowUs, flow, flow.request);
    }
    if (m.response !== 0) return this.#fail(flow, m.response, flow.why ?? "");
    flow.state = "open";
    flow.remoteEid = m.srcEid;
    flow.request = undefined;
    this.#flows.settled(flow);
    this.#out.push({ kind: "publish", flow: published(flow) });
    this.#out.push({ kind: "alloc_reply", flowId, response: 0, data: m.data });
  }

  /** An answer to a try that was given up: who accepted is told that the flow is not wanted. */
  #onLate(m: FaMsg & { readonly kind: "reply" }): void {
    const addr = this.#flows.takeLate(m.dstEid);
    if (addr === undefined) {
      this.counters.forged += 1;
      return;
    }
    if (m.response !== 0) return;
    this.#send(addr, { kind: "dealloc", dstEid: m.srcEid, srcEid: m.dstEid });
  }

  // Answers of the IRMd.

  /** FLOW_REQ_ARR was answered: with a flow whose memory is held, or a negative number and why, which go to the peer. */
  asked(nowUs: number, ask: number, { result, flowId, cause = "" }: Asked): void {
    const peer = this.#arrivals.answered(nowUs, ask);
    const known = this.#flows.has(flowId);
    const flow = result >= 0 && peer !== undefined && !known
      ? this.#flows.add({
        flowId,
        remoteEid: peer.eid,
        peer: peer.addr,
        cube: peer.cube,
        state: "arrived",
        untilUs: nowUs + ARRIVAL_LIFE_US,
        request: undefined,
      })
      : undefined;
    if (peer === undefined || flow === undefined) {
      if (result >= 0 && !known) {
        this.#out.push({ kind: "release", flowId });
        this.#acceptance.passOver(nowUs, flowId);
      }
      if (peer === undefined) return;
      if (result < 0) return this.#refuse(peer, result, cause);
      return this.#refuse(peer, -Errno.EBUSY, "no endpoint id is free there");
    }
    this.#acceptance.entered(nowUs, flow);
  }

  /** The peer hears `response`, the acceptor that it was sent, or why it cannot be. */
  #settle(nowUs: number, flow: Flow, verdict: GivenVerdict, response: number): void {
    const { token, data } = verdict;
    const { flowId, peer, remoteEid: dstEid, localEid: srcEid } = flow;
    if (response !== 0) {
      const itsOwn = response === verdict.response;
      this.#refuse({ addr: peer, eid: dstEid }, response, itsOwn ? verdict.cause ?? "" : "");
      this.#forget(flow);
      this.#out.push({ kind: "release", flowId });
      return this.#answer(token, itsOwn ? 0 : response);
    }
    const reply: FaMsg = { kind: "reply", dstEid, srcEid, response, data };
    const bytes = encode(reply, TOTAL_BYTES_MAX);
    if (isWireError(bytes)) return this.#tooLong(flow, verdict);
    if (this.#goesInPieces(nowUs, peer, bytes.length)) {
      flow.verdict = verdict;
      flow.answer = bytes;
      if (this.#allPieces().send(nowUs, peer, `${peer}`, bytes, flowId)) {
        return this.#doPieces(nowUs);
      }
      flow.answer = flow.verdict = undefined;
      return this.#tooLong(flow, verdict);
    }
    this.#accepted(flow, bytes);
    this.#answer(token, 0);
  }

  /** The flow is open; `bytes` tell the peer so, if that is not on its way in pieces. */
  #accepted(flow: Flow, bytes: Uint8Array | undefined): void {
    flow.state = "open";
    this.#flows.settled(flow);
    this.#out.push({ kind: "publish", flow: published(flow) });
    if (bytes !== undefined) this.#out.push({ kind: "send", dst: flow.peer, bytes });
  }

  /** Our acceptance cannot be sent: the peer hears why, and so does the acceptor. */
  #tooLong(flow: Flow, { token }: GivenVerdict): void {
    const peer = { addr: flow.peer, eid: flow.remoteEid };
    this.#refuse(peer, -Errno.EMSGSIZE, "its answer is too long for the layer");
    this.#forget(flow);
    this.#out.push({ kind: "release", flowId: flow.flowId });
    this.#answer(token, -Errno.EMSGSIZE);
  }

  // Time.

  /** Do what is due. */
  onTimer(nowUs: number): void {
    this.#acceptance.onTimer(nowUs);
    this.#pieces?.onTimer(nowUs);
    this.#doPieces(nowUs);
    for (let f = this.#flows.due(nowUs); f !== undefined; f = this.#flows.due(nowUs)) {
      this.#overdue(nowUs, f);
    }
  }

  /** A flow was not settled in time: the next address is tried, or it is given up. */
  #overdue(nowUs: number, flow: Flow): void {
    const { flowId, request } = flow;
    if (request !== undefined) {
      const { hash } = request;
      this.#out.push({ kind: "unanswered", hash, addr: flow.peer });
      this.#flows.keepLate(flow);
    }
    if (request !== undefined && request.others.length > 0 && nowUs < flow.untilUs) {
      return this.#next(nowUs, flow, request);
    }
    this.#forget(flow);
    this.#out.push({ kind: "release", flowId });
  }

  /** Try the next address of a name. */
  #next(nowUs: number, flow: Flow, request: Request): void {
    const next = request.others.shift();
    if (next === undefined || !this.#flows.renumber(flow)) {
      return this.#fail(flow, -Errno.EBUSY, "no endpoint id is free");
    }
    request.tried.add(next);
    flow.why = undefined;
    flow.peer = next;
    this.#try(nowUs, flow, request);
  }

  /** When {@linkcode onTimer} has something to do next, µs. */
  deadlineUs(): number {
    const piecesUs = this.#pieces?.deadlineUs() ?? Infinity;
    return Math.min(this.#flows.deadlineUs(), this.#acceptance.deadlineUs(), piecesUs);
  }

  /** The node stops: open flows are told to their other ends, what waits is answered. */
  close(): void {
    this.#arrivals.clear();
    this.#acceptance.close();
    for (const { flowId } of [...this.#flows.values()]) this.dealloc(flowId);
  }
}

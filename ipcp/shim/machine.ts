/**
 * The protocol machine of the shim IPCPs (udp4, udp6, eth-dix, eth-llc): flow allocation, names, ids.
 * Pure.
 *
 * Reading first: spec 50 §7, §8, §10.1, then §18. It is given commands of the IRMd, management messages
 * of the network, answers of the IRMd and the time, and says what to do through {@linkcode poll}.
 *
 * A flow is `requested` (our process asked, the peer has not answered), `arrived` (a peer asked, the IRMd
 * has not given its verdict), `open`, or `ended` (closed at the other end, not here yet). FLOW_DEALLOC lets any of them
 * linger for the time that the IRMd says, then drain; then the peer is told. Rules that it keeps:
 *
 * - A reply is believed once, for a requested flow, from the address that was asked (S3).
 * - A request is considered only for a name registered here (S8), else a peer of our kind is told so; a copy of a
 *   recent one is not (replays), and the number under way is bounded, also per source.
 * - Peer and endpoint are stored before the flow can be answered (R1); a verdict that overtakes the answer
 *   to FLOW_REQ_ARR is kept with it (R2); what the IRMd refuses is answered to the peer (R3).
 * - What is too long for the lower layer goes in pieces, which our own nodes rejoin; who does not is refused, and the
 *   acceptor hears that its answer did not leave.
 * - Of accepted flows whose asker may be forged and was not heard of since, only some stay (`half_open.ts`).
 * - Nothing stays for ever: a requested or arrived flow that is not settled is released (R4).
 *
 * Left to the shell: sockets, shared memory, the data path, resolving names over DNS.
 */

import { encode as encodeRefusal, refusalText } from "../../lib/wire/refusal.ts";
import { Errno } from "../../lib/errno.ts";
import type { QosSpec } from "../../lib/qos.ts";
import { isWireError } from "../../lib/wire/mod.ts";
import { isPieceMsg } from "../../lib/wire/mgmt_piece.ts";
import type {
  FlowEndMsg,
  FlowHereMsg,
  FlowReply,
  FlowReq,
  FlowWhy,
  ShimMgmt,
} from "../../lib/wire/shim_mgmt.ts";
import { Acceptance, type GivenVerdict } from "../acceptance.ts";
import { ARRIVAL_LIFE_US, Arrivals } from "../arrivals.ts";
import { Deadlines } from "../deadlines.ts";
import type { Asked, FlowMachine, FlowOrder, Verdict } from "../machine.ts";
import { Registrations } from "../registrations.ts";
import { Finder } from "./finder.ts";
import { type Addr, type NameCache, sameAddr } from "./name_cache.ts";
import { HalfOpen, SILENT_US } from "./half_open.ts";
import { Allowance, REFLECTED_TIMES } from "./allowance.ts";
import type {
  ShimAsker,
  ShimConfig,
  ShimCounters,
  ShimEffect,
  ShimOnly,
  ShimPeer,
} from "./effects.ts";
import { type ShimFlow as Flow, ShimFlows, type ShimFlowState, TAG_BYTES } from "./flows.ts";
import { LongMessages } from "./long_messages.ts";

/** The IRMd gives up an allocation after 20 s; then nobody waits for ours any more, µs. */
export const REQUEST_LIFE_US = 22e6;

const EMPTY = new Uint8Array(0);
/** The end of a flow that never was: nobody here has the name that was asked for. */
const NOBODY = 0;
/** What an acceptor is told. */
const TOO_LONG =
  "its answer is too long for the layer or for an address that may be forged, and the other end rejoins no pieces";

export class ShimMachine implements FlowMachine<ShimPeer, ShimOnly> {
  readonly counters: ShimCounters = {
    malformed: 0,
    unregistered: 0,
    replayed: 0,
    flooded: 0,
    forged: 0,
    unasked: 0,
    unheard: 0,
  };
  readonly #config: ShimConfig;
  readonly names: Registrations;
  readonly #finder: Finder;
  readonly #flows: ShimFlows;
  readonly #arrivals = new Arrivals<ShimAsker>();
  readonly #allowance = new Allowance();
  readonly #halfOpen: HalfOpen;
  /** When to see whether our process has written to a flow that it asked for. */
  readonly #silence = new Deadlines<number>();
  readonly #out: ShimEffect[] = [];
  readonly #acceptance = new Acceptance<Flow>({
    flow: (flowId) => this.#flows.get(flowId),
    isAsking: () => this.#arrivals.size > 0,
    want: (e) => this.#out.push(e),
    settle: (...settled) => this.#settle(...settled),
  });
  readonly #random: () => number;
  /** Made when the first of them comes or goes. */
  #long: LongMessages | undefined;

  /** `names` may have some already; those that do not fit are forgotten. */
  constructor(config: ShimConfig, random: () => number, names = new Registrations()) {
    this.#config = config;
    this.#random = random;
    this.names = names;
    names.settle(config.hashBytes);
    this.#finder = new Finder(
      config,
      (e) => this.#out.push(e),
      (hash) => this.#send(undefined, { kind: "name_query", hash }),
    );
    this.#flows = new ShimFlows(config.eids, random);
    this.#halfOpen = new HalfOpen(config.eids.last - config.eids.first + 1);
  }

  poll(): ShimEffect | undefined {
    return this.#out.shift() ?? this.#arrivals.poll();
  }

  /** Where names were found. */
  get cache(): NameCache {
    return this.#finder.cache;
  }
  /** Flows in the table. */
  get flowCount(): number {
    return this.#flows.size;
  }
  /** Requests of the network that the IRMd considers. */
  get askingCount(): number {
    return this.#arrivals.size;
  }
  /** The state of a flow, or undefined. */
  flowState(flowId: number): ShimFlowState | undefined {
    return this.#flows.get(flowId)?.state;
  }

  // Commands of the IRMd.

  query(nowUs: number, hash: Uint8Array, token: number): void {
    this.#finder.query(nowUs, hash, token);
  }

  /** The shell's resolver is done: an address, or in words where it looked for one in vain. */
  resolved(nowUs: number, hash: Uint8Array, found: Addr | string): void {
    this.#finder.found(nowUs, hash, found);
  }

  /** FLOW_ALLOC: `token` is answered at once; 0 means that the request is on its way. */
  alloc(
    nowUs: number,
    { flowId, pid }: FlowOrder,
    hash: Uint8Array,
    qos: QosSpec,
    data: Uint8Array,
    token: number,
  ): void {
    if (this.#flows.has(flowId)) return this.#answer(token, -Errno.EEXIST);
    const { cutOff } = this.#finder;
    const result = cutOff === undefined
      ? this.#request(nowUs, flowId, pid, hash, qos, data)
      : -Errno.EPERM;
    if (result < 0) this.#out.push({ kind: "release", flowId });
    this.#answer(token, result, cutOff);
  }

  #request(
    nowUs: number,
    flowId: number,
    pid: number,
    hash: Uint8Array,
    qos: QosSpec,
    data: Uint8Array,
  ): number {
    if (hash.length !== this.#config.hashBytes) return -Errno.EINVAL;
    const peer = this.cache.get(nowUs, hash);
    if (peer === undefined) return -Errno.EPERM;
    const localEid = this.#flows.takeEid(nowUs);
    if (localEid < 0) return -Errno.EBUSY;
    const request: FlowReq = { kind: "flow_req", requesterEid: localEid, qos, hash, data };
    const bytes = this.#encode(request);
    if (bytes === undefined && !this.#longMessages().send(nowUs, peer, request, flowId)) {
      this.#flows.giveEid(nowUs, localEid);
      return -Errno.EMSGSIZE;
    }
    this.#flows.add({
      flowId,
      pid,
      localEid,
      remoteEid: -1,
      peer,
      state: "requested",
      tag: data.slice(0, TAG_BYTES),
      hash,
      freeBytes: Infinity,
      inPieces: bytes === undefined,
    }, nowUs + REQUEST_LIFE_US);
    // Its first packets may come right behind the reply, so they are taken from now on.
    const remoteEid = this.#config.codec.lostEid;
    this.#out.push({ kind: "open", flow: { flowId, localEid, remoteEid, peer } });
    if (bytes === undefined) this.#doLong(nowUs);
    else {
      this.#out.push({ kind: "send", to: peer, bytes });
      this.#longMessages().insist(nowUs, peer, bytes, flowId);
    }
    return 0;
  }

  allocResp(nowUs: number, flow: FlowOrder, verdict: Verdict, token: number): void {
    this.#acceptance.respond(nowUs, flow, verdict, token);
  }
  owned(nowUs: number, flowId: number, result: number): void {
    this.#acceptance.owned(nowUs, flowId, result);
  }

  /** FLOW_DEALLOC. The peer is told when the last packet has left; then the id rests, late packets find nobody. */
  dealloc(nowUs: number, flowId: number, lingerSec: number): number {
    const flow = this.#flows.get(flowId);
    if (flow === undefined) {
      this.#acceptance.tookBack(flowId);
      return -Errno.EPERM;
    }
    this.#silence.delete(flowId);
    if (lingerSec === 0 && flow.leaving !== "drains") this.#drain(flow);
    else if (flow.leaving === undefined) {
      flow.leaving = "lingers";
      this.#flows.until(flow, nowUs + lingerSec * 1e6);
    }
    return 0;
  }

  #drain(flow: Flow): void {
    flow.leaving = "drains";
    this.#flows.settled(flow);
    this.#out.push({ kind: "drop", flowId: flow.flowId });
  }

  dropped(nowUs: number, flowId: number): void {
    const flow = this.#flows.get(flowId);
    if (flow?.leaving !== "drains") return;
    if (flow.state === "open") this.#tellEnd(flow);
    this.#remove(nowUs, flow);
    this.#out.push({ kind: "freed", flowId, pid: flow.pid });
  }

  // The lower layer.

  /**
   * Whether anything can be reached, and if not, why, in words for a person. Flows that are open hear of it; where
   * names were found before is forgotten, since other stations may be there afterwards.
   */
  setReach(cutOff: string | undefined): void {
    const before = this.#finder.cutOff;
    this.#finder.cutOff = cutOff;
    if (cutOff !== before) this.#out.push({ kind: "reach", cutOff });
    if ((before === undefined) === (cutOff === undefined)) return;
    if (cutOff !== undefined) this.cache.clear();
    for (const { flowId, state } of this.#flows.values()) {
      if (state === "open") {
        this.#out.push({ kind: "usable", flowId, usable: cutOff === undefined });
      }
    }
  }

  /**
   * Our own address has changed, so that peers do not take packets of open flows for ours: they have ended. The peers
   * are told; the shell sends that from the old address.
   */
  endFlows(): void {
    for (const flow of this.#flows.values()) {
      if (flow.state !== "open") continue;
      this.#tellEnd(flow);
      this.#end(flow);
    }
  }

  #tellEnd({ localEid: senderEid, remoteEid: receiverEid, peer }: Flow): void {
    this.#send(peer, { kind: "flow_end", senderEid, receiverEid });
  }

  #end(flow: Flow): void {
    flow.state = "ended";
    this.#out.push({ kind: "ended", flowId: flow.flowId });
  }

  // The network.

  /** A management message from `from`, header of the lower layer removed. */
  onMgmt(nowUs: number, from: Addr, bytes: Uint8Array): void {
    const m = this.#config.codec.parse(bytes, this.#config.hashBytes);
    if (isWireError(m)) {
      this.counters.malformed++;
      return;
    }
    if (!isPieceMsg(m)) return this.#onMessage(nowUs, from, m, bytes.length * REFLECTED_TIMES);
    const whole = this.#longMessages().onMessage(nowUs, from, m);
    this.#doLong(nowUs);
    if (whole === "malformed") this.counters.malformed++;
    else if (whole !== undefined) this.#onMessage(nowUs, from, whole, Infinity);
  }

  /** @param freeBytes as {@linkcode ShimAsker} */
  #onMessage(nowUs: number, from: Addr, m: ShimMgmt, freeBytes: number): void {
    switch (m.kind) {
      case "flow_req":
        return this.#onFlowReq(nowUs, from, m, freeBytes);
      case "flow_reply":
        return this.#onFlowReply(nowUs, from, m);
      case "flow_why":
        return this.#onFlowWhy(nowUs, from, m);
      case "flow_end":
        return this.#onFlowEnd(nowUs, from, m);
      case "flow_here":
        return this.#onFlowHere(from, m);
      case "name_query":
        if (this.names.has(m.hash)) this.#send(from, { kind: "name_reply", hash: m.hash });
        return;
      case "name_reply": {
        if (!this.#finder.found(nowUs, m.hash, from)) this.counters.unasked++;
      }
    }
  }

  #longMessages(): LongMessages {
    const { codec, hashBytes, mgmtBytesMax } = this.#config;
    return this.#long ??= new LongMessages(codec, hashBytes, mgmtBytesMax, this.#random);
  }

  /** Do what the pieces ask for. */
  #doLong(nowUs: number): void {
    for (let e = this.#long?.poll(); e !== undefined; e = this.#long?.poll()) {
      if (e.kind === "send") {
        this.#out.push(e);
        continue;
      }
      const flow = this.#flows.get(e.flowId);
      if (flow === undefined) continue;
      const { verdict } = flow;
      if (flow.state === "requested" && e.kind === "refused" && flow.inPieces) {
        if (flow.leaving === "drains") flow.state = "ended"; // Our process has given it up too.
        else this.#failRequest(nowUs, flow, -Errno.EMSGSIZE);
      } else if (flow.state === "arrived" && verdict !== undefined) {
        flow.verdict = undefined;
        if (e.kind === "taken") {
          this.#open(flow);
          this.#answer(verdict.token, 0);
        } else this.#tooLong(nowUs, flow, verdict);
      }
    }
  }

  /** The acceptor's answer cannot be sent, or not to whom may be forged: both ends hear why. */
  #tooLong(nowUs: number, flow: Flow, verdict: GivenVerdict): void {
    this.#refuse({ addr: flow.peer, eid: flow.remoteEid }, -Errno.EMSGSIZE);
    this.#remove(nowUs, flow);
    this.#out.push({ kind: "release", flowId: flow.flowId });
    this.#answer(verdict.token, -Errno.EMSGSIZE, TOO_LONG);
  }

  #onFlowReq(nowUs: number, from: Addr, m: FlowReq, freeBytes: number): void {
    if (!this.names.has(m.hash)) {
      this.counters.unregistered++;
      // A prototype that asked waits on, as it would for one of its own.
      if (m.requesterEid >= 1 && m.requesterEid <= this.#config.codec.eidMax) {
        this.#send(from, { kind: "flow_end", senderEid: NOBODY, receiverEid: m.requesterEid });
      }
      return;
    }
    if (m.requesterEid < 1 || m.requesterEid > this.#config.codec.eidMax) {
      this.counters.malformed++;
      return;
    }
    const copy = `${m.requesterEid} ${m.hash.toHex()} ${m.data.toHex()}`;
    const origin = {
      source: from.toHex(),
      prefix: this.#network(from),
      proven: freeBytes === Infinity,
    };
    const took = this.#arrivals.enter(nowUs, origin, copy, {
      peer: { addr: from.slice(), eid: m.requesterEid, freeBytes },
      hash: m.hash.slice(),
      qos: m.qos,
      data: m.data.slice(),
    });
    if (took === "flooded" || took === "replayed") this.counters[took]++;
  }

  #network(addr: Addr): string {
    return addr.subarray(...this.#config.network).toHex();
  }

  #onFlowReply(nowUs: number, from: Addr, m: FlowReply): void {
    const flow = m.requesterEid === this.#config.codec.lostEid
      ? this.#flows.requesterOf(from, m.data)
      : this.#flows.byEid(m.requesterEid);
    // Its reason came before it.
    if (flow === undefined && m.response !== 0) return;
    if (flow === undefined || flow.state !== "requested" || !sameAddr(flow.peer, from)) {
      this.counters.forged++;
      return;
    }
    const { flowId } = flow;
    if (m.response !== 0 && flow.leaving === "drains") {
      flow.state = "ended"; // Our process has given it up too.
      return;
    }
    if (m.response !== 0) return this.#failRequest(nowUs, flow, m.response);
    if (m.responderEid < 1 || m.responderEid > this.#config.codec.eidMax) {
      this.counters.malformed++;
      return;
    }
    flow.remoteEid = m.responderEid;
    this.#long?.cancel(flowId);
    this.#open(flow);
    this.#silence.set(flowId, nowUs + SILENT_US);
    const peer = { addr: flow.peer, eid: m.responderEid };
    this.#out.push({ kind: "alloc_reply", flowId, response: 0, data: m.data, peer });
  }

  /** The flow that our process asked for comes to nothing. */
  #failRequest(nowUs: number, flow: Flow, response: number, cause?: string): void {
    const { flowId } = flow;
    this.#remove(nowUs, flow);
    const refusal = { response, data: EMPTY, ...(cause === undefined ? {} : { cause }) };
    this.#out.push({ kind: "alloc_reply", flowId, ...refusal, peer: undefined });
    this.#out.push({ kind: "release", flowId });
  }

  /** The reply itself comes too late then, and is none of ours. */
  #onFlowWhy(nowUs: number, from: Addr, m: FlowWhy): void {
    const flow = this.#flows.byEid(m.requesterEid);
    const asked = flow?.state === "requested" && sameAddr(flow.peer, from);
    const cause = refusalText(m.data);
    if (!asked || m.response >= 0 || cause === undefined) {
      this.counters.forged++;
      return;
    }
    if (flow.leaving === "drains") flow.state = "ended";
    else this.#failRequest(nowUs, flow, m.response, cause);
  }

  #onFlowEnd(nowUs: number, from: Addr, m: FlowEndMsg): void {
    const flow = this.#flows.byEid(m.receiverEid);
    if (flow?.state === "requested" && m.senderEid === NOBODY && sameAddr(flow.peer, from)) {
      this.cache.forget(flow.hash);
      if (flow.leaving === "drains") flow.state = "ended";
      else this.#failRequest(nowUs, flow, -Errno.ENAME);
      return;
    }
    const ours = flow?.state === "open" && flow.remoteEid === m.senderEid;
    if (!ours || !sameAddr(flow.peer, from)) {
      this.counters.forged++;
      return;
    }
    this.#end(flow);
  }

  #onFlowHere(from: Addr, m: FlowHereMsg): void {
    const flow = this.#flows.byEid(m.receiverEid);
    const ours = flow?.state === "open" && flow.remoteEid === m.senderEid;
    if (ours && sameAddr(flow.peer, from)) this.#halfOpen.delete(flow.flowId);
    else this.counters.forged++;
  }

  /** What has been heard and said on a flow, as was asked. */
  traffic(_nowUs: number, flowId: number, now: { heard: boolean; spoke: boolean }): void {
    const flow = this.#flows.get(flowId);
    if (flow?.state !== "open" || flow.leaving !== undefined) return;
    const { localEid: senderEid, remoteEid: receiverEid, peer } = flow;
    if (flow.hash !== EMPTY) {
      if (!now.spoke) this.#send(peer, { kind: "flow_here", senderEid, receiverEid });
    } else if (!now.heard) {
      this.counters.unheard++;
      this.#tellEnd(flow);
      this.#end(flow);
    }
  }

  // Answers of the IRMd.

  /**
   * FLOW_REQ_ARR was answered: with a flow whose memory is held, or a negative number, which goes to the peer.
   */
  asked(nowUs: number, ask: number, { result, flowId, pid, cause }: Asked): void {
    const peer = this.#arrivals.answered(nowUs, ask);
    const known = this.#flows.has(flowId);
    const localEid = result < 0 || peer === undefined || known ? -1 : this.#flows.takeEid(nowUs);
    if (peer === undefined || localEid < 0) {
      if (result >= 0 && !known) {
        this.#out.push({ kind: "release", flowId });
        this.#acceptance.passOver(nowUs, flowId);
      }
      if (peer === undefined) return;
      const [code, why] = result < 0
        ? [result, cause]
        : [-Errno.EBUSY, "no endpoint id is free there"];
      if (why) this.#sendWhy(peer, code, why, peer.freeBytes);
      return this.#refuse(peer, code);
    }
    const flow = this.#flows.add({
      flowId,
      pid,
      localEid,
      remoteEid: peer.eid,
      peer: peer.addr,
      state: "arrived",
      tag: EMPTY,
      hash: EMPTY,
      freeBytes: peer.freeBytes,
      inPieces: false,
    }, nowUs + ARRIVAL_LIFE_US);
    this.#acceptance.entered(nowUs, flow);
  }

  #refuse(peer: ShimPeer, response: number): void {
    const reply = { requesterEid: peer.eid, responderEid: 0, response, data: EMPTY };
    this.#send(peer.addr, { kind: "flow_reply", ...reply });
  }

  /** @param freeBytes as {@linkcode ShimAsker}: what is longer is not said */
  #sendWhy(
    { addr: to, eid: requesterEid }: ShimPeer,
    response: number,
    cause: string,
    freeBytes = Infinity,
  ): void {
    const data = encodeRefusal(cause);
    const bytes = this.#encode({ kind: "flow_why", requesterEid, response, data });
    if (bytes !== undefined && bytes.length <= freeBytes) {
      this.#out.push({ kind: "send", to, bytes });
    }
  }

  /** The peer hears `response`, the acceptor that it was sent, or why it cannot be. */
  #settle(nowUs: number, flow: Flow, verdict: GivenVerdict, response: number): void {
    const reply: FlowReply = {
      kind: "flow_reply",
      requesterEid: flow.remoteEid,
      responderEid: flow.localEid,
      response,
      data: response === 0 ? verdict.data : EMPTY,
    };
    const bytes = this.#encode(reply);
    if (bytes === undefined || !this.#maySend(nowUs, flow, bytes.length)) {
      flow.verdict = verdict;
      if (this.#longMessages().send(nowUs, flow.peer, reply, flow.flowId)) {
        return this.#doLong(nowUs);
      }
      flow.verdict = undefined;
      return this.#tooLong(nowUs, flow, verdict);
    }
    const accepted = response === 0;
    // Open first: the peer's first packet may be faster than we are after the reply.
    if (accepted) {
      this.#open(flow);
      if (flow.freeBytes !== Infinity) this.#halfOpen.add(nowUs, flow.flowId);
    }
    const cause = response === verdict.response ? verdict.cause ?? "" : "";
    if (!accepted && cause !== "") {
      this.#sendWhy({ addr: flow.peer, eid: flow.remoteEid }, response, cause);
    }
    this.#out.push({ kind: "send", to: flow.peer, bytes });
    if (!accepted) {
      this.#remove(nowUs, flow);
      this.#out.push({ kind: "release", flowId: flow.flowId });
    }
    this.#answer(verdict.token, response === verdict.response ? 0 : response);
  }

  /** Whether an answer of that length may go to an address that may be forged. */
  #maySend(nowUs: number, { peer, freeBytes }: Flow, bytes: number): boolean {
    return bytes <= freeBytes ||
      this.#allowance.take(nowUs, this.#network(peer), bytes - freeBytes);
  }

  replied(nowUs: number, flowId: number, result: number): void {
    // The IRMd has given the flow up meanwhile.
    if (result === -Errno.EBADF && this.#flows.get(flowId)?.state === "open") {
      this.dealloc(nowUs, flowId, 0);
    }
  }

  // Time.

  onTimer(nowUs: number): void {
    this.#finder.onTimer(nowUs);
    this.#acceptance.onTimer(nowUs);
    this.#long?.onTimer(nowUs);
    this.#doLong(nowUs);
    for (const due of [this.#silence, this.#halfOpen]) {
      for (let flowId = due.take(nowUs); flowId !== undefined; flowId = due.take(nowUs)) {
        this.#out.push({ kind: "traffic", flowId });
      }
    }
    for (let f = this.#flows.due(nowUs); f !== undefined; f = this.#flows.due(nowUs)) {
      if (f.leaving === "lingers") this.#drain(f);
      else {
        this.#remove(nowUs, f);
        this.#out.push({ kind: "release", flowId: f.flowId });
      }
    }
  }

  deadlineUs(): number {
    const flowsUs = this.#flows.deadlineUs();
    const longUs = this.#long?.deadlineUs() ?? Infinity;
    return Math.min(
      this.#finder.deadlineUs(),
      this.#acceptance.deadlineUs(),
      flowsUs,
      longUs,
      this.#halfOpen.deadlineUs(),
      this.#silence.nextUs,
    );
  }

  close(nowUs: number): void {
    this.#arrivals.clear();
    this.#acceptance.close();
    for (const flow of [...this.#flows.values()]) {
      this.#acceptance.leave(flow, -Errno.EIPCPSTATE);
      this.#remove(nowUs, flow);
    }
    this.#finder.close();
  }

  #open(flow: Flow): void {
    flow.state = "open";
    const { flowId, localEid, remoteEid, peer } = flow;
    if (flow.leaving === undefined) this.#flows.settled(flow);
    this.#out.push({ kind: "open", flow: { flowId, localEid, remoteEid, peer } });
  }

  #remove(nowUs: number, flow: Flow): void {
    this.#flows.remove(nowUs, flow);
    this.#silence.delete(flow.flowId);
    this.#halfOpen.delete(flow.flowId);
    if (flow.state === "requested" || flow.state === "arrived") this.#long?.cancel(flow.flowId);
    this.#acceptance.leave(flow);
  }

  #answer(token: number, result: number, cause?: string): void {
    this.#out.push({ kind: "answer", token, result, ...(cause === undefined ? {} : { cause }) });
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
    if (bytes !== undefined) this.#out.push({ kind: "send", to, bytes });
  }
}

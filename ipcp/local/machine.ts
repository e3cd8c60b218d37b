/**
 * The protocol machine of the local IPCP: pairs of flows between processes of one host. Pure.
 *
 * Source: spec 50 §9 and §18 R3, R4. A FLOW_ALLOC is passed back to the IRMd as FLOW_REQ_ARR for the same
 * hash; the flow that the IRMd assigns on the accepting side becomes the partner, and the verdict
 * (FLOW_ALLOC_RESP on the partner, positive or negative) goes to the requester as FLOW_ALLOC_REPLY. When
 * one side goes, the other is told that its flow is down.
 *
 *     requested ─┐                             FLOW_DEALLOC
 *                ├─▶ open (a pair)   any state ────────────▶ draining ─▶ lingering ─▶ the IRMd has the id
 *     arrived ───┘
 *
 * Nothing is lost or overtaken here, so there is nothing to linger for but the id: the partner hears at once.
 */

import { Errno } from "../../lib/errno.ts";
import type { QosSpec } from "../../lib/qos.ts";
import { Acceptance, type Accepting, type GivenVerdict } from "../acceptance.ts";
import { ARRIVAL_LIFE_US, Arrivals } from "../arrivals.ts";
import { Deadlines } from "../deadlines.ts";
import type { Asked, FlowEffect, FlowMachine, FlowOrder, Verdict } from "../machine.ts";
import { Registrations } from "../registrations.ts";

/** A flow as the shell needs it: packets to it must fit a block of its pool. */
export interface LocalEnd {
  readonly flowId: number;
}

/** What only this machine asks for. */
export type LocalOnly =
  /** Packets may go between the two flows. */
  | { readonly kind: "pair"; readonly a: number; readonly b: number }
  /** The other side of the flow has gone. */
  | { readonly kind: "part"; readonly flowId: number };

export type LocalEffect = FlowEffect<LocalEnd> | LocalOnly;

type State = "requested" | "arrived" | "open" | "draining" | "lingering";

interface Flow extends LocalEnd, Accepting {
  readonly pid: number;
  partner: Flow | undefined;
  state: State;
  /** The FLOW_ALLOC that waits for its answer. */
  command: number | undefined;
  /** How long the id is kept after the flow, µs. */
  lingerUs: number;
}

const EMPTY = new Uint8Array(0);

export class LocalMachine implements FlowMachine<LocalEnd, LocalOnly> {
  readonly names: Registrations;
  readonly #flows = new Map<number, Flow>();
  readonly #arrivals = new Arrivals<Flow>();
  readonly #deadlines = new Deadlines<number>();
  readonly #out: LocalEffect[] = [];
  readonly #acceptance = new Acceptance<Flow>({
    flow: (flowId) => this.#flows.get(flowId),
    isAsking: () => this.#arrivals.size > 0,
    want: (e) => this.#out.push(e),
    settle: (_nowUs, ...settled) => this.#settle(...settled),
  });
  #requests = 0;

  /** `names` may have some already; those that do not fit are forgotten. */
  constructor(hashBytes: number, names = new Registrations()) {
    this.names = names;
    names.settle(hashBytes);
  }

  poll(): LocalEffect | undefined {
    return this.#out.shift() ?? this.#arrivals.poll();
  }
  /** Flows in the table, those that linger included. */
  get flowCount(): number {
    return this.#flows.size;
  }
  flowState(flowId: number): State | undefined {
    return this.#flows.get(flowId)?.state;
  }
  /** The other side of a flow, or undefined. */
  partnerOf(flowId: number): number | undefined {
    return this.#flows.get(flowId)?.partner?.flowId;
  }

  query(_nowUs: number, hash: Uint8Array, token: number): void {
    this.#answer(token, this.names.has(hash) ? 0 : -Errno.EPERM);
  }

  /** FLOW_ALLOC: `token` is answered when the IRMd has answered our question. */
  alloc(
    nowUs: number,
    { flowId, pid }: FlowOrder,
    hash: Uint8Array,
    qos: QosSpec,
    data: Uint8Array,
    token: number,
  ): void {
    if (this.#flows.has(flowId)) return this.#answer(token, -Errno.EEXIST);
    const flow = this.#add(nowUs, flowId, pid, "requested");
    flow.command = token;
    if (!this.names.has(hash)) return this.#forget(flow, -Errno.EPERM);
    const request = { peer: flow, hash, qos, data };
    // No two requests of the IRMd are copies.
    const from = { source: String(pid), proven: true };
    const took = this.#arrivals.enter(nowUs, from, String(this.#requests++), request);
    if (took === "flooded") this.#forget(flow, -Errno.EBUSY);
  }

  #add(nowUs: number, flowId: number, pid: number, state: State): Flow {
    const flow: Flow = {
      flowId,
      pid,
      partner: undefined,
      state,
      command: undefined,
      verdict: undefined,
      lingerUs: 0,
    };
    this.#flows.set(flowId, flow);
    this.#deadlines.set(flowId, nowUs + ARRIVAL_LIFE_US);
    return flow;
  }

  /**
   * FLOW_REQ_ARR was answered: with the partner's flow, whose memory is held, or why nobody takes it, which the
   * requester gets.
   */
  asked(nowUs: number, ask: number, { result, cause, flowId, pid }: Asked): void {
    const flow = this.#arrivals.answered(nowUs, ask);
    const asks = flow !== undefined && flow.state === "requested" &&
      this.#flows.get(flow.flowId) === flow;
    const known = this.#flows.has(flowId);
    if (result < 0 || !asks || known) {
      if (result >= 0 && !known) {
        this.#out.push({ kind: "release", flowId });
        this.#acceptance.passOver(nowUs, flowId);
      }
      if (asks) this.#forget(flow, result < 0 ? result : -Errno.EPERM, cause);
      return;
    }
    const partner = this.#add(nowUs, flowId, pid, "arrived");
    partner.partner = flow;
    flow.partner = partner;
    this.#deadlines.set(flow.flowId, nowUs + ARRIVAL_LIFE_US);
    this.#answerCommand(flow, 0);
    this.#acceptance.entered(nowUs, partner);
  }

  allocResp(nowUs: number, flow: FlowOrder, verdict: Verdict, token: number): void {
    this.#acceptance.respond(nowUs, flow, verdict, token);
  }
  owned(nowUs: number, flowId: number, result: number): void {
    this.#acceptance.owned(nowUs, flowId, result);
  }

  /** The requester hears `response`, the acceptor that it was passed on, or why it cannot be. */
  #settle(flow: Flow, verdict: GivenVerdict, response: number): void {
    const { token, response: wanted, data, cause } = verdict;
    const requester = flow.partner;
    const result = response === wanted ? 0 : response;
    if (requester?.state !== "requested") { // Gave up meanwhile.
      this.#forget(flow, 0);
      return this.#answer(token, response === 0 ? -Errno.EPERM : result);
    }
    const { flowId } = requester;
    if (response === 0) {
      for (const side of [flow, requester]) {
        side.state = "open";
        this.#deadlines.delete(side.flowId);
      }
      this.#out.push({ kind: "pair", a: flowId, b: flow.flowId });
      this.#out.push({ kind: "alloc_reply", flowId, response, data, peer: flow });
    } else {
      const why = response === wanted && cause !== undefined ? { cause } : {};
      const refusal = { response, data: EMPTY, ...why };
      this.#out.push({ kind: "alloc_reply", flowId, ...refusal, peer: undefined });
      this.#forget(requester, response);
      this.#forget(flow, 0);
    }
    this.#answer(token, result);
  }

  replied(nowUs: number, flowId: number, result: number): void {
    // The IRMd has given the flow up meanwhile.
    const open = this.#flows.get(flowId)?.state === "open";
    if (result === -Errno.EBADF && open) this.dealloc(nowUs, flowId, 0);
  }

  dealloc(_nowUs: number, flowId: number, lingerSec: number): number {
    const flow = this.#flows.get(flowId);
    if (flow === undefined) {
      this.#acceptance.tookBack(flowId);
      return -Errno.EPERM;
    }
    if (flow.state === "lingering") {
      if (lingerSec === 0) this.#free(flow);
      return 0;
    }
    if (flow.state !== "draining") {
      // What the process wrote last goes to the partner before that one hears that the flow is down.
      flow.lingerUs = lingerSec * 1e6;
      this.#leave(flow);
      flow.state = "draining";
      this.#out.push({ kind: "drop", flowId });
    } else if (lingerSec === 0) flow.lingerUs = 0;
    return 0;
  }

  /** Nobody waits for the flow any more. */
  #leave(flow: Flow): void {
    this.#deadlines.delete(flow.flowId);
    this.#answerCommand(flow, -Errno.EPERM);
    this.#acceptance.leave(flow);
  }

  dropped(nowUs: number, flowId: number): void {
    const flow = this.#flows.get(flowId);
    const partner = flow?.partner;
    if (flow?.state !== "draining") return;
    if (partner !== undefined) {
      flow.partner = partner.partner = undefined;
      if (partner.state === "open") this.#out.push({ kind: "part", flowId: partner.flowId });
    }
    if (flow.lingerUs === 0) return this.#free(flow);
    flow.state = "lingering";
    this.#deadlines.set(flowId, nowUs + flow.lingerUs);
  }

  #free(flow: Flow): void {
    this.#remove(flow);
    this.#out.push({ kind: "freed", flowId: flow.flowId, pid: flow.pid });
  }

  /** The flow came to nothing. */
  #forget(flow: Flow, result: number, cause?: string): void {
    if (flow.partner !== undefined) flow.partner.partner = undefined;
    this.#remove(flow);
    this.#out.push({ kind: "release", flowId: flow.flowId });
    this.#answerCommand(flow, result, cause);
  }

  #remove(flow: Flow): void {
    this.#flows.delete(flow.flowId);
    this.#deadlines.delete(flow.flowId);
  }

  onTimer(nowUs: number): void {
    this.#acceptance.onTimer(nowUs);
    for (;;) {
      const flowId = this.#deadlines.take(nowUs);
      if (flowId === undefined) return;
      const flow = this.#flows.get(flowId);
      if (flow?.state === "lingering") this.#free(flow);
      else if (flow !== undefined) {
        this.#acceptance.leave(flow);
        this.#forget(flow, -Errno.ETIMEDOUT);
      }
    }
  }

  deadlineUs(): number {
    return Math.min(this.#deadlines.nextUs, this.#acceptance.deadlineUs());
  }

  close(): void {
    this.#arrivals.clear();
    this.#acceptance.close();
    for (const flow of this.#flows.values()) {
      this.#answerCommand(flow, -Errno.EIPCPSTATE);
      this.#acceptance.leave(flow, -Errno.EIPCPSTATE);
    }
    this.#flows.clear();
    this.#deadlines.clear();
  }

  #answerCommand(flow: Flow, result: number, cause?: string): void {
    const token = flow.command;
    flow.command = undefined;
    if (token !== undefined) this.#answer(token, result, cause);
  }

  #answer(token: number, result: number, cause?: string): void {
    this.#out.push({ kind: "answer", token, result, ...(cause === undefined ? {} : { cause }) });
  }
}

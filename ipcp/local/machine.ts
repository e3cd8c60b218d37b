/**
 * The protocol machine of the local IPCP: pairs of flows between processes of one host. Pure.
 *
 * Source: spec 50 §9 and §18 R3, R4. A FLOW_ALLOC is passed back to the IRMd as FLOW_REQ_ARR for the same
 * hash; the flow that the IRMd assigns on the accepting side becomes the partner, and the verdict
 * (FLOW_ALLOC_RESP on the partner, positive or negative) goes to the requester as FLOW_ALLOC_REPLY. When
 * one side goes, the other is told that its flow is down.
 */

import { Errno } from "../../lib/errno.ts";
import type { QosSpec } from "../../lib/qos.ts";
import { Registrations } from "../registrations.ts";
import { ASKING_MAX } from "../arrivals.ts";
import { ARRIVAL_LIFE_MS, EarlyVerdicts } from "../verdicts.ts";

/** Everything that the machine can ask for. */
export type LocalEffect =
  | {
    readonly do: "ask_irmd";
    readonly ask: number;
    readonly flowId: number;
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
  /** Packets may go between the two flows. */
  | { readonly do: "pair"; readonly a: number; readonly b: number }
  /** The other side of `flowId` has gone. */
  | { readonly do: "down"; readonly flowId: number }
  /** Release what the shell holds for the flow. */
  | { readonly do: "release"; readonly flowId: number };

interface Flow {
  readonly flowId: number;
  partner: number | undefined;
  state: "requested" | "arrived" | "open";
  untilMs: number;
}

const EMPTY = new Uint8Array(0);

export class LocalMachine {
  readonly names = new Registrations();
  readonly #hashBytes: number;
  readonly #flows = new Map<number, Flow>();
  /** Requester's flow and command token by the number of the question to the IRMd. */
  readonly #asking = new Map<number, { flowId: number; token: number }>();
  readonly #early = new EarlyVerdicts();
  readonly #out: LocalEffect[] = [];
  #nextAsk = 1;

  constructor(hashBytes: number) {
    this.#hashBytes = hashBytes;
  }

  /** The next thing to do, oldest first. */
  poll(): LocalEffect | undefined {
    return this.#out.shift();
  }
  get flowCount(): number {
    return this.#flows.size;
  }
  flowState(flowId: number): "requested" | "arrived" | "open" | undefined {
    return this.#flows.get(flowId)?.state;
  }
  /** The other side of a flow, or undefined. */
  partnerOf(flowId: number): number | undefined {
    return this.#flows.get(flowId)?.partner;
  }

  register(hash: Uint8Array): number {
    if (hash.length !== this.#hashBytes) return -Errno.EINVAL;
    return this.names.add(hash) ? 0 : -Errno.ENOMEM;
  }
  unregister(hash: Uint8Array): number {
    this.names.remove(hash);
    return 0;
  }
  query(hash: Uint8Array): number {
    return this.names.has(hash) ? 0 : -Errno.EPERM;
  }

  /** FLOW_ALLOC: `token` is answered when the IRMd has answered our question. */
  alloc(
    nowMs: number,
    flowId: number,
    hash: Uint8Array,
    qos: QosSpec,
    data: Uint8Array,
    token: number,
  ): void {
    if (!this.names.has(hash)) return this.#answer(token, -Errno.EPERM);
    if (this.#flows.has(flowId)) return this.#answer(token, -Errno.EEXIST);
    if (this.#asking.size >= ASKING_MAX) return this.#answer(token, -Errno.EBUSY);
    const ask = this.#nextAsk++;
    const untilMs = nowMs + ARRIVAL_LIFE_MS;
    this.#flows.set(flowId, { flowId, partner: undefined, state: "requested", untilMs });
    this.#asking.set(ask, { flowId, token });
    this.#out.push({ do: "ask_irmd", ask, flowId, hash, qos, data });
  }

  /**
   * FLOW_REQ_ARR was answered: 0 and the partner's flow id, or a negative number, which the requester
   * gets. Says whether the partner was taken up; if not, the shell releases it.
   */
  asked(nowMs: number, ask: number, result: number, partnerId: number): boolean {
    const asking = this.#asking.get(ask);
    if (asking === undefined) return false;
    this.#asking.delete(ask);
    const flow = this.#flows.get(asking.flowId);
    if (result < 0 || flow === undefined || this.#flows.has(partnerId)) {
      if (flow !== undefined) {
        this.#flows.delete(flow.flowId);
        this.#out.push({ do: "release", flowId: flow.flowId });
      }
      this.#answer(asking.token, result < 0 ? result : -Errno.EPERM);
      return false;
    }
    const untilMs = nowMs + ARRIVAL_LIFE_MS;
    const partner: Flow = { flowId: partnerId, partner: flow.flowId, state: "arrived", untilMs };
    this.#flows.set(partnerId, partner);
    flow.partner = partnerId;
    flow.untilMs = untilMs;
    this.#answer(asking.token, 0);
    const early = this.#early.take(partnerId);
    if (early !== undefined) {
      this.#answer(early.token, this.#verdict(partner, early.response, early.data));
    }
    return true;
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
      this.#answer(token, this.#verdict(flow, response, data));
    } else if (
      this.#asking.size === 0 || !this.#early.add(nowMs, flowId, { token, response, data })
    ) {
      this.#answer(token, -Errno.EPERM);
    }
  }

  #verdict(flow: Flow, response: number, data: Uint8Array): number {
    const requester = this.#flows.get(flow.partner ?? -1);
    if (flow.state !== "arrived") return -Errno.EPERM;
    if (requester === undefined) { // Gave up meanwhile.
      this.#forget(flow);
      return response === 0 ? -Errno.EPERM : 0;
    }
    if (response === 0) {
      for (const side of [flow, requester]) {
        side.state = "open";
        side.untilMs = Infinity;
      }
      this.#out.push({ do: "pair", a: requester.flowId, b: flow.flowId });
      this.#out.push({ do: "alloc_reply", flowId: requester.flowId, response: 0, data });
      return 0;
    }
    this.#out.push({ do: "alloc_reply", flowId: requester.flowId, response, data: EMPTY });
    this.#forget(requester);
    this.#forget(flow);
    return 0;
  }

  #forget(flow: Flow): void {
    this.#flows.delete(flow.flowId);
    this.#out.push({ do: "release", flowId: flow.flowId });
  }

  /** FLOW_DEALLOC: 0, or -1 for a flow that is not here. The partner is told that it is down. */
  dealloc(flowId: number): number {
    const flow = this.#flows.get(flowId);
    if (flow === undefined) return -Errno.EPERM;
    this.#flows.delete(flowId);
    const partner = this.#flows.get(flow.partner ?? -1);
    if (partner !== undefined) {
      partner.partner = undefined;
      if (partner.state === "open") this.#out.push({ do: "down", flowId: partner.flowId });
    }
    return 0;
  }

  /** Give up what is not settled in time. */
  onTimer(nowMs: number): void {
    for (const token of this.#early.expired(nowMs)) this.#answer(token, -Errno.EPERM);
    for (const flow of this.#flows.values()) {
      if (flow.untilMs <= nowMs) this.#forget(flow);
    }
  }

  /** When {@linkcode onTimer} has something to do next, ms, or Infinity. */
  deadlineMs(): number {
    let at = this.#early.deadlineMs();
    for (const flow of this.#flows.values()) at = Math.min(at, flow.untilMs);
    return at;
  }

  /** Shutdown: every waiting command is answered with -1004. */
  close(): void {
    for (const { token } of this.#asking.values()) this.#answer(token, -Errno.EIPCPSTATE);
    for (const token of this.#early.clear()) this.#answer(token, -Errno.EIPCPSTATE);
    this.#asking.clear();
    this.#flows.clear();
  }

  #answer(token: number, result: number): void {
    this.#out.push({ do: "answer", token, result });
  }
}

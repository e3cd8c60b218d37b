/**
 * How a flow that arrived gets the verdict of its acceptor (FLOW_ALLOC_RESP): once, when the flow is known, and when the
 * acceptor's pool can be used. The same for every machine of flows. Source: spec 50 §18 R2. Pure.
 *
 *     respond ──▶ own ──▶ owned ──▶ settle        a refusal: respond ──▶ settle
 *        └▶ kept until the answer to FLOW_REQ_ARR names its flow (entered), or nobody waits for that (passOver)
 */

import { Errno } from "../lib/errno.ts";
import { ARRIVAL_LIFE_US } from "./arrivals.ts";
import type { Answer, FlowOrder, OwnPool, Verdict } from "./machine.ts";

/** How long a verdict may wait for the answer to FLOW_REQ_ARR, µs; an IRMd of the prototype waits 500 ms for us. */
export const EARLY_VERDICT_LIFE_US = 400_000;

/** A verdict, and the command that waits for our answer. */
export interface GivenVerdict extends Verdict {
  readonly token: number;
  /** Flow uid of the acceptor. */
  readonly uid: number;
}

/** A flow that a verdict may be for. */
export interface Accepting {
  readonly flowId: number;
  /** A verdict is for one that `arrived`. */
  readonly state: string;
  /** What the acceptor said, while that cannot be settled yet. */
  verdict: GivenVerdict | undefined;
}

/** What a machine gives. */
export interface AcceptanceParts<F extends Accepting> {
  flow(flowId: number): F | undefined;
  /** Whether the IRMd considers a request, so that a flow may still be named. */
  isAsking(): boolean;
  want(effect: Answer | OwnPool): void;
  /** Pass the verdict on: `response` is its own, or why the acceptor's pool cannot be used. The command is answered there. */
  settle(nowUs: number, flow: F, verdict: GivenVerdict, response: number): void;
}

interface Early extends GivenVerdict {
  readonly untilUs: number;
}

/** See the file's comment. */
export class Acceptance<F extends Accepting> {
  readonly #parts: AcceptanceParts<F>;
  readonly #early = new Map<number, Early>();
  /** Flows that nobody waits for any more, and until when the verdict on them may come. */
  readonly #passed = new Map<number, number>();

  constructor(parts: AcceptanceParts<F>) {
    this.#parts = parts;
  }

  /** FLOW_ALLOC_RESP: `token` is answered now, or when the flow is known and settled. */
  respond(nowUs: number, { flowId, uid }: FlowOrder, said: Verdict, token: number): void {
    const flow = this.#parts.flow(flowId);
    const verdict = { ...said, token, uid };
    if (flow !== undefined) return this.#on(nowUs, flow, verdict);
    const passed = this.#passed.delete(flowId);
    if (passed || !this.#parts.isAsking() || this.#early.has(flowId)) return this.#refuse(token);
    this.#early.set(flowId, { ...verdict, untilUs: nowUs + EARLY_VERDICT_LIFE_US });
  }

  #on(nowUs: number, flow: F, verdict: GivenVerdict): void {
    if (flow.state !== "arrived" || flow.verdict !== undefined) return this.#refuse(verdict.token);
    if (verdict.response !== 0) {
      return this.#parts.settle(nowUs, flow, verdict, verdict.response);
    }
    flow.verdict = verdict;
    this.#parts.want({ kind: "own", flowId: flow.flowId, uid: verdict.uid });
  }

  #refuse(token: number, result = -Errno.EPERM): void {
    this.#parts.want({ kind: "answer", token, result });
  }

  /** The pool is used from now on (0), or why it cannot be. */
  owned(nowUs: number, flowId: number, result: number): void {
    const flow = this.#parts.flow(flowId);
    const verdict = flow?.verdict;
    if (flow === undefined || verdict === undefined) return;
    flow.verdict = undefined;
    this.#parts.settle(nowUs, flow, verdict, Math.min(result, 0));
  }

  /** The answer to FLOW_REQ_ARR has named a flow, which is in the table now. */
  entered(nowUs: number, flow: F): void {
    const early = this.#take(flow.flowId);
    if (early !== undefined) this.#on(nowUs, flow, early);
  }

  /**
   * It has named one that nobody waits for any more. A verdict that came before is refused; one that is still to come
   * will not be kept: its acceptor has others to serve.
   */
  passOver(nowUs: number, flowId: number): void {
    for (const [old, untilUs] of this.#passed) {
      if (untilUs > nowUs) break;
      this.#passed.delete(old);
    }
    const early = this.#take(flowId);
    if (early === undefined) this.#passed.set(flowId, nowUs + ARRIVAL_LIFE_US);
    else this.#refuse(early.token);
  }

  #take(flowId: number): GivenVerdict | undefined {
    this.#passed.delete(flowId);
    const verdict = this.#early.get(flowId);
    this.#early.delete(flowId);
    return verdict;
  }

  /** The IRMd has taken a flow back that was passed over; its id may be another's soon. */
  tookBack(flowId: number): void {
    this.#passed.delete(flowId);
  }

  /** A flow goes: whoever waits for its verdict to be settled is answered. */
  leave(flow: F, result = -Errno.EPERM): void {
    const { verdict } = flow;
    flow.verdict = undefined;
    if (verdict !== undefined) this.#refuse(verdict.token, result);
  }

  /** Verdicts whose flow has not come in time are refused. */
  onTimer(nowUs: number): void {
    for (const [flowId, { token, untilUs }] of this.#early) {
      if (untilUs > nowUs) break; // Oldest first, all live equally long.
      this.#early.delete(flowId);
      this.#refuse(token);
    }
  }

  /** When {@linkcode onTimer} has something next, µs, or Infinity. */
  deadlineUs(): number {
    for (const { untilUs } of this.#early.values()) return untilUs;
    return Infinity;
  }

  /** Forget all. */
  close(): void {
    for (const { token } of this.#early.values()) this.#refuse(token, -Errno.EIPCPSTATE);
    this.#early.clear();
    this.#passed.clear();
  }
}

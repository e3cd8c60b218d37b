/**
 * The arrival of flow requests from a layer: the door that a flood has to pass, the question to the IRMd, and verdicts
 * that overtake its answer. The same for every type of IPCP. Source: spec 50 §7.3, §18 S8, R2, R3. Pure.
 *
 * A request holds an accept slot of the IRMd while it considers it, and sources can be forged. So not more than some
 * are under way, in all and from one source; others wait for their turn, since no requester sends again; a copy of a
 * recent one is dropped. What is known of the requester is the type's own and opaque here (`P`).
 *
 *     enter → (waiting) → asked of the IRMd (poll) → answered: the flow, or why not
 *                                                   ↑ verdict (FLOW_ALLOC_RESP) may come before or after
 */

import type { QosSpec } from "../lib/qos.ts";

/** Requests under way at the IRMd, in all and from one source. */
export const ASKING_MAX = 64;
export const ASKING_PER_SOURCE_MAX = 16;
/** Requests that wait for their turn, in all and from one source. */
export const WAITING_MAX = 4096;
export const WAITING_PER_SOURCE_MAX = 1024;
/** Who asked longer ago has given up, µs (the IRMd does after 20 s). */
export const WAITING_LIFE_US = 20e6;
/** Recent requests that are remembered to drop copies of them. */
export const RECENT_MAX = 2048;
export const RECENT_LIFE_US = 10e6;
/** How long an arrived flow may stay without verdict, µs: the IRMd waits for an acceptor, then OAP runs. */
export const ARRIVAL_LIFE_US = 22e6;
/** How long a verdict may wait for the answer to FLOW_REQ_ARR, µs; the IRMd waits 500 ms for us. */
export const EARLY_VERDICT_LIFE_US = 400_000;

/** A request of the layer. */
export interface FlowRequest<P> {
  /** Who asked and how to answer. */
  readonly peer: P;
  readonly hash: Uint8Array;
  readonly qos: QosSpec;
  /** OAP request, opaque. */
  readonly data: Uint8Array;
}

/** FLOW_REQ_ARR, to be answered with {@linkcode Arrivals.answered} and the same number. */
export interface AskIrmd<P> extends FlowRequest<P> {
  readonly kind: "ask_irmd";
  readonly ask: number;
}

/** FLOW_ALLOC_RESP: what the acceptor said, and the command that waits for our answer. */
export interface AcceptorVerdict {
  readonly token: number;
  readonly response: number;
  readonly data: Uint8Array;
  /** Flow uid of the acceptor, where the type wants it here. */
  readonly uid?: number;
}

interface Waiting<P> {
  readonly request: FlowRequest<P>;
  readonly untilUs: number;
}

interface Asking<P> {
  readonly source: string;
  readonly peer: P;
}

export class Arrivals<P> {
  readonly #asking = new Map<number, Asking<P>>();
  readonly #perSource = new Map<string, number>();
  /** By source, oldest first; the sources take turns. */
  readonly #waiting = new Map<string, Waiting<P>[]>();
  #waitingCount = 0;
  /** When each recent request came, µs; oldest first (a Map keeps the order of insertion). */
  readonly #recent = new Map<string, number>();
  readonly #early = new Map<number, AcceptorVerdict & { readonly untilUs: number }>();
  readonly #out: AskIrmd<P>[] = [];
  #next = 1;

  /** The next question to the IRMd. */
  poll(): AskIrmd<P> | undefined {
    return this.#out.shift();
  }

  /** Requests under way. */
  get size(): number {
    return this.#asking.size;
  }

  /** Requests that wait for their turn. */
  get waitingCount(): number {
    return this.#waitingCount;
  }

  /**
   * A request from `source`, which counts against its share; `copy` is the same for copies of it. What it holds must be
   * its own bytes. "asked" and "waiting" are the good answers.
   */
  enter(
    nowUs: number,
    source: string,
    copy: string,
    request: FlowRequest<P>,
  ): "asked" | "waiting" | "flooded" | "replayed" {
    const waiting = this.#waiting.get(source) ?? [];
    const turn = waiting.length === 0 && this.#hasRoom(source);
    const full = this.#waitingCount >= WAITING_MAX || waiting.length >= WAITING_PER_SOURCE_MAX;
    if (!turn && full) return "flooded";
    if (this.#isCopy(nowUs, `${source} ${copy}`)) return "replayed";
    if (turn) {
      this.#ask(source, request);
      return "asked";
    }
    waiting.push({ request, untilUs: nowUs + WAITING_LIFE_US });
    this.#waiting.set(source, waiting);
    this.#waitingCount += 1;
    return "waiting";
  }

  #hasRoom(source: string): boolean {
    return this.#asking.size < ASKING_MAX &&
      (this.#perSource.get(source) ?? 0) < ASKING_PER_SOURCE_MAX;
  }

  #isCopy(nowUs: number, key: string): boolean {
    for (const [old, sinceUs] of this.#recent) {
      if (nowUs - sinceUs < RECENT_LIFE_US && this.#recent.size < RECENT_MAX) break;
      this.#recent.delete(old);
    }
    if (this.#recent.has(key)) return true;
    this.#recent.set(key, nowUs);
    return false;
  }

  #ask(source: string, request: FlowRequest<P>): void {
    const ask = this.#next++;
    this.#perSource.set(source, (this.#perSource.get(source) ?? 0) + 1);
    this.#asking.set(ask, { source, peer: request.peer });
    this.#out.push({ kind: "ask_irmd", ask, ...request });
  }

  /** The IRMd has answered: who asked, or undefined for a number that is not under way. The next ones are let in. */
  answered(nowUs: number, ask: number): P | undefined {
    const asking = this.#asking.get(ask);
    if (asking === undefined) return undefined;
    this.#asking.delete(ask);
    const left = (this.#perSource.get(asking.source) ?? 1) - 1;
    if (left > 0) this.#perSource.set(asking.source, left);
    else this.#perSource.delete(asking.source);
    this.#letIn(nowUs);
    return asking.peer;
  }

  #letIn(nowUs: number): void {
    for (const [source, waiting] of [...this.#waiting]) {
      if (this.#asking.size >= ASKING_MAX) return;
      while (waiting.length > 0 && waiting[0]!.untilUs <= nowUs) this.#first(waiting);
      const first = waiting.length > 0 && this.#hasRoom(source) ? this.#first(waiting) : undefined;
      // To the end of the line, or out of it.
      if (first !== undefined || waiting.length === 0) this.#waiting.delete(source);
      if (waiting.length > 0 && first !== undefined) this.#waiting.set(source, waiting);
      if (first !== undefined) this.#ask(source, first.request);
    }
  }

  #first(waiting: Waiting<P>[]): Waiting<P> {
    this.#waitingCount -= 1;
    return waiting.shift()!;
  }

  /** A verdict on a flow that is not known yet: kept for it if one may still come, else false. */
  keepVerdict(nowUs: number, flowId: number, verdict: AcceptorVerdict): boolean {
    if (this.#asking.size === 0 || this.#early.has(flowId)) return false;
    this.#early.set(flowId, { ...verdict, untilUs: nowUs + EARLY_VERDICT_LIFE_US });
    return true;
  }

  /** The verdict that came before its flow, if there is one. */
  takeVerdict(flowId: number): AcceptorVerdict | undefined {
    const verdict = this.#early.get(flowId);
    this.#early.delete(flowId);
    return verdict;
  }

  /** Tokens of verdicts whose flow has not come in time; they are forgotten. */
  expired(nowUs: number): number[] {
    const tokens: number[] = [];
    for (const [flowId, { token, untilUs }] of this.#early) {
      if (untilUs > nowUs) break; // Oldest first, all live equally long.
      this.#early.delete(flowId);
      tokens.push(token);
    }
    return tokens;
  }

  /** When {@linkcode expired} has something next, µs, or Infinity. */
  deadlineUs(): number {
    for (const { untilUs } of this.#early.values()) return untilUs;
    return Infinity;
  }

  /** Forget all: tokens of verdicts that wait. */
  clear(): number[] {
    const tokens = [...this.#early.values()].map(({ token }) => token);
    this.#asking.clear();
    this.#perSource.clear();
    this.#waiting.clear();
    this.#early.clear();
    this.#out.length = 0;
    this.#waitingCount = 0;
    return tokens;
  }
}

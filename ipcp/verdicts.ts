/**
 * Verdicts of the IRMd on flows that are not known yet: FLOW_ALLOC_RESP can overtake the answer to FLOW_REQ_ARR,
 * which names the flow (spec 50 §18 R2). Each waits for it a moment. Pure.
 */

/** The IRMd waits 1 s for an acceptor, 1 s more after starting one, then OAP runs. */
export const ARRIVAL_LIFE_MS = 22_000;
/** How long a verdict may wait for the answer to FLOW_REQ_ARR; the IRMd waits 500 ms for us. */
export const EARLY_VERDICT_LIFE_MS = 400;

/** FLOW_ALLOC_RESP: what the acceptor said, and the command that waits for our answer. */
export interface Verdict {
  readonly token: number;
  readonly response: number;
  readonly data: Uint8Array;
}

export class EarlyVerdicts {
  readonly #verdicts = new Map<number, Verdict & { readonly untilMs: number }>();

  /** Keep the verdict on a flow; false if there is one already. */
  add(nowMs: number, flowId: number, verdict: Verdict): boolean {
    if (this.#verdicts.has(flowId)) return false;
    this.#verdicts.set(flowId, { ...verdict, untilMs: nowMs + EARLY_VERDICT_LIFE_MS });
    return true;
  }

  /** The verdict on a flow that is known now, if there is one. */
  take(flowId: number): Verdict | undefined {
    const verdict = this.#verdicts.get(flowId);
    this.#verdicts.delete(flowId);
    return verdict;
  }

  /** Tokens of the verdicts whose flow has not come in time; they are forgotten. */
  expired(nowMs: number): number[] {
    const tokens: number[] = [];
    for (const [flowId, { token, untilMs }] of this.#verdicts) {
      if (untilMs > nowMs) continue;
      this.#verdicts.delete(flowId);
      tokens.push(token);
    }
    return tokens;
  }

  /** When {@linkcode expired} has something next, ms, or Infinity. */
  deadlineMs(): number {
    let at = Infinity;
    for (const { untilMs } of this.#verdicts.values()) at = Math.min(at, untilMs);
    return at;
  }

  /** Forget all: their tokens. */
  clear(): number[] {
    const tokens = [...this.#verdicts.values()].map(({ token }) => token);
    this.#verdicts.clear();
    return tokens;
  }
}

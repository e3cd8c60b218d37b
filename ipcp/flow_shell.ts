/**
 * The shell around a machine of flows: commands of the IRMd in; shared memory, the data plane and the IRMd out. What a
 * type does beside that it performs itself.
 */

import type { SduLimits } from "../lib/irm/messages.ts";
import { NO_SDU_LIMITS } from "../lib/irm/messages.ts";
import type { QosSpec } from "../lib/qos.ts";
import type { AskIrmd } from "./arrivals.ts";
import type { DataPlane } from "./data/plane.ts";
import type { FlowEffect, FlowMachine, FlowOrder, Verdict } from "./machine.ts";
import { MachineShell } from "./machine_shell.ts";
import type { Failure, IpcpContext } from "./type.ts";

/** What a type gives its shell. */
export interface FlowShellParts<P, E> {
  readonly context: IpcpContext;
  readonly plane: DataPlane;
  readonly machine: FlowMachine<P, E>;
  /** Maximum packet lifetime of the layer, ms. */
  readonly mplMs: number;
  /** What the layer carries to and from a far end. */
  limits(peer: P): SduLimits;
  /** Do what only this type knows. */
  perform(effect: E): void;
}

export class FlowShell<P, E extends { readonly kind: string }> {
  readonly #parts: FlowShellParts<P, E>;
  readonly #shell: MachineShell<Failure>;

  constructor(parts: FlowShellParts<P, E>) {
    this.#parts = parts;
    this.#shell = new MachineShell(parts.context.nowUs);
    this.#shell.drive(parts.machine, (e) => this.#do(e));
  }

  // Commands.

  query(hash: Uint8Array): Promise<number | Failure> {
    return this.#shell.command((nowUs, token) => this.#parts.machine.query(nowUs, hash, token));
  }

  flowAlloc(
    flow: FlowOrder,
    hash: Uint8Array,
    qos: QosSpec,
    data: Uint8Array,
  ): Promise<number | Failure> {
    const { plane, machine } = this.#parts;
    const held = plane.hold(flow.flowId, flow.pid, flow.uid);
    if (held < 0) return Promise.resolve(held);
    return this.#shell.command((nowUs, token) => {
      machine.alloc(nowUs, flow, hash, qos, data, token);
    });
  }

  flowAllocResp(flow: FlowOrder, verdict: Verdict): Promise<number | Failure> {
    return this.#shell.command((nowUs, token) => {
      this.#parts.machine.allocResp(nowUs, flow, verdict, token);
    });
  }

  flowDealloc(flowId: number, lingerSec: number): number {
    let result = 0;
    this.feed((nowUs) => result = this.#parts.machine.dealloc(nowUs, flowId, lingerSec));
    return result;
  }

  /** Tell the machine something of the type's own. */
  feed(input: (nowUs: number) => void): void {
    this.#shell.feed(input);
  }

  // Effects.

  #do(e: FlowEffect<P> | E): void {
    const { context, plane, machine, mplMs } = this.#parts;
    // The kinds of all types and those of this one are different, which the compiler cannot see.
    const common = e as FlowEffect<P>;
    switch (common.kind) {
      case "answer": {
        const { token, result, cause } = common;
        return this.#shell.answer(token, cause === undefined ? result : { code: result, cause });
      }
      case "ask_irmd":
        void this.#ask(common);
        return;
      case "alloc_reply": {
        const { kind: _, flowId, peer, ...verdict } = common;
        const sdu = peer === undefined ? NO_SDU_LIMITS : this.#parts.limits(peer);
        void context.irm.flowAllocReply(flowId, verdict, mplMs, sdu)
          .then((result) => this.feed((nowUs) => machine.replied(nowUs, flowId, result)));
        return;
      }
      case "own":
        return this.feed((nowUs) => {
          machine.owned(nowUs, common.flowId, plane.setUid(common.flowId, common.uid));
        });
      case "drop":
        void plane.drop(common.flowId)
          .then(() => this.feed((nowUs) => machine.dropped(nowUs, common.flowId)));
        return;
      case "release":
        void plane.drop(common.flowId);
        return;
      case "freed":
        void context.irm.flowDealloc(common.flowId, common.pid);
        return;
      case "usable":
        return plane.setDown(common.flowId, !common.usable);
      case "ended":
        return plane.end(common.flowId);
      default:
        return this.#parts.perform(e as E);
    }
  }

  async #ask({ ask, peer, hash, qos, data }: AskIrmd<P>): Promise<void> {
    const { context, plane, machine, mplMs, limits } = this.#parts;
    const r = await context.irm.flowReqArr(hash, qos, mplMs, data, limits(peer));
    this.feed((nowUs) => {
      const { flowId, pid, cause } = r;
      const result = r.result === 0 ? plane.hold(flowId, pid, r.uid) : r.result;
      if (result < 0) context.log.error(`Failed to get fd for flow: ${result}`);
      machine.asked(nowUs, ask, { result, flowId, pid, cause });
    });
  }

  /** Answer what waits and let go of the machine. */
  stop(): void {
    this.#shell.stop((nowUs) => this.#parts.machine.close(nowUs));
  }
}

/**
 * The shell around the shim machine: commands in, effects out to the lower layer, the data path and the IRMd.
 * UDP and Ethernet differ in what they hand in here: how a management message is sent, how a name is resolved.
 */

import { Errno } from "../../lib/errno.ts";
import { NO_SDU_LIMITS, type SduLimits } from "../../lib/irm/messages.ts";
import type { QosSpec } from "../../lib/qos.ts";
import type { DataPlane } from "../data/plane.ts";
import { Counter } from "../data/table.ts";
import { HeldFlows } from "../held_flows.ts";
import type { FlowOrder, IpcpContext } from "../type.ts";
import { DeadlineTimer, Waiters } from "../waiters.ts";
import type { Addr } from "./name_cache.ts";
import { type Effect, type ShimConfig, ShimMachine } from "./machine.ts";

/** What a lower layer does for the shell. */
export interface Lower {
  /** Send a management message; `to` undefined is everybody. 0 or a negative errno. */
  send(to: Addr | undefined, bytes: Uint8Array): number;
  /** What the layer carries to and from a peer. */
  limits(peer: Addr): SduLimits;
  /** Find the address of a name, UDP only; undefined if it has none. */
  resolve?(hash: Uint8Array): Promise<Addr | undefined>;
}

/** The IRMd stops waiting for QUERY after 200 ms; a resolver that is slower helps the next query. */
const RESOLVE_ANSWER_MS = 170;

export class ShimShell {
  readonly machine: ShimMachine;
  readonly #context: IpcpContext;
  readonly #config: ShimConfig;
  readonly #plane: DataPlane;
  readonly #lower: Lower;
  readonly #waiters = new Waiters();
  readonly #timer: DeadlineTimer;
  readonly #held: HeldFlows;
  #open = true;

  constructor(
    context: IpcpContext,
    config: ShimConfig,
    plane: DataPlane,
    lower: Lower,
  ) {
    this.#context = context;
    this.#config = config;
    this.#plane = plane;
    this.#held = new HeldFlows(plane);
    this.#lower = lower;
    this.machine = new ShimMachine(config, context.random);
    this.#timer = new DeadlineTimer(() => {
      this.machine.onTimer(context.now());
      this.#pump();
    });
  }

  query(hash: Uint8Array): Promise<number> {
    const { token, result } = this.#waiters.open();
    this.machine.query(this.#context.now(), hash, token);
    this.#pump();
    if (this.#config.names === "ask") return result;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<number>((resolve) => {
      timer = setTimeout(() => resolve(-Errno.EPERM), RESOLVE_ANSWER_MS);
    });
    return Promise.race([result, late]).finally(() => clearTimeout(timer));
  }

  flowAlloc(flow: FlowOrder, hash: Uint8Array, qos: QosSpec, data: Uint8Array): number {
    const held = this.#held.hold(flow);
    if (held < 0) return held;
    const result = this.machine.alloc(this.#context.now(), flow.flowId, hash, qos, data);
    if (result < 0) this.#held.release(flow.flowId);
    this.#pump();
    return result;
  }

  flowAllocResp(flow: FlowOrder, response: number, data: Uint8Array): Promise<number> {
    return this.#held.verdict(flow, response, (verdict) => {
      const { token, result } = this.#waiters.open();
      this.machine.allocResp(this.#context.now(), flow.flowId, verdict, data, token);
      this.#pump();
      return result;
    });
  }

  flowDealloc(flowId: number, lingerSec: number): number {
    if (this.machine.flowState(flowId) === undefined) return -Errno.EPERM;
    if (lingerSec > 0) setTimeout(() => this.#dealloc(flowId), lingerSec * 1000);
    else void this.#dealloc(flowId);
    return 0;
  }

  async #dealloc(flowId: number): Promise<void> {
    const pid = this.#held.pid(flowId);
    if (!this.#open) return;
    // The endpoint id rests only when the last packet has left.
    await this.#plane.drop(flowId);
    if (!this.#open || this.machine.dealloc(this.#context.now(), flowId) !== 0) return;
    this.#held.forget(flowId);
    this.#pump();
    await this.#context.irm.flowDealloc(flowId, pid);
  }

  /** A management message came from the network. */
  onMgmt(from: Addr, bytes: Uint8Array): void {
    this.machine.onMgmt(this.#context.now(), from, bytes);
    this.#pump();
  }

  /** The link went down or came back: every open flow hears of it. */
  setLink(up: boolean): void {
    if (!up) this.machine.cache.clear();
    for (const flowId of this.machine.openFlows()) this.#plane.setDown(flowId, !up);
  }

  /** The lower layer has another address now: no peer knows the flows that were open. */
  endFlows(): void {
    this.machine.endFlows();
    this.#pump();
  }

  #pump(): void {
    for (let e = this.machine.poll(); e !== undefined; e = this.machine.poll()) this.#do(e);
    if (this.#open) this.#timer.arm(this.#context.now(), this.machine.deadlineMs());
  }

  #do(e: Effect): void {
    switch (e.do) {
      case "answer":
        return this.#waiters.answer(e.token, e.result);
      case "send":
        if (this.#lower.send(e.to, e.bytes) < 0) {
          Atomics.add(this.#plane.counters, Counter.sendFailed, 1);
        }
        return;
      case "alloc_reply": {
        const peer = e.response === 0 ? this.machine.peerOf(e.flowId) : undefined;
        const sdu = peer === undefined ? NO_SDU_LIMITS : this.#lower.limits(peer);
        void this.#context.irm.flowAllocReply(
          e.flowId,
          e.response,
          this.#config.eids.mplMs,
          e.data,
          sdu,
        ).then((result) => {
          // The IRMd has given the flow up meanwhile.
          if (result === -Errno.EBADF && e.response === 0) return this.#dealloc(e.flowId);
        });
        return;
      }
      case "ask_irmd":
        void this.#ask(e.ask, e.hash, e.qos, e.data, this.#lower.limits(e.peer));
        return;
      case "resolve":
        void this.#resolve(e.hash);
        return;
      case "open": {
        const { localEid, remoteEid, peer } = e.flow;
        return this.#plane.publish(e.flow.flowId, { localEid, remoteEid, partner: 0, peer });
      }
      case "ended":
        return this.#plane.end(e.flowId);
      case "release":
        return this.#held.release(e.flowId);
    }
  }

  async #ask(
    ask: number,
    hash: Uint8Array,
    qos: QosSpec,
    data: Uint8Array,
    sdu: SduLimits,
  ): Promise<void> {
    const { irm, now, log } = this.#context;
    const r = await irm.flowReqArr(hash, qos, this.#config.eids.mplMs, data, sdu);
    if (!this.#open) return;
    const result = r.result === 0 ? this.#held.hold(r) : r.result;
    if (result < 0) log.error(`Failed to get fd for flow: ${result}`);
    const taken = this.machine.asked(now(), ask, result, r.flowId);
    if (!taken && r.result === 0) this.#held.release(r.flowId);
    this.#pump();
  }

  async #resolve(hash: Uint8Array): Promise<void> {
    const addr = await this.#lower.resolve?.(hash).catch(() => undefined);
    if (!this.#open) return;
    if (addr === undefined) this.#context.log.dbg(`Could not resolve ${hash.toHex()}.`);
    this.machine.resolved(this.#context.now(), hash, addr);
    this.#pump();
  }

  /** Answer what waits, stop the data path. */
  async stop(): Promise<void> {
    this.machine.close(this.#context.now());
    this.#pump();
    this.#open = false;
    this.#timer.stop();
    const c = this.#plane.counters;
    await this.#plane.stop();
    const passed = ["sent", "received"] as const;
    const dropped = ["tooLong", "tooLongIn", "sendFailed", "notDelivered", "refused"] as const;
    const counts = [...passed, ...dropped].map((k) => `${k} ${c[Counter[k]]}`);
    this.#context.log.dbg(counts.join(", "));
    this.#context.log.dbg(`management: ${JSON.stringify(this.machine.counters)}`);
  }
}

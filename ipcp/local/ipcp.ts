/**
 * The local IPCP: flows between processes of one host. Shell around `machine.ts`; packets go through the
 * worker of `../data/local_path.ts`.
 */

import { Errno } from "../../lib/errno.ts";
import {
  HASH_BYTES,
  type IpcpConfig,
  type LayerInfo,
  NO_SDU_LIMITS,
  type SduLimits,
} from "../../lib/irm/messages.ts";
import type { QosSpec } from "../../lib/qos.ts";
import { describe } from "../data/long_packets.ts";
import { DataPlane, type WorkerSpec } from "../data/plane.ts";
import { Counter } from "../data/table.ts";
import { HeldFlows } from "../held_flows.ts";
import type { Failure, FlowOrder, IpcpContext, IpcpType } from "../type.ts";
import { DeadlineTimer, Waiters } from "../waiters.ts";
import { Registrations } from "../registrations.ts";
import { type LocalEffect, LocalMachine } from "./machine.ts";

/** Maximum packet lifetime, ms. */
const MPL_MS = 100;
const WORKER: WorkerSpec = {
  name: "local",
  start: () => new Worker(new URL("./data/local_worker.ts", import.meta.url), { type: "module" }),
};
const NO_PEER = new Uint8Array(0);

export class LocalIpcp implements IpcpType {
  readonly type = "local";
  readonly #context: IpcpContext;
  readonly #waiters = new Waiters();
  readonly #timer: DeadlineTimer;
  /** Names registered before the bootstrap. */
  readonly #early = new Registrations();
  #machine: LocalMachine | undefined;
  #plane: DataPlane | undefined;
  #held: HeldFlows | undefined;
  /** Why nobody takes a flow, by the requester's, until its command is answered. */
  readonly #refusals = new Map<number, string>();

  constructor(context: IpcpContext) {
    this.#context = context;
    this.#timer = new DeadlineTimer(() => {
      this.#machine?.onTimer(context.now());
      this.#pump();
    });
  }

  async bootstrap(conf: IpcpConfig): Promise<LayerInfo | Failure> {
    const layer = { ...conf.layerInfo };
    const context = this.#context;
    if (this.#plane !== undefined) {
      return { code: -Errno.EIPCPSTATE, cause: "Bootstrap under way." };
    }
    const plane = new DataPlane(context.instance, context.pid, {
      mgmt: () => {},
      tooLong: (packets) => context.log.warn(describe(packets)),
      failed: (why) => context.fatal(why),
    });
    this.#plane = plane;
    this.#held = new HeldFlows(plane);
    if (!await plane.start([WORKER])) {
      await this.stop();
      return { code: -Errno.EPERM, cause: "The data worker does not start." };
    }
    const hashBytes = HASH_BYTES[layer.dirHashAlgo]!;
    this.#machine = new LocalMachine(hashBytes);
    this.#early.moveTo(this.#machine.names, hashBytes);
    return layer;
  }

  register(hash: Uint8Array): number {
    if (this.#machine !== undefined) return this.#machine.register(hash);
    return this.#early.add(hash) ? 0 : -Errno.ENOMEM;
  }

  unregister(hash: Uint8Array): number {
    (this.#machine?.names ?? this.#early).remove(hash);
    return 0;
  }

  query(hash: Uint8Array): Promise<number> {
    return Promise.resolve(this.#machine!.query(hash));
  }

  flowAlloc(
    flow: FlowOrder,
    hash: Uint8Array,
    qos: QosSpec,
    data: Uint8Array,
  ): Promise<number | Failure> {
    const held = this.#held!.hold(flow);
    if (held < 0) return Promise.resolve(held);
    const { token, result } = this.#waiters.open();
    this.#machine!.alloc(this.#context.now(), flow.flowId, hash, qos, data, token);
    this.#pump();
    return result.then((r) => {
      if (r < 0 && this.#machine?.flowState(flow.flowId) === undefined) {
        this.#held?.release(flow.flowId);
      }
      const cause = this.#refusals.get(flow.flowId);
      this.#refusals.delete(flow.flowId);
      if (r < 0 && cause !== undefined) return { code: r, cause };
      return r;
    });
  }

  flowAllocResp(flow: FlowOrder, response: number, data: Uint8Array): Promise<number> {
    return this.#held!.verdict(flow, response, (verdict) => {
      const { token, result } = this.#waiters.open();
      this.#machine!.allocResp(this.#context.now(), flow.flowId, verdict, data, token);
      this.#pump();
      return result;
    });
  }

  flowDealloc(flowId: number, lingerSec: number): number {
    const lingering = this.#lingering.get(flowId);
    if (lingering !== undefined && lingerSec === 0) lingering();
    if (lingering !== undefined) return 0;
    if (this.#machine!.flowState(flowId) === undefined) return -Errno.EPERM;
    this.#dealloc(flowId, lingerSec);
    return 0;
  }

  /**
   * Nothing is lost or overtaken here, so that there is nothing to linger for but the id: the partner hears at once,
   * the IRMd after the linger time.
   */
  async #dealloc(flowId: number, lingerSec = 0): Promise<void> {
    const plane = this.#plane, pid = this.#held?.pid(flowId) ?? 0;
    const partner = this.#machine?.partnerOf(flowId) ?? 0;
    if (plane === undefined) return;
    // What the process wrote last goes to the partner before that one hears that the flow is down.
    await plane.drop(flowId);
    if (this.#machine?.dealloc(flowId) !== 0) return;
    this.#held?.forget(flowId);
    if (partner !== 0) plane.table.setPartner(partner, 0);
    this.#pump();
    if (lingerSec > 0) await this.#linger(flowId, lingerSec);
    await this.#context.irm.flowDealloc(flowId, pid);
  }

  /** Flows that are gone here and whose ids the IRMd gets back later; the call ends the wait. */
  readonly #lingering = new Map<number, () => void>();

  async #linger(flowId: number, lingerSec: number): Promise<void> {
    const over = Promise.withResolvers<void>();
    const timer = setTimeout(over.resolve, lingerSec * 1000);
    this.#lingering.set(flowId, over.resolve);
    await over.promise;
    clearTimeout(timer);
    this.#lingering.delete(flowId);
  }

  /** Do what the machine wants. */
  #pump(): void {
    const machine = this.#machine;
    if (machine === undefined) return;
    for (let e = machine.poll(); e !== undefined; e = machine.poll()) this.#do(e);
    this.#timer.arm(this.#context.now(), machine.deadlineMs());
  }

  #do(e: LocalEffect): void {
    const plane = this.#plane, { irm } = this.#context;
    if (plane === undefined) return;
    switch (e.do) {
      case "answer":
        return this.#waiters.answer(e.token, e.result);
      case "alloc_reply":
        void irm.flowAllocReply(
          e.flowId,
          e.response,
          MPL_MS,
          e.data,
          this.#limitsTo(this.#machine?.partnerOf(e.flowId) ?? 0),
        ).then((result) => {
          // The IRMd has given the flow up meanwhile.
          if (result === -Errno.EBADF && e.response === 0) return this.#dealloc(e.flowId);
        });
        return;
      case "ask_irmd":
        void this.#ask(e.ask, e.flowId, e.hash, e.qos, e.data);
        return;
      case "pair":
        for (const [flowId, partner] of [[e.a, e.b], [e.b, e.a]] as const) {
          plane.publish(flowId, { localEid: 0, remoteEid: 0, partner, peer: NO_PEER });
        }
        return;
      case "down":
        return plane.setDown(e.flowId, true);
      case "release":
        return this.#held?.release(e.flowId);
    }
  }

  /** What goes to the process of a flow: a packet must fit a block of its pool. */
  #limitsTo(flowId: number): SduLimits {
    const pool = this.#plane?.poolOf(flowId);
    return pool === undefined ? NO_SDU_LIMITS : { sduBytesMax: pool.payloadBytesMax };
  }

  async #ask(
    ask: number,
    requester: number,
    hash: Uint8Array,
    qos: QosSpec,
    data: Uint8Array,
  ): Promise<void> {
    const { irm, now } = this.#context;
    const r = await irm.flowReqArr(hash, qos, MPL_MS, data, this.#limitsTo(requester));
    if (this.#held === undefined) return;
    const result = r.result === 0 ? this.#held.hold(r) : r.result;
    if (r.cause !== undefined) this.#refusals.set(requester, r.cause);
    const taken = this.#machine?.asked(now(), ask, result, r.flowId) ?? false;
    if (!taken && r.result === 0) this.#held?.release(r.flowId);
    this.#pump();
  }

  async stop(): Promise<void> {
    this.#timer.stop();
    this.#machine?.close();
    this.#pump();
    this.#timer.stop();
    this.#machine = undefined;
    const plane = this.#plane;
    this.#plane = undefined;
    this.#held = undefined;
    if (plane === undefined) return;
    const c = plane.counters;
    await plane.stop();
    const { log } = this.#context;
    log.dbg(
      `moved ${c[Counter.received]}, copied ${c[Counter.copies]}, ` +
        `dropped ${c[Counter.notDelivered]}, too long ${c[Counter.tooLong]}, ` +
        `bad ${c[Counter.badPackets]}`,
    );
  }
}

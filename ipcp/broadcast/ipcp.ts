/**
 * The broadcast IPCP: the shell around the machines of a member of a broadcast layer (spec 50 §16).
 *
 *     IRMd ── join, dealloc ──▶ flows above ──▶ data worker (node.ts) ◀──▶ lower flows
 *                                                    ▲
 *                Connections (member/) ◀── LowerFlows (member/): flows with FRCT are read and written here
 *
 * It moves what the machines want between each other, the IRMd, the lower flows and the worker. A lower flow's id is its
 * descriptor everywhere.
 */

import { Errno } from "../../lib/errno.ts";
import type { Failure } from "../../lib/failure.ts";
import { nameHash } from "../../lib/hash.ts";
import type { IpcpConfig } from "../../lib/wire/ipcp_config.ts";
import {
  encodeIrmMsg,
  HashAlgo,
  IpcpType as TypeNumber,
  IrmCode,
  type LayerInfo,
  NO_SDU_LIMITS,
  type SduLimits,
} from "../../lib/irm/messages.ts";
import type { QosSpec } from "../../lib/qos.ts";
import { FlowEvent } from "../../lib/shm/layout.ts";
import { LENGTH as HEADER_BYTES } from "../../lib/wire/broadcast_pci.ts";
import { describe } from "../data/long_packets.ts";
import { Mail, Mailbox } from "../data/mailbox.ts";
import { DataPlane, type WorkerSpec } from "../data/plane.ts";
import { Counter } from "../data/table.ts";
import { HeldFlows } from "../held_flows.ts";
import { BROADCAST_DT } from "../member/cep.ts";
import { type Connection, type ConnectionEffect, Connections } from "../member/connections.ts";
import { LowerFlows } from "../member/lower_flows.ts";
import type { FlowOrder } from "../machine.ts";
import type { IpcpContext, IpcpType } from "../type.ts";
import { DeadlineTimer } from "../waiters.ts";
import { BroadcastMail, type BroadcastStart, FAREWELL_EVENT, kindNumber } from "./data/start.ts";
import { BroadcastNode } from "./node.ts";

/** Maximum packet lifetime of the layer, ms (spec 50 §16). */
const MPL_MS = 100;
/** Longest packet on a flow with FRCT, bytes. */
const MESSAGE_BYTES_MAX = 65_536;
const EMPTY = new Uint8Array(0);

const WORKER: WorkerSpec = {
  name: "broadcast",
  start: () =>
    new Worker(new URL("./data/broadcast_worker.ts", import.meta.url), { type: "module" }),
};

/** What exists while the IPCP is in a layer. */
interface Layer {
  /** What joins must say: the hash of the layer's name. */
  readonly hash: Uint8Array;
  readonly plane: DataPlane;
  readonly held: HeldFlows;
  readonly mailbox: Mailbox;
}

export class BroadcastIpcp implements IpcpType {
  readonly type = "broadcast";
  readonly #context: IpcpContext;
  /** Made anew for each try to become a member. */
  #connections: Connections;
  /** Commands about connections that wait, by token. */
  readonly #commands = new Map<number, (failure: Failure | undefined) => void>();
  #nextCommand = 1;
  readonly #timer: DeadlineTimer;
  #lower: LowerFlows | undefined;
  #layer: Layer | undefined;
  /** The configuration that an enrollment brought. */
  #enrolled: LayerInfo | undefined;
  /** What the layers below carry on each connection, less our header there. */
  readonly #limits = new Map<number, SduLimits>();
  #pumping = false;
  #mailed = false;

  constructor(context: IpcpContext) {
    this.#context = context;
    this.#connections = this.#noConnections();
    this.#timer = new DeadlineTimer(() => {
      const nowUs = this.#nowUs();
      if (this.#connections.deadlineUs() <= nowUs) this.#connections.onTimer(nowUs);
      this.#pump();
    });
  }

  #noConnections(): Connections {
    return new Connections({
      ipcpType: TypeNumber.BROADCAST,
      components: [BROADCAST_DT],
      randomId: () => crypto.getRandomValues(new Uint8Array(8)),
      random: this.#context.random,
      wallUs: () => Date.now() * 1000,
    });
  }

  #nowUs(): number {
    return this.#context.nowUs();
  }

  // Becoming a member.

  async bootstrap(conf: IpcpConfig): Promise<LayerInfo | Failure> {
    if (this.#lower !== undefined) return busy("bootstrap");
    this.#openLower();
    const own = withHash(conf);
    const failure = await this.#start(own);
    if (failure !== undefined) {
      await this.stop();
      return failure;
    }
    return own.layerInfo;
  }

  async enroll(dst: string): Promise<LayerInfo | Failure> {
    if (this.#lower !== undefined) return busy("enroll");
    this.#openLower();
    const failure = await this.#command((token) => {
      this.#connections.enroll(this.#nowUs(), dst, token);
    });
    const layer = this.#enrolled;
    if (failure !== undefined || layer === undefined) {
      await this.stop();
      return failure ?? busy("enroll");
    }
    return layer;
  }

  #openLower(): void {
    const { instance, pid } = this.#context;
    const lower = new LowerFlows(
      instance,
      pid,
      {
        accepted: (flow) => {
          this.#connections.accepted(this.#nowUs(), flow);
          this.#pump();
        },
        message: (flow, bytes) => {
          this.#connections.onMessage(this.#nowUs(), flow, bytes);
          this.#pump();
        },
        usable: (flow, usable) => this.#onUsable(flow, usable),
        gone: (flow, cause) => this.#onGone(flow, cause),
      },
      MESSAGE_BYTES_MAX,
    );
    this.#lower = lower;
    lower.acceptAll().catch((e) => this.#context.fatal(`cannot accept flows: ${e}`));
  }

  #onUsable(flow: number, usable: boolean): void {
    this.#connections.onUsable(this.#nowUs(), flow, usable);
    this.#pump();
  }

  #onGone(flow: number, cause: string): void {
    this.#connections.onGone(this.#nowUs(), flow, cause);
    this.#pump();
  }

  async #start(conf: IpcpConfig): Promise<Failure | undefined> {
    const { log, random, instance, pid } = this.#context;
    const { name, dirHashAlgo } = conf.layerInfo;
    const hash = nameHash(dirHashAlgo, name);
    if (typeof hash === "number") {
      return { code: hash, stage: "configuration", cause: `hash ${dirHashAlgo} is not known` };
    }
    const plane = new DataPlane(instance, pid, {
      mgmt: (from, bytes) => this.#lower?.write((from[0]! << 8) | from[1]!, bytes),
      tooLong: (packets) => log.warn(describe(packets)),
      failed: (why) => this.#context.fatal(why),
      lower: (flow, events) => this.#onLower(flow, events),
      released: (flow) => this.#lower?.takeBack(flow),
    });
    const mailbox = new Mailbox();
    this.#layer = { hash, plane, held: new HeldFlows(plane), mailbox };
    const start: BroadcastStart = { process: this.#lower!.share(), mailbox: mailbox.buffer };
    if (!await plane.start([WORKER], start)) {
      return { code: -Errno.EPERM, stage: "start", cause: "the data worker does not start" };
    }
    // Members of our kind know each other by having an address; 0 is the prototype's.
    this.#connections.setLayer(conf, (random() | 1) >>> 0);
    this.#pump();
    return undefined;
  }

  /** Events of a lower flow that the worker has. */
  #onLower(flow: number, events: number): void {
    if ((events & FAREWELL_EVENT) !== 0) {
      this.#connections.onLeft(flow);
      return this.#pump();
    }
    if ((events & FlowEvent.DEALLOC) !== 0) return this.#onGone(flow, "the flow was closed");
    if ((events & FlowEvent.PEER) !== 0) return this.#onGone(flow, "it was silent for its time");
    if ((events & FlowEvent.DOWN) !== 0) this.#onUsable(flow, false);
    if ((events & FlowEvent.UP) !== 0) this.#onUsable(flow, true);
  }

  // Commands.

  #command(start: (token: number) => void): Promise<Failure | undefined> {
    const token = this.#nextCommand++;
    const { promise, resolve } = Promise.withResolvers<Failure | undefined>();
    this.#commands.set(token, resolve);
    start(token);
    this.#pump();
    return promise;
  }

  async connect(dst: string, comp: string, qos: QosSpec): Promise<number | Failure> {
    return await this.#command((token) => {
      this.#connections.connect(this.#nowUs(), dst, comp, qos, token);
    }) ?? 0;
  }

  async disconnect(dst: string, comp: string): Promise<number | Failure> {
    return await this.#command((token) => {
      this.#connections.disconnect(this.#nowUs(), dst, comp, token);
    }) ?? 0;
  }

  /** An application joins. Our Data Transfer limits are those of the connections there are now. */
  async flowJoin(flow: FlowOrder, hash: Uint8Array): Promise<number> {
    const { hash: own, held, plane } = this.#layer!;
    if (hash.length !== own.length || !hash.every((b, i) => b === own[i])) return -Errno.ENAME;
    const taken = held.hold(flow);
    if (taken < 0) return taken;
    plane.publish(flow.flowId, { localEid: 0, remoteEid: 0, partner: 0, peer: EMPTY });
    this.#mail(BroadcastMail.add, flow.flowId, kindNumber("application", false), EMPTY);
    this.#poke();
    const { irm } = this.#context;
    const result = await irm.flowAllocReply(flow.flowId, 0, MPL_MS, EMPTY, this.#joinLimits());
    // The IRMd has given the flow up meanwhile.
    if (result === -Errno.EBADF) void this.#dealloc(flow.flowId);
    return 0;
  }

  flowDealloc(flowId: number, lingerSec: number): number {
    const layer = this.#layer;
    if (layer === undefined || layer.held.pid(flowId) === 0) return -Errno.EPERM;
    if (lingerSec > 0) setTimeout(() => void this.#dealloc(flowId), lingerSec * 1000);
    else void this.#dealloc(flowId);
    return 0;
  }

  async #dealloc(flowId: number): Promise<void> {
    const layer = this.#layer;
    const pid = layer?.held.pid(flowId) ?? 0;
    if (layer === undefined || pid === 0) return;
    layer.held.forget(flowId);
    // What the process wrote last still goes to the others; the worker forgets it then.
    await layer.plane.drop(flowId);
    if (this.#layer === layer) await this.#context.irm.flowDealloc(flowId, pid);
  }

  // Effects.

  /** Do what the machine wants, until it wants nothing. */
  #pump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    try {
      for (let e = this.#connections.poll(); e !== undefined; e = this.#connections.poll()) {
        this.#do(e);
      }
    } finally {
      this.#pumping = false;
    }
    this.#poke();
    this.#timer.arm(this.#nowUs(), this.#connections.deadlineUs());
  }

  #poke(): void {
    if (this.#mailed) this.#layer?.plane.poke();
    this.#mailed = false;
  }

  #do(e: ConnectionEffect): void {
    switch (e.kind) {
      case "alloc":
        void this.#lower?.alloc(e.dst, e.qos, e.timeoutMs).then((flow) => {
          this.#connections.allocated(this.#nowUs(), e.ask, flow);
          this.#pump();
        });
        return;
      case "write":
        this.#lower?.write(e.flow, e.bytes);
        return;
      case "close":
        return this.#close(e.flow);
      case "answer":
        this.#commands.get(e.token)?.(e.failure);
        this.#commands.delete(e.token);
        return;
      case "joined":
        void this.#start(withHash(e.joining.conf)).then((failure) => {
          if (failure === undefined) this.#enrolled = withHash(e.joining.conf).layerInfo;
          this.#connections.started(this.#nowUs(), failure);
          this.#pump();
        });
        return;
      case "up":
        return this.#up(e.connection);
      case "usable":
        return; // What is sent meanwhile is lost, as on a flow of the layer below.
      case "gone":
        return this.#gone(e.connection);
      case "message":
        return this.#mail(BroadcastMail.packet, e.connection.flow, 0, e.bytes);
      case "log":
        return this.#context.log[e.level](e.line);
    }
  }

  #up({ flow, address }: Connection): void {
    const lower = this.#lower, info = lower?.infoOf(flow);
    // A flow that stands in for a newer one that broke is a neighbour already.
    if (this.#layer === undefined || info === undefined || this.#limits.has(flow)) return;
    const own = address !== 0;
    const viaMain = info.qos.inOrder !== 0;
    // A flow with FRCT cuts long packets itself.
    const limits = viaMain ? NO_SDU_LIMITS : less(lower!.limitsOf(flow), own);
    if (!viaMain) {
      const shared = lower!.handOver(flow);
      if ("code" in shared) {
        this.#context.log.error(`Cannot use a flow for data transfer: ${shared.cause}.`);
        return this.#connections.onGone(this.#nowUs(), flow, shared.cause);
      }
      const { info: flowInfo, cipher } = shared;
      const bytes = encodeIrmMsg({
        code: IrmCode.IRM_REPLY,
        flowInfo,
        ...(cipher === undefined ? {} : { symKey: cipher }),
      });
      this.#mail(Mail.lower, flow, 0, bytes);
      // What encrypts the flow is the worker's alone from now on.
      cipher?.fill(0);
      bytes.fill(0);
    }
    this.#limits.set(flow, limits);
    this.#mail(BroadcastMail.add, flow, kindNumber(own ? "own" : "bare", viaMain), EMPTY);
  }

  /** The neighbour gets nothing any more; its flow is closed by an effect of its own. */
  #gone({ flow, address }: Connection): void {
    if (!this.#limits.delete(flow)) return;
    const lower = this.#lower;
    if (lower === undefined || lower.isAway(flow)) return; // The worker forgets it with the flow.
    if (address !== 0) lower.write(flow, BroadcastNode.farewell());
    this.#mail(BroadcastMail.remove, flow, 0, EMPTY);
  }

  #close(flow: number): void {
    const lower = this.#lower;
    if (lower === undefined) return;
    if (lower.isAway(flow)) this.#mail(Mail.release, flow, 0, EMPTY);
    else lower.release(flow);
  }

  #mail(kind: number, b: number, c: number, bytes: Uint8Array): void {
    const layer = this.#layer;
    if (layer === undefined) return;
    if (!layer.mailbox.put(kind, b, c, bytes)) {
      Atomics.add(layer.plane.counters, Counter.sendFailed, 1);
    }
    this.#mailed = true;
  }

  /** What every connection carries. */
  #joinLimits(): SduLimits {
    let most = Infinity, whole = Infinity;
    for (const limits of this.#limits.values()) {
      if (limits.sduBytesMax === undefined) continue;
      most = Math.min(most, limits.sduBytesMax);
      whole = Math.min(whole, limits.sduBytesWhole ?? limits.sduBytesMax);
    }
    if (most === Infinity) return NO_SDU_LIMITS;
    return whole < most ? { sduBytesMax: most, sduBytesWhole: whole } : { sduBytesMax: most };
  }

  async stop(): Promise<void> {
    this.#connections.close(this.#nowUs());
    this.#pump();
    this.#timer.stop();
    const layer = this.#layer, lower = this.#lower;
    if (layer !== undefined) {
      await layer.plane.stop();
      const c = layer.plane.counters;
      const counts = ["sent", "received", "notDelivered", "sendFailed", "refused"] as const;
      this.#context.log.dbg(counts.map((k) => `${k} ${c[Counter[k]]}`).join(", "));
    }
    this.#layer = undefined;
    this.#lower = undefined;
    this.#limits.clear();
    this.#connections = this.#noConnections();
    lower?.close();
  }
}

function busy(stage: string): Failure {
  return { code: -Errno.EIPCPSTATE, stage, cause: `${stage} is under way` };
}

/** The hash of a broadcast layer is fixed, whatever its configuration says (spec 50 §16). */
function withHash(conf: IpcpConfig): IpcpConfig {
  return { ...conf, layerInfo: { ...conf.layerInfo, dirHashAlgo: HashAlgo.SHA3_256 } };
}

/** What is left for applications of what a connection carries. */
function less(limits: SduLimits, own: boolean): SduLimits {
  const head = own ? HEADER_BYTES : 0;
  const { sduBytesMax, sduBytesWhole } = limits;
  if (sduBytesMax === undefined) return NO_SDU_LIMITS;
  const max = { sduBytesMax: Math.max(1, sduBytesMax - head) };
  if (sduBytesWhole === undefined) return max;
  return { ...max, sduBytesWhole: Math.max(1, sduBytesWhole - head) };
}

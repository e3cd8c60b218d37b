/**
 * The broadcast IPCP: what a member of a broadcast layer does with its connections and with those who join (spec 50 §16).
 *
 *     IRMd ── commands ──▶ MemberShell (member/) ── Data Transfer flows ──▶ data worker (node.ts) ◀──▶ lower flows
 *                              └── flows with FRCT, read by the main thread ──▶ ▲
 */

import { Errno } from "../../lib/errno.ts";
import type { Failure } from "../../lib/failure.ts";
import { nameHash } from "../../lib/hash.ts";
import type { IpcpConfig } from "../../lib/wire/ipcp_config.ts";
import {
  type FlowLosses,
  HashAlgo,
  IpcpType as TypeNumber,
  type LayerInfo,
} from "../../lib/irm/messages.ts";
import type { QosSpec } from "../../lib/qos.ts";
import { LENGTH as HEADER_BYTES } from "../../lib/wire/broadcast_pci.ts";
import type { WorkerSpec } from "../data/plane.ts";
import { BROADCAST_DT } from "../member/cep.ts";
import type { Connection } from "../member/effects.ts";
import { MemberShell } from "../member/shell.ts";
import type { FlowOrder } from "../machine.ts";
import type { IpcpContext, IpcpType } from "../type.ts";
import { BroadcastMail, FAREWELL_EVENT, kindNumber } from "./data/start.ts";
import { BroadcastNode } from "./node.ts";

/** Longest packet on a flow with FRCT, bytes. */
const MESSAGE_BYTES_MAX = 65_536;
const EMPTY = new Uint8Array(0);

const WORKER: WorkerSpec = {
  name: "broadcast",
  start: () =>
    new Worker(new URL("./data/broadcast_worker.ts", import.meta.url), { type: "module" }),
};

export class BroadcastIpcp implements IpcpType {
  readonly type = "broadcast";
  readonly #context: IpcpContext;
  readonly #shell: MemberShell;
  /** What joins must say: the hash of the layer's name. */
  #hash: Uint8Array = EMPTY;
  /** Flows of connections that the worker sends to. */
  readonly #neighbours = new Set<number>();

  constructor(context: IpcpContext) {
    this.#context = context;
    this.#shell = new MemberShell(context, {
      ipcpType: TypeNumber.BROADCAST,
      components: [BROADCAST_DT],
      messageBytesMax: MESSAGE_BYTES_MAX,
      start: (conf) => this.#start(withHash(conf)),
      up: (connection) => this.#up(connection),
      // While a flow is not usable what is sent is lost, as on a flow of the layer below.
      gone: (connection) => this.#gone(connection),
      left: () => this.#neighbours.clear(),
      message: ({ flow, address }, bytes) => {
        // The end of its flow comes right behind it.
        if (address !== 0 && BroadcastNode.isFarewell(bytes)) return this.#shell.onLeft(flow);
        this.#shell.mail(BroadcastMail.packet, flow, 0, bytes);
      },
      fromWorker: (from, bytes) => {
        this.#shell.lower?.write((from[0]! << 8) | from[1]!, bytes);
      },
      events: (flow, events) => {
        if ((events & FAREWELL_EVENT) === 0) return false;
        this.#shell.onLeft(flow);
        return true;
      },
    });
  }

  bootstrap(conf: IpcpConfig): Promise<LayerInfo | Failure> {
    return this.#shell.bootstrap(conf);
  }

  enroll(dst: string): Promise<LayerInfo | Failure> {
    return this.#shell.enroll(dst);
  }

  connect(dst: string, comp: string, qos: QosSpec): Promise<number | Failure> {
    return this.#shell.connect(dst, comp, qos);
  }

  disconnect(dst: string, comp: string): Promise<number | Failure> {
    return this.#shell.disconnect(dst, comp);
  }

  async #start(conf: IpcpConfig): Promise<LayerInfo | Failure> {
    const { name, dirHashAlgo } = conf.layerInfo;
    const hash = nameHash(dirHashAlgo, name);
    if (typeof hash === "number") {
      return { code: hash, stage: "configuration", cause: `hash ${dirHashAlgo} is not known` };
    }
    this.#hash = hash;
    const layer = await this.#shell.openPlane(WORKER, (start) => start);
    if ("code" in layer) return layer;
    // Members of our kind know each other by having an address; 0 is the prototype's.
    this.#shell.setLayer(conf, (this.#context.random() | 1) >>> 0);
    return conf.layerInfo;
  }

  /** An application joins. Our Data Transfer limits are those of the connections there are now. */
  async flowJoin(flow: FlowOrder, hash: Uint8Array): Promise<number> {
    const own = this.#hash;
    const shell = this.#shell;
    if (hash.length !== own.length || !hash.every((b, i) => b === own[i])) return -Errno.ENAME;
    const { held, plane } = shell.layer!;
    const taken = held.hold(flow);
    if (taken < 0) return taken;
    plane.publish(flow.flowId, { localEid: 0, remoteEid: 0, partner: 0, peer: EMPTY });
    shell.mail(BroadcastMail.add, flow.flowId, kindNumber("application", false), EMPTY);
    shell.pump();
    await shell.reply(flow.flowId, { response: 0, data: EMPTY });
    return 0;
  }

  flowDealloc(flowId: number, lingerSec: number): number {
    return this.#shell.flowDealloc(flowId, lingerSec);
  }

  flowLosses(flowId: number): FlowLosses {
    return this.#shell.layer!.plane.table.losses(flowId);
  }

  #up({ flow, address }: Connection): void {
    const shell = this.#shell;
    const info = shell.lower?.infoOf(flow);
    // A flow that stands in for a newer one that broke is a neighbour already.
    if (info === undefined || this.#neighbours.has(flow)) return;
    const own = address !== 0;
    // A flow with FRCT cuts long packets itself.
    const viaMain = info.qos.inOrder !== 0;
    if (!viaMain && !shell.handOver(flow, own ? HEADER_BYTES : 0)) return;
    this.#neighbours.add(flow);
    shell.mail(BroadcastMail.add, flow, kindNumber(own ? "own" : "bare", viaMain), EMPTY);
  }

  /** The neighbour gets nothing any more; its flow is closed by an effect of its own. */
  #gone({ flow, address }: Connection): void {
    if (!this.#neighbours.delete(flow)) return;
    const { lower } = this.#shell;
    if (lower === undefined || lower.isAway(flow)) return; // The worker forgets it with the flow.
    if (address !== 0) lower.write(flow, BroadcastNode.farewell());
    this.#shell.mail(BroadcastMail.remove, flow, 0, EMPTY);
  }

  stop(): Promise<void> {
    return this.#shell.stop();
  }
}

/** The hash of a broadcast layer is fixed, whatever its configuration says (spec 50 §16). */
function withHash(conf: IpcpConfig): IpcpConfig {
  return { ...conf, layerInfo: { ...conf.layerInfo, dirHashAlgo: HashAlgo.SHA3_256 } };
}

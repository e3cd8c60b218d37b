/**
 * What the shim IPCPs over UDP and Ethernet share: the shell around the shim machine, on a socket and the data path of
 * it. They differ in their lower side: how a management message is sent, how a name is resolved, what can be reached.
 */

import { Errno } from "../../lib/errno.ts";
import type { FlowLosses, IpcpConfig, LayerInfo, SduLimits } from "../../lib/irm/messages.ts";
import type { QosSpec } from "../../lib/qos.ts";
import type { NetSocket } from "../../lib/sys/netsock.ts";
import { describe } from "../data/long_packets.ts";
import { DataPlane, type WorkerSpec } from "../data/plane.ts";
import { Counter } from "../data/table.ts";
import { FlowShell } from "../flow_shell.ts";
import type { FlowOrder, Verdict } from "../machine.ts";
import { Registrations } from "../registrations.ts";
import type { PacketBytes } from "../standing.ts";
import type { TypeName } from "../state.ts";
import type { Failure, IpcpContext, IpcpType } from "../type.ts";
import type { Addr } from "./name_cache.ts";
import type { ShimConfig, ShimOnly, ShimPeer } from "./effects.ts";
import { ShimMachine } from "./machine.ts";

/** A freed endpoint id rests for as long as a peer may still think the flow lives, µs. */
export const QUARANTINE_US = 120e6;

/** What a lower layer does for the shell. */
export interface Lower {
  /** Send a management message; `to` undefined is everybody. 0 or a negative errno. */
  send(to: Addr | undefined, bytes: Uint8Array): number;
  /** What the layer carries to and from a peer. */
  limits(peer: Addr): SduLimits;
  /** Find the address of a name, UDP only; in words where it was looked for in vain. */
  resolve?(hash: Uint8Array): Promise<Addr | string>;
  /** Why nothing can be reached at the moment, in words; undefined if it can, as far as is known here. */
  unreachable(): string | undefined;
}

/** What exists while the IPCP is in a layer. */
interface Layer {
  readonly machine: ShimMachine;
  readonly shell: FlowShell<ShimPeer, ShimOnly>;
  readonly lower: Lower;
}

export abstract class ShimIpcp implements IpcpType {
  abstract readonly type: TypeName;
  protected readonly context: IpcpContext;
  readonly #names = new Registrations();
  #plane: DataPlane | undefined;
  #layer: Layer | undefined;
  #socket: Pick<NetSocket, "close"> | undefined;

  constructor(context: IpcpContext) {
    this.context = context;
  }

  abstract bootstrap(conf: IpcpConfig): Promise<LayerInfo | Failure>;

  /** Why a bootstrap cannot begin, if so. */
  protected busy(): Failure | undefined {
    if (this.#socket === undefined) return undefined;
    return { code: -Errno.EIPCPSTATE, cause: "Bootstrap under way." };
  }

  /** Whether it is in a layer. */
  protected get isOpen(): boolean {
    return this.#layer !== undefined;
  }

  /**
   * Start the data path of a socket, which is ours from now on, with what its workers get, and the shell; nothing is
   * left of them if that fails.
   */
  protected async start(
    socket: Pick<NetSocket, "close">,
    config: ShimConfig,
    lower: Lower,
    workers: readonly WorkerSpec[],
    link: unknown,
  ): Promise<Failure | undefined> {
    const { context } = this;
    this.#socket = socket;
    const plane = new DataPlane(context, {
      mgmt: (from, bytes) => this.#onMgmt(from, bytes),
      tooLong: (packets) => context.log.warn(describe(packets)),
      failed: (why) => context.fatal(why),
    });
    this.#plane = plane;
    if (!await plane.start(workers, link)) {
      await this.stop();
      return { code: -Errno.EPERM, cause: "The data workers do not start." };
    }
    const machine = new ShimMachine(config, context.random, this.#names);
    const shell = new FlowShell<ShimPeer, ShimOnly>({
      context,
      plane,
      machine,
      mplMs: config.eids.mplUs / 1000,
      limits: ({ addr }) => lower.limits(addr),
      perform: (e) => this.#do(e),
    });
    this.#layer = { machine, shell, lower };
    this.lowerChanged();
    return undefined;
  }

  #onMgmt(from: Addr, bytes: Uint8Array): void {
    const layer = this.#layer;
    layer?.shell.feed((nowUs) => layer.machine.onMgmt(nowUs, from, bytes));
  }

  #do(e: ShimOnly): void {
    const plane = this.#plane;
    const layer = this.#layer;
    if (plane === undefined || layer === undefined) return;
    switch (e.kind) {
      case "send":
        if (layer.lower.send(e.to, e.bytes) < 0) {
          Atomics.add(plane.counters, Counter.sendFailed, 1);
        }
        return;
      case "resolve":
        void this.#resolve(layer, e.hash);
        return;
      case "reach":
        return this.context.standing.setCutOff(e.cutOff);
      case "traffic": {
        const traffic = plane.table.traffic(e.flowId);
        return layer.shell.feed((nowUs) => layer.machine.traffic(nowUs, e.flowId, traffic));
      }
      case "open": {
        const { flowId, localEid, remoteEid, peer } = e.flow;
        return plane.publish(flowId, { localEid, remoteEid, partner: 0, peer });
      }
    }
  }

  async #resolve({ machine, shell, lower }: Layer, hash: Uint8Array): Promise<void> {
    const found = await lower.resolve?.(hash) ?? "";
    if (typeof found === "string") {
      this.context.log.dbg(`Could not resolve ${hash.toHex()}: ${found}.`);
    }
    shell.feed((nowUs) => machine.resolved(nowUs, hash, found));
  }

  /** The lower layer may reach something now that it did not before, or the other way. */
  protected lowerChanged(): void {
    const layer = this.#layer;
    layer?.shell.feed(() => layer.machine.setReach(layer.lower.unreachable()));
  }

  /** The lower layer has another address now: no peer knows the flows that were open. */
  protected endFlows(): void {
    const layer = this.#layer;
    layer?.shell.feed(() => layer.machine.endFlows());
  }

  /** The lower layer carries packets of flows up to `now` bytes now. */
  protected carries(packets: PacketBytes): void {
    this.#plane?.setPacketBytesMax(packets.now);
    this.context.standing.setPackets(packets);
  }

  /** The socket is another one now: workers that wait for it have to look. */
  protected poke(): void {
    this.#plane?.poke();
  }

  /** Hashes of the names that are registered here. */
  protected registered(): Uint8Array[] {
    return this.#names.list();
  }

  // Commands of the IRMd.

  register(hash: Uint8Array): number {
    return this.#names.register(hash);
  }
  unregister(hash: Uint8Array): number {
    this.#names.remove(hash);
    return 0;
  }
  query(hash: Uint8Array): Promise<number | Failure> {
    this.lowerChanged();
    return this.#layer!.shell.query(hash);
  }
  flowAlloc(
    flow: FlowOrder,
    hash: Uint8Array,
    qos: QosSpec,
    data: Uint8Array,
  ): Promise<number | Failure> {
    this.lowerChanged();
    return this.#layer!.shell.flowAlloc(flow, hash, qos, data);
  }
  flowAllocResp(flow: FlowOrder, verdict: Verdict): Promise<number | Failure> {
    return this.#layer!.shell.flowAllocResp(flow, verdict);
  }
  flowDealloc(flowId: number, lingerSec: number): number {
    return this.#layer!.shell.flowDealloc(flowId, lingerSec);
  }

  flowLosses(flowId: number): FlowLosses {
    return this.#plane!.table.losses(flowId);
  }

  /** Answer what waits, stop the data path. */
  async stop(): Promise<void> {
    const layer = this.#layer;
    const plane = this.#plane;
    const socket = this.#socket;
    layer?.shell.stop();
    this.#layer = undefined;
    this.#plane = undefined;
    this.#socket = undefined;
    await plane?.stop();
    socket?.close();
    if (layer === undefined || plane === undefined) return;
    const c = plane.counters;
    const passed = ["sent", "received"] as const;
    const dropped = ["tooLong", "tooLongIn", "sendFailed", "notDelivered", "refused"] as const;
    const mgmt = ["mgmtDropped", "mgmtRefused"] as const;
    const counts = [...passed, ...dropped, ...mgmt].map((k) => `${k} ${c[Counter[k]]}`);
    this.context.log.dbg(counts.join(", "));
    this.context.log.dbg(`management: ${JSON.stringify(layer.machine.counters)}`);
  }
}

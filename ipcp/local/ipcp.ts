/**
 * The local IPCP: flows between processes of one host. Shell around `machine.ts`; packets go through the
 * worker of `data/path.ts`.
 */

import { Errno } from "../../lib/errno.ts";
import {
  type FlowLosses,
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
import { FlowShell } from "../flow_shell.ts";
import type { FlowOrder, Verdict } from "../machine.ts";
import { Registrations } from "../registrations.ts";
import type { Failure, IpcpContext, IpcpType } from "../type.ts";
import { type LocalEnd, LocalMachine, type LocalOnly } from "./machine.ts";

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
  readonly #names = new Registrations();
  #shell: FlowShell<LocalEnd, LocalOnly> | undefined;
  #plane: DataPlane | undefined;

  constructor(context: IpcpContext) {
    this.#context = context;
  }

  async bootstrap(conf: IpcpConfig): Promise<LayerInfo | Failure> {
    const layer = { ...conf.layerInfo };
    const context = this.#context;
    if (this.#plane !== undefined) {
      return { code: -Errno.EIPCPSTATE, cause: "Bootstrap under way." };
    }
    const plane = new DataPlane(context, {
      mgmt: () => {},
      tooLong: (packets) => context.log.warn(describe(packets)),
      failed: (why) => context.fatal(why),
    });
    this.#plane = plane;
    if (!await plane.start([WORKER])) {
      await this.stop();
      return { code: -Errno.EPERM, cause: "The data worker does not start." };
    }
    this.#shell = new FlowShell({
      context,
      plane,
      machine: new LocalMachine(HASH_BYTES[layer.dirHashAlgo]!, this.#names),
      mplMs: MPL_MS,
      limits: ({ flowId }) => limitsOf(plane, flowId),
      perform: (e) => perform(plane, e),
    });
    return layer;
  }

  register(hash: Uint8Array): number {
    return this.#names.register(hash);
  }

  unregister(hash: Uint8Array): number {
    this.#names.remove(hash);
    return 0;
  }

  query(hash: Uint8Array): Promise<number | Failure> {
    return this.#shell!.query(hash);
  }

  flowAlloc(
    flow: FlowOrder,
    hash: Uint8Array,
    qos: QosSpec,
    data: Uint8Array,
  ): Promise<number | Failure> {
    return this.#shell!.flowAlloc(flow, hash, qos, data);
  }

  flowAllocResp(flow: FlowOrder, verdict: Verdict): Promise<number | Failure> {
    return this.#shell!.flowAllocResp(flow, verdict);
  }

  flowDealloc(flowId: number, lingerSec: number): number {
    return this.#shell!.flowDealloc(flowId, lingerSec);
  }

  flowLosses(flowId: number): FlowLosses {
    return this.#plane!.table.losses(flowId);
  }

  async stop(): Promise<void> {
    this.#shell?.stop();
    this.#shell = undefined;
    const plane = this.#plane;
    this.#plane = undefined;
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

/** What goes to the process of a flow: a packet must fit a block of its pool. */
function limitsOf(plane: DataPlane, flowId: number): SduLimits {
  const pool = plane.poolOf(flowId);
  return pool === undefined ? NO_SDU_LIMITS : { sduBytesMax: pool.payloadBytesMax };
}

function perform(plane: DataPlane, e: LocalOnly): void {
  if (e.kind === "part") {
    plane.table.setPartner(e.flowId, 0);
    plane.setDown(e.flowId, true);
    return;
  }
  for (const [flowId, partner] of [[e.a, e.b], [e.b, e.a]] as const) {
    plane.publish(flowId, { localEid: 0, remoteEid: 0, partner, peer: NO_PEER });
  }
}

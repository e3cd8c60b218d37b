/** What the shim IPCPs over UDP and Ethernet share: a socket, the shim shell on it, and how both begin and end. */

import { Errno } from "../../lib/errno.ts";
import type { IpcpConfig, LayerInfo } from "../../lib/irm/messages.ts";
import type { QosSpec } from "../../lib/qos.ts";
import type { NetSocket } from "../../lib/sys/netsock.ts";
import { describe } from "../data/long_packets.ts";
import { DataPlane, type WorkerSpec } from "../data/plane.ts";
import type { TypeName } from "../state.ts";
import type { Failure, FlowOrder, IpcpContext, IpcpType } from "../type.ts";
import { Registrations } from "../registrations.ts";
import type { ShimConfig } from "./machine.ts";
import { type Lower, ShimShell } from "./shell.ts";

/** A freed endpoint id rests for as long as a peer may still think the flow lives, ms. */
export const QUARANTINE_MS = 120_000;

export abstract class ShimIpcp implements IpcpType {
  abstract readonly type: TypeName;
  protected readonly context: IpcpContext;
  protected shell: ShimShell | undefined;
  protected plane: DataPlane | undefined;
  /** Names registered before the bootstrap. */
  readonly #early = new Registrations();
  #socket: NetSocket | undefined;

  constructor(context: IpcpContext) {
    this.context = context;
  }

  abstract bootstrap(conf: IpcpConfig): Promise<LayerInfo | Failure>;

  /** Why a bootstrap cannot begin, if so. */
  protected busy(): Failure | undefined {
    if (this.#socket === undefined) return undefined;
    return { code: -Errno.EIPCPSTATE, cause: "Bootstrap under way." };
  }

  /** The data path of the socket, which is ours from now on; not started yet. */
  protected open(socket: NetSocket): DataPlane {
    const { context } = this;
    this.#socket = socket;
    return this.plane = new DataPlane(context.instance, context.pid, {
      mgmt: (from, bytes) => this.shell?.onMgmt(from, bytes),
      tooLong: (packets) => context.log.warn(describe(packets)),
      failed: (why) => context.fatal(why),
    });
  }

  /** Start the shell and the data path of {@linkcode open} with what its workers get; nothing is left of them if that fails. */
  protected async start(
    config: ShimConfig,
    lower: Lower,
    workers: readonly WorkerSpec[],
    link: unknown,
  ): Promise<Failure | undefined> {
    const plane = this.plane!;
    const shell = new ShimShell(this.context, config, plane, lower);
    this.shell = shell;
    if (!await plane.start(workers, link)) {
      await this.stop();
      return { code: -Errno.EPERM, cause: "The data workers do not start." };
    }
    this.#early.moveTo(shell.machine.names, config.hashBytes);
    return undefined;
  }

  register(hash: Uint8Array): number {
    if (this.shell !== undefined) return this.shell.machine.register(hash);
    return this.#early.add(hash) ? 0 : -Errno.ENOMEM;
  }
  unregister(hash: Uint8Array): number {
    (this.shell?.machine.names ?? this.#early).remove(hash);
    return 0;
  }
  /** Why nothing can be reached at the moment, in words; undefined if it can, as far as is known here. */
  protected abstract unreachable(): string | undefined;

  /** What a command gets that needs the network while it cannot be reached. */
  #cutOff(): Failure | undefined {
    const cause = this.unreachable();
    return cause === undefined ? undefined : { code: -Errno.EPERM, cause };
  }

  query(hash: Uint8Array): Promise<number | Failure> {
    const cutOff = this.#cutOff();
    return cutOff === undefined ? this.shell!.query(hash) : Promise.resolve(cutOff);
  }
  flowAlloc(
    flow: FlowOrder,
    hash: Uint8Array,
    qos: QosSpec,
    data: Uint8Array,
  ): Promise<number | Failure> {
    return Promise.resolve(this.#cutOff() ?? this.shell!.flowAlloc(flow, hash, qos, data));
  }
  flowAllocResp(flow: FlowOrder, response: number, data: Uint8Array): Promise<number> {
    return this.shell!.flowAllocResp(flow, response, data);
  }
  flowDealloc(flowId: number, lingerSec: number): number {
    return this.shell!.flowDealloc(flowId, lingerSec);
  }

  async stop(): Promise<void> {
    const { shell } = this, socket = this.#socket;
    this.shell = undefined;
    this.#socket = undefined;
    await shell?.stop();
    this.plane = undefined;
    socket?.close();
  }
}

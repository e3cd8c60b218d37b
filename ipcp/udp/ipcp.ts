/** The IPCPs udp4 and udp6: one UDP socket below the shim shell (spec 50 §13). */

import { Errno, errnoText } from "../../lib/errno.ts";
import { HashAlgo, type IpcpConfig, type LayerInfo } from "../../lib/irm/messages.ts";
import type { QosSpec } from "../../lib/qos.ts";
import { SysError } from "../../lib/sys/ffi.ts";
import { pathMtuBytes } from "../../lib/sys/path_mtu.ts";
import { type NetSocket, openUdp, sockaddrIn, sockaddrIn6 } from "../../lib/sys/netsock.ts";
import * as wire from "../../lib/wire/udp_mgmt.ts";
import { DataPlane } from "../data/plane.ts";
import { Counter } from "../data/table.ts";
import type { Failure, FlowOrder, IpcpContext, IpcpType } from "../type.ts";
import { Resolver } from "./resolver.ts";
import { udpLimits, type UdpSettings, udpSettings } from "./config.ts";
import { Registrations } from "../shim/directory.ts";
import { ShimShell } from "../shim/shell.ts";

/** Maximum packet lifetime, ms. */
const MPL_MS = 5000;
/** A freed endpoint id rests for as long as a peer may still think the flow lives, ms. */
const QUARANTINE_MS = 120_000;

export class UdpIpcp implements IpcpType {
  readonly #context: IpcpContext;
  readonly #early = new Registrations();
  #settings: UdpSettings | undefined;
  #socket: NetSocket | undefined;
  #resolver: Resolver | undefined;
  #shell: ShimShell | undefined;

  constructor(readonly type: "udp4" | "udp6", context: IpcpContext) {
    this.#context = context;
  }

  async bootstrap(conf: IpcpConfig): Promise<LayerInfo | Failure> {
    const context = this.#context;
    if (this.#socket !== undefined) {
      return { code: -Errno.EIPCPSTATE, cause: "Bootstrap under way." };
    }
    const settings = udpSettings(conf);
    if ("code" in settings) return settings;
    const { family, ip, port, text, dns } = settings;
    const sockaddr = family === 4 ? sockaddrIn(ip, port) : sockaddrIn6(ip, port);
    let socket: NetSocket;
    try {
      socket = openUdp(sockaddr);
    } catch (e) {
      const why = e instanceof SysError ? errnoText(e.errno) : String(e);
      return { code: -Errno.EPERM, cause: `Couldn't bind to ${text}:${port}. ${why}.` };
    }
    this.#socket = socket;
    this.#settings = settings;
    this.#resolver = new Resolver(family, context.instance.configDir, dns, context.log);
    const plane = new DataPlane(context.instance, context.pid, {
      mgmt: (from, bytes) => this.#shell?.onMgmt(from, bytes),
      failed: (why) => context.fatal(why),
    });
    const payloadMax = family === 4 ? wire.PAYLOAD_BYTES_MAX_V4 : wire.PAYLOAD_BYTES_MAX_V6;
    plane.counters[Counter.payloadMax] = payloadMax;
    const shell = new ShimShell(
      context,
      {
        codec: wire.udpMgmt,
        eids: { first: 1, last: 0xfffffffe, quarantineMs: QUARANTINE_MS, mplMs: MPL_MS },
        hashBytes: wire.HASH_BYTES,
        mgmtBytesMax: wire.MGMT_BYTES_MAX,
        names: "resolve",
      },
      MPL_MS,
      plane,
      {
        send: (to, bytes) => to === undefined ? -Errno.EINVAL : socket.sendTo(bytes, to),
        limits: (peer) => udpLimits(family, payloadMax, pathMtuBytes(peer)),
        resolve: async (hash) => {
          const found = await this.#resolver!.resolve(hash);
          if (found === undefined) return undefined;
          return family === 4 ? sockaddrIn(found, port) : sockaddrIn6(found, port);
        },
      },
    );
    this.#shell = shell;
    const nameBytes = sockaddr.length;
    if (!await plane.start(["tx", "rx"], socket.fd, { kind: "udp", nameBytes, payloadMax })) {
      await this.stop();
      return { code: -Errno.EPERM, cause: "The data workers do not start." };
    }
    this.#early.moveTo(shell.machine.names, wire.HASH_BYTES);
    context.log.dbg(`Bound to ${text}:${port}.`);
    return { name: conf.layerInfo.name, dirHashAlgo: HashAlgo.MD5 };
  }

  register(hash: Uint8Array): number {
    if (this.#shell === undefined) return this.#early.add(hash) ? 0 : -Errno.ENOMEM;
    const result = this.#shell.machine.register(hash);
    if (result === 0) void this.#resolver?.update(hash, this.#settings!.text);
    return result;
  }

  unregister(hash: Uint8Array): number {
    if (this.#shell === undefined) this.#early.remove(hash);
    else {
      this.#shell.machine.unregister(hash);
      void this.#resolver?.update(hash, undefined);
    }
    return 0;
  }

  query(hash: Uint8Array): Promise<number> {
    return this.#shell!.query(hash);
  }
  flowAlloc(flow: FlowOrder, hash: Uint8Array, qos: QosSpec, data: Uint8Array): Promise<number> {
    return Promise.resolve(this.#shell!.flowAlloc(flow, hash, qos, data));
  }
  flowAllocResp(flow: FlowOrder, response: number, data: Uint8Array): Promise<number> {
    return this.#shell!.flowAllocResp(flow, response, data);
  }
  flowDealloc(flowId: number, lingerSec: number): number {
    return this.#shell!.flowDealloc(flowId, lingerSec);
  }

  async stop(): Promise<void> {
    const shell = this.#shell, socket = this.#socket;
    this.#shell = undefined;
    this.#socket = undefined;
    await shell?.stop();
    socket?.close();
  }
}

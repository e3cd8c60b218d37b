/** The IPCPs udp4 and udp6: one UDP socket below the shim shell (spec 50 §13). */

import { Errno, errnoText } from "../../lib/errno.ts";
import { HashAlgo, type IpcpConfig, type LayerInfo } from "../../lib/irm/messages.ts";
import { SysError } from "../../lib/sys/ffi.ts";
import { pathMtuBytes } from "../../lib/sys/path_mtu.ts";
import { type NetSocket, openUdp, sockaddrIn, sockaddrIn6 } from "../../lib/sys/netsock.ts";
import * as wire from "../../lib/wire/udp_mgmt.ts";
import type { WorkerSpec } from "../data/plane.ts";
import type { UdpLink } from "./data/framing.ts";
import { watchKernel } from "../shim/kernel_watch.ts";
import { QUARANTINE_US, ShimIpcp } from "../shim/ipcp.ts";
import type { Failure, IpcpContext } from "../type.ts";
import { udpLimits, type UdpSettings, udpSettings } from "./config.ts";
import { Resolver } from "./resolver.ts";

/** Maximum packet lifetime, µs. */
const MPL_US = 5e6;

const WORKERS: readonly WorkerSpec[] = [
  {
    name: "udp tx",
    start: () =>
      new Worker(new URL("./data/udp_tx_worker.ts", import.meta.url), { type: "module" }),
  },
  {
    name: "udp rx",
    start: () =>
      new Worker(new URL("./data/udp_rx_worker.ts", import.meta.url), { type: "module" }),
  },
];

/** Why nothing can be reached from an address. */
function unreachable({ family, ip, text }: UdpSettings): string | undefined {
  try {
    // Only an address that this host has right now can be bound.
    openUdp(family === 4 ? sockaddrIn(ip, 0) : sockaddrIn6(ip, 0)).close();
  } catch (e) {
    if (!(e instanceof SysError) || e.errno !== Errno.EADDRNOTAVAIL) return undefined;
    return `this host has no address ${text} at the moment`;
  }
  return undefined;
}

export class UdpIpcp extends ShimIpcp {
  #settings: UdpSettings | undefined;
  #resolver: Resolver | undefined;
  #monitor: Disposable | undefined;

  constructor(readonly type: "udp4" | "udp6", context: IpcpContext) {
    super(context);
  }

  async bootstrap(conf: IpcpConfig): Promise<LayerInfo | Failure> {
    const { context } = this;
    const busy = this.busy();
    if (busy !== undefined) return busy;
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
    this.#settings = settings;
    this.#resolver = new Resolver(family, context.instance.configDir, dns, context.log);
    const payloadMax = family === 4 ? wire.PAYLOAD_BYTES_MAX_V4 : wire.PAYLOAD_BYTES_MAX_V6;
    const failure = await this.start(
      socket,
      {
        codec: wire.udpMgmt,
        eids: { first: 1, last: 0xfffffffe, quarantineUs: QUARANTINE_US, mplUs: MPL_US },
        hashBytes: wire.HASH_BYTES,
        mgmtBytesMax: wire.MGMT_BYTES_MAX,
        names: "resolve",
        // Of the socket address: the first 24 bits of an IPv4 address, 64 of an IPv6 address.
        network: family === 4 ? [4, 7] : [8, 16],
      },
      {
        send: (to, bytes) => to === undefined ? -Errno.EINVAL : socket.sendTo(bytes, to),
        limits: (peer) => udpLimits(family, payloadMax, pathMtuBytes(peer)),
        resolve: async (hash) => {
          const found = await this.#resolver!.resolve(hash);
          if (found === undefined) return undefined;
          return family === 4 ? sockaddrIn(found, port) : sockaddrIn6(found, port);
        },
        unreachable: () => unreachable(settings),
      },
      WORKERS,
      { fd: socket.fd, nameBytes: sockaddr.length, payloadMax } satisfies UdpLink,
    );
    if (failure !== undefined) return failure;
    this.#watchAddress(text);
    context.log.dbg(`Bound to ${text}:${port}.`);
    return { name: conf.layerInfo.name, dirHashAlgo: HashAlgo.MD5 };
  }

  /** Flows hear of it when our address goes and comes back. */
  #watchAddress(text: string): void {
    try {
      const look = () => this.lowerChanged();
      this.#monitor = watchKernel("addresses", look, look);
    } catch (e) {
      const why = e instanceof Error ? e.message : e;
      this.context.log.warn(`Cannot watch the address ${text}: ${why}`);
    }
  }

  override async stop(): Promise<void> {
    this.#monitor?.[Symbol.dispose]();
    this.#monitor = undefined;
    await super.stop();
  }

  override register(hash: Uint8Array): number {
    const result = super.register(hash);
    if (result === 0 && this.isOpen) {
      void this.#resolver?.update(hash, this.#settings!.text);
    }
    return result;
  }

  override unregister(hash: Uint8Array): number {
    if (this.isOpen) void this.#resolver?.update(hash, undefined);
    return super.unregister(hash);
  }
}

/** The IPCPs udp4 and udp6: one UDP socket below the shim shell (spec 50 §13). */

import { Errno, errnoText } from "../../lib/errno.ts";
import { formatInet4, formatInet6, parseInet4, parseInet6 } from "../../lib/inet.ts";
import { HashAlgo, type IpcpConfig, type LayerInfo } from "../../lib/irm/messages.ts";
import { SysError } from "../../lib/sys/ffi.ts";
import { pathMtuBytes } from "../../lib/sys/path_mtu.ts";
import { type NetSocket, openUdp, sockaddrIn, sockaddrIn6 } from "../../lib/sys/netsock.ts";
import { joinSegments } from "../../lib/sys/segments.ts";
import * as wire from "../../lib/wire/udp_mgmt.ts";
import type { WorkerSpec } from "../data/plane.ts";
import type { UdpLink } from "./data/framing.ts";
import { watchKernel } from "../shim/kernel_watch.ts";
import { QUARANTINE_US, ShimIpcp } from "../shim/ipcp.ts";
import { typeNumber } from "../state.ts";
import type { Failure, IpcpContext } from "../type.ts";
import { udpLimits, type UdpSettings, udpSettings } from "./config.ts";
import { type HostAddress, OwnAddress } from "./own_address.ts";
import { Resolver } from "./resolver.ts";

/** Of an address of this host, which is one. */
function bytesOf(address: string): Uint8Array {
  return (address.includes(":") ? parseInet6(address) : parseInet4(address))!;
}

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

function sockaddrOf({ family, ip, port }: UdpSettings): Uint8Array {
  return family === 4 ? sockaddrIn(ip, port) : sockaddrIn6(ip, port);
}

/** Whether this host has an address right now: only then can it be bound. */
function isHere(settings: UdpSettings): boolean {
  try {
    openUdp(sockaddrOf({ ...settings, port: 0 })).close();
  } catch (e) {
    return !(e instanceof SysError) || e.errno !== Errno.EADDRNOTAVAIL;
  }
  return true;
}

/** The addresses of this host that an IPCP can use. */
function hostAddresses(family: 4 | 6): HostAddress[] {
  return Deno.networkInterfaces().flatMap(({ name: device, address, family: of }) => {
    // Those of one link are none without its name.
    if (of !== `IPv${family}` || /^fe[89ab]/i.test(address)) return [];
    const ip = family === 4 ? parseInet4(address) : parseInet6(address);
    if (ip === undefined) return [];
    return [{ device, address: family === 4 ? formatInet4(ip) : formatInet6(ip) }];
  });
}

export class UdpIpcp extends ShimIpcp {
  #settings: UdpSettings | undefined;
  #resolver: Resolver | undefined;
  #monitor: Disposable | undefined;
  #socket: NetSocket | undefined;
  #own: OwnAddress | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(readonly type: "udp4" | "udp6", context: IpcpContext) {
    super(context);
  }

  async bootstrap(conf: IpcpConfig): Promise<LayerInfo | Failure> {
    const { context } = this;
    const busy = this.busy();
    if (busy !== undefined) return busy;
    const settings = udpSettings(conf);
    if ("code" in settings) return settings;
    const { family, port, text, dns } = settings;
    const sockaddr = sockaddrOf(settings);
    let socket: NetSocket;
    try {
      socket = openUdp(sockaddr);
    } catch (e) {
      const why = e instanceof SysError ? errnoText(e.errno) : String(e);
      return { code: -Errno.EPERM, cause: `Couldn't bind to ${text}:${port}. ${why}.` };
    }
    this.#settings = settings;
    this.#socket = socket;
    this.#own = new OwnAddress(text);
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
          if (typeof found === "string") return found;
          return family === 4 ? sockaddrIn(found, port) : sockaddrIn6(found, port);
        },
        unreachable: () => this.#own?.why,
      },
      WORKERS,
      { fd: socket.fd, nameBytes: sockaddr.length, payloadMax } satisfies UdpLink,
    );
    if (failure !== undefined) return failure;
    this.#watchAddress(text);
    context.log.dbg(`Bound to ${text}:${port}.`);
    return { name: conf.layerInfo.name, dirHashAlgo: HashAlgo.MD5 };
  }

  /** See whether the own address is there, and follow it if it has changed. */
  #look(): void {
    const own = this.#own;
    const settings = this.#settings;
    if (own === undefined || settings === undefined) return;
    const here = isHere(settings);
    const nowUs = this.context.nowUs();
    const to = own.look(nowUs, here, hostAddresses(settings.family));
    if (to !== undefined) this.#move(own, { ...settings, text: to, ip: bytesOf(to) });
    clearTimeout(this.#timer);
    const waitUs = own.deadlineUs(nowUs) - nowUs;
    if (waitUs === Infinity) return;
    this.#timer = setTimeout(() => this.lowerChanged(), Math.ceil(waitUs / 1000));
  }

  /** From now on it is at another address; no peer knows the flows that were open. */
  #move(own: OwnAddress, settings: UdpSettings): void {
    const { log } = this.context;
    const before = own.address;
    try {
      const socket = openUdp(sockaddrOf(settings));
      joinSegments(socket.fd);
      this.#socket!.become(socket);
    } catch (e) {
      // It has gone again, or may not be used yet; the next message of the kernel tells.
      return log.dbg(`Cannot use ${settings.text}: ${e instanceof Error ? e.message : e}`);
    }
    own.moved(settings.text);
    this.#settings = settings;
    this.poke();
    this.endFlows();
    for (const hash of this.registered()) void this.#resolver?.update(hash, settings.text);
    log.warn(`This host has no address ${before} any more: at ${settings.text} from now on.`);
    const { family, ip } = settings;
    void this.context.irm.moved(typeNumber(this.type), this.context.name, { family, ip });
  }

  /** Nothing is refused, and no flow told, because of what was true of the address some time ago. */
  protected override lowerChanged(): void {
    this.#look();
    super.lowerChanged();
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
    clearTimeout(this.#timer);
    this.#own = undefined;
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

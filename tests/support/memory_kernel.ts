/** Network devices in memory, for IPCPs over Ethernet: what the kernel says of them, and what leaves them. */

import type { EthKernel, PacketSocket } from "../../ipcp/eth/ipcp.ts";
import { SysError } from "../../lib/sys/ffi.ts";
import type { Interface, KernelNews } from "../../lib/sys/netsock.ts";

const ENODEV = 19;
const RTM_NEWLINK = 16;
const RTM_DELLINK = 17;
const IFLA = { ADDRESS: 1, IFNAME: 3, MTU: 4 };
const IFF_UP = 1;
const IFF_RUNNING = 0x40;

/** One packet socket: where it is bound, what was sent. */
export class MemorySocket implements PacketSocket {
  readonly fd = 1000;
  readonly sent: { readonly frame: Uint8Array; readonly to: Uint8Array }[] = [];
  closed = 0;
  /** Where it was bound anew. */
  readonly bound: Uint8Array[] = [];

  constructor(
    readonly kernel: MemoryKernel,
    readonly index: number,
    readonly protocol: number,
  ) {}

  sendTo(frame: Uint8Array, to: Uint8Array): number {
    if (this.kernel.failing !== 0) return -this.kernel.failing;
    this.sent.push({ frame: frame.slice(), to: to.slice() });
    return 0;
  }

  /** Frames that left since it was asked last. */
  frames(): Uint8Array[] {
    return this.sent.splice(0).map(({ frame }) => frame);
  }

  rebind(local: Uint8Array): void {
    if (this.kernel.stuck) throw new SysError(ENODEV, "bind", "fd");
    this.bound.push(local.slice());
  }

  close(): void {
    this.closed += 1;
  }
}

/** See the head of this file. */
export class MemoryKernel implements EthKernel {
  readonly devices = new Map<string, Interface>();
  readonly sockets: MemorySocket[] = [];
  /** Errno of what is sent; 0 for none. */
  failing = 0;
  /** Sockets cannot be bound anew. */
  stuck = false;
  /** The call that fails when a device is looked at, and its errno. */
  broken: { readonly call: string; readonly errno: number } | undefined;
  /** Nobody can watch. */
  deaf = false;
  #watchers: { onNews(bytes: Uint8Array): void; onLost(): void }[] = [];
  /** What is watched. */
  readonly watched: KernelNews[] = [];

  interfaceOf = (name: string): Interface => {
    if (this.broken !== undefined) throw new SysError(this.broken.errno, this.broken.call, name);
    const device = this.devices.get(name);
    if (device === undefined) throw new SysError(ENODEV, "if_nametoindex", name);
    return device;
  };

  openPacket = (index: number, protocol: number): PacketSocket => {
    const socket = new MemorySocket(this, index, protocol);
    this.sockets.push(socket);
    return socket;
  };

  watchKernel: EthKernel["watchKernel"] = (news, onNews, onLost) => {
    if (this.deaf) throw new SysError(1, "socket", "netlink");
    const watcher = { onNews, onLost };
    this.watched.push(news);
    this.#watchers.push(watcher);
    return {
      [Symbol.dispose]: () => {
        this.#watchers = this.#watchers.filter((w) => w !== watcher);
      },
    };
  };

  get watchers(): number {
    return this.#watchers.length;
  }

  /** The kernel had to drop news. */
  lose(): void {
    for (const { onLost } of this.#watchers) onLost();
  }

  tell(bytes: Uint8Array): void {
    for (const { onNews } of this.#watchers) onNews(bytes);
  }

  /** A device is as said from now on; `quiet`: nobody hears of it. */
  set(name: string, device: Interface, quiet = false): void {
    this.devices.set(name, device);
    if (!quiet) this.tell(linkNews(name, device));
  }

  remove(name: string): void {
    const device = this.devices.get(name)!;
    this.devices.delete(name);
    this.tell(linkNews(name, device, true));
  }
}

/** RTM_NEWLINK or RTM_DELLINK of a device. */
export function linkNews(name: string, device: Interface, deleted = false): Uint8Array {
  const attributes = [
    attribute(IFLA.IFNAME, new TextEncoder().encode(`${name}\0`)),
    attribute(IFLA.MTU, new Uint8Array(Uint32Array.of(device.mtu).buffer)),
    attribute(IFLA.ADDRESS, device.mac),
  ];
  const bytes = new Uint8Array(32 + attributes.reduce((n, a) => n + a.length, 0));
  const view = new DataView(bytes.buffer);
  view.setUint32(0, bytes.length, true);
  view.setUint16(4, deleted ? RTM_DELLINK : RTM_NEWLINK, true);
  view.setInt32(20, device.index, true);
  view.setUint32(24, (device.up ? IFF_UP : 0) | (device.running ? IFF_RUNNING : 0), true);
  let at = 32;
  for (const a of attributes) {
    bytes.set(a, at);
    at += a.length;
  }
  return bytes;
}

function attribute(type: number, value: Uint8Array): Uint8Array {
  const bytes = new Uint8Array((4 + value.length + 3) & ~3);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, 4 + value.length, true);
  view.setUint16(2, type, true);
  bytes.set(value, 4);
  return bytes;
}

/**
 * TUN devices: a network interface whose packets this process reads and writes (`<linux/if_tun.h>`,
 * `<net/if.h>`), checked with glibc 2.36 on Linux, x86_64.
 *
 * Needs CAP_NET_ADMIN. The interface goes away when the device is closed.
 *
 * Safety: structures passed to ioctl are made here at their full size (40 bytes, 24 for IPv6), and the
 * kernel only uses them during the call.
 */

import { Errno } from "../errno.ts";
import { DEVICE_NAME_BYTES_MAX } from "../limits.ts";
import { Fd, openFd } from "./fd.ts";
import { errno, lazyLibc, SysError } from "./ffi.ts";

const TABLE = {
  // int socket(int domain, int type, int protocol);
  socket: {
    parameters: ["i32", /* domain */ "i32", /* type */ "i32" /* protocol */],
    result: "i32",
  },
  // int ioctl(int fd, unsigned long request, void *arg);
  ioctl: { parameters: ["i32", /* fd */ "u64", /* request */ "buffer" /* arg */], result: "i32" },
} as const;

const sys = lazyLibc(TABLE);

// Platform constants of Linux, from <fcntl.h>, <linux/if_tun.h>, <linux/sockios.h>, <net/if.h>.
const O_RDWR = 2;
const O_NONBLOCK = 0o4000;
const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const TUNSETIFF = 0x400454can;
const SIOCGIFFLAGS = 0x8913n;
const SIOCSIFFLAGS = 0x8914n;
const SIOCSIFADDR = 0x8916n;
const SIOCSIFNETMASK = 0x891cn;
const SIOCSIFMTU = 0x8922n;
const SIOCGIFINDEX = 0x8933n;
const IFF_UP = 0x1;
const IFF_RUNNING = 0x40;
const IFF_TUN = 0x1;
const IFF_NO_PI = 0x1000;

/** struct ifreq: a name of 16 bytes, then a union of 24. */
const IFREQ_BYTES = 40;
const IFREQ_UNION = 16;
/** struct in6_ifreq: address of 16 bytes, prefix length, interface index. */
const IN6_IFREQ_BYTES = 24;

/** How a device is made. */
export interface TunOptions {
  /** Name wanted; the kernel's choice when absent. */
  readonly device?: string | undefined;
  /** IPv4 address and mask, 4 bytes each. */
  readonly ip4?: { readonly address: Uint8Array; readonly mask: Uint8Array } | undefined;
  /** IPv6 address of 16 bytes and its prefix length in bits. */
  readonly ip6?: { readonly address: Uint8Array; readonly prefixBits: number } | undefined;
  /** Bytes; the kernel's 1500 when absent. */
  readonly mtuBytes?: number | undefined;
}

/** An open TUN device; reads and writes are whole IP packets and never wait. */
export class Tun implements Disposable {
  readonly #fd: Fd;

  private constructor(fd: Fd, readonly name: string) {
    this.#fd = fd;
  }

  /** Makes the device, sets its addresses and brings it up. Throws `SysError`. */
  static open(options: TunOptions = {}): Tun {
    const fd = openFd("/dev/net/tun", O_RDWR | O_NONBLOCK);
    try {
      const request = ifreq(options.device ?? "");
      view(request).setUint16(IFREQ_UNION, IFF_TUN | IFF_NO_PI, true);
      ioctl(fd, TUNSETIFF, request, "TUNSETIFF", options.device ?? "tun");
      const end = request.indexOf(0);
      const name = new TextDecoder().decode(request.subarray(0, Math.min(end, IFREQ_UNION)));
      configure(name, options);
      return new Tun(fd, name);
    } catch (error) {
      fd.close();
      throw error;
    }
  }

  /** The descriptor, for `EventSource.watch`. */
  get raw(): number {
    return this.#fd.raw;
  }

  /** The next packet; its length, or a negative errno (-EAGAIN when there is none). */
  read(into: Uint8Array<ArrayBuffer>): number {
    return this.#fd.read(into);
  }

  /** Hands a packet to the kernel; its length or a negative errno. */
  write(packet: Uint8Array<ArrayBuffer>): number {
    return this.#fd.write(packet);
  }

  /** Removes the device. Idempotent. */
  close(): void {
    this.#fd.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

function view(bytes: Uint8Array<ArrayBuffer>): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

function ifreq(name: string): Uint8Array<ArrayBuffer> {
  const encoded = new TextEncoder().encode(name);
  if (encoded.length > DEVICE_NAME_BYTES_MAX || encoded.includes(0)) {
    throw new SysError(Errno.EINVAL, "ioctl", name);
  }
  const request = new Uint8Array(IFREQ_BYTES);
  request.set(encoded);
  return request;
}

function ioctl(
  fd: Fd,
  request: bigint,
  argument: Uint8Array<ArrayBuffer>,
  what: string,
  object: string,
): void {
  if (sys().ioctl(fd.raw, request, argument) < 0) {
    throw new SysError(errno(), `ioctl ${what}`, object);
  }
}

function controlSocket(family: number): Fd {
  const raw = sys().socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (raw < 0) throw new SysError(errno(), "socket", family === AF_INET ? "IPv4" : "IPv6");
  return new Fd(raw, "interface control");
}

function configure(name: string, options: TunOptions): void {
  using control = controlSocket(AF_INET);
  if (options.ip4) {
    setInet4(control, SIOCSIFADDR, name, options.ip4.address, "SIOCSIFADDR");
    setInet4(control, SIOCSIFNETMASK, name, options.ip4.mask, "SIOCSIFNETMASK");
  }
  if (options.mtuBytes !== undefined) {
    const request = ifreq(name);
    view(request).setInt32(IFREQ_UNION, options.mtuBytes, true);
    ioctl(control, SIOCSIFMTU, request, "SIOCSIFMTU", name);
  }
  const flags = ifreq(name);
  ioctl(control, SIOCGIFFLAGS, flags, "SIOCGIFFLAGS", name);
  const up = view(flags).getUint16(IFREQ_UNION, true) | IFF_UP | IFF_RUNNING;
  view(flags).setUint16(IFREQ_UNION, up, true);
  ioctl(control, SIOCSIFFLAGS, flags, "SIOCSIFFLAGS", name);
  if (options.ip6) setInet6(control, name, options.ip6);
}

function setInet4(
  control: Fd,
  call: bigint,
  name: string,
  address: Uint8Array,
  what: string,
): void {
  const request = ifreq(name);
  // struct sockaddr_in: family, port, address.
  view(request).setUint16(IFREQ_UNION, AF_INET, true);
  request.set(address.subarray(0, 4), IFREQ_UNION + 4);
  ioctl(control, call, request, what, name);
}

function setInet6(
  control: Fd,
  name: string,
  ip6: { readonly address: Uint8Array; readonly prefixBits: number },
): void {
  const index = ifreq(name);
  ioctl(control, SIOCGIFINDEX, index, "SIOCGIFINDEX", name);
  const request = new Uint8Array(IN6_IFREQ_BYTES);
  request.set(ip6.address.subarray(0, 16));
  view(request).setUint32(16, ip6.prefixBits, true);
  view(request).setInt32(20, view(index).getInt32(IFREQ_UNION, true), true);
  using control6 = controlSocket(AF_INET6);
  ioctl(control6, SIOCSIFADDR, request, "SIOCSIFADDR", name);
}

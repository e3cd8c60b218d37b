/**
 * Datagram sockets for the shim IPCPs: UDP and AF_PACKET, read and written in batches.
 *
 * C: `socket`, `bind`, `setsockopt`, `getsockname`, `sendto`, `sendmmsg`, `recvmmsg`, `poll`, `ioctl`, `dup3`,
 * `eventfd`, `if_nametoindex` of <sys/socket.h>, <poll.h>, <net/if.h>, checked with glibc 2.36 on Linux
 * (x86-64 and aarch64 share the structures used here). Sizes are declared u32 and ssize_t results i32: no
 * message here comes near 2 GiB.
 *
 * Safety: a socket may be used by several threads, each through its own {@linkcode NetSocket.adopt}; only the
 * one that made it closes it.
 */

import { DEVICE_NAME_BYTES_MAX } from "../limits.ts";
import { cstr, errno, lazyLibc, SysError } from "./ffi.ts";
import { type MessageBatch, MMSGHDR_BYTES, NAME_BYTES } from "./message_batch.ts";

export { MessageBatch, NAME_BYTES } from "./message_batch.ts";

const TABLE = {
  // int socket(int domain, int type, int protocol)
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  // int bind(int fd, const struct sockaddr *addr, socklen_t len)
  bind: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  // int getsockname(int fd, struct sockaddr *addr, socklen_t *len)
  getsockname: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  // int setsockopt(int fd, int level, int name, const void *value, socklen_t len)
  setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
  // ssize_t sendto(int fd, const void *b, size_t n, int flags, const struct sockaddr *to, socklen_t len)
  sendto: { parameters: ["i32", "buffer", "u32", "i32", "buffer", "u32"], result: "i32" },
  // ssize_t recv(int fd, void *b, size_t n, int flags)
  recv: { parameters: ["i32", "buffer", "u32", "i32"], result: "i32" },
  // int sendmmsg(int fd, struct mmsghdr *v, unsigned int n, int flags)
  sendmmsg: { parameters: ["i32", "buffer", "u32", "i32"], result: "i32" },
  // int recvmmsg(int fd, struct mmsghdr *v, unsigned int n, int flags, struct timespec *timeout)
  recvmmsg: { parameters: ["i32", "buffer", "u32", "i32", "pointer"], result: "i32" },
  // int poll(struct pollfd *fds, nfds_t n, int timeout_ms)
  poll: { parameters: ["buffer", "u64", "i32"], result: "i32" },
  // int ioctl(int fd, unsigned long request, void *arg)
  ioctl: { parameters: ["i32", "u64", "buffer"], result: "i32" },
  // int eventfd(unsigned int initval, int flags)
  eventfd: { parameters: ["u32", "i32"], result: "i32" },
  // ssize_t read(int fd, void *b, size_t n)
  read: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  // ssize_t write(int fd, const void *b, size_t n)
  write: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  // int close(int fd)
  close: { parameters: ["i32"], result: "i32" },
  // int dup3(int from, int to, int flags)
  dup3: { parameters: ["i32", "i32", "i32"], result: "i32" },
  // unsigned int if_nametoindex(const char *name)
  if_nametoindex: { parameters: ["buffer"], result: "u32" },
} as const;

const sys = lazyLibc(TABLE);

// <bits/socket.h>, <asm-generic/socket.h>, <linux/if_ether.h>, <linux/sockios.h>, glibc 2.36.
const AF_INET = 2;
const AF_INET6 = 10;
const AF_NETLINK = 16;
const AF_PACKET = 17;
const SOCK_DGRAM = 2;
const SOCK_RAW = 3;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_SNDBUF = 7;
const SO_RCVBUF = 8;
const SO_SNDTIMEO = 21;
const SO_SNDBUFFORCE = 32;
const SO_RCVBUFFORCE = 33;
const IPPROTO_IPV6 = 41;
const IPV6_V6ONLY = 26;
const MSG_DONTWAIT = 0x40;
const MSG_TRUNC = 0x20;
const POLLIN = 1;
const EFD_CLOEXEC = 0o2000000;
const EFD_NONBLOCK = 0o4000;
const SIOCGIFFLAGS = 0x8913;
const SIOCGIFMTU = 0x8921;
const SIOCGIFHWADDR = 0x8927;
const SIOCETHTOOL = 0x8946;
const ETHTOOL_GLINK = 10;
const IFF_UP = 1;
const IFF_RUNNING = 0x40;
const IFNAMSIZ = 16;
const EAGAIN = 11;

/** ETH_P_802_2: frames with a length field, for {@linkcode openPacket}. */
export const ETH_P_802_2 = 4;
/** Values of sll_pkttype. */
export const PKT = { host: 0, broadcast: 1, multicast: 2, otherHost: 3, outgoing: 4 } as const;
/** Bytes of the socket addresses. */
export const SOCKADDR_IN_BYTES = 16;
export const SOCKADDR_IN6_BYTES = 28;
export const SOCKADDR_LL_BYTES = 20;

function fail(call: string, object: string): never {
  throw new SysError(errno(), call, object);
}

/** What an interface is right now. */
export interface Interface {
  readonly index: number;
  readonly mtu: number;
  readonly mac: Uint8Array;
  /** Administratively up. */
  readonly up: boolean;
  /** Has a carrier. */
  readonly running: boolean;
}

/** Look at an interface; throws a SysError (ENODEV when there is none, ERANGE never). */
export function interfaceOf(name: string): Interface {
  const bytes = new TextEncoder().encode(name);
  if (bytes.length === 0 || bytes.length > DEVICE_NAME_BYTES_MAX) {
    throw new SysError(19, "if_nametoindex", name);
  }
  const request = new Uint8Array(40); // struct ifreq: 16 bytes of name, 24 of union
  const view = new DataView(request.buffer);
  const fd = sys().socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) fail("socket", "AF_INET");
  try {
    const ask = (what: number, call: string) => {
      request.fill(0);
      request.set(bytes);
      if (sys().ioctl(fd, BigInt(what), request) < 0) fail(call, name);
    };
    const index = sys().if_nametoindex(cstr(name));
    if (index === 0) fail("if_nametoindex", name);
    ask(SIOCGIFMTU, "SIOCGIFMTU");
    const mtu = view.getInt32(IFNAMSIZ, true);
    ask(SIOCGIFHWADDR, "SIOCGIFHWADDR");
    const mac = request.slice(IFNAMSIZ + 2, IFNAMSIZ + 8);
    // The kernel writes a new carrier into the flags up to a second late, except for who asks for the carrier first.
    const value = new Uint32Array([ETHTOOL_GLINK, 0]); // struct ethtool_value
    request.fill(0);
    request.set(bytes);
    const pointer = Deno.UnsafePointer.value(Deno.UnsafePointer.of(value));
    view.setBigUint64(IFNAMSIZ, BigInt(pointer), true);
    // Devices without a carrier do not know the question.
    sys().ioctl(fd, BigInt(SIOCETHTOOL), request);
    ask(SIOCGIFFLAGS, "SIOCGIFFLAGS");
    const flags = view.getUint16(IFNAMSIZ, true);
    return { index, mtu, mac, up: (flags & IFF_UP) !== 0, running: (flags & IFF_RUNNING) !== 0 };
  } finally {
    sys().close(fd);
  }
}

/** A sockaddr_in from network-order address bytes and a port. */
export function sockaddrIn(ip: Uint8Array, port: number): Uint8Array {
  const a = new Uint8Array(SOCKADDR_IN_BYTES);
  const v = new DataView(a.buffer);
  v.setUint16(0, AF_INET, true);
  v.setUint16(2, port);
  a.set(ip.subarray(0, 4), 4);
  return a;
}

/** A sockaddr_in6 from network-order address bytes and a port; flow info 0. */
export function sockaddrIn6(ip: Uint8Array, port: number, scope = 0): Uint8Array {
  const a = new Uint8Array(SOCKADDR_IN6_BYTES);
  const v = new DataView(a.buffer);
  v.setUint16(0, AF_INET6, true);
  v.setUint16(2, port);
  a.set(ip.subarray(0, 16), 8);
  v.setUint32(24, scope, true);
  return a;
}

/** A sockaddr_ll for sending to a MAC over an interface. */
export function sockaddrLl(index: number, protocol: number, mac: Uint8Array): Uint8Array {
  const a = new Uint8Array(SOCKADDR_LL_BYTES);
  const v = new DataView(a.buffer);
  v.setUint16(0, AF_PACKET, true);
  v.setUint16(2, protocol);
  v.setInt32(4, index, true);
  a[11] = 6;
  a.set(mac.subarray(0, 6), 12);
  return a;
}

/** A datagram socket. Batch calls never block; they give a count or a negative errno. */
export class NetSocket implements Disposable {
  /** Sockets that were made and not closed, for leak tests. */
  static live = 0;
  readonly fd: number;
  readonly #owned: boolean;
  #closed = false;

  private constructor(fd: number, owned: boolean) {
    this.fd = fd;
    this.#owned = owned;
    if (owned) NetSocket.live++;
  }

  /** Take ownership of a fresh descriptor. */
  static own(fd: number): NetSocket {
    return new NetSocket(fd, true);
  }
  /** Use a descriptor that another thread owns; closing does nothing. */
  static adopt(fd: number): NetSocket {
    return new NetSocket(fd, false);
  }

  /** Receive up to the batch's count: messages, or -11 if there are none, or another negative errno. */
  receive(batch: MessageBatch): number {
    // With MSG_TRUNC the length of a message that does not fit its slot is its own, not the slot's.
    const flags = MSG_DONTWAIT | MSG_TRUNC;
    const n = sys().recvmmsg(this.fd, batch.headers, batch.count, flags, null);
    return n < 0 ? -errno() : n;
  }

  /**
   * Send messages `from..from+n` (blocking at most the socket's send time-out): the number sent, or a
   * negative errno about the first one.
   */
  send(batch: MessageBatch, from: number, n: number): number {
    const headers = from === 0
      ? batch.headers
      : batch.headers.subarray(from * MMSGHDR_BYTES) as Uint8Array<ArrayBuffer>;
    const sent = sys().sendmmsg(this.fd, headers, n, 0);
    return sent < 0 ? -errno() : sent;
  }

  /** Send one message: 0 or a negative errno. */
  sendTo(bytes: Uint8Array, to: Uint8Array): number {
    const buffer = bytes as Uint8Array<ArrayBuffer>;
    const name = to as Uint8Array<ArrayBuffer>;
    const n = sys().sendto(this.fd, buffer, bytes.length, 0, name, to.length);
    return n < 0 ? -errno() : 0;
  }

  /** Bind anew, for a packet socket whose interface was made anew; throws a SysError. */
  rebind(local: Uint8Array): void {
    if (sys().bind(this.fd, local as Uint8Array<ArrayBuffer>, local.length) < 0) {
      fail("bind", `fd ${this.fd}`);
    }
  }

  /**
   * Becomes `other`, which is closed; the descriptor stays the same. A thread that waits for the old socket has to be
   * woken. Throws a SysError.
   */
  become(other: NetSocket): void {
    if (sys().dup3(other.fd, this.fd, SOCK_CLOEXEC) < 0) fail("dup3", `fd ${this.fd}`);
    other.close();
  }

  /** Receive one message without blocking: bytes, or a negative errno. */
  receiveOne(into: Uint8Array): number {
    const buffer = into as Uint8Array<ArrayBuffer>;
    const n = sys().recv(this.fd, buffer, into.length, MSG_DONTWAIT);
    return n < 0 ? -errno() : n;
  }

  /** The address that the socket is bound to. */
  localName(): Uint8Array {
    const name = new Uint8Array(NAME_BYTES);
    const length = new Uint32Array([NAME_BYTES]);
    if (sys().getsockname(this.fd, name, new Uint8Array(length.buffer)) < 0) {
      fail("getsockname", `fd ${this.fd}`);
    }
    return name.slice(0, length[0]);
  }

  close(): void {
    if (this.#closed || !this.#owned) return;
    this.#closed = true;
    NetSocket.live--;
    sys().close(this.fd);
  }
  [Symbol.dispose](): void {
    this.close();
  }
}

/** Ask for large buffers and a bounded blocking send; what the kernel refuses is not fatal. */
function prepare(fd: number): void {
  const set = (option: number, byForce: number, value: number) => {
    const bytes = new Uint8Array(new Int32Array([value]).buffer);
    if (sys().setsockopt(fd, SOL_SOCKET, byForce, bytes, 4) < 0) {
      sys().setsockopt(fd, SOL_SOCKET, option, bytes, 4);
    }
  };
  set(SO_RCVBUF, SO_RCVBUFFORCE, RECEIVE_BUFFER_BYTES);
  set(SO_SNDBUF, SO_SNDBUFFORCE, SEND_BUFFER_BYTES);
  const timeout = new BigInt64Array([0n, 200_000n]); // struct timeval: 200 ms
  sys().setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, new Uint8Array(timeout.buffer), 16);
}

/**
 * Bytes of a socket's buffers. The kernel counts 768 and more for a small message, and takes twice what it is told: 20 000
 * messages a second of a flood fill that in two seconds, for which the receiving thread may have to wait on a busy host.
 */
const RECEIVE_BUFFER_BYTES = 16 << 20;
const SEND_BUFFER_BYTES = 4 << 20;

/** A UDP socket bound to a sockaddr_in or sockaddr_in6; throws a SysError. */
export function openUdp(local: Uint8Array): NetSocket {
  const family = local[0]! | (local[1]! << 8);
  const fd = sys().socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) fail("socket", "udp");
  const socket = NetSocket.own(fd);
  try {
    if (family === AF_INET6) {
      const on = new Uint8Array(new Int32Array([1]).buffer);
      sys().setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, on, 4);
    }
    if (sys().bind(fd, local as Uint8Array<ArrayBuffer>, local.length) < 0) fail("bind", "udp");
    prepare(fd);
    return socket;
  } catch (e) {
    socket.close();
    throw e;
  }
}

/**
 * A raw packet socket that receives one protocol (an ethertype, or {@linkcode ETH_P_802_2}) of one
 * interface, and nothing before it is bound to both; throws a SysError (EPERM without CAP_NET_RAW).
 */
export function openPacket(index: number, protocol: number): NetSocket {
  const fd = sys().socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
  if (fd < 0) fail("socket", "packet");
  const socket = NetSocket.own(fd);
  try {
    const local = sockaddrLl(index, protocol, new Uint8Array(6));
    if (sys().bind(fd, local as Uint8Array<ArrayBuffer>, local.length) < 0) fail("bind", "packet");
    prepare(fd);
    return socket;
  } catch (e) {
    socket.close();
    throw e;
  }
}

/** Multicast groups of rtnetlink. */
const NEWS_GROUPS = {
  links: 1, // RTMGRP_LINK
  addresses: 0x10 | 0x100, // RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR
} as const;
/** What the kernel can be asked to tell of. */
export type KernelNews = keyof typeof NEWS_GROUPS;

/** A netlink socket that receives what the kernel says of links or addresses of this network namespace. */
export function openKernelMonitor(news: KernelNews): NetSocket {
  const fd = sys().socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) fail("socket", "netlink");
  const socket = NetSocket.own(fd);
  const local = new Uint8Array(12); // struct sockaddr_nl
  const v = new DataView(local.buffer);
  v.setUint16(0, AF_NETLINK, true);
  v.setUint32(8, NEWS_GROUPS[news], true);
  if (sys().bind(fd, local, 12) < 0) {
    const error = new SysError(errno(), "bind", "netlink");
    socket.close();
    throw error;
  }
  return socket;
}

/** Wakes a thread that sits in {@linkcode Poller.wait}. */
export class WakeFd implements Disposable {
  readonly fd: number;
  readonly #one = new Uint8Array(new BigUint64Array([1n]).buffer);
  #closed = false;

  constructor() {
    this.fd = sys().eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (this.fd < 0) fail("eventfd", "wake");
  }
  wake(): void {
    if (!this.#closed) sys().write(this.fd, this.#one, 8);
  }
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    sys().close(this.fd);
  }
  [Symbol.dispose](): void {
    this.close();
  }
}

/** Blocks a thread until one of two descriptors can be read: a socket, or a {@linkcode WakeFd}'s. */
export class Poller {
  readonly #fds = new Uint8Array(16); // two struct pollfd
  readonly #view = new DataView(this.#fds.buffer);
  readonly #drain = new Uint8Array(8);
  readonly #wake: number;

  constructor(socket: number, wake: number) {
    this.#wake = wake;
    this.#view.setInt32(0, socket, true);
    this.#view.setInt16(4, POLLIN, true);
    this.#view.setInt32(8, wake, true);
    this.#view.setInt16(12, POLLIN, true);
  }

  /** Wait at most `timeoutMs` (-1 for ever). Whether there was a wake-up, which is consumed. */
  wait(timeoutMs: number): boolean {
    const n = sys().poll(this.#fds, 2n, timeoutMs);
    if (n <= 0 || (this.#view.getInt16(14, true) & POLLIN) === 0) return false;
    sys().read(this.#wake, this.#drain, 8);
    return true;
  }
}

/** Blocks a thread until one of many descriptors can be read, or has ended, or a {@linkcode WakeFd} was woken. */
export class PollSet {
  #fds = new Uint8Array(8); // struct pollfd; the first one is the wake-up's
  #view = new DataView(this.#fds.buffer);
  readonly #drain = new Uint8Array(8);

  constructor(private readonly wake: number) {
    this.watch([]);
  }

  /** What is watched from now on. */
  watch(fds: readonly number[]): void {
    this.#fds = new Uint8Array(8 * (fds.length + 1));
    this.#view = new DataView(this.#fds.buffer);
    [this.wake, ...fds].forEach((fd, i) => {
      this.#view.setInt32(i * 8, fd, true);
      this.#view.setInt16(i * 8 + 4, POLLIN, true);
    });
  }

  /** Waits without limit. Whether there was a wake-up, which is consumed. */
  wait(): boolean {
    const n = sys().poll(this.#fds, BigInt(this.#fds.length >> 3), -1);
    if (n < 0) this.#view.setInt16(6, 0, true); // interrupted: nothing is known
    if (n <= 0 || (this.#view.getInt16(6, true) & POLLIN) === 0) return false;
    sys().read(this.wake, this.#drain, 8);
    return true;
  }

  /** Whether the `i`th of the watched can be read, or has ended. */
  isReady(i: number): boolean {
    return this.#view.getInt16(i * 8 + 14, true) !== 0;
  }
}

/** Whether a negative result only says "nothing now". */
export function isAgain(result: number): boolean {
  return result === -EAGAIN;
}

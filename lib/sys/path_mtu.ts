/**
 * The MTU on the way to a UDP peer, as the kernel knows it: that of the interface of the route, or a smaller one
 * that routers have reported.
 *
 * C: `socket`, `connect`, `getsockopt`, `close` of <sys/socket.h>, IP_MTU of ip(7), IPV6_MTU of ipv6(7). Connecting a
 * datagram socket sends nothing. Safety: the descriptor lives within one call.
 */

import { errno, lazyLibc } from "./ffi.ts";

const TABLE = {
  // int socket(int domain, int type, int protocol)
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  // int connect(int fd, const struct sockaddr *addr, socklen_t len)
  connect: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  // int getsockopt(int fd, int level, int name, void *value, socklen_t *len)
  getsockopt: { parameters: ["i32", "i32", "i32", "buffer", "buffer"], result: "i32" },
  // int close(int fd)
  close: { parameters: ["i32"], result: "i32" },
} as const;

const sys = lazyLibc(TABLE);

// <bits/socket.h>, <bits/in.h>, glibc 2.36.
const AF_INET6 = 10;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const IPPROTO_IP = 0;
const IPPROTO_IPV6 = 41;
const IP_MTU = 14;
const IPV6_MTU = 24;

/** Makes `peer` the one that a datagram socket reads from and writes to; sends nothing. 0 or a negative errno. */
export function connectDatagram(fd: number, peer: Uint8Array): number {
  return sys().connect(fd, peer as Uint8Array<ArrayBuffer>, peer.length) < 0 ? -errno() : 0;
}

/** Bytes of an IP packet to a sockaddr_in or sockaddr_in6 that no one fragments; undefined without a route. */
export function pathMtuBytes(peer: Uint8Array): number | undefined {
  const family = peer[0]! | (peer[1]! << 8);
  const fd = sys().socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return undefined;
  try {
    if (connectDatagram(fd, peer) < 0) return undefined;
    const [level, name] = family === AF_INET6 ? [IPPROTO_IPV6, IPV6_MTU] : [IPPROTO_IP, IP_MTU];
    const value = new Int32Array(1);
    const length = new Uint8Array(new Uint32Array([4]).buffer);
    const bytes = new Uint8Array(value.buffer);
    return sys().getsockopt(fd, level, name, bytes, length) < 0 ? undefined : value[0]!;
  } finally {
    sys().close(fd);
  }
}

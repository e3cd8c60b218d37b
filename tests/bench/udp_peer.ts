/**
 * One end of a ping-pong or a one-way stream over a plain UDP socket: the yardstick of the shim IPCPs. Blocking
 * `send` and `recv` for round trips, sendmmsg and recvmmsg for the stream.
 *
 * Arguments: role (`client`, `server`), mode (`block`, `oneway`), messages, bytes, own address, peer's address.
 * The client (one-way: the server) prints one JSON line.
 */

import { parseInet4 } from "../../lib/inet.ts";
import { MessageBatch, openUdp, Poller, sockaddrIn, WakeFd } from "../../lib/sys/netsock.ts";

const LIBC = Deno.dlopen("libc.so.6", {
  // int connect(int fd, const struct sockaddr *addr, socklen_t len);
  connect: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  // ssize_t send(int fd, const void *buf, size_t n, int flags);  n < 2^31
  send: { parameters: ["i32", "buffer", "u32", "i32"], result: "i32" },
  // ssize_t recv(int fd, void *buf, size_t n, int flags);
  recv: { parameters: ["i32", "buffer", "u32", "i32"], result: "i32" },
}).symbols;

const PORT = 5353;
const BATCH = 50;
const [role, mode, countText, bytesText, own, peer] = Deno.args as string[];
const count = Number(countText), bytes = Number(bytesText);
const socket = openUdp(sockaddrIn(parseInet4(own!)!, PORT));
const to = sockaddrIn(parseInet4(peer!)!, PORT) as Uint8Array<ArrayBuffer>;
const message = new Uint8Array(bytes), into = new Uint8Array(2048);

function pingPong(): void {
  if (LIBC.connect(socket.fd, to, to.length) !== 0) throw new Error("connect");
  if (role === "server") {
    console.log("ready");
    for (let i = 0; i < count; i++) {
      if (LIBC.recv(socket.fd, into, into.length, 0) <= 0) throw new Error("recv");
      LIBC.send(socket.fd, message, bytes, 0);
    }
    return;
  }
  const times: number[] = [];
  for (let i = 0; i < count / BATCH; i++) {
    const start = performance.now();
    for (let k = 0; k < BATCH; k++) {
      LIBC.send(socket.fd, message, bytes, 0);
      if (LIBC.recv(socket.fd, into, into.length, 0) <= 0) throw new Error("recv");
    }
    times.push((performance.now() - start) * 1000 / BATCH);
  }
  const sorted = times.slice(times.length >> 2).sort((a, b) => a - b);
  const best = sorted[Math.floor(sorted.length / 10)]!;
  console.log(JSON.stringify({ median: sorted[sorted.length >> 1]!, best }));
}

function stream(): void {
  const batch = new MessageBatch(32, 2048, 16);
  if (role === "client") {
    for (let i = 0; i < 32; i++) {
      batch.setName(i, to);
      batch.setLength(i, bytes);
    }
    for (let sent = 0; sent < count;) sent += Math.max(0, socket.send(batch, 0, 32));
    return;
  }
  console.log("ready");
  using wake = new WakeFd();
  const poller = new Poller(socket.fd, wake.fd);
  // Rates of slices of a tenth of a second, until nothing comes for a second.
  const rates: number[] = [];
  let n = 0, start = 0, last = performance.now();
  for (;;) {
    const got = socket.receive(batch);
    const now = performance.now();
    if (got <= 0) {
      poller.wait(200);
      if (rates.length > 0 && now - last > 1000) break;
      continue;
    }
    batch.rearm(got);
    last = now;
    if (start === 0) start = now;
    n += got;
    if (now - start < 100) continue;
    rates.push(n / (now - start) * 1000);
    n = 0;
    start = now;
  }
  rates.sort((a, b) => b - a);
  const best = rates[Math.floor(rates.length / 10)]!;
  console.log(JSON.stringify({ median: rates[rates.length >> 1]!, best }));
}

if (mode === "block") pingPong();
else stream();
socket.close();

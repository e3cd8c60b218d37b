// deno-lint-ignore-file no-console -- a program, which prints
/**
 * One end of a ping-pong or a one-way stream over a plain UDP socket: the yardstick of the shim IPCPs. Blocking
 * `read` and `write` for round trips, sendmmsg and recvmmsg for the stream.
 *
 * Arguments: role (`client`, `server`), mode (`block`, `oneway`), messages, bytes, own address, peer's address.
 * The client (one-way: the server) prints one JSON line.
 */

import { parseInet4 } from "../../lib/inet.ts";
import { Fd } from "../../lib/sys/fd.ts";
import { MessageBatch, openUdp, Poller, sockaddrIn, WakeFd } from "../../lib/sys/netsock.ts";
import { connectDatagram } from "../../lib/sys/path_mtu.ts";
import { rates, report, roundTrips } from "./figures.ts";

const PORT = 5353;
const [role, mode, countText, bytesText, own, peer] = Deno.args as string[];
const count = Number(countText);
const bytes = Number(bytesText);
const socket = openUdp(sockaddrIn(parseInet4(own!)!, PORT));
const to = sockaddrIn(parseInet4(peer!)!, PORT) as Uint8Array<ArrayBuffer>;
const message = new Uint8Array(bytes);
const into = new Uint8Array(2048);

function must(n: number): void {
  if (n < 0) throw new Error(`socket: ${n}`);
}

function pingPong(): void {
  // Reads block, as those of the batches do not.
  using fd = new Fd(socket.fd, "udp");
  must(connectDatagram(fd.raw, to));
  if (role === "server") {
    console.log("ready");
    for (let i = 0; i < count; i++) {
      must(fd.read(into));
      must(fd.write(message));
    }
    return;
  }
  report(roundTrips(count, () => {
    must(fd.write(message));
    must(fd.read(into));
  }));
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
  const slices: number[] = [];
  let n = 0;
  let start = 0;
  let last = performance.now();
  for (;;) {
    const got = socket.receive(batch);
    const now = performance.now();
    if (got <= 0) {
      poller.wait(200);
      if (slices.length > 0 && now - last > 1000) break;
      continue;
    }
    batch.rearm(got);
    last = now;
    if (start === 0) start = now;
    n += got;
    if (now - start < 100) continue;
    slices.push(n / (now - start) * 1000);
    n = 0;
    start = now;
  }
  report(rates(slices));
}

if (mode === "block") pingPong();
else {
  stream();
  socket.close();
}

// deno-lint-ignore-file no-console -- a program, which prints
/**
 * What carries another program's traffic in the bench: a bridge between TCP and flows as an application would write it,
 * the same with TCP in place of flows, and an IP tunnel over UDP as the peer of `ovpn`.
 *
 *     relay.ts in PORT WHERE             each TCP connection to PORT goes on over WHERE (`flow:NAME` or `tcp:HOST:PORT`)
 *     relay.ts out WHERE PORT            what comes there goes on to TCP port PORT
 *     relay.ts tun ADDRESS HERE THERE    packets of a TUN device as datagrams between HERE and THERE (`HOST:PORT`)
 *
 * Each prints "ready".
 */

import { createSocket } from "node:dgram";
import { parseInet4 } from "../../../lib/inet.ts";
import { EventSource } from "../../../lib/sys/epoll.ts";
import { Tun } from "../../../lib/sys/tun.ts";
import { type End, openEnd, serveEnds } from "./ends.ts";

const LOCAL = "127.0.0.1";
/** Of the tunnel: leaves room for UDP and IP in 1500 bytes. */
const TUN_MTU = 1400;
/** Packets taken from the device before datagrams have their turn. */
const PACKETS_A_TURN = 64;

const ready = () => console.log("ready");
const [work, ...words] = Deno.args as [string, string, string, string];

/** Both ways until both have ended; a broken one ends the other. */
async function join(conn: Deno.TcpConn, end: End): Promise<void> {
  conn.setNoDelay(true);
  await Promise.allSettled([conn.readable.pipeTo(end.writable), end.carryTo(conn)]);
}

async function carryIn(port: number, where: string): Promise<void> {
  const listener = Deno.listen({ hostname: LOCAL, port });
  ready();
  for await (const conn of listener) openEnd(where).then((end) => join(conn, end));
}

async function carryOut(where: string, port: number): Promise<void> {
  for await (const end of serveEnds(where, ready)) {
    Deno.connect({ hostname: LOCAL, port }).then((conn) => join(conn, end));
  }
}

function addressOf(text: string): { host: string; port: number } {
  const at = text.lastIndexOf(":");
  return { host: text.slice(0, at), port: Number(text.slice(at + 1)) };
}

function carryPackets(address: string, here: string, there: string): void {
  const ip4 = { address: parseInet4(address)!, mask: parseInet4("255.255.255.0")! };
  const tun = Tun.open({ ip4, mtuBytes: TUN_MTU });
  const own = addressOf(here);
  const peer = addressOf(there);
  const socket = createSocket("udp4").bind(own.port, own.host, ready);
  socket.on("message", (bytes) => tun.write(bytes as Uint8Array<ArrayBuffer>));
  const packet = new Uint8Array(65536);
  EventSource.get().watch(tun.raw, { read: true }, () => {
    for (let i = 0; i < PACKETS_A_TURN; i++) {
      const n = tun.read(packet);
      if (n <= 0) return;
      socket.send(packet.slice(0, n), peer.port, peer.host);
    }
  });
}

if (work === "in") await carryIn(Number(words[0]), words[1]);
else if (work === "out") await carryOut(words[0], Number(words[1]));
else carryPackets(...words as [string, string, string]);

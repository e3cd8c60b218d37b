// Datagram sockets: batches, lengths, addresses, wake-ups, errors with their call and object.

import { assert, assertEquals, assertThrows } from "@std/assert";
import { SysError } from "../../../../lib/sys/ffi.ts";
import {
  interfaceOf,
  isAgain,
  MessageBatch,
  NAME_BYTES,
  NetSocket,
  openUdp,
  Poller,
  sockaddrIn,
  sockaddrIn6,
  WakeFd,
} from "../../../../lib/sys/netsock.ts";

const LOOPBACK = Uint8Array.of(127, 0, 0, 1);

Deno.test("interfaceOf() describes the loopback and names what is not there", () => {
  const lo = interfaceOf("lo");
  assertEquals([lo.mac.length, lo.index > 0, lo.mtu > 0], [6, true, true]);
  for (const name of ["nodev0", "", "x".repeat(16)]) {
    const e = assertThrows(() => interfaceOf(name), SysError);
    assertEquals(e.object, name);
  }
});

Deno.test("a batch is sent and received with lengths and the sender's address", () => {
  using a = openUdp(sockaddrIn(LOOPBACK, 0));
  using b = openUdp(sockaddrIn(LOOPBACK, 0));
  const out = new MessageBatch(4, 64, 16);
  const into = new MessageBatch(8, 64, 16);
  for (let i = 0; i < 4; i++) {
    out.setName(i, b.localName());
    out.setLength(i, i * 10);
    out.data.fill(i + 1, i * 64, i * 64 + i * 10);
  }
  assertEquals(a.send(out, 1, 3), 3);
  assertEquals(a.send(out, 0, 1), 1);
  assertEquals(b.receive(into), 4);
  assertEquals([0, 1, 2, 3].map((i) => into.length(i)), [10, 20, 30, 0]);
  assertEquals(into.data[64], 3);
  assertEquals(into.names.slice(NAME_BYTES, NAME_BYTES + 16), a.localName());
  into.rearm(4);
  assert(isAgain(b.receive(into)));
});

Deno.test("a message longer than its slot has length -1", () => {
  using a = openUdp(sockaddrIn(LOOPBACK, 0));
  using b = openUdp(sockaddrIn(LOOPBACK, 0));
  const into = new MessageBatch(2, 64, 16);
  assertEquals(a.sendTo(new Uint8Array(65), b.localName()), 0);
  assertEquals(a.sendTo(new Uint8Array(64), b.localName()), 0);
  assertEquals(b.receive(into), 2);
  assertEquals([into.length(0), into.length(1)], [-1, 64]);
  assertEquals([into.wholeLength(0), into.wholeLength(1)], [65, 64]);
  into.rearm(2);
  a.sendTo(new Uint8Array(1), b.localName());
  assertEquals([b.receive(into), into.length(0)], [1, 1]);
});

Deno.test("Poller.wait() tells a wake-up from a message, and consumes it", () => {
  using a = openUdp(sockaddrIn(LOOPBACK, 0));
  using wake = new WakeFd();
  const poller = new Poller(a.fd, wake.fd);
  assertEquals(poller.wait(0), false);
  wake.wake();
  wake.wake();
  assertEquals([poller.wait(-1), poller.wait(0)], [true, false]);
  a.sendTo(Uint8Array.of(1), a.localName());
  assertEquals(poller.wait(-1), false);
});

Deno.test("openUdp() names the address family's failure and leaves no socket open", () => {
  const live = NetSocket.live;
  const e = assertThrows(() => openUdp(sockaddrIn(Uint8Array.of(192, 0, 2, 1), 1)), SysError);
  assertEquals([e.call, e.errno], ["bind", 99]);
  using six = openUdp(sockaddrIn6(new Uint8Array(16).fill(1, 15), 0));
  assertEquals(six.localName().length, 28);
  assertEquals(NetSocket.live, live + 1);
});

Deno.test("an adopted socket is closed by its owner alone", () => {
  const owner = openUdp(sockaddrIn(LOOPBACK, 0));
  NetSocket.adopt(owner.fd).close();
  assertEquals(owner.sendTo(Uint8Array.of(1), owner.localName()), 0);
  owner.close();
  owner.close();
});

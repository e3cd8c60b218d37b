// The data path of the shims over real UDP sockets on the loopback, turn by turn: delivery, strangers, guessed
// ids, slow readers, fairness, truncation, management.

import { assert, assertEquals } from "@std/assert";
import { MessageBatch, openUdp, sockaddrIn, WakeFd } from "../../../lib/sys/netsock.ts";
import { BURST } from "../../../ipcp/data/flow_loop.ts";
import { UdpFraming } from "../../../ipcp/udp/data/framing.ts";
import { QUEUED_MAX } from "../../../ipcp/data/port.ts";
import { ShimRx } from "../../../ipcp/shim/data/rx.ts";
import { ShimTx } from "../../../ipcp/shim/data/tx.ts";
import { receivingWire, SegmentWire } from "../../../ipcp/udp/data/wire.ts";
import { Counter, Order } from "../../../ipcp/data/table.ts";
import { MGMT_PENDING_MAX } from "../../../ipcp/data/crossing.ts";
import type { ShimMgmt } from "../../../lib/wire/shim_mgmt.ts";
import { udpMgmt } from "../../../lib/wire/udp_mgmt.ts";
import { QOS_ZERO } from "../../../lib/qos.ts";
import { withShm } from "../../support/shm.ts";
import { App, IpcpMemory, used } from "../../support/ipcp_memory.ts";

const LOOPBACK = Uint8Array.of(127, 0, 0, 1);
const SPEC = { nameBytes: 16, payloadMax: 8976 } as const;

interface Setup {
  m: IpcpMemory;
  tx: ShimTx;
  rx: ShimRx;
  app: App;
  defer: (f: () => void) => void;
  /** The other host: receives what the IPCP sends, sends to it. */
  peer: {
    name: Uint8Array;
    send(bytes: Uint8Array): void;
    /** As one call, so that they arrive joined where the kernel does so. */
    sendRun(messages: readonly Uint8Array[]): void;
    receive(): Uint8Array[];
  };
  stranger: { send(bytes: Uint8Array): void };
  mgmt: { from: Uint8Array; bytes: Uint8Array }[];
}

function withShim(use: (s: Setup) => void): void {
  withShm((i, defer) => {
    const open = () => {
      const socket = openUdp(sockaddrIn(LOOPBACK, 0));
      defer(() => socket.close());
      return socket;
    };
    const socket = open();
    const far = open();
    const other = open();
    const wake = new WakeFd();
    defer(() => wake.close());
    const wire = new SegmentWire(socket, wake.fd);
    const m = new IpcpMemory(i, [], defer);
    const mgmt: Setup["mgmt"] = [];
    const framing = () => new UdpFraming(SPEC);
    const tx = new ShimTx(m, m.set, wire, framing());
    const rx = new ShimRx(m, receivingWire(socket, wake.fd), framing(), (from, bytes) => {
      mgmt.push({ from, bytes });
    });
    const app = new App(i, 900101, 0, m.set, defer);
    const to = socket.localName();
    const batch = new MessageBatch(64, 16384, 16);
    const send = (from: typeof far) => (bytes: Uint8Array) => {
      assertEquals(from.sendTo(bytes, to), 0);
    };
    const receive = () => {
      const n = Math.max(0, far.receive(batch));
      const got = Array.from({ length: n }, (_, k) => {
        return batch.data.slice(k * 16384, k * 16384 + batch.length(k));
      });
      batch.rearm(n);
      return got;
    };
    const sendRun = (messages: readonly Uint8Array[]) => {
      const run = new MessageBatch(messages.length, 16384, 16);
      for (const [k, bytes] of messages.entries()) {
        run.data.set(bytes, k * 16384);
        run.setName(k, to);
        run.setLength(k, bytes.length);
      }
      const farWire = new SegmentWire(far, wake.fd);
      for (let at = 0; at < messages.length;) {
        const n = farWire.send(run, at, messages.length - at);
        assert(n > 0);
        at += n;
      }
    };
    const peer = { name: far.localName(), send: send(far), sendRun, receive };
    use({ m, tx, rx, app, defer, peer, stranger: { send: send(other) }, mgmt });
    m.order(Order.stop, 0);
    assertEquals(tx.turn(0), false);
  });
}

const LOCAL = 0x12345678;
const REMOTE = 0x87654321;

function datagram(eid: number, ...payload: number[]): Uint8Array {
  const b = new Uint8Array(4 + payload.length);
  new DataView(b.buffer).setUint32(0, eid);
  b.set(payload, 4);
  return b;
}

/** A management message. */
function encoded(m: ShimMgmt): Uint8Array {
  const b = new Uint8Array(udpMgmt.encodedLength(m));
  assertEquals(udpMgmt.encode(m, b, 0), b.length);
  return b;
}

/** A request for a flow. */
function request(requesterEid: number): Uint8Array {
  const rest = { qos: QOS_ZERO, hash: new Uint8Array(16), data: Uint8Array.of(1, 2) };
  return encoded({ kind: "flow_req", requesterEid, ...rest });
}

/** Handle what has arrived on the loopback. */
function receive(rx: ShimRx): void {
  for (let i = 0; i < 6; i++) rx.turn(0);
}

Deno.test("packets go out with the peer's endpoint id and come in by ours, empty ones too", () => {
  withShim(({ m, tx, rx, app, defer, peer }) => {
    const flow = app.flow(7, defer);
    m.publish(app, 7, { localEid: LOCAL, remoteEid: REMOTE, peer: peer.name });
    flow.write(Uint8Array.of(1, 2, 3));
    flow.write(new Uint8Array(0));
    tx.turn(0);
    assertEquals(peer.receive(), [datagram(REMOTE, 1, 2, 3), datagram(REMOTE)]);
    peer.send(datagram(LOCAL, 9, 8));
    peer.send(datagram(LOCAL));
    receive(rx);
    assertEquals([flow.read()?.bytes, flow.read()?.bytes], [
      Uint8Array.of(9, 8),
      new Uint8Array(0),
    ]);
    assertEquals(app.events(), [[7, 1], [7, 1]]);
    assertEquals(used(app.pool), 0);
  });
});

Deno.test("a run of packets longer together than any one may be arrives whole, and goes out whole", () => {
  withShim(({ m, tx, rx, app, defer, peer }) => {
    const flow = app.flow(7, defer);
    m.publish(app, 7, { localEid: LOCAL, remoteEid: REMOTE, peer: peer.name });
    const payload = (k: number) => new Array<number>(k === 39 ? 10 : 1400).fill(k);
    const run = Array.from({ length: 40 }, (_, k) => datagram(LOCAL, ...payload(k)));
    peer.sendRun(run);
    receive(rx);
    for (let k = 0; k < 40; k++) assertEquals(flow.read()?.bytes, Uint8Array.from(payload(k)));
    assertEquals(m.counters[Counter.tooLongIn], 0);
    for (let k = 0; k < 40; k++) flow.write(Uint8Array.from(payload(k)));
    tx.turn(0);
    const sent = Array.from({ length: 40 }, (_, k) => datagram(REMOTE, ...payload(k)));
    assertEquals(peer.receive(), sent);
    assertEquals(used(app.pool), 0);
  });
});

Deno.test("packets of a stranger and to guessed ids reach nobody", () => {
  withShim(({ m, rx, app, defer, peer, stranger }) => {
    const flow = app.flow(7, defer);
    m.publish(app, 7, { localEid: LOCAL, remoteEid: REMOTE, peer: peer.name });
    stranger.send(datagram(LOCAL, 6, 6, 6));
    for (const guess of [1, 64, 7, LOCAL ^ 0x10000, LOCAL + 1, 0xffffffff, 20000, 0x80000007]) {
      peer.send(datagram(guess, 6));
    }
    peer.send(Uint8Array.of(1, 2, 3));
    receive(rx);
    assertEquals(flow.read(), undefined);
    assertEquals(m.counters[Counter.refused], 10);
  });
});

Deno.test("a closed flow gets nothing, and its id in another flow is another id", () => {
  withShim(({ m, rx, app, defer, peer }) => {
    const flow = app.flow(7, defer);
    m.publish(app, 7, { localEid: LOCAL, remoteEid: REMOTE, peer: peer.name });
    peer.send(datagram(LOCAL, 1));
    receive(rx);
    m.table.close(7);
    peer.send(datagram(LOCAL, 2));
    receive(rx);
    assertEquals([flow.read()?.bytes, flow.read()], [Uint8Array.of(1), undefined]);
    m.publish(app, 7, { localEid: LOCAL + 0x10000, remoteEid: REMOTE, peer: peer.name });
    peer.send(datagram(LOCAL, 3));
    peer.send(datagram(LOCAL + 0x10000, 4));
    receive(rx);
    assertEquals([flow.read()?.bytes, flow.read()], [Uint8Array.of(4), undefined]);
  });
});

Deno.test("one stuck reader does not stop another flow", () => {
  withShim(({ m, rx, app, defer, peer }) => {
    const stuck = app.flow(7, defer);
    const good = app.flow(8, defer);
    m.publish(app, 7, { localEid: LOCAL, remoteEid: REMOTE, peer: peer.name });
    m.publish(app, 8, { localEid: LOCAL + 1, remoteEid: REMOTE, peer: peer.name });
    for (let round = 0; round < 60; round++) {
      for (let i = 0; i < 16; i++) peer.send(datagram(LOCAL, i));
      peer.send(datagram(LOCAL + 1, round));
      receive(rx);
      assertEquals(good.read()?.bytes, Uint8Array.of(round));
      app.events();
    }
    assertEquals(stuck.rx.queued(), QUEUED_MAX);
    assertEquals(m.counters[Counter.notDelivered], 960 - QUEUED_MAX);
    assertEquals(m.table.losses(7), { sent: 0, received: 960 - QUEUED_MAX });
    assertEquals(m.table.losses(8), { sent: 0, received: 0 });
    // The next flow of the id begins anew.
    m.table.close(7);
    m.publish(app, 7, { localEid: LOCAL + 2, remoteEid: REMOTE, peer: peer.name });
    assertEquals(m.table.losses(7), { sent: 0, received: 0 });
  });
});

Deno.test("flows send in turn, at most a burst each", () => {
  withShim(({ m, tx, app, defer, peer }) => {
    const many = app.flow(7, defer);
    const few = app.flow(8, defer);
    m.publish(app, 7, { localEid: LOCAL, remoteEid: 71, peer: peer.name });
    m.publish(app, 8, { localEid: LOCAL + 1, remoteEid: 81, peer: peer.name });
    for (let i = 0; i < 40; i++) many.write(Uint8Array.of(i));
    few.write(Uint8Array.of(99));
    tx.turn(0);
    const got = peer.receive().map((d) => d[3]);
    assertEquals(got.length, 41);
    assertEquals(got.indexOf(81), BURST);
  });
});

Deno.test("packets above the payload limit are dropped and counted, the limit itself is sent", () => {
  withShim(({ m, tx, app, defer, peer }) => {
    const flow = app.flow(7, defer);
    m.publish(app, 7, { localEid: LOCAL, remoteEid: REMOTE, peer: peer.name });
    flow.write(new Uint8Array(8977));
    flow.write(new Uint8Array(8976));
    flow.write(new Uint8Array(60_000)); // Longer than a slot.
    tx.turn(0);
    assertEquals(peer.receive().map((d) => d.length), [8980]);
    assertEquals([m.counters[Counter.tooLong], m.counters[Counter.badPackets]], [2, 0]);
    assertEquals(m.table.losses(7), { sent: 2, received: 0 });
    // Reported once, then there is silence for a while.
    assertEquals(m.long, [{ way: "out", flowId: 7, bytes: 8977, limitBytes: 8976, count: 1 }]);
    assertEquals(used(app.pool), 0);
  });
});

Deno.test("management goes to the main thread with its sender, oversized datagrams do not", () => {
  withShim(({ m, rx, peer, mgmt }) => {
    peer.send(request(3));
    peer.send(new Uint8Array(9200));
    receive(rx);
    assertEquals(mgmt.length, 1);
    assertEquals([mgmt[0]!.from, mgmt[0]!.bytes], [peer.name, request(3)]);
    assertEquals([m.counters[Counter.refused], m.counters[Counter.tooLongIn]], [0, 1]);
    assertEquals(m.long, [{ way: "in", flowId: 0, bytes: 9196, limitBytes: 9020, count: 1 }]);
  });
});

Deno.test("management that says nothing, or is about no flow of ours, does not reach the main thread", () => {
  withShim(({ m, rx, app, defer, peer, mgmt }) => {
    app.flow(7, defer);
    m.publish(app, 7, { localEid: LOCAL, remoteEid: REMOTE, peer: peer.name });
    const about = (eid: number): ShimMgmt[] => [
      { kind: "flow_end", senderEid: REMOTE, receiverEid: eid },
      { kind: "flow_here", senderEid: REMOTE, receiverEid: eid },
      { kind: "flow_why", requesterEid: eid, response: -1, data: Uint8Array.of(1) },
    ];
    const wrong = request(3);
    wrong[44] = 99; // A code that nobody knows.
    const reply = (requesterEid: number): ShimMgmt => {
      return {
        kind: "flow_reply",
        requesterEid,
        responderEid: 5,
        response: 0,
        data: new Uint8Array(0),
      };
    };
    const bad = [
      datagram(0, 1, 2),
      wrong,
      request(3).subarray(0, 60),
      ...[...about(LOCAL + 1), reply(LOCAL + 1)].map(encoded),
    ];
    for (const bytes of bad) peer.send(bytes);
    receive(rx);
    assertEquals([mgmt, m.counters[Counter.mgmtRefused]], [[], bad.length]);
    const good = [...about(LOCAL), reply(LOCAL), reply(udpMgmt.lostEid)].map(encoded);
    for (const bytes of good) peer.send(bytes);
    receive(rx);
    assertEquals(mgmt.splice(0).map(({ bytes }) => bytes), good);
    // While flows are being given up, a reply may be for one of them.
    m.counters[Counter.dropping] = 1;
    peer.send(encoded(reply(LOCAL + 1)));
    receive(rx);
    assertEquals(mgmt.map(({ bytes }) => bytes), [encoded(reply(LOCAL + 1))]);
  });
});

Deno.test("a flood of management is bounded", () => {
  withShim(({ m, rx, peer, mgmt }) => {
    for (let i = 0; i < MGMT_PENDING_MAX; i++) {
      peer.send(request(i + 1));
      rx.turn(0);
    }
    receive(rx);
    // One address has a quarter.
    assertEquals(mgmt.length, MGMT_PENDING_MAX / 4);
    assertEquals(m.counters[Counter.mgmtDropped], MGMT_PENDING_MAX * 3 / 4);
  });
});

Deno.test("a first packet written just before the flow is closed is sent", () => {
  withShim(({ m, tx, app, defer, peer }) => {
    const flow = app.flow(7, defer);
    m.publish(app, 7, { localEid: LOCAL, remoteEid: REMOTE, peer: peer.name });
    flow.write(Uint8Array.of(1));
    m.table.close(7);
    m.order(Order.close, 7);
    tx.turn(0);
    assertEquals([peer.receive(), m.letGo], [[datagram(REMOTE, 1)], [7]]);
  });
});

Deno.test("the order to close sends what is left and reports", () => {
  withShim(({ m, tx, app, defer, peer }) => {
    const flow = app.flow(7, defer);
    m.publish(app, 7, { localEid: LOCAL, remoteEid: REMOTE, peer: peer.name });
    flow.write(Uint8Array.of(1));
    tx.turn(0);
    flow.write(Uint8Array.of(2));
    m.set.wait(1, new Int32Array(2048), 0);
    m.table.close(7);
    m.order(Order.close, 7);
    tx.turn(0);
    assertEquals(peer.receive(), [datagram(REMOTE, 1), datagram(REMOTE, 2)]);
    assertEquals(m.letGo, [7]);
  });
});

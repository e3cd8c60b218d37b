// The data path of the Ethernet IPCPs over a segment in memory, turn by turn: framing both ways, who is believed, a
// device that changes, a link that is down.

import { assertEquals } from "@std/assert";
import * as frame from "../../../lib/wire/eth_frame.ts";
import { EthFraming } from "../../../ipcp/eth/data/framing.ts";
import { SharedDevice } from "../../../ipcp/eth/data/device.ts";
import { ShimRx } from "../../../ipcp/shim/data/rx.ts";
import { ShimTx } from "../../../ipcp/shim/data/tx.ts";
import { crossed, MGMT_PENDING_MAX } from "../../../ipcp/data/crossing.ts";
import { Counter, Order } from "../../../ipcp/data/table.ts";
import { dixMgmt, llcMgmt } from "../../../lib/wire/eth_mgmt.ts";
import type { ShimMgmt } from "../../../lib/wire/shim_mgmt.ts";
import { PKT } from "../../../lib/sys/netsock.ts";
import { MemorySegment, type MemoryStation } from "../../support/memory_wire.ts";
import { withShm } from "../../support/shm.ts";
import { App, type AppFlow, IpcpMemory } from "../../support/ipcp_memory.ts";

const ETHERTYPE = 0xa000;
const LOCAL = 40;
const REMOTE = 50;
const MTU = 1500;
const MAC = Uint8Array.of(2, 0, 0, 0, 0, 1);
const PEER = Uint8Array.of(2, 0, 0, 0, 0, 2);
const EVIL = Uint8Array.of(2, 0, 0, 0, 0, 66);
const ALL = new Uint8Array(6).fill(0xff);

interface Setup {
  readonly dix: boolean;
  readonly m: IpcpMemory;
  readonly tx: ShimTx;
  readonly rx: ShimRx;
  readonly flow: AppFlow;
  readonly device: SharedDevice;
  readonly own: MemoryStation;
  readonly peer: MemoryStation;
  readonly mgmt: {
    readonly from: Uint8Array;
    readonly bytes: Uint8Array;
    readonly share: number;
  }[];
}

function withEth(dix: boolean, use: (s: Setup) => void): void {
  withShm((i, defer) => {
    const segment = new MemorySegment();
    const own = segment.station(MAC);
    const peer = segment.station(PEER);
    const device = new SharedDevice();
    const payloadMax = MTU - (dix ? frame.DIX_OVERHEAD_BYTES : frame.LLC_OVERHEAD_BYTES);
    device.set({ index: 1, mac: MAC, payloadMax });
    const link = { dix, ethertype: ETHERTYPE, to: new Uint8Array(20), device: device.buffer };
    const framing = () => new EthFraming({ ...link, payloadMax: 2000, hashBytes: 16 });
    const m = new IpcpMemory(i, [], defer);
    const mgmt: Setup["mgmt"] = [];
    const tx = new ShimTx(m, m.set, own, framing());
    const hear = (from: Uint8Array, bytes: Uint8Array, share: number) => {
      mgmt.push({ from, bytes, share });
    };
    const rx = new ShimRx(m, own, framing(), hear, 1);
    const app = new App(i, 900101, 0, m.set, defer);
    const flow = app.flow(7, defer);
    m.publish(app, 7, { localEid: LOCAL, remoteEid: REMOTE, peer: PEER });
    use({ dix, m, tx, rx, flow, device, own, peer, mgmt });
    m.order(Order.stop, 0);
    assertEquals(tx.turn(0), false);
  });
}

/** A frame to endpoint `deid` (from `seid`, which only LLC says). */
function framed(
  dix: boolean,
  payload: Uint8Array,
  { to = MAC, from = PEER, deid = LOCAL, seid = REMOTE } = {},
): Uint8Array {
  const header = dix ? frame.DIX_HEADER_BYTES : frame.LLC_HEADER_BYTES;
  const b = new Uint8Array(header + payload.length);
  const n = payload.length;
  if (dix) frame.encodeDix(to, from, ETHERTYPE, deid, n, b, 0);
  else frame.encodeLlc(to, from, deid, seid, n, b, 0);
  b.set(payload, header);
  return b;
}

const DATA = Uint8Array.of(1, 2, 3, 4, 5);

/** A management message: "who has this name?" */
function query(dix: boolean, name: number): Uint8Array {
  const codec = dix ? dixMgmt : llcMgmt;
  const m: ShimMgmt = { kind: "name_query", hash: new Uint8Array(16).fill(name) };
  const b = new Uint8Array(codec.encodedLength(m));
  assertEquals(codec.encode(m, b, 0), b.length);
  return b;
}

for (const dix of [true, false]) {
  const type = dix ? "eth-dix" : "eth-llc";
  const mgmtEid = dix ? frame.DIX_MGMT_EID : frame.LLC_MGMT_SAP;

  Deno.test(`${type}: packets leave as frames to the peer and come in from it`, () => {
    withEth(dix, ({ tx, rx, flow, peer }) => {
      flow.write(DATA);
      tx.turn(0);
      const want = framed(dix, DATA, { to: PEER, from: MAC, deid: REMOTE, seid: LOCAL });
      assertEquals(peer.heard(), [want]);
      peer.transmit(framed(dix, DATA));
      rx.turn(0);
      assertEquals(flow.read()?.bytes, DATA);
    });
  });

  Deno.test(`${type}: frames of others, for others, for no flow or damaged reach nobody`, () => {
    withEth(dix, ({ m, rx, flow, peer }) => {
      const bad = [
        framed(dix, DATA, { from: EVIL }),
        framed(dix, DATA, { to: EVIL }),
        framed(dix, DATA, { to: ALL }),
        framed(dix, DATA, { deid: LOCAL + 1 }),
        framed(dix, DATA).subarray(0, 15),
        ...(dix ? [] : [framed(dix, DATA, { seid: REMOTE + 1 })]),
      ];
      for (const bytes of bad) peer.transmit(bytes);
      rx.turn(0);
      assertEquals([flow.read(), m.counters[Counter.refused]], [undefined, bad.length]);
    });
  });

  Deno.test(`${type}: management comes to us and to all, with its sender`, () => {
    withEth(dix, ({ rx, peer, mgmt, m }) => {
      const eids = { deid: mgmtEid, seid: mgmtEid };
      const asks = query(dix, 1);
      peer.transmit(framed(dix, asks, eids));
      peer.transmit(framed(dix, asks, { ...eids, to: ALL, from: EVIL }));
      peer.transmit(framed(dix, asks, { ...eids, to: EVIL }));
      rx.turn(0);
      assertEquals(mgmt.map(({ from, bytes }) => [from, bytes]), [[PEER, asks], [EVIL, asks]]);
      assertEquals(m.counters[Counter.refused], 1);
    });
  });

  Deno.test(`${type}: management to nobody, or to all as the loopback calls it, is looked at; an echo is not`, () => {
    withEth(dix, ({ rx, own, flow, mgmt, m }) => {
      const eids = { deid: mgmtEid, seid: mgmtEid };
      const asks = query(dix, 1);
      const nobody = new Uint8Array(6);
      own.hearAs(framed(dix, asks, { ...eids, to: nobody }), PKT.otherHost);
      own.hearAs(framed(dix, asks, { ...eids, to: ALL, from: EVIL }), PKT.multicast);
      rx.turn(0);
      assertEquals(mgmt.map(({ from, bytes }) => [from, bytes]), [[PEER, asks], [EVIL, asks]]);
      // Our own, sent to all; a group's; and data that says it is for nobody.
      own.hearAs(framed(dix, asks, { ...eids, to: ALL }), PKT.outgoing);
      own.hearAs(framed(dix, asks, { ...eids, to: EVIL }), PKT.multicast);
      own.hearAs(framed(dix, asks, { ...eids, to: nobody }), PKT.multicast);
      own.hearAs(framed(dix, DATA, { to: nobody }), PKT.otherHost);
      rx.turn(0);
      assertEquals([mgmt.length, flow.read(), m.counters[Counter.refused]], [2, undefined, 4]);
    });
  });

  Deno.test(`${type}: a flood of management leaves room for the messages of others`, () => {
    withEth(dix, ({ rx, peer, mgmt, m }) => {
      const eids = { deid: mgmtEid, seid: mgmtEid };
      const flood = framed(dix, query(dix, 1), { ...eids, from: EVIL });
      for (let k = 0; k < MGMT_PENDING_MAX; k++) {
        peer.transmit(flood);
        rx.turn(0);
      }
      assertEquals(mgmt.length, MGMT_PENDING_MAX / 4);
      const asks = query(dix, 2);
      peer.transmit(framed(dix, asks, eids));
      peer.transmit(flood);
      peer.transmit(framed(dix, DATA, { ...eids, from: EVIL }));
      rx.turn(0);
      assertEquals([mgmt.length, mgmt.at(-1)?.bytes], [MGMT_PENDING_MAX / 4 + 1, asks]);
      // What the main thread has taken makes room.
      for (const { share } of mgmt.splice(0)) crossed(m.counters, share);
      peer.transmit(flood);
      peer.transmit(framed(dix, DATA, { ...eids, from: EVIL }));
      rx.turn(0);
      assertEquals([mgmt.length, m.counters[Counter.mgmtRefused]], [1, 1]);
    });
  });

  Deno.test(`${type}: a device that changes is followed`, () => {
    withEth(dix, ({ tx, flow, device, peer, m }) => {
      const mac = Uint8Array.of(2, 0, 0, 0, 0, 9);
      device.set({ index: 3, mac, payloadMax: 10 });
      flow.write(new Uint8Array(11));
      flow.write(new Uint8Array(10));
      tx.turn(0);
      const [only, ...none] = peer.heard();
      assertEquals([none, m.counters[Counter.tooLong]], [[], 1]);
      assertEquals(only!.subarray(6, 12), mac);
      assertEquals(m.long, [{ way: "out", flowId: 7, bytes: 11, limitBytes: 10, count: 1 }]);
    });
  });

  Deno.test(`${type}: what the device refuses is counted, and the next packet has its try`, () => {
    withEth(dix, ({ tx, flow, own, peer, m }) => {
      own.failing = 100;
      flow.write(DATA);
      flow.write(DATA);
      tx.turn(0);
      assertEquals([peer.heard().length, m.counters[Counter.sendFailed]], [0, 2]);
      own.failing = 0;
      flow.write(DATA);
      tx.turn(0);
      assertEquals([peer.heard().length, m.counters[Counter.sent]], [1, 1]);
    });
  });

  Deno.test(`${type}: a frame longer than any that fits is dropped and reported`, () => {
    withEth(dix, ({ rx, flow, peer, m }) => {
      peer.transmit(framed(dix, new Uint8Array(5000)));
      peer.transmit(framed(dix, DATA));
      rx.turn(0);
      assertEquals([flow.read()?.bytes, m.counters[Counter.tooLongIn]], [DATA, 1]);
      assertEquals(m.long[0]?.way, "in");
    });
  });
}

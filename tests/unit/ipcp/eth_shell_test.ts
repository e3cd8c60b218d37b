// The Ethernet IPCPs as a whole, over devices in memory: frames, flows, and everything that may happen to a device.

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { FlowTable } from "../../../ipcp/data/table.ts";
import { SharedDevice } from "../../../ipcp/eth/data/device.ts";
import type { EthLink } from "../../../ipcp/eth/data/framing.ts";
import { EthIpcp } from "../../../ipcp/eth/ipcp.ts";
import { isFailure } from "../../../ipcp/type.ts";
import { Errno } from "../../../lib/errno.ts";
import { type IpcpConfig, IpcpType } from "../../../lib/irm/messages.ts";
import { QOS } from "../../../lib/qos.ts";
import { FlowEvent } from "../../../lib/shm/layout.ts";
import { sockaddrLl } from "../../../lib/sys/netsock.ts";
import * as eth from "../../../lib/wire/eth_frame.ts";
import { dixMgmt, llcMgmt } from "../../../lib/wire/eth_mgmt.ts";
import { isWireError } from "../../../lib/wire/mod.ts";
import type { ShimMgmt } from "../../../lib/wire/shim_mgmt.ts";
import { aTurn } from "../../support/data_workers.ts";
import { bytesOf, MAC_A, MAC_B, MAC_EVIL, OAP, order, reply, SRV } from "../../support/machines.ts";
import { type MemoryIpcp, shellTest } from "../../support/memory_ipcp.ts";
import { linkNews, MemoryKernel } from "../../support/memory_kernel.ts";

const ETHERTYPE = 0xa000;
const LAYER = { name: "lan", dirHashAlgo: 1 };
const DIX: IpcpConfig = {
  layerInfo: LAYER,
  ipcpType: IpcpType.ETH_DIX,
  eth: { dev: "va", ethertype: ETHERTYPE },
};
const LLC: IpcpConfig = { ...DIX, ipcpType: IpcpType.ETH_LLC };
const UP = { index: 7, mtu: 1500, mac: MAC_A, up: true, running: true };
const BROADCAST = new Uint8Array(6).fill(0xff);

/** An IPCP over the device va. */
function ethIn(world: MemoryIpcp, type: "eth-dix" | "eth-llc" = "eth-dix") {
  const kernel = new MemoryKernel();
  kernel.devices.set("va", UP);
  return { kernel, ipcp: new EthIpcp(type, world.context, kernel) };
}

/** What is in a frame: of whom and to whom, and the management message. */
function opened(frame: Uint8Array, dix = true): { dst: Uint8Array; src: Uint8Array; m: ShimMgmt } {
  const h: eth.EthHeader = { deid: -1, seid: -1, start: 0, end: 0 };
  const end = frame.length;
  assertEquals(
    dix ? eth.parseDix(frame, 0, end, ETHERTYPE, h) : eth.parseLlc(frame, 0, end, h),
    0,
  );
  assertEquals(h.deid, dix ? eth.DIX_MGMT_EID : eth.LLC_MGMT_SAP);
  assertEquals(h.end, end);
  const m = (dix ? dixMgmt : llcMgmt).parse(frame.subarray(h.start, h.end), 32);
  if (isWireError(m)) throw m;
  return { dst: frame.slice(0, 6), src: frame.slice(6, 12), m };
}

/** An IPCP in a layer that has found SRV at B. */
async function knowing(w: MemoryIpcp, type: "eth-dix" | "eth-llc" = "eth-dix") {
  const { kernel, ipcp } = ethIn(w, type);
  const dix = type === "eth-dix";
  assertEquals(await ipcp.bootstrap(dix ? DIX : LLC), LAYER);
  const socket = kernel.sockets[0]!;
  const hear = (m: ShimMgmt, from = MAC_B) => {
    const bytes = bytesOf(m, dix ? dixMgmt : llcMgmt);
    w.crew.workers[1]!.say({ say: "mgmt", from, bytes });
  };
  const found = ipcp.query(SRV);
  hear({ kind: "name_reply", hash: SRV });
  assertEquals(await found, 0);
  const frames = socket.frames();
  return { kernel, ipcp, socket, hear, frames };
}

/** And has the open flow 3 to it. */
async function flowing(w: MemoryIpcp) {
  const there = await knowing(w);
  const app = w.app(4003);
  const flow = app.flow(3, w.defer);
  assertEquals(await there.ipcp.flowAlloc(order(3), SRV, QOS.raw, OAP), 0);
  const request = opened(there.socket.frames()[0]!);
  const eid = eidOf(request.m);
  there.hear(reply(eid, 77));
  await aTurn();
  assertEquals(w.irm.said("flowAllocReply").map(([id, v]) => [id, v.response]), [[3, 0]]);
  there.socket.frames();
  const table = new FlowTable(w.crew.workers[0]!.init!.table);
  return { ...there, app, flow, table, eid };
}

/** The requester's endpoint id of a request. */
function eidOf(m: ShimMgmt): number {
  if (m.kind !== "flow_req") throw new Error(`no request but ${m.kind}`);
  return m.requesterEid;
}

function deviceOf(w: MemoryIpcp): SharedDevice {
  const link = w.crew.workers[0]!.init!.extra as EthLink;
  const device = new SharedDevice(link.device);
  device.refresh();
  return device;
}

for (const dix of [true, false]) {
  const type = dix ? "eth-dix" : "eth-llc";
  shellTest(
    `${type}: bootstrap opens the device, and its workers get what they need`,
    async (w) => {
      const { kernel, ipcp } = ethIn(w, type);
      const other = await ipcp.bootstrap(dix ? LLC : DIX);
      assertEquals(isFailure(other) && other.code, -Errno.EIPCPTYPE);
      assertEquals([kernel.sockets.length, w.confined], [0, []]);
      assertEquals(await ipcp.bootstrap(dix ? DIX : LLC), LAYER);
      const protocol = dix ? ETHERTYPE : 4;
      const socket = kernel.sockets[0]!;
      assertEquals([socket.index, socket.protocol, kernel.watched], [7, protocol, ["links"]]);
      assertEquals(w.crew.workers.map(({ url }) => url.split("/").at(-1)), [
        "eth_tx_worker.ts",
        "eth_rx_worker.ts",
      ]);
      const { device: _, ...link } = w.crew.workers[1]!.init!.extra as EthLink;
      const to = sockaddrLl(7, protocol, BROADCAST);
      const sizes = { payloadMax: 9216, hashBytes: 32 };
      assertEquals(link, { fd: socket.fd, dix, ethertype: protocol, to, ...sizes });
      const { index, mac, payloadMax } = deviceOf(w);
      assertEquals([index, mac, payloadMax], [7, MAC_A, 1500 - (dix ? 4 : 3)]);
      // Nothing is to be told: the device can be used.
      assertEquals(w.irm.rest, []);
      const again = await ipcp.bootstrap(dix ? DIX : LLC);
      assertEquals(isFailure(again) && again.code, -Errno.EIPCPSTATE);
      assertEquals(kernel.sockets.length, 1);
      await w.crew.doing(ipcp.stop());
      await ipcp.stop();
      assertEquals([socket.closed, kernel.watchers], [1, 0]);
      assertEquals(w.crew.workers.map((x) => x.terminated), [1, 1]);
    },
  );

  shellTest(`${type}: a name is asked for by broadcast, its flow goes to who has it`, async (w) => {
    const { ipcp, socket, hear, frames } = await knowing(w, type);
    const query = opened(frames[0]!, dix);
    assertEquals([query.dst, query.src, query.m], [BROADCAST, MAC_A, {
      kind: "name_query",
      hash: SRV,
    }]);
    const app = w.app(4003);
    app.flow(3, w.defer);
    assertEquals(await ipcp.flowAlloc(order(3), SRV, QOS.raw, OAP), 0);
    const { frame, to } = socket.sent.shift()!;
    const request = opened(frame, dix);
    assertEquals([request.dst, request.src], [MAC_B, MAC_A]);
    assertEquals(to, sockaddrLl(7, dix ? ETHERTYPE : 4, BROADCAST));
    const eid = eidOf(request.m);
    assert(eid >= (dix ? 1 : 2) && eid <= (dix ? 4095 : 63));
    // Nobody else may answer for B.
    hear(reply(eid, 9), MAC_EVIL);
    await aTurn();
    assertEquals(w.irm.rest, []);
    hear(reply(eid, 9));
    await aTurn();
    const limits = { sduBytesMax: 1500 - (dix ? 4 : 3) };
    assertEquals(w.irm.said("flowAllocReply"), [[3, { response: 0, data: OAP }, 100, limits]]);
    const table = new FlowTable(w.crew.workers[0]!.init!.table);
    assertEquals([table.flowOf(eid), table.remoteEid(3)], [3, 9]);
    assert(table.peerIs(3, MAC_B, 0, 0, 6));
    await w.crew.doing(ipcp.stop());
    assertEquals(app.events().at(-1), [3, FlowEvent.DEALLOC]);
  });
}

shellTest("eth: a name that is registered is answered for, and its flows come in", async (w) => {
  const { ipcp, socket, hear } = await knowing(w);
  const name = new Uint8Array(32).fill(9);
  assertEquals(ipcp.register(name), 0);
  hear({ kind: "name_query", hash: name });
  const answer = opened(socket.frames()[0]!);
  assertEquals([answer.dst, answer.m], [MAC_B, { kind: "name_reply", hash: name }]);
  const app = w.app(4004);
  app.flow(4, w.defer);
  w.irm.onRequest = () => ({ result: 0, flowId: 4, pid: 4004, uid: 0 });
  hear({ kind: "flow_req", requesterEid: 64, qos: QOS.raw, hash: name, data: OAP });
  await aTurn();
  assertEquals(w.irm.said("flowReqArr"), [[name, QOS.raw, 100, OAP, { sduBytesMax: 1496 }]]);
  assertEquals(await ipcp.flowAllocResp(order(4), { response: 0, data: OAP }), 0);
  const { dst, m } = opened(socket.frames().at(-1)!);
  if (m.kind !== "flow_reply") throw new Error(`no reply but ${m.kind}`);
  assertEquals([dst, m.requesterEid, m.response], [MAC_B, 64, 0]);
  const table = new FlowTable(w.crew.workers[0]!.init!.table);
  assertEquals([table.flowOf(m.responderEid), table.remoteEid(4)], [4, 64]);
  table.lostReceived(4);
  assertEquals(ipcp.flowLosses(4), { sent: 0, received: 1 });
  ipcp.unregister(name);
  hear({ kind: "name_query", hash: name });
  assertEquals(socket.frames(), []);
  await w.crew.doing(ipcp.stop());
});

shellTest(
  "eth: a device that cannot be used is refused with the reason, and nothing stays open",
  async (w) => {
    const { kernel, ipcp } = ethIn(w);
    const why = async () => {
      const failed = await ipcp.bootstrap(DIX);
      if (!isFailure(failed)) throw new Error("it works");
      assertEquals(failed.code, -Errno.EPERM);
      return failed.cause;
    };
    kernel.devices.clear();
    assertStringIncludes(await why(), "Cannot use device va: ");
    kernel.broken = { call: "SIOCGIFMTU", errno: 5 };
    assertEquals(await why(), "Cannot use device va: Failed to get MTU.");
    kernel.broken = { call: "SIOCGIFHWADDR", errno: 5 };
    assertEquals(await why(), "Cannot use device va: Failed to get hardware addr.");
    kernel.broken = undefined;
    kernel.devices.set("va", UP);
    assertEquals([kernel.sockets.length, w.crew.workers.length], [0, 0]);
    // The failures left it free to try again.
    assertEquals(await ipcp.bootstrap(DIX), LAYER);
    await w.crew.doing(ipcp.stop());
  },
);

shellTest("eth: workers that do not start leave nothing, and the next try may", async (w) => {
  const { kernel, ipcp } = ethIn(w);
  const failed = await w.crew.starting(1, () => ipcp.bootstrap(DIX));
  assertEquals(isFailure(failed) && [failed.code, failed.cause], [
    -Errno.EPERM,
    "The data workers do not start.",
  ]);
  assertEquals([kernel.sockets[0]!.closed, kernel.watchers], [1, 0]);
  assertEquals(w.crew.workers.map((x) => x.terminated), [1, 1]);
  assertEquals(await ipcp.bootstrap(DIX), LAYER);
  await w.crew.doing(ipcp.stop());
});

shellTest(
  "eth: while its link is down flows wait, requests are refused, and the IRMd knows why",
  async (w) => {
    const { kernel, ipcp, app, socket } = await flowing(w);
    for (const down of [{ ...UP, up: false }, { ...UP, running: false }]) {
      kernel.set("va", down);
      assertEquals(app.events(), [[3, FlowEvent.DOWN]]);
      const told = w.irm.said("status");
      assertEquals(told, [[0, "i", "device va is down"]]);
      const refused = await ipcp.query(SRV);
      assertStringIncludes(JSON.stringify(refused), "device va is down");
      assertEquals(socket.frames(), []);
      kernel.set("va", UP);
      assertEquals(app.events(), [[3, FlowEvent.UP]]);
      assertEquals(w.irm.said("status"), [[0, "i", undefined]]);
    }
    assertEquals(w.lines.filter((line) => line === "II Device va is down.").length, 2);
    await w.crew.doing(ipcp.stop());
  },
);

shellTest(
  "eth: news of other devices, and of ours that say nothing new, change nothing",
  async (w) => {
    const { kernel, ipcp, app, socket } = await flowing(w);
    const lines = w.lines.length;
    kernel.tell(linkNews("vb", { ...UP, index: 8, up: false, mtu: 900, mac: MAC_EVIL }));
    kernel.tell(linkNews("vb", { ...UP, index: 8 }, true));
    kernel.tell(linkNews("va", UP));
    // Told to be down, but it is up by now.
    kernel.tell(linkNews("va", { ...UP, running: false }));
    kernel.lose();
    assertEquals([app.events(), w.irm.rest, socket.frames()], [[], [], []]);
    assertEquals(w.lines.length, lines);
    assertEquals([deviceOf(w).index, deviceOf(w).payloadMax], [7, 1496]);
    await w.crew.doing(ipcp.stop());
  },
);

shellTest(
  "eth: what the kernel could not tell is looked at, by chance or when it matters",
  async (w) => {
    const { kernel, ipcp, app } = await flowing(w);
    kernel.set("va", { ...UP, up: false }, true);
    kernel.lose();
    assertEquals(app.events(), [[3, FlowEvent.DOWN]]);
    kernel.set("va", UP, true);
    const found = ipcp.query(new Uint8Array(32).fill(8));
    assertEquals(app.events(), [[3, FlowEvent.UP]]);
    await w.crew.doing(ipcp.stop());
    assertEquals(await found, -Errno.EIPCPSTATE);
  },
);

shellTest(
  "eth: a device that is removed is waited for, and the socket moves to the new one",
  async (w) => {
    const { kernel, ipcp, app, socket, table } = await flowing(w);
    kernel.remove("va");
    assertEquals(app.events(), [[3, FlowEvent.DOWN]]);
    const cause = "device va is gone; it is used again once it is back";
    assertEquals(w.irm.said("status").at(-1)?.[2], cause);
    assert(w.lines.some((line) => line.startsWith("WW Device va is gone")));
    assert(!w.lines.includes("II Device va is down."));
    assertStringIncludes(JSON.stringify(await ipcp.query(SRV)), cause);
    // News of the old index concern nobody any more.
    kernel.tell(linkNews("vb", { ...UP, mtu: 900 }));
    assertEquals(deviceOf(w).payloadMax, 1496);
    const again = { ...UP, index: 9, mtu: 2000 };
    kernel.stuck = true;
    kernel.set("va", again);
    assertEquals([socket.bound, app.events()], [[], []]);
    kernel.stuck = false;
    // Without a carrier it is of no use yet.
    kernel.set("va", { ...again, running: false });
    assertEquals(app.events(), []);
    assertStringIncludes(JSON.stringify(await ipcp.query(SRV)), "device va is down");
    kernel.set("va", again);
    assertEquals(socket.bound, [sockaddrLl(9, ETHERTYPE, new Uint8Array(6))]);
    const { index, payloadMax } = deviceOf(w);
    assertEquals([index, payloadMax], [9, 1996]);
    // It has the same MAC: the peer's packets find their flow.
    assertEquals([app.events(), table.size], [[[3, FlowEvent.UP]], 1]);
    assertEquals(w.irm.said("status").at(-1)?.[2], undefined);
    void ipcp.query(new Uint8Array(32).fill(8));
    assertEquals(socket.sent[0]!.to, sockaddrLl(9, ETHERTYPE, BROADCAST));
    await w.crew.doing(ipcp.stop());
  },
);

shellTest(
  "eth: flows of a MAC that has changed end at both sides, told from the old one",
  async (w) => {
    const { kernel, ipcp, app, socket, eid } = await flowing(w);
    // While the link is down nobody could be told.
    kernel.set("va", { ...UP, mac: MAC_EVIL, up: false });
    assertEquals([socket.frames(), app.events()], [[], [[3, FlowEvent.DOWN]]]);
    kernel.set("va", { ...UP, mac: MAC_EVIL });
    const end = opened(socket.frames()[0]!);
    assertEquals([end.src, end.dst], [MAC_A, MAC_B]);
    assertEquals(end.m, { kind: "flow_end", senderEid: eid, receiverEid: 77 });
    assertEquals(app.events().at(-1), [3, FlowEvent.DEALLOC]);
    assertEquals(deviceOf(w).mac, MAC_EVIL);
    void ipcp.query(new Uint8Array(32).fill(8));
    assertEquals(opened(socket.frames()[0]!).src, MAC_EVIL);
    // Once.
    kernel.set("va", { ...UP, mac: MAC_EVIL });
    assertEquals(socket.frames(), []);
    await w.crew.doing(ipcp.stop());
  },
);

shellTest("eth: a MAC that changes back before anybody could be told ends nothing", async (w) => {
  const { kernel, ipcp, app, socket } = await flowing(w);
  kernel.set("va", { ...UP, mac: MAC_EVIL, up: false });
  kernel.set("va", UP);
  assertEquals([socket.frames(), app.events()], [[], [[3, FlowEvent.DOWN], [3, FlowEvent.UP]]]);
  assertEquals(deviceOf(w).mac, MAC_A);
  await w.crew.doing(ipcp.stop());
});

shellTest("eth: the MTU is that of the device, as far as there is room", async (w) => {
  const { kernel, ipcp, hear } = await knowing(w);
  kernel.set("va", { ...UP, mtu: 900 });
  assertEquals(deviceOf(w).payloadMax, 896);
  assertEquals(w.lines.filter((line) => line.startsWith("II MTU of va is 900")).length, 1);
  const name = new Uint8Array(32).fill(9);
  ipcp.register(name);
  hear({ kind: "flow_req", requesterEid: 64, qos: QOS.raw, hash: name, data: OAP });
  assertEquals(w.irm.said("flowReqArr")[0]?.[4], { sduBytesMax: 896 });
  kernel.set("va", { ...UP, mtu: 60_000 });
  assertEquals(deviceOf(w).payloadMax, 9216);
  await w.crew.doing(ipcp.stop());
});

shellTest(
  "eth: flows that are open hear that the device carries less, and more again",
  async (w) => {
    const { kernel, ipcp, flow } = await flowing(w);
    assertEquals(flow.tx.packetBytesMax(), 0);
    for (const mtu of [900, 1400, 9000]) {
      kernel.set("va", { ...UP, mtu });
      assertEquals(flow.tx.packetBytesMax(), mtu - 4);
    }
    const shown = (bytes: number) => `packets of flows may have ${bytes} bytes now, not 1496`;
    const told = w.irm.said("status").map(([, , line]) => line);
    assertEquals(told, [shown(896), shown(1396), undefined]);
    const [packets] = w.context.standing.rib();
    assertEquals(packets!.read("bytes")!.values, { now: 8996, full: 1496 });
    await w.crew.doing(ipcp.stop());
  },
);

shellTest("eth: a bootstrap on a device that is down, and where nobody can watch it", async (w) => {
  const { kernel, ipcp } = ethIn(w);
  kernel.devices.set("va", { ...UP, mtu: 20_000, running: false });
  kernel.deaf = true;
  assertEquals(await ipcp.bootstrap(DIX), LAYER);
  assert(w.lines.some((line) => line.startsWith("WW Cannot watch va: ")));
  assertEquals(w.irm.said("status"), [[0, "i", "device va is down"]]);
  // There is room for what it had at the beginning.
  const link = w.crew.workers[0]!.init!.extra as EthLink;
  assertEquals([link.payloadMax, deviceOf(w).payloadMax], [20_000, 19_996]);
  kernel.devices.set("va", { ...UP, mtu: 20_000 });
  void ipcp.query(SRV);
  assertEquals(kernel.sockets[0]!.frames().length, 1);
  await w.crew.doing(ipcp.stop());
});

shellTest(
  "eth: frames that the device does not take are counted, and the data path's words are passed on",
  async (w) => {
    const { kernel, ipcp } = ethIn(w);
    await ipcp.bootstrap(DIX);
    kernel.failing = 100;
    void ipcp.query(SRV);
    const worker = w.crew.workers[0]!;
    const packets = { way: "out", flowId: 3, bytes: 9000, limitBytes: 1500, count: 1 } as const;
    worker.say({ say: "too_long", packets });
    assert(w.lines.some((line) => line.startsWith("WW ") && line.includes("9000")));
    worker.say({ say: "failed", why: "broken" });
    assertEquals(w.fatal.splice(0), ["eth tx worker: broken"]);
    await w.crew.doing(ipcp.stop());
    assert(w.lines.some((line) => line.startsWith("DB sent 0, ") && line.includes("sendFailed 1")));
  },
);

shellTest("eth: nothing reaches an IPCP that has stopped", async (w) => {
  const { kernel, ipcp, socket, hear } = await knowing(w);
  const waiting = ipcp.query(new Uint8Array(32).fill(8));
  socket.frames();
  const stopping = ipcp.stop();
  assert(await waiting !== 0);
  hear({ kind: "name_query", hash: SRV });
  kernel.set("va", { ...UP, up: false });
  await w.crew.doing(stopping);
  assertEquals([socket.frames(), w.irm.rest, socket.closed], [[], [], 1]);
});

// The local IPCP as a whole, with a data worker that does as the test says.

import { assert, assertEquals } from "@std/assert";
import { Counter, FlowTable } from "../../../ipcp/data/table.ts";
import { LocalIpcp } from "../../../ipcp/local/ipcp.ts";
import { isFailure } from "../../../ipcp/type.ts";
import { Errno } from "../../../lib/errno.ts";
import type { IpcpConfig } from "../../../lib/irm/messages.ts";
import { QOS } from "../../../lib/qos.ts";
import { FlowEvent } from "../../../lib/shm/layout.ts";
import { aTurn } from "../../support/data_workers.ts";
import { OAP, order, SRV } from "../../support/machines.ts";
import { shellTest } from "../../support/memory_ipcp.ts";

const CONF: IpcpConfig = { layerInfo: { name: "here", dirHashAlgo: 1 }, ipcpType: 0 };

shellTest(
  "local: flows are pairs that the worker knows, and an end is the end of both",
  async (w) => {
    const ipcp = new LocalIpcp(w.context);
    assertEquals(await ipcp.bootstrap(CONF), CONF.layerInfo);
    const again = await ipcp.bootstrap(CONF);
    assertEquals(isFailure(again) && again.code, -Errno.EIPCPSTATE);
    const worker = w.crew.workers[0]!;
    assertEquals([w.crew.workers.length, worker.url.endsWith("local_worker.ts")], [1, true]);
    const table = new FlowTable(worker.init!.table);

    assertEquals(await ipcp.query(SRV), -Errno.EPERM);
    assertEquals([ipcp.register(SRV), ipcp.register(new Uint8Array(3))], [0, -Errno.EINVAL]);
    assertEquals(await ipcp.query(SRV), 0);
    const [client, server] = [w.app(4003), w.app(4004)];
    for (const [app, id] of [[client, 3], [server, 4]] as const) app.flow(id, w.defer);
    w.irm.onRequest = () => ({ result: 0, flowId: 4, pid: 4004, uid: 0 });
    assertEquals(await ipcp.flowAlloc(order(3), SRV, QOS.raw, OAP), 0);
    // A packet must fit a block of the process that it goes to.
    const limits = { sduBytesMax: client.pool.payloadBytesMax };
    assertEquals(w.irm.said("flowReqArr"), [[SRV, QOS.raw, 100, OAP, limits]]);
    assertEquals(await ipcp.flowAllocResp(order(4), { response: 0, data: OAP }), 0);
    assertEquals(w.irm.said("flowAllocReply"), [[3, { response: 0, data: OAP }, 100, limits]]);
    assertEquals([table.size, table.partner(3), table.partner(4)], [2, 4, 3]);
    table.lostSent(3);
    assertEquals(ipcp.flowLosses(3), { sent: 1, received: 0 });

    assertEquals([ipcp.flowDealloc(3, 0), ipcp.flowDealloc(9, 0)], [0, -Errno.EPERM]);
    await aTurn();
    // What was written last still leaves.
    assertEquals([server.events(), w.irm.said("flowDealloc")], [[], []]);
    worker.obey();
    await aTurn();
    assertEquals([server.events(), table.partner(4)], [[[4, FlowEvent.DOWN]], 0]);
    assertEquals(w.irm.said("flowDealloc").map(([id]) => id), [3]);
    assertEquals([ipcp.unregister(SRV), await ipcp.query(SRV)], [0, -Errno.EPERM]);

    const counters = new Int32Array(worker.init!.counters);
    counters[Counter.received] = 12;
    await w.crew.doing(ipcp.stop());
    assertEquals([worker.terminated, server.events()], [1, [[4, FlowEvent.DEALLOC]]]);
    assert(w.lines.some((line) => line.startsWith("DB moved 12, copied 0")));
    await ipcp.stop();
    assertEquals(worker.terminated, 1);
  },
);

shellTest("local: a worker that does not start leaves nothing, and a new one may", async (w) => {
  const ipcp = new LocalIpcp(w.context);
  const failed = await w.crew.starting(0, () => ipcp.bootstrap(CONF));
  assertEquals(isFailure(failed) && [failed.code, failed.cause], [
    -Errno.EPERM,
    "The data worker does not start.",
  ]);
  assertEquals(w.crew.workers[0]!.terminated, 1);
  assertEquals(await ipcp.bootstrap(CONF), CONF.layerInfo);
  await w.crew.doing(ipcp.stop());
});

shellTest(
  "local: what its worker says is passed on: too long packets, and its death",
  async (w) => {
    const ipcp = new LocalIpcp(w.context);
    await ipcp.bootstrap(CONF);
    const worker = w.crew.workers[0]!;
    const packets = { way: "out", flowId: 3, bytes: 9000, limitBytes: 1500, count: 1 } as const;
    worker.say({ say: "too_long", packets });
    assert(w.lines.some((line) => line.startsWith("WW ") && line.includes("9000")));
    worker.say({ say: "failed", why: "broken" });
    assertEquals(w.fatal.splice(0), ["local worker: broken"]);
    await w.crew.doing(ipcp.stop());
  },
);

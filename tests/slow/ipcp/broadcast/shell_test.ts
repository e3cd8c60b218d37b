// Two members of a broadcast layer in one thread: what each does with connections, those who join, and the end.

import { assert, assertEquals } from "@std/assert";
import {
  BroadcastMail,
  FAREWELL_EVENT,
  kindNumber,
} from "../../../../ipcp/broadcast/data/start.ts";
import { BroadcastIpcp } from "../../../../ipcp/broadcast/ipcp.ts";
import { type Letter, Mail } from "../../../../ipcp/data/mailbox.ts";
import { Counter, FlowTable } from "../../../../ipcp/data/table.ts";
import { isFailure } from "../../../../ipcp/type.ts";
import { Errno } from "../../../../lib/errno.ts";
import { nameHash } from "../../../../lib/hash.ts";
import { decodeIrmMsg, type IpcpConfig, IpcpType } from "../../../../lib/irm/messages.ts";
import { QOS, type QosSpec } from "../../../../lib/qos.ts";
import { FlowEvent } from "../../../../lib/shm/layout.ts";
import { isWireError } from "../../../../lib/wire/mod.ts";
import { until } from "../../../support/deadline.ts";
import { order } from "../../../support/machines.ts";
import { type MemberNode, memberTest, type MemberWorld } from "../../../support/member_node.ts";
import type { MemoryContext } from "../../../support/memory_ipcp.ts";

const CONF: IpcpConfig = {
  layerInfo: { name: "cast", dirHashAlgo: 4 },
  ipcpType: IpcpType.BROADCAST,
};
/** Whatever its configuration says. */
const LAYER = { name: "cast", dirHashAlgo: 1 };
const HASH = nameHash(1, "cast") as Uint8Array;
const DT = "Data Transfer";
const make = (context: MemoryContext) => new BroadcastIpcp(context);
type World = MemberWorld<BroadcastIpcp>;
type Node = MemberNode<BroadcastIpcp>;

/** Letters as kind and words. */
const words = (letters: Letter[]) => letters.map(({ kind, b, c }) => [kind, b, c]);

/** A layer of a, which b has joined. */
async function joined({ a, b }: World): Promise<void> {
  assertEquals(await a.ipcp.bootstrap(CONF), LAYER);
  assertEquals(await b.ipcp.enroll("a"), LAYER);
  assertEquals([a.letters(), b.letters()], [[], []]);
}

/** The flow of the connection from b to a, which both workers have been told of. */
async function connected({ a, b }: World, qos: QosSpec): Promise<number> {
  assertEquals(await b.ipcp.connect("a", DT, qos), 0);
  const added = (letters: Letter[]) => letters.some(({ kind }) => kind === BroadcastMail.add);
  const [ours, theirs] = [await b.mail("add", added), await a.mail("add", added)];
  assertEquals(words(ours), words(theirs));
  const flow = ours.at(-1)!.b;
  const viaMain = qos.inOrder !== 0;
  const add = [BroadcastMail.add, flow, kindNumber("own", viaMain)];
  if (viaMain) assertEquals(words(ours), [add]);
  else {
    assertEquals(words(ours), [[Mail.lower, flow, 0], add]);
    const m = decodeIrmMsg(ours[0]!.bytes);
    if (isWireError(m)) throw m;
    assertEquals([m.flowInfo?.id, m.flowInfo?.nPid], [flow, b.pid]);
  }
  return flow;
}

/** The IRMd heard the end of one side of a flow. */
async function given({ irmd }: World, flow: number, times = 1): Promise<void> {
  await until(`end of ${flow}`, () => irmd.deallocs.get(flow) === times);
}

memberTest("broadcast: one bootstraps, another enrols, and each does so once", make, async (w) => {
  const { a, b } = w;
  await joined(w);
  for (const node of [a, b]) {
    assert(node.worker.url.endsWith("broadcast_worker.ts"));
    assertEquals(node.start().process.pid, node.pid);
  }
  for (
    const [stage, again] of [
      ["bootstrap", await a.ipcp.bootstrap(CONF)],
      ["enroll", await b.ipcp.enroll("a")],
    ] as const
  ) {
    assert(isFailure(again));
    assertEquals(again, {
      code: -Errno.EIPCPSTATE,
      stage,
      cause: `${stage} is under way`,
    });
  }
  assertEquals(w.crew.workers.length, 2);
  // Unreliable flows are not kept for enrollment.
  await until("enrollment over", () => w.irmd.deallocs.size > 0);
});

memberTest("broadcast: who cannot enrol is told why, and is free to try again", make, async (w) => {
  const { a, b } = w;
  w.irmd.names.set("x", "nobody");
  w.irmd.refusal = { error: { stage: "query", process: "irmd", cause: "unknown" } };
  const failed = await b.ipcp.enroll("x");
  assertEquals(failed, {
    code: -Errno.ENAME,
    stage: "query",
    cause: 'no flow to "x": unknown',
  });
  assertEquals(w.crew.workers.length, 0);
  // a is in no layer.
  const early = a.ipcp.enroll("b");
  await w.stop(a);
  const ended = await early;
  assert(isFailure(ended) && ended.code === -Errno.EIPCPSTATE);
  await joined(w);
});

memberTest("broadcast: a worker that does not start leaves nothing", make, async (w) => {
  const { a } = w;
  const failed = await w.crew.starting(0, () => a.ipcp.bootstrap(CONF));
  assertEquals(failed, {
    code: -Errno.EPERM,
    stage: "start",
    cause: "the data worker does not start",
  });
  assertEquals(w.crew.workers[0]!.terminated, 1);
  await joined(w);
});

memberTest("broadcast: a layer whose hash nobody knows cannot be", make, async (w) => {
  const conf = { ...CONF, layerInfo: { name: "", dirHashAlgo: 1 } };
  const result = await w.a.ipcp.bootstrap(conf);
  // The hash is fixed; the name is hashed whatever it is.
  assertEquals(isFailure(result), false);
  const unknown = await w.a.ipcp.connect("b", "Nothing", QOS.raw);
  assertEquals(unknown, {
    code: -Errno.EPERM,
    stage: "connect",
    cause: "no such component: Nothing",
  });
  const none = await w.a.ipcp.disconnect("b", DT);
  assert(typeof none !== "number" && none.code === -Errno.ENOENT);
});

memberTest("broadcast: a raw connection is its workers' until it is over", make, async (w) => {
  const { a, b } = w;
  await joined(w);
  const flow = await connected(w, QOS.raw);
  // Once is enough.
  assertEquals(await b.ipcp.connect("a", DT, QOS.raw), 0);
  assertEquals(b.letters(), []);
  // The interface of a goes down and comes back: nothing that a broadcast layer does anything about.
  for (const events of [FlowEvent.DOWN, FlowEvent.UP]) {
    a.worker.say({ say: "lower", flowId: flow, events });
  }
  assertEquals(a.letters(), []);
  assertEquals(await b.ipcp.disconnect("a", DT), 0);
  // The worker gives the flow back, and only then it ends.
  assertEquals(words(b.letters()), [[Mail.release, flow, 0]]);
  assertEquals(w.irmd.deallocs.get(flow), undefined);
  b.worker.say({ say: "released", flowId: flow });
  await given(w, flow);
  a.worker.say({ say: "lower", flowId: flow, events: FlowEvent.DEALLOC });
  assertEquals(words(a.letters()), [[Mail.release, flow, 0]]);
  a.worker.say({ say: "lower", flowId: flow, events: FlowEvent.DEALLOC });
  assertEquals(a.letters(), []);
  a.worker.say({ say: "released", flowId: flow });
  await given(w, flow, 2);
});

for (
  const [what, events] of [
    ["says farewell", FAREWELL_EVENT],
    ["was silent for its time", FlowEvent.PEER],
  ] as const
) {
  memberTest(`broadcast: a neighbour that ${what} is one no more`, make, async (w) => {
    const { b } = w;
    await joined(w);
    const flow = await connected(w, QOS.raw);
    b.worker.say({ say: "lower", flowId: flow, events });
    assertEquals(words(b.letters()), [[Mail.release, flow, 0]]);
    b.worker.say({ say: "released", flowId: flow });
    await given(w, flow);
  });
}

memberTest("broadcast: a flow with FRCT is read and written here", make, async (w) => {
  const { a, b } = w;
  await joined(w);
  const flow = await connected(w, QOS.data);
  const id = Uint8Array.of(flow >> 8, flow & 0xff);
  // Longer than a message of the control plane.
  const long = new Uint8Array(5000).fill(7);
  a.tell(id, long);
  const got = await b.mail("packet", (all) => all.length > 0);
  assertEquals(words(got), [[BroadcastMail.packet, flow, 0]]);
  assertEquals(got[0]!.bytes, long);
  assertEquals(new Int32Array(a.worker.init!.counters)[Counter.mgmtPending], 0);
  assertEquals(await b.ipcp.disconnect("a", DT), 0);
  assertEquals(words(b.letters()), [[BroadcastMail.remove, flow, 0]]);
  // a hears the farewell, which is no packet, and lets go of its end.
  const last = await a.mail("end", (all) => all.length > 0);
  assertEquals(words(last), [[BroadcastMail.remove, flow, 0]]);
  assert(a.context.lines.some((line) => line.includes("the other side disconnected")));
  await given(w, flow, 2);
});

memberTest("broadcast: who hears a farewell over FRCT does not connect again", make, async (w) => {
  const { a, b } = w;
  await joined(w);
  const flow = await connected(w, QOS.data);
  await w.stop(a);
  assertEquals(words(await b.mail("end", (all) => all.length > 0)), [
    [BroadcastMail.remove, flow, 0],
  ]);
  const again = await b.ipcp.disconnect("a", DT);
  // Nothing is wanted of a any more.
  assert(typeof again !== "number" && again.code === -Errno.ENOENT);
});

/** Lets the worker of a do what it is told until the IRMd hears of the end of a flow above. */
async function freed(a: Node, flowId: number): Promise<void> {
  const ids: number[] = [];
  await until(`end of ${flowId}`, () => {
    a.worker.obey();
    ids.push(...a.irm.said("flowDealloc").map(([id]) => id));
    return ids.length > 0;
  });
  assertEquals(ids, [flowId]);
}

memberTest("broadcast: applications join by the name of the layer", make, async (w) => {
  const { a } = w;
  await a.ipcp.bootstrap(CONF);
  const app = w.app(4003);
  const flow = app.flow(3, w.defer);
  const wrong = [HASH.slice(1), HASH.map((x, i) => i === 31 ? x ^ 1 : x)];
  for (const hash of wrong) assertEquals(await a.ipcp.flowJoin(order(3), hash), -Errno.ENAME);
  assertEquals(await a.ipcp.flowJoin(order(9), HASH), -Errno.EFLOWDOWN);
  assertEquals([a.letters(), a.irm.rest], [[], []]);
  assertEquals(await a.ipcp.flowJoin(order(3), HASH), 0);
  assertEquals(words(a.letters()), [
    [BroadcastMail.add, 3, kindNumber("application", false)],
  ]);
  assertEquals(a.irm.said("flowAllocReply"), [[
    3,
    { response: 0, data: new Uint8Array(0) },
    100,
    {},
  ]]);
  const table = new FlowTable(a.worker.init!.table);
  assertEquals([table.size, table.pid(3), w.isPublished(3)], [1, 4003, true]);
  table.lostReceived(3);
  assertEquals(a.ipcp.flowLosses(3), { sent: 0, received: 1 });
  assertEquals(a.ipcp.flowDealloc(9, 0), -Errno.EPERM);
  assertEquals(a.ipcp.flowDealloc(3, 0), 0);
  await freed(a, 3);
  assertEquals([a.ipcp.flowDealloc(3, 0), table.size], [-Errno.EPERM, 0]);
  assertEquals(app.events().map(([id]) => id), [3]);
  flow.rx.close();
});

memberTest("broadcast: an IRMd that has given a join up gets it back", make, async (w) => {
  const { a } = w;
  await a.ipcp.bootstrap(CONF);
  w.app(4003).flow(3, w.defer);
  a.irm.replyResult = -Errno.EBADF;
  const joining = a.ipcp.flowJoin(order(3), HASH);
  await freed(a, 3);
  assertEquals(await joining, 0);
  assertEquals(a.ipcp.flowDealloc(3, 0), -Errno.EPERM);
});

memberTest(
  "broadcast: the end tells neighbours, gives everything back, and comes once",
  make,
  async (w) => {
    const { a } = w;
    await joined(w);
    await connected(w, QOS.raw);
    const app = w.app(4003);
    app.flow(3, w.defer);
    await a.ipcp.flowJoin(order(3), HASH);
    a.irm.said("flowAllocReply");
    const { worker } = a;
    await w.stop(a);
    await w.stop(a);
    assertEquals([worker.terminated, app.events().at(-1)], [1, [3, FlowEvent.DEALLOC]]);
    assertEquals(a.irm.rest, []);
    assertEquals(a.ipcp.flowDealloc(3, 0), -Errno.EPERM);
    assert(a.context.lines.some((line) => line.startsWith("DB sent 0, ")));
    // It may be another's member now.
    assertEquals(await a.ipcp.bootstrap(CONF), LAYER);
  },
);

memberTest(
  "broadcast: a worker that dies is the end, one that complains is heard",
  make,
  async (w) => {
    const { a } = w;
    await a.ipcp.bootstrap(CONF);
    const packets = { way: "out", flowId: 3, bytes: 9000, limitBytes: 1500, count: 1 } as const;
    a.worker.say({ say: "too_long", packets });
    assert(a.context.lines.some((line) => line.startsWith("WW ") && line.includes("9000")));
    a.worker.say({ say: "policy_left", line: "nothing of ours" });
    a.worker.say({ say: "failed", why: "broken" });
    assertEquals(a.context.fatals.splice(0), ["broadcast worker: broken"]);
  },
);

// The main thread's side of the data path: workers start, flows are held, published and let go, and everything ends.

import { assert, assertEquals, assertThrows } from "@std/assert";
import { mock } from "node:test";
import { DataPlane, type PlaneEvents } from "../../../ipcp/data/plane.ts";
import { Counter, DATA_QUEUE, Order, ORDERS_FLOW } from "../../../ipcp/data/table.ts";
import { Errno } from "../../../lib/errno.ts";
import { instanceOf } from "../../../lib/instance.ts";
import { EVENTS_MAX } from "../../../lib/shm/flow_set.ts";
import { Acl, FlowEvent } from "../../../lib/shm/layout.ts";
import { SysError } from "../../../lib/sys/ffi.ts";
import { aTurn } from "../../support/data_workers.ts";
import { IPCP_PID, used } from "../../support/ipcp_memory.ts";
import { type MemoryIpcp, shellTest } from "../../support/memory_ipcp.ts";
import { ownerUid } from "../../support/shm.ts";

const APP = 900_100;
const PUP = ownerUid(1234);
const LONG = { way: "out", flowId: 3, bytes: 9, limitBytes: 8, count: 1 } as const;
const ROW = { localEid: 5, remoteEid: 6, partner: 0, peer: Uint8Array.of(1, 2) };

/** A plane with the workers a and b, and what it told its owner. */
function planeIn(world: MemoryIpcp, listens = true) {
  const heard: string[] = [];
  const events: PlaneEvents = {
    mgmt: (from, bytes) => void heard.push(`mgmt ${from} ${bytes}`),
    tooLong: ({ bytes }) => void heard.push(`too long ${bytes}`),
    failed: (why) => void heard.push(`failed ${why}`),
  };
  const more: Partial<PlaneEvents> = {
    lower: (flow, events) => void heard.push(`lower ${flow} ${events}`),
    released: (flow) => void heard.push(`released ${flow}`),
    policyLeft: (line) => void heard.push(`left ${line}`),
  };
  const plane = new DataPlane(world.context, listens ? { ...events, ...more } : events);
  const start = (extra?: unknown) =>
    plane.start([world.crew.spec("a"), world.crew.spec("b")], extra);
  return { plane, heard, start };
}

/** Events that wait for the workers: flow and event. */
function dataEvents({ memory }: MemoryIpcp): [number, number][] {
  const out = new Int32Array(EVENTS_MAX * 2);
  const n = Math.max(0, memory.set.wait(DATA_QUEUE, out, 0));
  return Array.from({ length: n }, (_, i) => [out[2 * i]!, out[2 * i + 1]!]);
}

shellTest(
  "every worker gets the same tables, orders of its own, and what its type gives",
  async (w) => {
    const { plane, start } = planeIn(w);
    assertEquals(await start({ x: 1 }), true);
    // Threads keep what their maker had.
    assertEquals(w.confined, [0]);
    const [a, b] = w.crew.workers.map(({ init }) => init!);
    assertEquals([a!.pid, a!.instance, a!.extra], [IPCP_PID, w.instance, { x: 1 }]);
    assert(a!.table === plane.table.buffer && b!.table === a!.table);
    assert(a!.counters === plane.counters.buffer && b!.counters === a!.counters);
    assert(a!.orders !== b!.orders);
    assert(a!.wakeFd > 2 && a!.wakeFd === b!.wakeFd);
    await w.crew.doing(plane.stop());
  },
);

shellTest(
  "a plane has not started while a worker says nothing, and gives up after 20 s",
  async (w) => {
    const { plane, start } = planeIn(w);
    w.crew.silent.add(1);
    mock.timers.enable({ apis: ["setTimeout"] });
    try {
      let up: boolean | undefined;
      const starting = start().then((x) => up = x);
      await aTurn();
      mock.timers.tick(19_999);
      await aTurn();
      assertEquals(up, undefined);
      mock.timers.tick(1);
      await starting;
      assertEquals(up, false);
    } finally {
      mock.timers.reset();
    }
    await w.crew.doing(plane.stop());
  },
);

shellTest("what workers report reaches the owner, until the plane stops", async (w) => {
  const { plane, heard, start } = planeIn(w);
  await start();
  const [a, b] = w.crew.workers;
  plane.counters[Counter.mgmtPending] = 2;
  const all = () => {
    a!.say({ say: "mgmt", from: Uint8Array.of(1), bytes: Uint8Array.of(2) });
    a!.say({ say: "lower", flowId: 7, events: 8 });
  };
  all();
  a!.say({ say: "too_long", packets: LONG });
  a!.say({ say: "released", flowId: 7 });
  a!.say({ say: "policy_left", line: "why" });
  b!.say({ say: "failed", why: "broken" });
  assertEquals(b!.die("thrown"), true);
  assertEquals(heard.splice(0), [
    ...["mgmt 1 2", "lower 7 8", "too long 9", "released 7", "left why"],
    ...["failed b worker: broken", "failed b worker: thrown"],
  ]);
  const stopping = plane.stop();
  all();
  b!.say({ say: "failed", why: "broken" });
  // Each message makes room for another, whoever hears it.
  assertEquals([heard, plane.counters[Counter.mgmtPending]], [[], 0]);
  await w.crew.doing(stopping);
});

shellTest("an owner that does not listen to everything is told the rest", async (w) => {
  const { plane, start } = planeIn(w, false);
  await start();
  const a = w.crew.workers[0]!;
  a.say({ say: "lower", flowId: 7, events: 8 });
  a.say({ say: "released", flowId: 7 });
  a.say({ say: "policy_left", line: "why" });
  await w.crew.doing(plane.stop());
});

shellTest(
  "a flow is held once, with its memory and the pool of its user, or refused",
  async (w) => {
    const { plane } = planeIn(w);
    const app = w.app(APP);
    app.flow(3, w.defer);
    app.flow(4, w.defer);
    assertEquals([plane.hold(3, APP, 0), plane.size], [0, 1]);
    assertEquals(plane.hold(3, APP, 0), -Errno.EEXIST);
    assertEquals(plane.hold(9, APP, 0), -Errno.EFLOWDOWN);
    assertEquals(plane.hold(4, APP, PUP + 1), -Errno.ENOMEM);
    assertEquals(plane.size, 1);
    assertEquals([plane.poolOf(3)?.payloadBytesMax, plane.poolOf(9)], [
      app.pool.payloadBytesMax,
      undefined,
    ]);
    await plane.stop();
    assertEquals(plane.size, 0);
  },
  [PUP],
);

shellTest(
  "a flow goes over to the pool of its acceptor, and stays where it was if there is none",
  async (w) => {
    const { plane } = planeIn(w);
    w.app(APP).flow(3, w.defer);
    assertEquals(plane.setUid(3, PUP), 0, "not held");
    plane.hold(3, APP, 0);
    const before = plane.poolOf(3);
    assertEquals([plane.setUid(3, 0), plane.poolOf(3) === before], [0, true]);
    assertEquals(plane.setUid(3, PUP + 1), -Errno.ENOMEM);
    assertEquals([plane.size, plane.poolOf(3) === before], [1, true]);
    assertEquals([plane.setUid(3, PUP), plane.poolOf(3) === before], [0, false]);
    plane.publish(3, ROW);
    assertEquals([plane.table.uid(3), plane.table.pid(3)], [PUP, APP]);
    await plane.stop();
  },
  [PUP],
);

shellTest(
  "a published flow is in the table and in the flow set, with an event for what was written before",
  async (w) => {
    const { plane } = planeIn(w);
    const app = w.app(APP);
    const early = app.flow(3, w.defer);
    app.flow(4, w.defer);
    early.write(Uint8Array.of(1));
    for (const id of [3, 4]) plane.hold(id, APP, 0);
    plane.publish(9, ROW);
    assertEquals([plane.table.size, plane.table.generation(9)], [0, 0], "not held");
    for (const id of [3, 4]) plane.publish(id, { ...ROW, localEid: id });
    assertEquals([plane.table.size, plane.table.flowOf(3), plane.table.remoteEid(3)], [2, 3, 6]);
    assertEquals(dataEvents(w), [[3, FlowEvent.PKT]]);
    early.write(Uint8Array.of(2));
    assertEquals(dataEvents(w), [[3, FlowEvent.PKT]]);
    await plane.stop();
  },
);

shellTest(
  "a flow is let go when every worker has let go of it, and its process hears of it then",
  async (w) => {
    const { plane, start } = planeIn(w);
    await start();
    const app = w.app(APP);
    const flow = app.flow(3, w.defer);
    plane.hold(3, APP, 0);
    plane.publish(3, ROW);
    dataEvents(w);
    let gone = false;
    const dropping = plane.drop(3).then(() => gone = true);
    flow.write(Uint8Array.of(1));
    // What concerns table and set is done at once: the id is free.
    assertEquals([plane.size, plane.table.size, w.memory.set.has(DATA_QUEUE, 3)], [0, 0, false]);
    await aTurn();
    // Its packets are no business of the workers any more, but they have orders to look at.
    assertEquals(dataEvents(w), [[ORDERS_FLOW, FlowEvent.PKT]]);
    const [a, b] = w.crew.workers;
    assertEquals([a!.obey(), b!.orders()], [1, [{ order: Order.close, flowId: 3 }]]);
    await aTurn();
    assertEquals([gone, flow.rx.acl() & Acl.FLOWDOWN, app.events()], [false, 0, []]);
    b!.say({ say: "closed", flowId: 8 });
    b!.say({ say: "closed", flowId: 3 });
    await dropping;
    assertEquals(app.events(), [[3, FlowEvent.DEALLOC]]);
    for (const ring of [flow.rx, flow.tx]) assert((ring.acl() & Acl.FLOWDOWN) !== 0);
    // Nobody will read it.
    assertEquals(used(app.pool), 0);
    await w.crew.doing(plane.stop());
  },
);

shellTest("a worker that does not let go holds a flow for 2 s", async (w) => {
  const { plane, start } = planeIn(w);
  await start();
  w.app(APP).flow(3, w.defer);
  plane.hold(3, APP, 0);
  plane.publish(3, ROW);
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    let gone = false;
    const dropping = plane.drop(3).then(() => gone = true);
    await aTurn();
    w.crew.workers[0]!.obey();
    mock.timers.tick(1999);
    await aTurn();
    assertEquals(gone, false);
    mock.timers.tick(1);
    await dropping;
  } finally {
    mock.timers.reset();
  }
  // It comes to its senses too late.
  w.crew.workers[1]!.obey();
  await w.crew.doing(plane.stop());
});

shellTest("an id that is used again is let go after the flow that had it before", async (w) => {
  const { plane, start } = planeIn(w);
  await start();
  w.app(APP).flow(3, w.defer);
  const over: string[] = [];
  const once = (name: string) => {
    plane.hold(3, APP, 0);
    plane.publish(3, ROW);
    return plane.drop(3).then(() => over.push(name));
  };
  const both = [once("first"), once("second")];
  await aTurn();
  const [a, b] = w.crew.workers;
  assertEquals(a!.orders().length, 1);
  assertEquals(b!.orders().length, 1);
  for (const x of [a, b]) x!.say({ say: "closed", flowId: 3 });
  await aTurn();
  assertEquals(over, ["first"]);
  assertEquals([a!.obey(), b!.obey()], [1, 1]);
  await Promise.all(both);
  assertEquals(over, ["first", "second"]);
  await w.crew.doing(plane.stop());
});

shellTest(
  "what no worker knows is let go without them, and what is not there not at all",
  async (w) => {
    const { plane, start } = planeIn(w);
    await start();
    const app = w.app(APP);
    app.flow(3, w.defer);
    plane.hold(3, APP, 0);
    await Promise.all([plane.drop(3), plane.drop(9)]);
    assertEquals(app.events(), [[3, FlowEvent.DEALLOC]]);
    assertEquals(w.crew.workers.map((x) => x.orders()), [[], []]);
    await w.crew.doing(plane.stop());
  },
);

shellTest(
  "the process above hears that its flow is down, up again, and closed by the other end",
  async (w) => {
    const { plane } = planeIn(w);
    const app = w.app(APP);
    const flow = app.flow(3, w.defer);
    plane.hold(3, APP, 0);
    const acls = () => [flow.rx.acl() & Acl.FLOWDOWN, flow.tx.acl() & Acl.FLOWDOWN];
    const { FLOWDOWN } = Acl;
    plane.setDown(3, true);
    assertEquals([app.events(), acls()], [[[3, FlowEvent.DOWN]], [FLOWDOWN, FLOWDOWN]]);
    plane.setDown(3, false);
    assertEquals([app.events(), acls()], [[[3, FlowEvent.UP]], [0, 0]]);
    plane.end(3);
    assertEquals([app.events(), acls()], [[[3, FlowEvent.DEALLOC]], [FLOWDOWN, FLOWDOWN]]);
    plane.setDown(9, true);
    plane.end(9);
    await plane.stop();
  },
);

shellTest(
  "a plane stops once: flows that go first, then workers, then the flows that are left",
  async (w) => {
    const { plane, start } = planeIn(w);
    await start();
    const app = w.app(APP);
    for (const id of [3, 4]) {
      app.flow(id, w.defer);
      plane.hold(id, APP, 0);
      plane.publish(id, ROW);
    }
    const dropping = plane.drop(3);
    const stopping = [plane.stop(), plane.stop()];
    await aTurn();
    const [a, b] = w.crew.workers;
    assertEquals(a!.orders(), [{ order: Order.close, flowId: 3 }]);
    for (const x of [a, b]) x!.say({ say: "closed", flowId: 3 });
    await dropping;
    await aTurn();
    assertEquals(a!.orders(), [{ order: Order.stop, flowId: 0 }]);
    a!.say({ say: "stopped" });
    b!.orders();
    await aTurn();
    assertEquals([a!.terminated, b!.terminated, plane.size], [1, 0, 1]);
    b!.say({ say: "stopped" });
    await Promise.all(stopping);
    await plane.stop();
    assertEquals([a!.terminated, b!.terminated, plane.size], [1, 1, 0]);
    assertEquals(app.events(), [[3, FlowEvent.DEALLOC], [4, FlowEvent.DEALLOC]]);
    assertEquals([ORDERS_FLOW, 3, 4].filter((id) => w.memory.set.has(DATA_QUEUE, id)), []);
  },
);

shellTest("a worker that does not stop is ended after 1 s", async (w) => {
  const { plane, start } = planeIn(w);
  await start();
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    const stopping = plane.stop();
    await aTurn();
    mock.timers.tick(999);
    await aTurn();
    assertEquals(w.crew.workers.map((x) => x.terminated), [0, 0]);
    mock.timers.tick(1);
    await stopping;
  } finally {
    mock.timers.reset();
  }
  assertEquals(w.crew.workers.map((x) => x.terminated), [1, 1]);
});

Deno.test("a plane without the memory of an IRMd does not come into being", () => {
  const home = { instance: instanceOf("/tmp/ouro-no-such-node"), pid: 1, confine: () => {} };
  const none = { mgmt: () => {}, tooLong: () => {}, failed: () => {} };
  assertThrows(() => new DataPlane(home, none), SysError);
});

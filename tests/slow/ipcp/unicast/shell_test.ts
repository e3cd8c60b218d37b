// Two members of a unicast layer in one thread: joining, connections, names and flows, with the test as the data path.

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { type Letter, Mail } from "../../../../ipcp/data/mailbox.ts";
import { Counter, FlowTable } from "../../../../ipcp/data/table.ts";
import { isFailure } from "../../../../ipcp/type.ts";
import { UnicastMail, type UnicastStart } from "../../../../ipcp/unicast/data/start.ts";
import { UnicastIpcp } from "../../../../ipcp/unicast/ipcp.ts";
import { Above, DataStats } from "../../../../ipcp/unicast/stats.ts";
import { HopState, HopStates } from "../../../../ipcp/unicast/table.ts";
import { FLOW_IDS_MAX } from "../../../../lib/limits.ts";
import { Errno } from "../../../../lib/errno.ts";
import { decodeIrmMsg } from "../../../../lib/irm/messages.ts";
import { QOS } from "../../../../lib/qos.ts";
import { FlowEvent } from "../../../../lib/shm/layout.ts";
import { isWireError } from "../../../../lib/wire/mod.ts";
import { until } from "../../../support/deadline.ts";
import { OAP, order, SRV } from "../../../support/machines.ts";
import { type MemberNode, memberTest, type MemberWorld } from "../../../support/member_node.ts";
import { CONF } from "../../../support/members.ts";
import type { MemoryContext } from "../../../support/memory_ipcp.ts";

const MGMT = "Management";
const DT = "Data Transfer";
const make = (context: MemoryContext) => new UnicastIpcp(context);
type World = MemberWorld<UnicastIpcp>;
type Node = MemberNode<UnicastIpcp>;

const selfOf = (node: Node) => node.start<UnicastStart>().self;
const statesOf = (node: Node) => new HopStates(FLOW_IDS_MAX, node.start<UnicastStart>().states);
const words = (letters: Letter[]) => letters.map(({ kind, b, c }) => [kind, b, c]);

/** A layer of a, which b has joined. */
async function joined({ a, b }: World): Promise<void> {
  assertEquals(await a.ipcp.bootstrap(CONF), CONF.layerInfo);
  assertEquals(await b.ipcp.enroll("a", []), CONF.layerInfo);
}

/** Both connections from b to a; the flow of Data Transfer. */
async function connected(w: World): Promise<number> {
  const { a, b } = w;
  assertEquals(await b.ipcp.connect("a", MGMT, QOS.data), 0);
  // FRCT is of the ends of a flow, so that this one can be the worker's.
  assertEquals(await b.ipcp.connect("a", DT, QOS.data), 0);
  const handed = (all: Letter[]) => all.some(({ kind }) => kind === Mail.lower);
  const [ours, theirs] = [await b.mail("lower", handed), await a.mail("lower", handed)];
  const flow = ours.find(({ kind }) => kind === Mail.lower)!.b;
  assertEquals(theirs.find(({ kind }) => kind === Mail.lower)?.b, flow);
  const m = decodeIrmMsg(ours.find(({ kind }) => kind === Mail.lower)!.bytes);
  if (isWireError(m)) throw m;
  assertEquals([m.flowInfo?.id, m.flowInfo?.nPid, m.flowInfo?.qos.inOrder], [flow, b.pid, 0]);
  for (const node of [a, b]) assertEquals(statesOf(node).get(flow), HopState.up);
  return flow;
}

/** Carries what components send, as data paths with routes would; what else the workers were told. */
function carry({ a, b }: World): Letter[] {
  const rest: Letter[] = [];
  for (const node of [a, b]) {
    for (const letter of node.letters()) {
      const to = [a, b].find((n) => selfOf(n) === letter.b >>> 0);
      if (letter.kind !== UnicastMail.transfer) rest.push(letter);
      else if (to !== undefined) {
        const counters = new Int32Array(to.worker.init!.counters);
        counters[Counter.componentPending + letter.c]! += 1;
        to.tell(Uint8Array.of(letter.c), letter.bytes);
        assertEquals(counters[Counter.componentPending + letter.c], 0);
      }
    }
  }
  return rest;
}

/** Waits for a result while messages are carried. */
async function carried<T>(w: World, promise: Promise<T>): Promise<T> {
  let over = false;
  promise.finally(() => over = true).catch(() => {});
  await until("an answer", () => {
    carry(w);
    return over;
  });
  return await promise;
}

/** SRV is a's, and b knows. */
async function known(w: World): Promise<number> {
  await joined(w);
  const flow = await connected(w);
  assertEquals(w.a.ipcp.register(SRV), 0);
  await until("the name", async () => await carried(w, w.b.ipcp.query(SRV)) === 0);
  return flow;
}

memberTest("unicast: one bootstraps, another enrols with its settings", make, async (w) => {
  const { a, b } = w;
  await joined(w);
  const [x, y] = [a, b].map((node) => node.start<UnicastStart>());
  for (const s of [x!, y!]) {
    assertEquals([s.addrBytes, s.eidBytes, s.ttlMax, s.spread, s.congestion], [
      ...[4, 8, 60, false],
      x!.congestion,
    ]);
    assertEquals([s.policies, s.shipped.length > 3], [[], true]);
  }
  assert(x!.self !== 0 && y!.self !== 0 && x!.self !== y!.self);
  assertEquals([x!.process.pid, y!.process.pid], [a.pid, b.pid]);
  assert(a.worker.url.endsWith("unicast_worker.ts"));
  assert(a.context.lines.some((line) => line === `II IPCP got address ${x!.self}.`));
  assertEquals([a.ipcp.countMembers(), a.ipcp.policies()], [1, []]);
  assertEquals(a.ipcp.rib().length > 0, true);
  const again = await b.ipcp.enroll("a", []);
  assertEquals(isFailure(again) && again.code, -Errno.EIPCPSTATE);
  await w.stop(b);
  assertEquals([b.ipcp.rib(), b.ipcp.register(SRV), b.ipcp.unregister(SRV)], [
    [],
    -Errno.EIPCPSTATE,
    -Errno.EIPCPSTATE,
  ]);
});

memberTest("unicast: settings that cannot be are refused, and nothing stays", make, async (w) => {
  const { a } = w;
  if (CONF.ipcpType !== 1) throw new Error("no unicast");
  const { unicast } = CONF;
  const bad = await a.ipcp.bootstrap({
    ...CONF,
    unicast: { ...unicast, dt: { ...unicast.dt, addrSize: 77 } },
  });
  assert(isFailure(bad));
  assertEquals([(bad as { code: number }).code, (bad as { stage: string }).stage], [
    -Errno.EINVAL,
    "configuration",
  ]);
  assertEquals(w.crew.workers.length, 0);
  await joined(w);
});

memberTest("unicast: a worker that does not start leaves nothing", make, async (w) => {
  const { a } = w;
  const failed = await w.crew.starting(0, () => a.ipcp.bootstrap(CONF));
  assertEquals(isFailure(failed) && [failed.code, failed.stage], [-Errno.EPERM, "start"]);
  assertEquals([w.crew.workers[0]!.terminated, a.ipcp.rib()], [1, []]);
  await joined(w);
});

memberTest(
  "unicast: a Data Transfer flow is up, down, up and gone for the worker",
  make,
  async (w) => {
    const { a, b } = w;
    await joined(w);
    const flow = await connected(w);
    const states = statesOf(a);
    for (
      const [events, state] of [
        [FlowEvent.DOWN, HopState.down],
        [FlowEvent.UP, HopState.up],
      ] as const
    ) {
      a.worker.say({ say: "lower", flowId: flow, events });
      assertEquals(states.get(flow), state);
    }
    a.worker.say({ say: "lower", flowId: flow, events: FlowEvent.PEER });
    assertEquals(states.get(flow), HopState.absent);
    const letters = a.letters().filter(({ kind }) => kind === Mail.release);
    assertEquals(words(letters), [[Mail.release, flow, 0]]);
    a.worker.say({ say: "released", flowId: flow });
    await until("end", () => w.irmd.deallocs.get(flow) === 1);
    // The one who wanted it is told so by a farewell, over Management, when it disconnects.
    assertEquals(await b.ipcp.disconnect("a", DT), 0);
    assertEquals(statesOf(b).get(flow), HopState.absent);
    assertEquals(await b.ipcp.disconnect("a", MGMT), 0);
  },
);

memberTest("unicast: names are found, flows to them made, used and closed", make, async (w) => {
  const { a, b } = w;
  await known(w);
  // a serves an application, b asks; their memory is of a's process alone, so b's flow is refused first.
  assertEquals(await b.ipcp.flowAlloc(order(3), SRV, QOS.raw, OAP), -Errno.EFLOWDOWN);
  const app = w.app(4004);
  app.flow(4, w.defer);
  a.irm.onRequest = () => ({ result: 0, flowId: 4, pid: 4004, uid: 0 });
  const client = w.app(4003);
  client.flow(3, w.defer);
  // The name is a's own: the flow comes back to it.
  assertEquals(await carried(w, a.ipcp.flowAlloc(order(3), SRV, QOS.raw, OAP)), 0);
  await until("the request", () => {
    carry(w);
    return a.irm.rest.includes("flowReqArr");
  });
  const [hash, qos, mplMs, data] = a.irm.said("flowReqArr")[0]!;
  assertEquals([hash, qos.inOrder, mplMs, data], [SRV, QOS.raw.inOrder, 100, OAP]);
  await until(
    "held",
    async () => await a.ipcp.flowAllocResp(order(4), { response: 0, data: OAP }) === 0,
  );
  await until("the reply", () => {
    carry(w);
    return a.irm.rest.includes("flowAllocReply");
  });
  assertEquals(a.irm.said("flowAllocReply").map(([id, v]) => [id, v.response]), [[3, 0]]);
  const table = new FlowTable(a.worker.init!.table);
  assertEquals([table.partner(3) >>> 0, table.partner(4) >>> 0], [selfOf(a), selfOf(a)]);
  assertEquals([table.localEid(3), table.localEid(4)], [table.remoteEid(4), table.remoteEid(3)]);
  assertEquals([w.isPublished(3), w.isPublished(4)], [true, true]);

  const stats = new DataStats(a.start<UnicastStart>().stats);
  stats.above(3, Above.sendFailed, 100);
  stats.above(3, Above.receiveFailed, 100);
  stats.above(3, Above.receiveFailed, 100);
  assertEquals(a.ipcp.flowLosses(3), { sent: 1, received: 2 });

  assertEquals([a.ipcp.flowDealloc(9, 0), a.ipcp.flowDealloc(3, 0)], [-Errno.EPERM, 0]);
  const freed: number[] = [];
  await until("the end", () => {
    a.worker.obey();
    carry(w);
    freed.push(...a.irm.said("flowDealloc").map(([id]) => id));
    return freed.length > 0;
  });
  assertEquals(freed, [3]);
  await until("the far end hears", () => {
    carry(w);
    return app.events().some(([id, event]) => id === 4 && event === FlowEvent.DEALLOC);
  });
  assertEquals(a.ipcp.flowDealloc(3, 0), -Errno.EPERM);
  assertEquals(a.ipcp.unregister(SRV), 0);
});

memberTest(
  "unicast: a request that nobody takes, or that finds no memory, holds nothing",
  make,
  async (w) => {
    const { a } = w;
    await known(w);
    const client = w.app(4003);
    /** FLOW_ALLOC of flow `id`: how it ends. */
    const ask = async (id: number) => {
      client.flow(id, w.defer);
      const result = await carried(
        w,
        a.ipcp.flowAlloc({ flowId: id, pid: 4003, uid: 0 }, SRV, QOS.raw, OAP),
      );
      if (result < 0) return result;
      await until("the reply", () => {
        carry(w);
        return a.irm.rest.includes("flowAllocReply");
      });
      return a.irm.said("flowAllocReply").map(([flow, v]) => [flow, v.response]);
    };
    a.irm.onRequest = () => ({ result: -Errno.ENAME, cause: "no", flowId: 8, pid: 4008, uid: 0 });
    assertEquals(await ask(3), [[3, -Errno.ENAME]]);
    a.irm.onRequest = () => ({ result: 0, flowId: 9, pid: 4009, uid: 0 });
    assertEquals(await ask(5), [[5, -Errno.EFLOWDOWN]]);
    assertEquals([a.ipcp.flowDealloc(8, 0), a.ipcp.flowDealloc(9, 0)], [
      -Errno.EPERM,
      -Errno.EPERM,
    ]);
    const table = new FlowTable(a.worker.init!.table);
    assertEquals(table.generation(9), 0);
    // A name that nobody has: the flow is let go at once.
    client.flow(7, w.defer);
    const none = new Uint8Array(32).fill(0x77);
    assert(
      await carried(w, a.ipcp.flowAlloc({ flowId: 7, pid: 4003, uid: 0 }, none, QOS.raw, OAP)) < 0,
    );
    assertEquals(a.ipcp.flowDealloc(7, 0), -Errno.EPERM);
  },
);

memberTest("unicast: a policy that its worker has left is told of", make, async (w) => {
  const { a } = w;
  await a.ipcp.bootstrap(CONF);
  a.worker.say({ say: "policy_left", line: "Policy forwarding failed." });
  assertEquals(a.irm.said("status"), [[0, "a", "Policy forwarding failed."]]);
  a.worker.say({ say: "policy_left", line: "Policy congestion failed." });
  assertEquals(a.irm.said("status")[0]?.[2], "Policy forwarding failed. Policy congestion failed.");
  assert(a.context.lines.includes("EE Policy forwarding failed."));
  const missing = await w.b.ipcp.enroll("a", [{ kind: 0, file: "/nonexistent.ts" }]);
  assert(isFailure(missing));
  assertStringIncludes(JSON.stringify(missing), "code");
});

memberTest(
  "unicast: the end tells the neighbour, and everything is given back",
  make,
  async (w) => {
    const { a, b } = w;
    const flow = await known(w);
    const { worker } = b;
    const waiting = b.ipcp.query(new Uint8Array(32).fill(0x66));
    await w.stop(b);
    assertEquals([worker.terminated, await waiting < 0], [1, true]);
    await until("a hears", () => statesOf(a).get(flow) === HopState.absent);
    assertEquals([b.ipcp.countMembers(), b.irm.rest, b.ipcp.flowDealloc(3, 0)], [
      1,
      [],
      -Errno.EPERM,
    ]);
  },
);

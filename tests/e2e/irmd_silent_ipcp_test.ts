// An IPCP that takes a request and says nothing in time, hangs up, or answers late (spec 20 §9, §19.12): the requester
// hears why, the IPCP is told to let go, rings and id come back, and the next flow is not disturbed.

import { assertEquals, assertMatch } from "@std/assert";
import { nameHash } from "../../lib/hash.ts";
import type { AdminClient } from "../../lib/irm/admin.ts";
import {
  encodeIrmMsg,
  flowInfoOf,
  HashAlgo,
  IpcpCode,
  IpcpType,
  IrmCode,
  type IrmMsg,
} from "../../lib/irm/messages.ts";
import { QOS_NP1 } from "../../lib/qos.ts";
import { Puppet } from "../support/puppet.ts";
import type { Behaviour } from "../support/puppet_process.ts";
import {
  acceptRequest,
  allocRequest,
  arrival,
  local,
  nextAsked,
  oapRequest,
  puppetNode,
  rings,
  startIpcp,
} from "../support/irmd_with_puppets.ts";
import { until } from "../support/deadline.ts";
import type { TestNode } from "../support/node.ts";
import { nameInfo } from "../support/names.ts";

const HASH = nameHash(HashAlgo.SHA3_256, "n") as Uint8Array;
/** `irmd --patience`. */
const PATIENCE = 2;
/** How long the IRMd waits for a join, for a query that nobody else answers, and for who takes an answer, ms. */
const [JOIN_MS, QUERY_MS, ANSWER_MS] = [500 * PATIENCE, 2000 * PATIENCE, 3000 * PATIENCE];
/** Longer than all of that. */
const LATE: Behaviour = { sleep: ANSWER_MS / 1000 + 2 };
/** Patience of a client in which its request gets to the IPCP, ms. */
const CLIENT_MS = 4000;

interface Scene extends AsyncDisposable {
  readonly node: TestNode;
  readonly admin: AdminClient;
  readonly ipcp: Puppet;
  readonly proc: Puppet;
}

/** A node with one puppet IPCP in a layer, and one process bound to "n". */
async function scene(
  type: typeof IpcpType.LOCAL | typeof IpcpType.BROADCAST = IpcpType.LOCAL,
): Promise<Scene> {
  const { node, admin } = await puppetNode(PATIENCE);
  try {
    const { layerInfo } = local("lay");
    const conf = { layerInfo, ipcpType: type };
    const ipcp = await startIpcp(node, admin, "p1", type, conf);
    const proc = await Puppet.announced(node, "proc");
    await admin.createName(nameInfo("n"));
    await admin.bindProcess(proc.pid, "n");
    return { node, admin, ipcp, proc, [Symbol.asyncDispose]: () => node[Symbol.asyncDispose]() };
  } catch (e) {
    await node[Symbol.asyncDispose]();
    throw e;
  }
}

async function behave({ ipcp }: Scene, how: Record<string, Behaviour>): Promise<void> {
  await ipcp.tell({ op: "behave", how });
}

/** The IPCP was told to let go of a flow, and nothing of it is left. */
async function letGo(s: Scene, id: number): Promise<void> {
  assertEquals((await nextAsked(s.ipcp, IpcpCode.IPCP_FLOW_DEALLOC)).flowId, id);
  await until("rings gone", () => rings(s.node).length === 0);
}

/** An allocation gets to the IPCP with this id, and is given up by the client. */
async function allocationReaches(s: Scene, id: number): Promise<void> {
  await behave(s, {});
  const given = s.proc.irm(allocRequest(s.proc, "n", CLIENT_MS));
  assertEquals((await nextAsked(s.ipcp, IpcpCode.IPCP_FLOW_ALLOC)).flowId, id);
  assertEquals((await given)?.result, -110);
  await letGo(s, id);
}

function joinRequest(p: Puppet, layer: string): IrmMsg {
  return {
    code: IrmCode.IRM_FLOW_JOIN,
    dst: layer,
    flowInfo: flowInfoOf({ nPid: p.pid, qos: QOS_NP1 }),
  };
}

Deno.test("alloc: an IPCP that hangs up may have taken the flow, so it is told to let go", async () => {
  await using s = await scene();
  await behave(s, { IPCP_FLOW_ALLOC: { drop: 1 } });
  const got = await s.proc.irm(allocRequest(s.proc, "n"));
  assertEquals(got?.result, -1003);
  assertMatch(got!.error!.cause, /^IPCP \d+ hung up$/);
  await letGo(s, 1);
  await allocationReaches(s, 1);
});

Deno.test("alloc: an IPCP that says it has no such flow frees it, although it confirms nothing", async () => {
  await using s = await scene();
  await s.ipcp.tell({ op: "behave", how: {}, confirm: false });
  await behave(s, { IPCP_FLOW_ALLOC: { drop: 1 }, IPCP_FLOW_DEALLOC: { result: -1 } });
  assertEquals((await s.proc.irm(allocRequest(s.proc, "n")))?.result, -1003);
  await letGo(s, 1);
});

Deno.test("alloc: until a silent IPCP has let go, its flow id is not given again", async () => {
  await using s = await scene();
  await s.ipcp.tell({ op: "behave", how: {}, confirm: false });
  await behave(s, { IPCP_FLOW_ALLOC: { sleep: 60 } });
  assertEquals((await s.proc.irm(allocRequest(s.proc, "n", CLIENT_MS)))?.result, -110);
  assertEquals((await nextAsked(s.ipcp, IpcpCode.IPCP_FLOW_DEALLOC)).flowId, 1);
  const second = s.proc.irm(allocRequest(s.proc, "n", CLIENT_MS));
  assertEquals((await nextAsked(s.ipcp, IpcpCode.IPCP_FLOW_ALLOC)).flowId, 2);
  assertEquals((await second)?.result, -110);
  // Its answer comes late, and is nobody's; its confirmation frees the first flow alone.
  const flowInfo = flowInfoOf({ id: 1, n1Pid: s.ipcp.pid });
  const late = {
    code: IrmCode.IPCP_FLOW_ALLOC_REPLY,
    flowInfo,
    response: 0,
    pk: new Uint8Array(0),
  };
  assertEquals((await s.ipcp.irm(late))?.result, -9);
  assertEquals((await s.ipcp.irm({ code: IrmCode.IPCP_FLOW_DEALLOC, flowInfo }))?.result, 0);
  await until("rings of the first gone", () => rings(s.node, 1).length === 0);
  assertEquals(rings(s.node, 2).length, 2);
});

Deno.test("join: an IPCP that does not answer in time is named, and told to let go", async () => {
  await using s = await scene(IpcpType.BROADCAST);
  await behave(s, { IPCP_FLOW_JOIN: LATE });
  const got = await s.proc.irm(joinRequest(s.proc, "lay"));
  assertEquals(got?.result, -1000);
  assertMatch(got!.error!.cause, new RegExp(`^IPCP \\d+ did not answer in ${JOIN_MS} ms$`));
  await letGo(s, 1);
});

Deno.test("accept: an IPCP that does not take the verdict in time: both sides are given up", async () => {
  await using s = await scene();
  await behave(s, { IPCP_FLOW_ALLOC_RESP: LATE });
  const accepted = s.proc.irm(acceptRequest(s.proc));
  const pk = await oapRequest(s.node, "n");
  const arrived = await s.ipcp.irm(arrival(s.ipcp, HASH, pk));
  assertEquals(arrived?.result, 0);
  const got = await accepted;
  assertEquals(got?.result, -1003);
  assertMatch(got!.error!.cause, new RegExp(`^IPCP \\d+ did not answer in ${ANSWER_MS} ms$`));
  await letGo(s, arrived!.flowInfo!.id);
});

Deno.test("accept: a refusal that the IPCP does not take in time still ends the flow", async () => {
  await using s = await scene();
  await behave(s, { IPCP_FLOW_ALLOC_RESP: LATE });
  // It goes on waiting.
  s.proc.irm(acceptRequest(s.proc)).catch(() => {});
  const arrived = await s.ipcp.irm(arrival(s.ipcp, HASH, new Uint8Array(36)));
  assertEquals(arrived?.result, 0);
  await letGo(s, arrived!.flowInfo!.id);
});

Deno.test("query: an IPCP that does not answer is named in the reason", async () => {
  await using s = await scene();
  await behave(s, { IPCP_QUERY: LATE });
  const got = await s.proc.irm(allocRequest(s.proc, "n"));
  assertEquals(got?.result, -1003);
  assertMatch(
    got!.error!.cause,
    new RegExp(
      `no IPCP of this node knows "n" .*p1: IPCP \\d+ did not answer in ${QUERY_MS} ms\\b`,
    ),
  );
  assertEquals(rings(s.node), []);
});

Deno.test("a client that vanishes while a silent IPCP is asked: the IPCP is told, once", async () => {
  await using s = await scene();
  await behave(s, { IPCP_FLOW_ALLOC: LATE });
  await s.proc.tell({ op: "hold", hex: encodeIrmMsg(allocRequest(s.proc, "n")).toHex() });
  await nextAsked(s.ipcp, IpcpCode.IPCP_FLOW_ALLOC);
  await s.proc.kill();
  await letGo(s, 1);
  const again = (await s.ipcp.asked()).filter((m) => m.code === IpcpCode.IPCP_FLOW_DEALLOC);
  assertEquals(again, []);
  assertEquals((await s.admin.listNames()).length, 1);
});

// The IRMd's side of flows over an IPCP (spec 20 §8, §9, §10), with an IPCP that is a puppet: whole conversations, and IPCPs
// that die, hang or lie. The vectors are in irmd_sim_test.ts.

import { assert, assertEquals } from "@std/assert";
import { nameHash } from "../../lib/hash.ts";
import { ipcpSocketPath } from "../../lib/instance.ts";
import {
  encodeIrmMsg,
  type FlowInfo,
  flowInfoOf,
  HashAlgo,
  IpcpCode,
  IpcpType,
  IrmCode,
  type IrmMsg,
} from "../../lib/irm/messages.ts";
import { QOS } from "../../lib/qos.ts";
import { SeqSocket } from "../../lib/sys/socket.ts";
import { Puppet } from "../support/puppet.ts";
import {
  acceptRequest,
  allocRequest,
  arrival,
  deallocRequest,
  local,
  nextAsked,
  oapRequest,
  puppetNode,
  rings,
  startIpcp,
  udp6,
} from "../support/irmd_with_puppets.ts";
import { until } from "../support/deadline.ts";
import type { TestNode } from "../support/node.ts";
import { nameInfo } from "../support/names.ts";

/** A flow between two processes of one host over a puppet that plays the local IPCP. */
async function openFlow(
  node: TestNode,
  ipcp: Puppet,
  client: Puppet,
  server: Puppet,
  name: string,
): Promise<{ c: FlowInfo; s: FlowInfo }> {
  const hash = nameHash(HashAlgo.SHA3_256, name) as Uint8Array;
  const accepted = server.irm(acceptRequest(server));
  const allocated = client.irm(allocRequest(client, name));
  const alloc = await nextAsked(ipcp, IpcpCode.IPCP_FLOW_ALLOC);
  assertEquals([alloc.hash, alloc.pid], [hash, client.pid]);
  assertEquals(rings(node, alloc.flowId).length, 2, "rings exist before the IPCP is asked");
  const arrived = await ipcp.irm(arrival(ipcp, hash, alloc.pk!));
  assertEquals(arrived?.result, 0, arrived?.error?.cause);
  const { id } = arrived!.flowInfo!;
  assertEquals(arrived!.flowInfo!.nPid, server.pid);
  assertEquals(rings(node, id).length, 2);
  const resp = await nextAsked(ipcp, IpcpCode.IPCP_FLOW_ALLOC_RESP);
  assertEquals([resp.flowId, resp.pid, resp.response], [id, server.pid, 0]);
  const done = await ipcp.irm({
    code: IrmCode.IPCP_FLOW_ALLOC_REPLY,
    flowInfo: flowInfoOf({ id: alloc.flowId!, mpl: 100, uid: 12345, n1Pid: 999 }),
    response: 0,
    pk: resp.pk!,
  });
  assertEquals(done?.result, 0, done?.error?.cause);
  const [c, s] = [await allocated, await accepted];
  assertEquals([c?.result, s?.result], [0, 0], `${c?.error?.cause} ${s?.error?.cause}`);
  assertEquals([c!.cipherNid, s!.cipherNid], [0, 0]);
  assertEquals(c!.flowInfo, {
    id: alloc.flowId!,
    nPid: client.pid,
    n1Pid: ipcp.pid,
    mpl: 100,
    state: 3,
    qos: { ...QOS.raw },
    uid: 0, // ours, not what the IPCP left in its memory
  });
  assertEquals([s!.flowInfo!.id, s!.flowInfo!.n1Pid], [id, ipcp.pid]);
  return { c: c!.flowInfo!, s: s!.flowInfo! };
}

/** A node with one local puppet in a layer, and two processes, the server bound to "n". */
async function conversation(patience?: number) {
  const { node, admin } = await puppetNode(patience);
  try {
    const ipcp = await startIpcp(node, admin, "l1", IpcpType.LOCAL, local("lay"));
    const client = await Puppet.announced(node, "client");
    const server = await Puppet.announced(node, "server");
    await admin.createName(nameInfo("n"));
    await admin.bindProcess(server.pid, "n");
    return { node, admin, ipcp, client, server };
  } catch (e) {
    await node[Symbol.asyncDispose]();
    throw e;
  }
}

Deno.test("flow over an IPCP: allocated in the steps of spec 20 §8.4, deallocated as in §8.2, nothing left", async () => {
  const { node, ipcp, client, server } = await conversation();
  await using _node = node;
  const ids = new Set<number>();
  for (let i = 0; i < 10; i++) {
    const { c, s } = await openFlow(node, ipcp, client, server, "n");
    ids.add(c.id).add(s.id);
    for (const [p, f] of [[client, c], [server, s]] as const) {
      assertEquals((await p.irm(deallocRequest(p, f.id)))?.result, 0);
    }
    await until("rings gone", () => rings(node).length === 0);
  }
  assertEquals([...ids].sort(), [1, 2], "ids are used again");
});

Deno.test("the flow set of an IPCP is for all users, that of a process is not", async () => {
  const { node, ipcp, client } = await conversation();
  await using _node = node;
  const mode = (pid: number) => {
    const name = node.sharedMemory().find((n) => n.endsWith(`.set.${pid}`));
    return (Deno.statSync(`/dev/shm/${name}`).mode! & 0o777).toString(8);
  };
  assertEquals([mode(ipcp.pid), mode(client.pid)], ["666", "660"]);
});

Deno.test("an IPCP that dies: its flows and allocations end, the list says so, others are not disturbed", async () => {
  const { node, admin, ipcp, client, server } = await conversation();
  await using _node = node;
  const other = await startIpcp(node, admin, "l2", IpcpType.LOCAL, local("lay2"));
  await other.tell({ op: "behave", how: { IPCP_QUERY: { result: -1 } } });
  const { c, s } = await openFlow(node, ipcp, client, server, "n");
  const waiting = client.irm(allocRequest(client, "n"));
  await nextAsked(ipcp, IpcpCode.IPCP_FLOW_ALLOC);
  await ipcp.kill();
  assertEquals((await waiting)?.result, -1003);
  await until("list without that process", async () => {
    return (await admin.listIpcps()).every((i) => i.pid !== ipcp.pid);
  });
  for (const [p, f] of [[client, c], [server, s]] as const) {
    assertEquals((await p.irm(deallocRequest(p, f.id)))?.result, 0);
    assertEquals((await p.irm(deallocRequest(p, f.id)))?.result, -1000);
  }
  assertEquals(rings(node), []);
  // The other still carries flows.
  await other.tell({ op: "behave", how: {} });
  await openFlow(node, other, client, server, "n");
});

Deno.test("an IPCP that hangs: its own requests fail in time, everybody else is served meanwhile", async () => {
  const { node, admin, ipcp, client } = await conversation(1);
  await using _node = node;
  Deno.kill(ipcp.pid, "SIGSTOP");
  try {
    const query = client.irm(allocRequest(client, "n"));
    const boot = admin.bootstrapIpcp(ipcp.pid, local("again")).then(() => 0, (e) => e.code);
    for (let i = 0; i < 20; i++) assertEquals((await admin.listNames()).length, 1);
    assertEquals((await query)?.result, -1003);
    assertEquals(await boot, -1);
  } finally {
    Deno.kill(ipcp.pid, "SIGCONT");
  }
});

Deno.test("a dealloc that finds the IPCP too busy to take it is not lost, and keeps nobody waiting", async () => {
  const { node, ipcp, client, server } = await conversation();
  await using _node = node;
  const { c, s } = await openFlow(node, ipcp, client, server, "n");
  const path = ipcpSocketPath(node.instance, ipcp.pid);
  const queue: SeqSocket[] = [];
  Deno.kill(ipcp.pid, "SIGSTOP");
  try {
    for (let q = SeqSocket.tryConnect(path); q !== null; q = SeqSocket.tryConnect(path)) {
      queue.push(q);
    }
    assert(queue.length > 0);
    assertEquals((await client.irm(deallocRequest(client, c.id)))?.result, 0);
    assertEquals((await server.irm(deallocRequest(server, s.id)))?.result, 0);
    assertEquals(rings(node).length, 4);
  } finally {
    Deno.kill(ipcp.pid, "SIGCONT");
    for (const q of queue) q.close();
  }
  await until("rings gone", () => rings(node).length === 0);
});

Deno.test("a client that gives up or dies in an allocation: the IPCP is told, the id comes back when it confirms", async () => {
  const { node, ipcp, client } = await conversation();
  await using _node = node;
  const late = client.irm(allocRequest(client, "n", 4000));
  const first = await nextAsked(ipcp, IpcpCode.IPCP_FLOW_ALLOC);
  assertEquals((await late)?.result, -110);
  assertEquals((await nextAsked(ipcp, IpcpCode.IPCP_FLOW_DEALLOC)).flowId, first.flowId);
  await until("rings gone", () => rings(node).length === 0);
  // An answer that comes now is nobody's.
  const reply: IrmMsg = {
    code: IrmCode.IPCP_FLOW_ALLOC_REPLY,
    flowInfo: flowInfoOf({ id: first.flowId! }),
    response: 0,
    pk: new Uint8Array(0),
  };
  assertEquals((await ipcp.irm(reply))?.result, -9);
  const hex = encodeIrmMsg(allocRequest(client, "n")).toHex();
  await client.tell({ op: "hold", hex });
  const second = await nextAsked(ipcp, IpcpCode.IPCP_FLOW_ALLOC);
  assertEquals(second.flowId, first.flowId);
  await client.kill();
  assertEquals((await nextAsked(ipcp, IpcpCode.IPCP_FLOW_DEALLOC)).flowId, second.flowId);
  await until("rings gone", () => rings(node).length === 0);
});

Deno.test("a process that dies with flows over an IPCP: the IPCP is told, the other end is not touched", async () => {
  const { node, ipcp, client, server } = await conversation();
  await using _node = node;
  const { c, s } = await openFlow(node, ipcp, client, server, "n");
  await client.kill();
  assertEquals((await nextAsked(ipcp, IpcpCode.IPCP_FLOW_DEALLOC)).flowId, c.id);
  await until("rings of the client gone", () => rings(node, c.id).length === 0);
  assertEquals(rings(node, s.id).length, 2);
  assertEquals((await server.irm(deallocRequest(server, s.id)))?.result, 0);
  await until("rings gone", () => rings(node).length === 0);
});

Deno.test("an IPCP answers and confirms its own flows only", async () => {
  const { node, admin, ipcp, client, server } = await conversation();
  await using _node = node;
  const liar = await startIpcp(node, admin, "l2", IpcpType.LOCAL, local("lay2"));
  await liar.tell({ op: "behave", how: { IPCP_QUERY: { result: -1 } } });
  const { c } = await openFlow(node, ipcp, client, server, "n");
  const waiting = client.irm(allocRequest(client, "n", 8000));
  const alloc = await nextAsked(ipcp, IpcpCode.IPCP_FLOW_ALLOC);
  for (const id of [c.id, alloc.flowId!, 0, 4711, 10240, 0xffffffff]) {
    const flowInfo = flowInfoOf({ id, n1Pid: liar.pid });
    const pk = new Uint8Array(36);
    const reply = { code: IrmCode.IPCP_FLOW_ALLOC_REPLY, flowInfo, response: 0, pk };
    assertEquals((await liar.irm(reply))?.result, -9, `reply ${id}`);
    const dealloc = { code: IrmCode.IPCP_FLOW_DEALLOC, flowInfo };
    assert((await liar.irm(dealloc))!.result! < 0, `dealloc ${id}`);
  }
  const hash = nameHash(HashAlgo.SHA3_256, "n") as Uint8Array;
  const forged = await liar.irm({
    ...arrival(liar, hash, new Uint8Array(36)),
    flowInfo: flowInfoOf({ n1Pid: ipcp.pid, mpl: 1 }),
  });
  assert(forged!.result! < 0);
  assertEquals((await waiting)?.result, -110);
  assertEquals(rings(node, c.id).length, 2);
});

Deno.test("requests that arrive with nonsense are refused, and the acceptor goes on waiting", async () => {
  const { node, ipcp, client, server } = await conversation();
  await using _node = node;
  const hash = nameHash(HashAlgo.SHA3_256, "n") as Uint8Array;
  const accepted = server.irm(acceptRequest(server));
  const pk = new Uint8Array(36);
  for (const n of [0, 4, 16, 31, 33, 64]) {
    assert((await ipcp.irm(arrival(ipcp, new Uint8Array(n), pk)))!.result! < 0, `hash of ${n}`);
  }
  assertEquals((await ipcp.irm(arrival(ipcp, new Uint8Array(32), pk)))?.result, -1007);
  const noInfo = { code: IrmCode.IPCP_FLOW_REQ_ARR, hash, pk };
  assertEquals((await ipcp.irm(noInfo))?.result, -22);
  // Garbage instead of OAP takes the acceptor's turn, and is refused; the next request is served.
  const arrived = await ipcp.irm(arrival(ipcp, hash, pk));
  assertEquals(arrived?.result, 0);
  const resp = await nextAsked(ipcp, IpcpCode.IPCP_FLOW_ALLOC_RESP);
  assertEquals([resp.response, resp.pk], [-1009, undefined]);
  await until("rings gone", () => rings(node).length === 0);
  assertEquals((await ipcp.irm(arrival(ipcp, hash, await oapRequest(node, "n"))))?.result, 0);
  assertEquals((await accepted)?.result, 0);
  await openFlow(node, ipcp, client, server, "n");
});

Deno.test("an acceptor that vanishes between request and answer: the far side is refused", async () => {
  const { node, ipcp, client, server } = await conversation();
  await using _node = node;
  const hash = nameHash(HashAlgo.SHA3_256, "n") as Uint8Array;
  const hex = encodeIrmMsg(acceptRequest(server)).toHex();
  await server.tell({ op: "hold", hex });
  await ipcp.tell({ op: "behave", how: { IPCP_FLOW_ALLOC_RESP: { sleep: 0.5 } } });
  const pk = await oapRequest(node, "n");
  const arrived = await until("accept", async () => {
    const r = await ipcp.irm(arrival(ipcp, hash, pk));
    return r?.result === 0 ? r : undefined;
  });
  await nextAsked(ipcp, IpcpCode.IPCP_FLOW_ALLOC_RESP);
  await server.kill();
  const told = await nextAsked(ipcp, IpcpCode.IPCP_FLOW_DEALLOC);
  assertEquals(told.flowId, arrived.flowInfo!.id);
  await until("rings gone", () => rings(node).length === 0);
  assertEquals((await client.irm({ code: IrmCode.IRM_LIST_NAMES }))?.result, 0);
});

Deno.test("IPCPs are preferred in the order of their types; broadcast and layerless ones are not asked", async () => {
  const { node, admin } = await puppetNode();
  await using _node = node;
  const later = await startIpcp(node, admin, "u6", IpcpType.UDP6, udp6("six"));
  const first = await startIpcp(node, admin, "l1", IpcpType.LOCAL, local("lay"));
  const none = await startIpcp(node, admin, "l0", IpcpType.LOCAL);
  const broadcast = await startIpcp(node, admin, "b1", IpcpType.BROADCAST, {
    layerInfo: { name: "bc", dirHashAlgo: 1 },
    ipcpType: IpcpType.BROADCAST,
  });
  const client = await Puppet.announced(node);
  await admin.createName(nameInfo("far"));
  await first.tell({ op: "behave", how: { IPCP_QUERY: { sleep: 0.05 } } });
  const taken = client.irm(allocRequest(client, "far", 5000));
  const alloc = await nextAsked(first, IpcpCode.IPCP_FLOW_ALLOC);
  assertEquals(alloc.hash, nameHash(HashAlgo.SHA3_256, "far"));
  assertEquals((await taken)?.result, -110);
  await first.tell({ op: "behave", how: { IPCP_QUERY: { result: -1 } } });
  await later.asked();
  const second = client.irm(allocRequest(client, "far", 5000));
  const other = await nextAsked(later, IpcpCode.IPCP_FLOW_ALLOC);
  assertEquals(other.hash, nameHash(HashAlgo.MD5, "far"));
  assertEquals((await second)?.result, -110);
  for (const p of [none, broadcast]) assertEquals(await p.asked(), []);
});

Deno.test("40 flows over one IPCP at once: each its own id and rings, all gone at the end", async () => {
  const { node, ipcp, client, server } = await conversation();
  await using _node = node;
  const N = 40;
  const open: { c: FlowInfo; s: FlowInfo }[] = [];
  for (let i = 0; i < N; i++) open.push(await openFlow(node, ipcp, client, server, "n"));
  assertEquals(new Set(open.flatMap(({ c, s }) => [c.id, s.id])).size, 2 * N);
  assertEquals(rings(node).length, 4 * N);
  for (const { c, s } of open) {
    assertEquals((await client.irm(deallocRequest(client, c.id)))?.result, 0);
    assertEquals((await server.irm(deallocRequest(server, s.id)))?.result, 0);
  }
  await until("rings gone", () => rings(node).length === 0);
});

// The IRMd's side of flows over an IPCP (spec 20 §8, §9, §10), with an IPCP that is a puppet: first the vectors sim/, in
// order on one node, then whole conversations, and IPCPs that die, hang or lie.

import { assert, assertEquals } from "@std/assert";
import { instanceOf } from "../../lib/instance.ts";
import { nameHash } from "../../lib/hash.ts";
import { AdminClient } from "../../lib/irm/admin.ts";
import {
  encodeIrmMsg,
  type FlowInfo,
  flowInfoOf,
  HashAlgo,
  IpcpCode,
  ipcpCodeName,
  type IpcpConfig,
  type IpcpMsg,
  IpcpType,
  IrmCode,
  type IrmMsg,
  PolLb,
  timeoOfMs,
} from "../../lib/irm/messages.ts";
import { Logger, nullSink } from "../../lib/log.ts";
import { QOS } from "../../lib/qos.ts";
import { isOapFailure, OapService } from "../../security/oap/mod.ts";
import { Puppet } from "../doubles/puppet.ts";
import type { Behaviour } from "../doubles/puppet_process.ts";
import { type IrmdVector, irmdVectors, valueOf } from "../unit/lib/irm/vectors.ts";
import { until } from "./support/deadline.ts";
import { TestNode } from "./support/node.ts";

const nameInfo = (name: string) => ({
  name,
  polLb: PolLb.ROUND_ROBIN,
  skey: "",
  scrt: "",
  ckey: "",
  ccrt: "",
});

/** A node whose IPCPs are puppets. Direct flows are off, so that every flow needs one. */
async function puppetNode(): Promise<{ node: TestNode; admin: AdminClient }> {
  const node = await TestNode.start({ idle: true });
  try {
    await node.startIrmd("--no-direct", "--ipcp-dir", Puppet.ipcpDir(node.prefix));
  } catch (e) {
    await node[Symbol.asyncDispose]();
    throw e;
  }
  return { node, admin: new AdminClient(instanceOf(node.prefix), { timeoutMs: 60_000 }) };
}

const udp6 = (layer: string): IpcpConfig => ({
  layerInfo: { name: layer, dirHashAlgo: HashAlgo.SHA3_256 },
  ipcpType: IpcpType.UDP6,
  udp6: { ipAddr: new Uint8Array(16), port: 3435, dnsAddr: new Uint8Array(16) },
});

/** Starts a puppet IPCP; with a layer it is bootstrapped too. */
async function startIpcp(
  node: TestNode,
  admin: AdminClient,
  name: string,
  type: number,
  conf?: IpcpConfig,
): Promise<Puppet> {
  await admin.createIpcp(name, type);
  const entry = (await admin.listIpcps()).find((i) => i.name === name)!;
  const ipcp = await Puppet.ipcp(node, entry.pid);
  if (conf !== undefined) await admin.bootstrapIpcp(entry.pid, conf);
  await ipcp.asked();
  return ipcp;
}

const local = (layer: string): IpcpConfig => ({
  layerInfo: { name: layer, dirHashAlgo: HashAlgo.SHA3_256 },
  ipcpType: IpcpType.LOCAL,
});

function acceptRequest(p: Puppet, timeoutMs?: number): IrmMsg {
  return {
    code: IrmCode.IRM_FLOW_ACCEPT,
    flowInfo: flowInfoOf({ nPid: p.pid, qos: QOS.raw }),
    timeo: timeoutMs === undefined ? undefined : timeoOfMs(timeoutMs),
  };
}

function allocRequest(p: Puppet, dst: string, timeoutMs?: number): IrmMsg {
  return {
    code: IrmCode.IRM_FLOW_ALLOC,
    dst,
    flowInfo: flowInfoOf({ nPid: p.pid, qos: QOS.raw }),
    timeo: timeoutMs === undefined ? undefined : timeoOfMs(timeoutMs),
  };
}

function deallocRequest(p: Puppet, id: number): IrmMsg {
  return {
    code: IrmCode.IRM_FLOW_DEALLOC,
    flowInfo: flowInfoOf({ id, nPid: p.pid }),
    timeo: { sec: 0, nsec: 0 },
  };
}

function arrival(ipcp: Puppet, hash: Uint8Array, pk: Uint8Array): IrmMsg {
  const flowInfo = flowInfoOf({ n1Pid: ipcp.pid, mpl: 100, qos: QOS.raw });
  return { code: IrmCode.IPCP_FLOW_REQ_ARR, flowInfo, hash, pk };
}

/** Waits for the next request of a kind at an IPCP; what comes before it is dropped. */
async function nextAsked(ipcp: Puppet, code: number): Promise<IpcpMsg> {
  return await until(ipcpCodeName(code), async () => {
    return (await ipcp.asked()).find((m) => m.code === code);
  });
}

/** An OAP request that a client would send now. */
async function oapRequest(node: TestNode, dst: string): Promise<Uint8Array> {
  const log = new Logger(nullSink, "oap");
  const oap = new OapService({ securityDir: instanceOf(node.prefix).securityDir, log });
  const none = { enc: "", crt: "", key: "" };
  const s = await oap.prepare({ server: none, client: none, serverDir: "", clientDir: "" }, dst);
  if (isOapFailure(s)) throw new Error(s.reason);
  return s.request;
}

/** Ring buffers that exist, of a flow or of all. */
function rings(node: TestNode, id?: number): string[] {
  const all = node.sharedMemory().filter((n) => n.includes(".rbuff."));
  return id === undefined ? all : all.filter((n) => n.endsWith(`.${id}`));
}

// ---- vectors sim/

/** Results where this daemon gives the real error (spec 20 §7.4, §19.19). */
const BETTER: Record<string, number> = {
  "sim/join/response -5: prototype reports success with state 5": -5,
  "sim/alloc/no peer response, no timeo: 20 s, and -1 instead of -110": -110,
};

interface Sim {
  node: TestNode;
  ipcp: Puppet;
  client: Puppet;
  server: Puppet;
  /** Flow id that the vectors call 3: the last one accepted. */
  lastId: number;
}

function withPids(s: Sim, json: unknown): unknown {
  const text = JSON.stringify(json)
    .replaceAll('"$IPCP"', String(s.ipcp.pid))
    .replaceAll('"$CLIENT"', String(s.client.pid))
    .replaceAll('"$SERVER"', String(s.server.pid));
  return JSON.parse(text);
}

/** Tells the IPCP how to behave and sends the request; resolves to a check of what came of it. */
async function startSim(s: Sim, v: IrmdVector): Promise<() => Promise<void>> {
  const { alloc_reply: allocReply, ...how } = v.input.ipcp_behaviour;
  await s.ipcp.asked();
  await s.ipcp.tell({
    op: "behave",
    how: how as Record<string, Behaviour>,
    allocReply: allocReply ?? null,
    confirm: !v.name.startsWith("sim/dealloc/"),
  });
  const m = valueOf("irm_msg", withPids(s, v.input.request) as never) as IrmMsg;
  const sender = m.code === IrmCode.IPCP_FLOW_REQ_ARR
    ? s.ipcp
    : m.flowInfo?.nPid === s.server.pid
    ? s.server
    : s.client;
  if (v.name.includes("good OAP")) m.pk = await oapRequest(s.node, "n2");
  if (m.code === IrmCode.IRM_FLOW_DEALLOC) m.flowInfo!.id = s.lastId;
  const accepted = v.accept_reply === undefined
    ? undefined
    : s.server.irm(acceptRequest(s.server, 20_000));
  const replied = sender.irm(m);
  const want = v.ipcp_got as Record<string, unknown>[];
  const codes: Record<string, number> = IpcpCode;
  const got: IpcpMsg[] = [];
  await until(`${v.name}: what the IPCP gets`, async () => {
    got.push(...await s.ipcp.asked());
    return got.length >= want.length;
  });
  return async () => {
    const reply = await replied;
    checkGot(s, v.name, got, want.map((w) => ({ ...w, code: codes[w.code as string] })), s.lastId);
    checkReply(s, v.name, reply, v.reply as Record<string, unknown>);
    if (reply?.flowInfo !== undefined) s.lastId = reply.flowInfo.id;
    if (accepted !== undefined) {
      checkReply(s, v.name, await accepted, v.accept_reply as Record<string, unknown>);
      const resp = await until("response to the IPCP", async () => {
        got.push(...await s.ipcp.asked());
        return got.find((m) => m.code === IpcpCode.IPCP_FLOW_ALLOC_RESP);
      });
      assertEquals(resp.flowId, s.lastId);
      assertEquals(resp.pk !== undefined, resp.response === 0, "pk only with response 0");
    }
  };
}

function checkGot(
  s: Sim,
  name: string,
  got: IpcpMsg[],
  want: Record<string, unknown>[],
  lastId: number,
): void {
  for (const [i, w] of want.entries()) {
    const g = got[i]!;
    const fields = withPids(s, w) as Record<string, unknown>;
    assertEquals(g.code, fields.code, name);
    if (fields.pid !== undefined) assertEquals(g.pid, fields.pid, name);
    if (fields.uid !== undefined) assertEquals(g.uid, fields.uid, name);
    if (fields.response !== undefined) assertEquals(g.response, fields.response, name);
    if (fields.timeo_sec !== undefined) {
      assertEquals([g.timeoSec, g.flowId], [fields.timeo_sec, lastId], name);
    }
  }
}

function checkReply(
  s: Sim,
  name: string,
  reply: IrmMsg | undefined,
  want: Record<string, unknown>,
): void {
  const result = BETTER[name] ?? want.result;
  assertEquals(reply?.result, result, `${name}: ${reply?.error?.cause}`);
  if (result !== 0) return;
  const w = valueOf("irm_msg", withPids(s, want) as never) as IrmMsg;
  assertEquals(reply?.ipcps, w.ipcps, name);
  if (w.flowInfo === undefined) return;
  const id = reply!.flowInfo!.id; // ids depend on what the prototype forgets to free
  assertEquals(reply!.flowInfo, { ...w.flowInfo, id } as FlowInfo, name);
}

Deno.test("vectors irmd.json sim/: a simulated IPCP and the daemon's answers", async (t) => {
  const cases = irmdVectors("sim");
  assert(cases.length > 0);
  const { node, admin } = await puppetNode();
  await using _node = node;
  const ipcp = await startIpcp(node, admin, "fk", IpcpType.UDP6);
  const client = await Puppet.announced(node);
  const server = await Puppet.announced(node);
  const s: Sim = { node, ipcp, client, server, lastId: 0 };
  await admin.createName(nameInfo("n1"));
  await admin.bindProcess(server.pid, "n2");

  // These two only wait; they run beside the others.
  const slow = (v: IrmdVector) => v.name.includes("no reply in time") || v.name.includes("20 s");
  const waiting: { name: string; check: () => Promise<void> }[] = [];
  for (const v of cases.filter((c) => c.name.startsWith("sim/bootstrap/"))) {
    const check = await startSim(s, v);
    if (slow(v)) waiting.push({ name: v.name, check });
    else await t.step(v.name, check);
  }
  await ipcp.tell({ op: "behave", how: {} });
  await admin.bootstrapIpcp(ipcp.pid, udp6("flay"));
  for (const v of cases.filter((c) => slow(c) && !c.name.startsWith("sim/bootstrap/"))) {
    waiting.push({ name: v.name, check: await startSim(s, v) });
  }
  for (const v of cases.filter((c) => !slow(c) && !c.name.startsWith("sim/bootstrap/"))) {
    await t.step(v.name, async () => await (await startSim(s, v))());
  }
  // The flow of the last case is not confirmed; what follows would be: only results count here.
  await ipcp.tell({ op: "behave", how: {}, confirm: true });
  for (const { name, check } of waiting) await t.step(name, check);
});

// ---- conversations

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
async function conversation() {
  const { node, admin } = await puppetNode();
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
  await until("list without it", async () => {
    return (await admin.listIpcps()).every((i) => i.pid !== ipcp.pid);
  });
  assertEquals((await admin.listIpcps()).map((i) => i.name), ["l2"]);
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
  const { node, admin, ipcp, client } = await conversation();
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

Deno.test("a client that gives up or dies in an allocation: the IPCP is told, the id comes back when it confirms", async () => {
  const { node, ipcp, client } = await conversation();
  await using _node = node;
  const late = client.irm(allocRequest(client, "n", 300));
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
  const waiting = client.irm(allocRequest(client, "n", 1000));
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
  // Garbage instead of OAP reaches the acceptor, whose failure the IPCP is told.
  const arrived = await ipcp.irm(arrival(ipcp, hash, pk));
  assertEquals(arrived?.result, 0);
  const resp = await nextAsked(ipcp, IpcpCode.IPCP_FLOW_ALLOC_RESP);
  assertEquals([resp.response, resp.pk], [-1009, undefined]);
  assertEquals((await accepted)?.result, -1009);
  await until("rings gone", () => rings(node).length === 0);
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
  const taken = client.irm(allocRequest(client, "far", 1000));
  const alloc = await nextAsked(first, IpcpCode.IPCP_FLOW_ALLOC);
  assertEquals(alloc.hash, nameHash(HashAlgo.SHA3_256, "far"));
  assertEquals((await taken)?.result, -110);
  await first.tell({ op: "behave", how: { IPCP_QUERY: { result: -1 } } });
  await later.asked();
  const second = client.irm(allocRequest(client, "far", 1000));
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

// The requests about flows, one by one, over the real registry and OAP: what each end is told, and that every way
// out leaves a record that is held by its two ends or gone, and no rings. The wire is in e2e.

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import type { Outcome } from "../../../irmd/answer.ts";
import { accept as serveAccept } from "../../../irmd/flow_accept.ts";
import { alloc, query } from "../../../irmd/flow_alloc.ts";
import { dealloc, join, tellDealloc } from "../../../irmd/flow_end.ts";
import { allocReplied, deallocConfirmed, requestArrived } from "../../../irmd/ipcp_flows.ts";
import { type IpcpReply, REPLY_MS } from "../../../irmd/ipcp_client.ts";
import type { IpcpRecord } from "../../../irmd/registry/mod.ts";
import { FLOW_ABOUT, FLOW_ASK } from "../../../lib/codes.ts";
import { Errno } from "../../../lib/errno.ts";
import { LONG_MESSAGE_BYTES_MAX } from "../../../lib/limits.ts";
import { nameHash } from "../../../lib/hash.ts";
import {
  decodeIrmMsg,
  encodeIrmMsg,
  flowInfoOf,
  FlowState,
  IrmCode,
  type IrmMsg,
  refusalDetail,
  timeoOfMs,
} from "../../../lib/irm/messages.ts";
import { QOS } from "../../../lib/qos.ts";
import {
  MemoryDaemon,
  replied,
  turns,
  WaitingClient,
  withFakeTime,
} from "../../support/memory_daemon.ts";
import { accept, ipcp, name, proc } from "../../support/registry.ts";

const SERVER = 10;
const CLIENT = 11;
const IPCP = 20;
const SHA3_256 = 1;
const HASH = nameHash(SHA3_256, "n") as Uint8Array;
const DATA = Uint8Array.of(9, 8, 7);

/** A node with a server of `n`, a client and an IPCP in layer `lay`. */
function node(options: ConstructorParameters<typeof MemoryDaemon>[0] = {}): MemoryDaemon {
  const m = new MemoryDaemon(options);
  const r = m.d.registry;
  proc(r, SERVER, "srv");
  proc(r, CLIENT, "cli");
  name(r, "n");
  r.bindProcess(SERVER, "n");
  ipcp(r, IPCP);
  return m;
}

const allocMsg = (fields = {}) => ({
  code: IrmCode.IRM_FLOW_ALLOC,
  dst: "n",
  flowInfo: flowInfoOf({ nPid: CLIENT, qos: QOS.raw }),
  opts: FLOW_ABOUT,
  ...fields,
});
const acceptMsg = (fields = {}) => ({
  code: IrmCode.IRM_FLOW_ACCEPT,
  flowInfo: flowInfoOf({ nPid: SERVER, qos: QOS.raw }),
  opts: FLOW_ABOUT,
  ...fields,
});

/** A request under way. */
function request(serve: (client: WaitingClient) => Promise<Outcome>) {
  const client = new WaitingClient();
  const it: { outcome: Outcome; done: boolean; client: WaitingClient; all: Promise<Outcome> } = {
    outcome: undefined,
    done: false,
    client,
    all: serve(client),
  };
  void it.all.then((outcome) => {
    it.outcome = outcome;
    it.done = true;
  });
  return it;
}

const allocates = (m: MemoryDaemon, fields = {}) =>
  request((c) => alloc(m.d, c.client, allocMsg(fields)));
const accepts = (m: MemoryDaemon, fields = {}) =>
  request((c) => serveAccept(m.d, c.client, acceptMsg(fields)));
const refusalOf = (o: Outcome) => [o?.msg.result, o?.msg.error?.cause ?? ""] as const;

/** Until an IPCP has been asked that. */
async function asked(m: MemoryDaemon, call: string) {
  for (let i = 0; i < 10_000; i++) {
    const found = m.asked.find((a) => a.call === call);
    if (found !== undefined) return found;
    await turns();
  }
  throw new Error(`no IPCP was asked to ${call}`);
}

Deno.test("alloc and accept within a host: both ends get one flow, its rings, and each other's data", async () => {
  const m = node();
  const a = accepts(m, { pk: DATA });
  const c = allocates(m, { pk: DATA.slice(1) });
  const [there, here] = [(await a.all)!.msg, (await c.all)!.msg];
  assertEquals([there.result, here.result], [0, 0]);
  assertEquals([there.name, here.name, there.layer], ["n", "n", undefined]);
  assertEquals([here.pk, there.pk], [DATA, DATA.slice(1)]);
  const id = there.flowInfo!.id;
  const ends = [here, there].map(({ flowInfo: i }) => [i!.id, i!.nPid, i!.n1Pid, i!.state]);
  assertEquals(ends, [[id, CLIENT, SERVER, FlowState.ALLOCATED], [
    id,
    SERVER,
    CLIENT,
    FlowState.ALLOCATED,
  ]]);
  assertEquals([...m.rings].sort(), [`${id} ${SERVER}`, `${id} ${CLIENT}`]);
  assertEquals(m.asked, [], "no IPCP was asked");
  assertEquals([a.client.watchers, c.client.watchers], [0, 0]);
  // Programs of the prototype get the prototype's reply.
  const [p, q] = [accepts(m, { opts: 0 }), allocates(m, { opts: 0 })];
  assertEquals([(await p.all)!.msg.name, (await q.all)!.msg.name], [undefined, undefined]);
});

Deno.test("a granted flow whose answer does not arrive is given up", async () => {
  const m = node();
  const a = accepts(m);
  const c = allocates(m);
  await Promise.all([a.all, c.all]);
  a.outcome!.undelivered!();
  c.outcome!.undelivered!();
  assertEquals([m.d.registry.flows.count, m.rings.size], [0, 0]);
});

Deno.test("alloc: too much data, an unknown process, an unknown name, no ids, no rings", async () => {
  const m = node();
  const said = async (fields: object) => refusalOf(await allocates(m, fields).all);
  assertEquals((await said({ pk: new Uint8Array(4097) }))[0], -Errno.EINVAL);
  const stranger = { flowInfo: flowInfoOf({ nPid: 99, qos: QOS.raw }) };
  assertStringIncludes((await said(stranger))[1], "process 99 is unknown");
  const [code, cause] = await said({ dst: "else where" });
  assertEquals(code, -Errno.ENAME);
  assertEquals(cause, `name "else where" is not known here (irm name create 'else where')`);
  assertEquals([(await accepts(m, { pk: new Uint8Array(4097) }).all)!.msg.result], [-Errno.EINVAL]);
  const a = accepts(m, { pk: new Uint8Array(4096) });
  for (
    const [ringsCode, why] of [
      [-Errno.ENOMEM, "/dev/shm is full"],
      [-122, "share of /dev/shm"],
      [-Errno.EPERM, "cannot make"],
    ] as const
  ) {
    m.ringsCode = ringsCode;
    const [code, cause] = await said({});
    assertEquals(code, -Errno.EBADF);
    assertStringIncludes(cause, why);
  }
  m.ringsCode = 0;
  assertEquals((await said({ pk: new Uint8Array(4096) }))[0], 0, "the accept still waits");
  await a.all;
});

Deno.test("alloc over a layer: the IPCP that knows the name is asked, and its answer is the flow's", async () => {
  for (const direct of [true, false]) {
    const far = node({ askLayers: true });
    const m = node({ direct, askLayers: true });
    m.d.registry.destroyName("n");
    const c = allocates(m, { pk: DATA });
    const request = await asked(m, "alloc");
    assertEquals([m.asked[0]!.call, m.asked[0]!.msg.hash], ["query", HASH]);
    assertEquals([request.pid, request.msg.pid, request.msg.hash], [IPCP, CLIENT, HASH]);
    const id = request.msg.flowId!;
    assertEquals([...m.rings].sort(), [`${id} ${CLIENT}`, `${id} ${IPCP}`]);
    // The far host.
    const a = accepts(far, { pk: DATA.slice(1) });
    const arrived = await requestArrived(far.d, IPCP, new WaitingClient().client, {
      code: IrmCode.IPCP_FLOW_REQ_ARR,
      flowInfo: flowInfoOf({ n1Pid: IPCP, qos: QOS.raw, mpl: 77 }),
      hash: HASH,
      pk: request.msg.pk!,
    });
    assertEquals(arrived?.msg.result, 0);
    const told = (await asked(far, "alloc_resp")).msg;
    assertEquals([told.response, told.flowId, told.pid], [0, arrived!.msg.flowInfo!.id, SERVER]);
    const there = (await a.all)!.msg;
    assertEquals([there.result, there.layer, there.pk, there.flowInfo!.mpl], [0, "lay", DATA, 77]);
    // And back.
    const reply = { code: IrmCode.IPCP_FLOW_ALLOC_REPLY, response: 0, pk: told.pk! };
    const info = flowInfoOf({ id, mpl: 55 });
    assertEquals(allocReplied(m.d, IPCP, { ...reply, flowInfo: info })?.msg.result, 0);
    const here = (await c.all)!.msg;
    assertEquals([here.result, here.layer, here.pk], [0, "lay", DATA.slice(1)]);
    assertEquals([here.flowInfo!.mpl, here.flowInfo!.n1Pid], [55, IPCP]);
    assertEquals(here.symKey, there.symKey);
    // A second answer finds nobody.
    const twice = allocReplied(m.d, IPCP, { ...reply, flowInfo: info });
    assertEquals(twice?.msg.result, -Errno.EBADF);
  }
});

Deno.test("alloc over a layer that refuses, has no answer, or answers nonsense leaves nothing", async () => {
  const m = node({ direct: false });
  const clean = () => assertEquals([m.d.registry.flows.count, m.rings.size], [0, 0]);
  // The query.
  m.answer = () => replied(-1, { error: { stage: "q", process: "p", cause: "never heard" } });
  let [code, cause] = refusalOf(await allocates(m).all);
  assertEquals(code, -Errno.EIPCP);
  assertStringIncludes(cause, `no IPCP of this node knows "n" (asked: i20: never heard)`);
  m.answer = () => ({ kind: "silent", cause: "it sleeps" });
  assertStringIncludes(refusalOf(await allocates(m).all)[1], "i20: it sleeps");
  clean();
  // The allocation.
  m.answer = ({ call }) => call === "alloc" ? replied(-Errno.EPERM) : replied(0);
  [code, cause] = refusalOf(await allocates(m).all);
  assertEquals([code, cause], [-Errno.EIPCP, "it refused and gave no reason"]);
  clean();
  // The far side.
  const far = async (response: number, pk = new Uint8Array(0), why?: string) => {
    m.asked.length = 0;
    m.answer = () => replied(0);
    const c = allocates(m);
    const { flowId } = (await asked(m, "alloc")).msg;
    allocReplied(m.d, IPCP, {
      code: IrmCode.IPCP_FLOW_ALLOC_REPLY,
      flowInfo: flowInfoOf({ id: flowId! }),
      response,
      pk,
      ...(why === undefined ? {} : { error: { stage: "s", process: "p", cause: why } }),
    });
    return refusalOf(await c.all);
  };
  assertEquals(await far(-Errno.EPERM), [-Errno.EPERM, 'nobody accepts flows for "n" at its host']);
  clean();
  assertEquals(await far(-Errno.EAUTH, undefined, "not you"), [
    -Errno.EAUTH,
    'the host of "n" refused: not you',
  ]);
  assertStringIncludes((await far(-Errno.ENAME))[1], "does not know it any more");
  assertStringIncludes((await far(-Errno.EMSGSIZE))[1], "too long for the layer");
  clean();
  // An answer that is no OAP response: the IPCP is told that the flow is not wanted.
  assertEquals((await far(0, Uint8Array.of(1, 2, 3)))[0], -Errno.ECRYPT);
  const told = m.effects.filter((e) => e.kind === "ipcp-dealloc");
  assertEquals(told.length, 1);
});

Deno.test("alloc whose IPCP is silent: the flow's id rests, for the IPCP may have taken it", async () => {
  const m = node({ direct: false });
  m.answer = ({ call }) =>
    call === "alloc" ? { kind: "silent", cause: "did not answer" } : replied(0);
  const [code, cause] = refusalOf(await allocates(m).all);
  assertEquals([code, cause], [-Errno.EIPCP, "did not answer"]);
  assertEquals([...m.d.registry.flows.all()].map((f) => f.state), [FlowState.DEALLOC_PENDING]);
  assertEquals(m.effects.filter((e) => e.kind === "ipcp-dealloc").length, 1);
});

Deno.test("alloc ends at its deadline and when the client goes, whatever the IPCP does", () =>
  withFakeTime(async () => {
    for (const fields of [{ timeo: timeoOfMs(700) }, {}]) {
      const m = node({ direct: false });
      m.answer = ({ call }) => call === "alloc" ? new Promise(() => {}) : replied(0);
      const c = allocates(m, fields);
      await asked(m, "alloc");
      const ms = fields.timeo === undefined ? 20_000 : 700;
      assertEquals(m.asked[0]!.limitMs, ms, "a query takes no longer than the allocation");
      await m.pass(ms - 1);
      assertEquals(c.done, false);
      await m.pass(1);
      assertEquals(refusalOf(c.outcome), [-Errno.ETIMEDOUT, 'no answer from "n" in time']);
      const gone = allocates(m, fields);
      m.asked.length = 0;
      await asked(m, "alloc");
      gone.client.hangUp();
      await turns();
      assertEquals([gone.done, gone.outcome], [true, undefined]);
      assertEquals(gone.client.watchers, 0);
    }
  }));

Deno.test("alloc: what is said when there is nobody here and no layer", async () => {
  const m = new MemoryDaemon();
  proc(m.d.registry, CLIENT, "cli");
  name(m.d.registry, "n");
  const said = async () => refusalOf(await allocates(m).all)[1];
  assertStringIncludes(await said(), 'nothing is bound to "n" here (irm bind program PROG name n)');
  m.d.options.direct = false;
  assertEquals(await said(), "direct flows are off and no IPCP is in a layer");
  m.d.options.direct = true;
  proc(m.d.registry, SERVER, "srv", 7);
  m.d.registry.bindProcess(SERVER, "n");
  accept(m.d.registry, SERVER);
  proc(m.d.registry, 12, "cli", 8);
  const other = { flowInfo: flowInfoOf({ nPid: 12, qos: QOS.raw }) };
  const saidToOther = async () => refusalOf(await allocates(m, other).all)[1];
  assertStringIncludes(
    await saidToOther(),
    "served here by another user's process or the caller itself",
  );
  ipcp(m.d.registry, IPCP);
  m.answer = () => replied(-1);
  const both = await saidToOther();
  assertStringIncludes(both, "by another user's process or the caller itself, and no IPCP of this");
  assertStringIncludes(both, "at its host: irm name register n layer LAYER");
});

Deno.test("query(): all are asked at once, the first in order of preference that knows it is taken", async () => {
  const m = node();
  ipcp(m.d.registry, IPCP + 1);
  const order = m.d.registry.candidates(CLIENT).map((i) => i.pid);
  assertEquals(order.length, 2);
  m.answer = ({ pid }) => replied(pid === order[0] ? -1 : 0);
  const found = await query(m.d, "n", m.now + 50, CLIENT);
  assertEquals(typeof found === "string" ? found : found.pid, order[1]);
  assertEquals(m.asked.map((a) => [a.pid, a.limitMs]), order.map((pid) => [pid, 50]));
  m.answer = () => replied(0);
  const first = await query(m.d, "n", m.now + 50, CLIENT);
  assertEquals(typeof first === "string" ? first : first.pid, order[0]);
  assertEquals(await query(new MemoryDaemon().d, "n", 0), "");
  assert(REPLY_MS.query > 0);
});

Deno.test("query(): one that is slow is waited for only while no other one knows the name", () =>
  withFakeTime(async () => {
    const m = new MemoryDaemon();
    proc(m.d.registry, CLIENT, "cli");
    // One that runs: whether it is stopped is read from /proc.
    ipcp(m.d.registry, Deno.pid);
    ipcp(m.d.registry, Deno.pid + 1);
    const order = m.d.registry.candidates(CLIENT).map((i) => i.pid);
    assertEquals(order[0], Deno.pid);
    let slow = Promise.withResolvers<IpcpReply>();
    m.answer = ({ pid }) => pid === order[0] ? slow.promise : replied(other);
    let other = 0;
    let done: IpcpRecord | string | undefined;
    const ask = () => void query(m.d, "n", m.now + 20_000, CLIENT).then((found) => done = found);
    ask();
    await m.pass(199);
    assertEquals(done, undefined);
    await m.pass(1);
    assertEquals(typeof done === "object" ? done.pid : done, order[1]);
    // Nobody else knows: a busy host is no reason to call the name unknown.
    other = -1;
    done = undefined;
    slow = Promise.withResolvers();
    ask();
    await m.pass(1500);
    assertEquals(done, undefined);
    slow.resolve(replied(0));
    await turns();
    assertEquals(typeof done === "object" ? (done as IpcpRecord).pid : done, order[0]);
  }));

/** An accept that looks at requests first, and says this of one. */
function acceptsAsked(m: MemoryDaemon, say: (question: IrmMsg) => Partial<IrmMsg> | Uint8Array) {
  return request((c) => {
    c.answer = (question) => {
      const answer = say(decodeIrmMsg(question) as IrmMsg);
      if (answer instanceof Uint8Array) return answer.length === 0 ? undefined : answer;
      return encodeIrmMsg({ code: IrmCode.IRM_FLOW_ACCEPT, ...answer });
    };
    return serveAccept(m.d, c.client, acceptMsg({ opts: FLOW_ABOUT | FLOW_ASK }));
  });
}

Deno.test("an acceptor that looks first takes the flow, refuses it with its reason, goes, or talks nonsense", async () => {
  const ends = async (say: (question: IrmMsg) => Partial<IrmMsg> | Uint8Array) => {
    const m = node();
    const a = acceptsAsked(m, say);
    const c = allocates(m);
    const client = refusalOf(await c.all);
    const acceptor = await a.all;
    return { client, acceptor: acceptor?.msg.result, left: m.rings.size };
  };
  const questions: IrmMsg[] = [];
  const taken = await ends((question) => {
    questions.push(question);
    return { response: 0 };
  });
  assertEquals([taken.client, taken.acceptor], [[0, ""], 0]);
  assertEquals([questions.length, questions[0]?.opts, questions[0]?.name], [1, FLOW_ASK, "n"]);
  const closed = { response: -13, error: refusalDetail("closed.") };
  assertEquals(await ends(() => closed), {
    client: [-13, "the server refused: closed"],
    acceptor: 0,
    left: 0,
  });
  // Two codes mean something to who asks on the way, and what is no refusal is one all the same.
  for (const response of [-Errno.EPIPE, -Errno.ENAME, 1]) {
    const { client } = await ends(() => ({ response }));
    assertEquals(client, [-Errno.EPERM, "the server refused: it does not want the flow"]);
  }
  const gone = await ends(() => new Uint8Array(0));
  assertEquals([gone.client, gone.acceptor], [
    [-Errno.EPERM, "the server refused: the server has gone"],
    undefined,
  ]);
  for (const nonsense of [{}, Uint8Array.of(0xff)]) {
    const { client, acceptor } = await ends(() => nonsense);
    const why = "the server refused: the server answers nonsense";
    assertEquals([client, acceptor], [[-Errno.EPERM, why], -Errno.EINVAL]);
  }
});

Deno.test("accept ends at its deadline; a request that is no OAP does not end it", async () => {
  await withFakeTime(async () => {
    const m = node();
    const a = accepts(m, { timeo: timeoOfMs(30) });
    await m.pass(29);
    assertEquals(a.done, false);
    await m.pass(1);
    assertEquals(a.outcome?.msg.result, -Errno.ETIMEDOUT);
    const gone = accepts(m);
    await turns();
    gone.client.hangUp();
    await turns();
    assertEquals([gone.done, gone.outcome], [true, undefined]);
    assertEquals(m.d.registry.flows.count, 0);
  });
  const m = node();
  const a = accepts(m);
  const arrived = await requestArrived(m.d, IPCP, new WaitingClient().client, {
    code: IrmCode.IPCP_FLOW_REQ_ARR,
    flowInfo: flowInfoOf({ n1Pid: IPCP, qos: QOS.raw }),
    hash: HASH,
    pk: Uint8Array.of(1, 2, 3),
  });
  assertEquals(arrived?.msg.result, 0);
  const told = (await asked(m, "alloc_resp")).msg;
  assert(told.response! < 0, `${told.response}`);
  await turns();
  assertEquals([a.done, m.rings.size], [false, 0]);
  a.client.hangUp();
  await a.all;
});

Deno.test("accept of a flow whose IPCP does not take the answer fails, and gives the flow up", async () => {
  const far = node();
  const m = node({ direct: false });
  const c = allocates(m);
  const { pk } = (await asked(m, "alloc")).msg;
  const a = accepts(far);
  far.answer = () => replied(-Errno.EPERM);
  await requestArrived(far.d, IPCP, new WaitingClient().client, {
    code: IrmCode.IPCP_FLOW_REQ_ARR,
    flowInfo: flowInfoOf({ n1Pid: IPCP, qos: QOS.raw }),
    hash: HASH,
    pk: pk!,
  });
  assertEquals(refusalOf(await a.all), [-Errno.EIPCP, "it refused and gave no reason"]);
  assertEquals(far.effects.filter((e) => e.kind === "ipcp-dealloc").length, 1);
  c.client.hangUp();
  await c.all;
});

Deno.test("a request of the network that says nothing, is old or a copy holds no accept and no memory", async () => {
  const far = node();
  far.d.registry.ipcps.get(IPCP)!.messageBytesMax = LONG_MESSAGE_BYTES_MAX; // One of ours.
  const m = node({ direct: false });
  const c = allocates(m);
  const pk = (await asked(m, "alloc")).msg.pk!;
  const arrives = (pk: Uint8Array) =>
    requestArrived(far.d, IPCP, new WaitingClient().client, {
      code: IrmCode.IPCP_FLOW_REQ_ARR,
      flowInfo: flowInfoOf({ n1Pid: IPCP, qos: QOS.raw }),
      hash: HASH,
      pk,
    });
  const refused = async (pk: Uint8Array, part: string) => {
    const a = accepts(far);
    const [code, cause] = refusalOf(await arrives(pk));
    assertEquals(code, -Errno.EAUTH);
    assertStringIncludes(cause, part);
    assertEquals([a.done, far.rings.size], [false, 0]);
    a.client.hangUp();
    await a.all;
  };
  await refused(pk.subarray(0, 30), "short");
  await refused(pk.map((b, i) => i >= 16 && i < 24 ? 0 : b), "too old");
  const a = accepts(far);
  assertEquals((await arrives(pk))?.msg.result, 0);
  assertEquals((await a.all)!.msg.result, 0);
  far.rings.clear();
  await refused(pk, "already known");
  c.client.hangUp();
  await c.all;
});

Deno.test("requests of IPCPs: unknown names, wrong hashes, nobody who accepts, flows of others", async () => {
  const m = node();
  const arrives = (pid: number, hash: Uint8Array) =>
    requestArrived(m.d, pid, new WaitingClient().client, {
      code: IrmCode.IPCP_FLOW_REQ_ARR,
      flowInfo: flowInfoOf({ n1Pid: pid, qos: QOS.raw }),
      hash,
    });
  assertEquals((await arrives(IPCP + 5, HASH))?.msg.result, -Errno.EIPCP);
  assertEquals((await arrives(IPCP, HASH.slice(1)))?.msg.result, -Errno.EINVAL);
  assertEquals((await arrives(IPCP, new Uint8Array(32)))?.msg.result, -Errno.ENAME);
  m.d.registry.unbindProcess(SERVER, "n");
  const [code, cause] = refusalOf(await arrives(IPCP, HASH));
  assertEquals([code, cause], [-Errno.EPERM, 'nobody accepts flows for "n"']);
  m.d.registry.bindProcess(SERVER, "n");
  accept(m.d.registry, SERVER);
  m.ringsCode = -Errno.ENOMEM;
  assertEquals((await arrives(IPCP, HASH))?.msg.result, -Errno.EBADF);
  m.ringsCode = 0;
  const taken = await arrives(IPCP, HASH);
  assertEquals(taken?.msg.result, 0, "the accept was given back");
  const flowInfo = flowInfoOf({ id: taken!.msg.flowInfo!.id });
  const confirms = (pid: number) =>
    deallocConfirmed(m.d, pid, { code: IrmCode.IPCP_FLOW_DEALLOC, flowInfo })?.msg.result;
  assertEquals(confirms(IPCP + 1), -Errno.EBADF);
  assertEquals(confirms(IPCP), 0);
});

Deno.test("dealloc of a flow over an IPCP tells it, with a linger of 10 s at most; a silent one is no failure", async () => {
  const m = node({ direct: false });
  const flow = async () => {
    m.asked.length = 0;
    m.answer = () => replied(0);
    const c = allocates(m);
    const id = (await asked(m, "alloc")).msg.flowId!;
    c.client.hangUp();
    await c.all;
    const open = m.d.registry.alloc(CLIENT, QOS.raw);
    if (typeof open === "number") throw new Error(`${open}`);
    m.d.registry.allocOver(open, IPCP);
    m.d.registry.allocReply(IPCP, open.id, { response: 0, mpl: 1, data: DATA } as never);
    m.asked.length = 0;
    return [open.id, id];
  };
  for (const [sec, linger] of [[0, 0], [10, 10], [4000, 10]] as const) {
    const [id] = await flow();
    const flowInfo = flowInfoOf({ id: id!, nPid: CLIENT });
    const msg = { code: IrmCode.IRM_FLOW_DEALLOC, flowInfo, timeo: { sec, nsec: 0 } };
    m.answer = () => ({ kind: "silent", cause: "busy" });
    assertEquals((await dealloc(m.d, msg))?.msg.result, 0);
    assertEquals(m.asked.map((a) => [a.pid, a.call, a.msg.flowId, a.msg.timeoSec]), [
      [IPCP, "dealloc", id, linger],
    ]);
    const unknown = flowInfoOf({ id: id! + 1, nPid: CLIENT });
    const again = await dealloc(m.d, { ...msg, flowInfo: unknown });
    assertEquals(again?.msg.result, -Errno.ENOTALLOC);
    assertStringIncludes(again!.msg.error!.cause, `process ${CLIENT} has no flow ${id! + 1}`);
  }
});

Deno.test("join of a broadcast layer: the IPCP of the layer is asked; refusals leave nothing", async () => {
  const m = node();
  const joins = (dst: string, fields = {}) =>
    request((c) =>
      join(m.d, c.client, {
        code: IrmCode.IRM_FLOW_JOIN,
        dst,
        ...fields,
        flowInfo: flowInfoOf({ nPid: CLIENT, qos: QOS.raw }),
      })
    );
  assertStringIncludes(
    refusalOf(await joins("no").all)[1],
    'no IPCP of this node is in layer "no"',
  );
  m.answer = () => replied(-Errno.ENOTSUP);
  const [code, cause] = refusalOf(await joins("lay").all);
  assertEquals([code, cause], [-Errno.ENOTALLOC, 'layer "lay" is no broadcast layer']);
  assertEquals([m.d.registry.flows.count, m.rings.size], [0, 0]);
  m.answer = ({ msg }) => {
    m.d.registry.allocReply(IPCP, msg.flowId!, { response: 0, mpl: 3, data: DATA } as never);
    return replied(0);
  };
  m.asked.length = 0;
  const joined = (await joins("lay").all)!;
  assertEquals([joined.msg.result, joined.msg.flowInfo!.n1Pid], [0, IPCP]);
  assertEquals(m.asked[0]!.msg.hash, nameHash(SHA3_256, "lay"));
  assertEquals(m.rings.size, 2);
  joined.undelivered!();
  await withFakeTime(async () => {
    const answers: ((r: ReturnType<typeof replied>) => void)[] = [];
    m.answer = () => new Promise((resolve) => answers.push(resolve));
    const ends = [joins("lay"), joins("lay", { timeo: timeoOfMs(5) }), joins("lay")] as const;
    await turns();
    ends[2].client.hangUp();
    await m.pass(5);
    answers[1]!(replied(0));
    answers[2]!(replied(0));
    await m.pass(19_994);
    assertEquals(ends.map((j) => j.done), [false, true, true]);
    assertEquals(refusalOf(ends[1].outcome), [-Errno.ETIMEDOUT, 'no answer from "lay" in time']);
    assertEquals(ends[2].outcome, undefined);
    await m.pass(1);
    answers[0]!(replied(0));
    await turns();
    assertEquals(ends[0].outcome?.msg.result, -Errno.ETIMEDOUT);
  });
  const before = m.d.registry.flows.count;
  m.ringsCode = -Errno.ENOMEM;
  assertEquals(refusalOf(await joins("lay").all), [-Errno.EBADF, "/dev/shm is full"]);
  assertEquals(m.d.registry.flows.count, before);
});

Deno.test("a flow that its IPCP says it never took is forgotten; one that it keeps rests", async () => {
  const m = node({ direct: false });
  const given = async () => {
    const flow = m.d.registry.alloc(CLIENT, QOS.raw);
    if (typeof flow === "number") throw new Error(`${flow}`);
    m.d.registry.allocOver(flow, IPCP);
    m.d.registry.giveUp(flow, CLIENT, m.now);
    tellDealloc(m.d, IPCP, flow.id, 0);
    await turns();
    return m.d.registry.flows.holds(flow);
  };
  assertEquals(await given(), true);
  m.answer = () => replied(-Errno.EBADF);
  assertEquals(await given(), false);
  m.answer = () => ({ kind: "silent", cause: "it sleeps" });
  assertEquals(await given(), true);
});

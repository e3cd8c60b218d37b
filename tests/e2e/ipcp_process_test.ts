// IPCPs as real processes under an IRMd of the test's own: life, commands, allocation, data, faults that a real
// IRMd does not make. Flows between whole nodes are in ipcp_local_test.ts, ipcp_udp_test.ts, ipcp_eth_test.ts.

import { assert, assertEquals, assertMatch } from "@std/assert";
import { IpcpCode, type IpcpMsg, IrmCode, type IrmMsg } from "../../lib/irm/messages.ts";
import { QOS } from "../../lib/qos.ts";
import { kill } from "../../lib/sys/process.ts";
import { SeqSocket } from "../../lib/sys/socket.ts";
import { ipcpSocketPath } from "../../lib/instance.ts";
import { FakeIrmd } from "../support/scripted_irmd.ts";
import { until } from "../support/deadline.ts";
import { exists } from "../support/process.ts";

const HASH = new Uint8Array(32).fill(0x42);
const OAP = Uint8Array.of(1, 2, 3, 4, 5);

function allocMsg(flowId: number, pid: number, hash = HASH): IpcpMsg {
  return { code: IpcpCode.IPCP_FLOW_ALLOC, flowId, pid, uid: 0, qos: QOS.raw, hash, pk: OAP };
}
function respMsg(flowId: number, pid: number, response = 0): IpcpMsg {
  const pk = response === 0 ? { pk: OAP } : {};
  return { code: IpcpCode.IPCP_FLOW_ALLOC_RESP, flowId, pid, uid: 0, response, ...pk };
}

Deno.test("an IPCP with wrong arguments ends with 1 and says who starts it", async () => {
  const { run } = await import("../support/process.ts");
  const { ouro } = await import("../support/node.ts");
  for (const words of [[], ["1"], ["0", "n"], ["x", "n"], ["1", "n", "1", "z"]]) {
    const r = await run(ouro("ipcpd-local", ...words));
    const line = "ipcpd-local: only an IRMd starts it (irm ipcp create name NAME type local)\n";
    assertEquals([r.code, r.out, r.err], [1, "", line]);
  }
});

Deno.test("an IPCP without IRMd says so and ends with 1", async () => {
  const { run } = await import("../support/process.ts");
  const { ouro } = await import("../support/node.ts");
  const env = { OURO_PREFIX: "/nonexistent-ouro" };
  const r = await run(ouro("ipcpd-local", String(Deno.pid), "n"), { env });
  assertEquals([r.code, r.out], [1, "FATAL: Could not announce to IRMd.\n"]);
  assertMatch(r.err, /^Failed to start: -1002: IRMd is not running [^\n]+\n$/);
});

Deno.test("an IPCP announces, takes commands, obeys its IRMd and leaves nothing", async () => {
  await using irmd = new FakeIrmd();
  const ipcp = await irmd.start("local", "n1");
  assertEquals(irmd.said.map((m) => m.code), [IrmCode.IRM_PROC_ANNOUNCE, IrmCode.IPCP_CREATE_R]);
  assertEquals(irmd.said[0]!.prog, "ipcpd-local");
  const info = { type: 0, name: "n1", pid: ipcp.pid, state: 2 };
  assertEquals(irmd.said[1]!.ipcpInfo, info);
  const layerInfo = { name: "layer-n1", dirHashAlgo: 1 };
  assertEquals(await irmd.bootstrap(ipcp, {}), { code: 12, layerInfo, result: 0 });
  assertEquals((await irmd.bootstrap(ipcp, {}))?.result, -1004);
  assertEquals(await irmd.stop(ipcp), 0);
  await until("farewell", () => irmd.said.at(-1)!.code === IrmCode.IRM_PROC_EXIT);
  assert(!exists(ipcpSocketPath(irmd.instance, ipcp.pid)));
});

Deno.test("an IPCP ignores a stop signal that its IRMd did not send", async () => {
  await using irmd = new FakeIrmd();
  const ipcp = await irmd.start("local", "n1");
  const sender = new Deno.Command("kill", { args: ["-TERM", String(ipcp.pid)] });
  assert((await sender.output()).success);
  assertEquals((await irmd.bootstrap(ipcp, {}))?.result, 0);
  assertEquals(await irmd.stop(ipcp), 0);
});

Deno.test("an IPCP answers what it cannot do and closes on what it cannot read", async () => {
  await using irmd = new FakeIrmd();
  const ipcp = await irmd.start("local", "n1");
  assertEquals(await irmd.result(ipcp, { code: 99 }), -1);
  assertEquals(await irmd.result(ipcp, { code: IpcpCode.IPCP_ENROLL, dst: "x" }), -95);
  assertEquals(await irmd.result(ipcp, { code: IpcpCode.IPCP_QUERY, hash: HASH }), -1004);
  assertEquals(await irmd.result(ipcp, { code: IpcpCode.IPCP_BOOTSTRAP }), -22);
  const wrong = await irmd.bootstrap(ipcp, { ipcpType: 2 });
  assertEquals([wrong?.result, wrong?.error?.stage], [-1001, "bootstrap"]);
  using s = SeqSocket.connect(ipcpSocketPath(irmd.instance, ipcp.pid));
  s.sendSync(Uint8Array.of(0xff, 0xff, 0xff));
  assertEquals(await s.recv({}), null);
});

Deno.test("a local flow: query, request, verdict, packets both ways, dealloc tells the partner", async () => {
  await using irmd = new FakeIrmd();
  const ipcp = await irmd.bootstrapped("local", "n1", {});
  assertEquals(await irmd.result(ipcp, { code: IpcpCode.IPCP_QUERY, hash: HASH }), -1);
  assertEquals(await irmd.result(ipcp, { code: IpcpCode.IPCP_REG, hash: HASH }), 0);
  assertEquals(await irmd.result(ipcp, { code: IpcpCode.IPCP_QUERY, hash: HASH }), 0);
  const server = irmd.flow(ipcp);
  const client = irmd.flow(ipcp);
  irmd.onRequest = () => server;
  assertEquals(await irmd.result(ipcp, allocMsg(client.id, client.pid)), 0);
  assertEquals(await irmd.result(ipcp, respMsg(server.id, server.pid)), 0);
  const reply = await irmd.heard("reply", (m) => m.code === IrmCode.IPCP_FLOW_ALLOC_REPLY);
  assertEquals([reply.flowInfo?.id, reply.flowInfo?.mpl, reply.response, reply.pk], [
    client.id,
    100,
    0,
    OAP,
  ]);
  client.write(Uint8Array.of(1, 2, 3));
  assertEquals(await server.read(), Uint8Array.of(1, 2, 3));
  server.write(new Uint8Array(0));
  assertEquals(await client.read(), new Uint8Array(0));
  client.write(Uint8Array.of(9));
  const dealloc = { code: IpcpCode.IPCP_FLOW_DEALLOC, flowId: client.id, timeoSec: 0 };
  assertEquals(await irmd.result(ipcp, dealloc), 0);
  assertEquals(await server.read(), Uint8Array.of(9));
  await irmd.heard("dealloc", (m) => {
    return m.code === IrmCode.IPCP_FLOW_DEALLOC && m.flowInfo?.id === client.id;
  });
  await until("server sees its flow down", () => (server.rx.acl() & 2) !== 0);
  assertEquals(await irmd.result(ipcp, dealloc), -1);
});

Deno.test("local: a flow that lingers is down for the partner at once, its id is kept", async () => {
  await using irmd = new FakeIrmd();
  const ipcp = await irmd.bootstrapped("local", "n1", {});
  await irmd.result(ipcp, { code: IpcpCode.IPCP_REG, hash: HASH });
  const server = irmd.flow(ipcp);
  const client = irmd.flow(ipcp);
  irmd.onRequest = () => server;
  assertEquals(await irmd.result(ipcp, allocMsg(client.id, client.pid)), 0);
  assertEquals(await irmd.result(ipcp, respMsg(server.id, server.pid)), 0);
  await irmd.heard("reply", (m) => m.code === IrmCode.IPCP_FLOW_ALLOC_REPLY);
  client.write(Uint8Array.of(9));
  const dealloc = { code: IpcpCode.IPCP_FLOW_DEALLOC, flowId: client.id };
  assertEquals(await irmd.result(ipcp, { ...dealloc, timeoSec: 131 }), 0);
  assertEquals(await server.read(), Uint8Array.of(9));
  await until("server sees its flow down", () => (server.rx.acl() & 2) !== 0);
  const told = (m: IrmMsg) => m.code === IrmCode.IPCP_FLOW_DEALLOC && m.flowInfo?.id === client.id;
  assertEquals(irmd.said.some(told), false);
  // The process ended meanwhile: nobody lingers any more.
  assertEquals(await irmd.result(ipcp, { ...dealloc, timeoSec: 0 }), 0);
  await irmd.heard("dealloc", told);
});

Deno.test("local: a refusal of the IRMd is the result, a negative verdict the reply", async () => {
  await using irmd = new FakeIrmd();
  const ipcp = await irmd.bootstrapped("local", "n1", {});
  await irmd.result(ipcp, { code: IpcpCode.IPCP_REG, hash: HASH });
  const client = irmd.flow(ipcp);
  irmd.onRequest = () => -1;
  assertEquals(await irmd.result(ipcp, allocMsg(client.id, client.pid)), -1);
  const server = irmd.flow(ipcp);
  irmd.onRequest = () => server;
  assertEquals(await irmd.result(ipcp, allocMsg(client.id, client.pid)), 0);
  assertEquals(await irmd.result(ipcp, respMsg(server.id, server.pid, -1009)), 0);
  const reply = await irmd.heard("reply", (m) => m.code === IrmCode.IPCP_FLOW_ALLOC_REPLY);
  assertEquals([reply.flowInfo?.id, reply.response], [client.id, -1009]);
});

Deno.test("local: an answer that the IRMd does not wait for any more lets go of the flow", async () => {
  await using irmd = new FakeIrmd();
  const ipcp = await irmd.bootstrapped("local", "n1", {});
  await irmd.result(ipcp, { code: IpcpCode.IPCP_REG, hash: HASH });
  const server = irmd.flow(ipcp);
  const client = irmd.flow(ipcp);
  irmd.onRequest = () => server;
  irmd.replyResult = -9;
  assertEquals(await irmd.result(ipcp, allocMsg(client.id, client.pid)), 0);
  assertEquals(await irmd.result(ipcp, respMsg(server.id, server.pid)), 0);
  await irmd.heard("dealloc", (m) => {
    return m.code === IrmCode.IPCP_FLOW_DEALLOC && m.flowInfo?.id === client.id;
  });
  await until("server sees its flow down", () => (server.rx.acl() & 2) !== 0);
  const dealloc = { code: IpcpCode.IPCP_FLOW_DEALLOC, flowId: client.id, timeoSec: 0 };
  assertEquals(await irmd.result(ipcp, dealloc), -1);
});

Deno.test("a flow whose memory is not there is refused with -1005, an unknown one with -1", async () => {
  await using irmd = new FakeIrmd();
  const ipcp = await irmd.bootstrapped("local", "n1", {});
  await irmd.result(ipcp, { code: IpcpCode.IPCP_REG, hash: HASH });
  assertEquals(await irmd.result(ipcp, allocMsg(77, 4711)), -1005);
  assertEquals(await irmd.result(ipcp, respMsg(78, 4711)), -1);
  const dealloc = { code: IpcpCode.IPCP_FLOW_DEALLOC, flowId: 79, timeoSec: 0 };
  assertEquals(await irmd.result(ipcp, dealloc), -1);
});

Deno.test("a verdict that overtakes the answer of the IRMd is waited for", async () => {
  await using irmd = new FakeIrmd();
  const ipcp = await irmd.bootstrapped("local", "n1", {});
  await irmd.result(ipcp, { code: IpcpCode.IPCP_REG, hash: HASH });
  const server = irmd.flow(ipcp);
  const client = irmd.flow(ipcp);
  let early: Promise<number | undefined> | undefined;
  irmd.onRequest = async () => {
    early = irmd.result(ipcp, respMsg(server.id, server.pid));
    await new Promise((done) => setTimeout(done, 50));
    return server;
  };
  assertEquals(await irmd.result(ipcp, allocMsg(client.id, client.pid)), 0);
  assertEquals(await early, 0);
  client.write(Uint8Array.of(5));
  assertEquals(await server.read(), Uint8Array.of(5));
});

Deno.test("stopping answers pending commands and marks all flows down", async () => {
  await using irmd = new FakeIrmd();
  const ipcp = await irmd.bootstrapped("local", "n1", {});
  await irmd.result(ipcp, { code: IpcpCode.IPCP_REG, hash: HASH });
  const server = irmd.flow(ipcp);
  const client = irmd.flow(ipcp);
  const third = irmd.flow(ipcp);
  irmd.onRequest = () => server;
  await irmd.result(ipcp, allocMsg(client.id, client.pid));
  await irmd.result(ipcp, respMsg(server.id, server.pid));
  irmd.onRequest = () => new Promise(() => {});
  const pending = irmd.result(ipcp, allocMsg(third.id, third.pid));
  await until("the question", () => {
    return irmd.said.filter((m) => m.code === IrmCode.IPCP_FLOW_REQ_ARR).length === 2;
  });
  assertEquals(await irmd.stop(ipcp), 0);
  assertEquals(await pending, -1004);
  assertEquals([client.rx.acl() & 2, server.rx.acl() & 2], [2, 2]);
});

Deno.test("an IPCP whose IRMd is gone ends by itself", async () => {
  await using irmd = new FakeIrmd();
  const parent = new Deno.Command("sleep", { args: ["1000"] }).spawn();
  // Started for another "IRMd", which is then killed.
  const { spawn, onExit } = await import("../../lib/sys/process.ts");
  const { ouro } = await import("../support/node.ts");
  const argv = ouro("ipcpd-local", String(parent.pid), "n1");
  const env = { ...Deno.env.toObject(), OURO_PREFIX: irmd.prefix };
  const { pid, pidfd } = spawn(argv, { env, blockSignals: "none" });
  const exit = onExit(pid, pidfd);
  await irmd.heard("CREATE_R", (m) => m.code === IrmCode.IPCP_CREATE_R);
  kill(parent.pid, 9);
  await parent.status;
  assertEquals(await exit, 0);
});

/** What a process holds of ours: sockets, event descriptors, shared memory (the runtime opens files as it likes). */
function held(pid: number): { fds: number; maps: number } {
  const links = [...Deno.readDirSync(`/proc/${pid}/fd`)].map((e) => {
    try {
      return Deno.readLinkSync(`/proc/${pid}/fd/${e.name}`);
    } catch {
      return ""; // Closed meanwhile.
    }
  });
  const maps = Deno.readTextFileSync(`/proc/${pid}/maps`);
  return {
    fds: links.filter((l) => /^(socket|anon_inode|\/dev\/shm)/.test(l)).length,
    maps: maps.split("\n").filter((l) => l.includes("/dev/shm/")).length,
  };
}

Deno.test("a thousand flows are opened, used and closed, and nothing stays", async () => {
  await using irmd = new FakeIrmd();
  const ipcp = await irmd.bootstrapped("local", "n1", {});
  await irmd.result(ipcp, { code: IpcpCode.IPCP_REG, hash: HASH });
  const [clientPid, serverPid] = [6_000_001, 6_000_002];
  const round = async (n: number) => {
    const pairs = [];
    for (let i = 0; i < n; i++) {
      const server = irmd.flow(ipcp, serverPid), client = irmd.flow(ipcp, clientPid);
      irmd.onRequest = () => server;
      assertEquals(await irmd.result(ipcp, allocMsg(client.id, client.pid)), 0);
      assertEquals(await irmd.result(ipcp, respMsg(server.id, server.pid)), 0);
      pairs.push({ server, client });
    }
    for (const [i, { server, client }] of pairs.entries()) {
      client.write(Uint8Array.of(i, i >> 8));
      assertEquals(await server.read(), Uint8Array.of(i, i >> 8));
      server.write(Uint8Array.of(i));
      assertEquals(await client.read(), Uint8Array.of(i));
      irmd.clearEvents(clientPid);
      irmd.clearEvents(serverPid);
    }
    for (const flow of pairs.flatMap((p) => [p.client, p.server])) {
      const dealloc = { code: IpcpCode.IPCP_FLOW_DEALLOC, flowId: flow.id, timeoSec: 0 };
      assertEquals(await irmd.result(ipcp, dealloc), 0);
    }
    const done = () => irmd.said.filter((m) => m.code === IrmCode.IPCP_FLOW_DEALLOC).length;
    await until("all flows closed", () => done() % (2 * n) === 0);
    irmd.said.splice(0);
    for (const { server, client } of pairs) {
      for (const ring of [server.rx, server.tx, client.rx, client.tx]) ring.close();
    }
  };
  await round(3); // Warms up what is made once.
  const before = held(ipcp.pid);
  await round(500);
  // The last connections may still be closing, and the runtime opens an event descriptor now and then.
  let after = held(ipcp.pid);
  await until("as little as before", () => {
    after = held(ipcp.pid);
    return after.maps <= before.maps && after.fds <= before.fds + 4;
  }).catch((e) => {
    throw new Error(`${e.message}: ${JSON.stringify(before)} to ${JSON.stringify(after)}`);
  });
  const stats = irmd.pool.stats().classes;
  assertEquals(stats.reduce((n, c) => n + c.used, 0), 0);
});

Deno.test("a flow id that is used again at once belongs to the new flow", async () => {
  await using irmd = new FakeIrmd();
  const ipcp = await irmd.bootstrapped("local", "n1", {});
  await irmd.result(ipcp, { code: IpcpCode.IPCP_REG, hash: HASH });
  for (let round = 0; round < 30; round++) {
    // The same two ids each time, as soon as the IRMd may give them again.
    const [client, server] = [irmd.flowOf(1, ipcp), irmd.flowOf(2, ipcp)];
    irmd.onRequest = () => server;
    assertEquals(await irmd.result(ipcp, allocMsg(1, client.pid)), 0);
    assertEquals(await irmd.result(ipcp, respMsg(2, server.pid)), 0);
    client.write(Uint8Array.of(round));
    assertEquals(await server.read(), Uint8Array.of(round));
    server.write(Uint8Array.of(round, 1));
    assertEquals(await client.read(), Uint8Array.of(round, 1));
    const closed = () => irmd.said.filter((m) => m.code === IrmCode.IPCP_FLOW_DEALLOC).length;
    for (const flowId of [1, 2]) {
      const dealloc = { code: IpcpCode.IPCP_FLOW_DEALLOC, flowId, timeoSec: 0 };
      assertEquals(await irmd.result(ipcp, dealloc), 0);
    }
    await until("confirmed", () => closed() === 2 * (round + 1));
  }
});

Deno.test({
  name: "an IPCP gives up what root can do and it does not need",
  ignore: Deno.uid() !== 0,
  async fn() {
    await using irmd = new FakeIrmd();
    const ipcp = await irmd.bootstrapped("eth-dix", "n1", {
      eth: { dev: "lo", ethertype: 0xaffe },
    });
    const status = (tid: string) => Deno.readTextFileSync(`/proc/${ipcp.pid}/task/${tid}/status`);
    const permitted = (tid: string) => BigInt("0x" + status(tid).match(/CapPrm:\s+(\w+)/)![1]!);
    const allowed = BigInt(1 << 1 | 1 << 14);
    assertEquals(permitted(String(ipcp.pid)) & ~allowed, 0n);
    // The main thread and both data threads at least.
    const tids = [...Deno.readDirSync(`/proc/${ipcp.pid}/task`)].map((e) => e.name);
    assert(tids.filter((tid) => (permitted(tid) & ~allowed) === 0n).length >= 3);
    assert(status(String(ipcp.pid)).includes("NoNewPrivs:\t1"));
  },
});

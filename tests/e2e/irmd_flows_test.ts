/**
 * What is proved here: flows between processes of one host through a real daemon and the flow library: direct
 * flows, the switch that turns them off, load balancing, several acceptors, programs started on demand.
 * Registry rules are in tests/unit/irmd, hostile messages in irmd_abuse_test.ts, IPCPs in irmd_ipcp_test.ts.
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import {
  flowInfoOf,
  FlowState,
  IrmCode,
  type IrmMsg,
  PolLb,
  timeoOfMs,
} from "../../lib/irm/messages.ts";
import { QOS } from "../../lib/qos.ts";
import { peer, peerArgv, serverPeer } from "../support/peer.ts";
import { Puppet } from "../support/puppet.ts";
import { until } from "../support/deadline.ts";
import { TestNode } from "../support/node.ts";
import { nameInfo } from "../support/names.ts";
import { exists } from "../support/process.ts";

function accept(p: Puppet, timeoutMs = 60_000): Promise<IrmMsg | undefined> {
  return p.irm({
    code: IrmCode.IRM_FLOW_ACCEPT,
    flowInfo: flowInfoOf({ nPid: p.pid, qos: QOS.raw }),
    timeo: timeoOfMs(timeoutMs),
  });
}

function alloc(p: Puppet, dst: string, timeoutMs?: number): Promise<IrmMsg | undefined> {
  return p.irm({
    code: IrmCode.IRM_FLOW_ALLOC,
    dst,
    flowInfo: flowInfoOf({ nPid: p.pid, qos: QOS.data }),
    timeo: timeoutMs === undefined ? undefined : timeoOfMs(timeoutMs),
  });
}

function dealloc(p: Puppet, id: number): Promise<IrmMsg | undefined> {
  return p.irm({
    code: IrmCode.IRM_FLOW_DEALLOC,
    flowInfo: flowInfoOf({ id, nPid: p.pid }),
    timeo: { sec: 0, nsec: 0 },
  });
}

function rings(node: TestNode): string[] {
  return node.sharedMemory().filter((n) => n.includes(".rbuff."));
}

Deno.test("direct flow: both ends get one id with the pids swapped, it goes with the second dealloc", async () => {
  await using node = await TestNode.start();
  const server = await Puppet.announced(node, "srv");
  const client = await Puppet.announced(node, "cli");
  await node.admin().bindProcess(server.pid, "n1");
  const accepted = accept(server);
  const c = (await alloc(client, "n1", 60_000))!;
  const s = (await accepted)!;
  assertEquals([c.result, s.result, c.cipherNid, s.cipherNid], [0, 0, 0, 0]);
  const common = { mpl: 1, state: FlowState.ALLOCATED, qos: QOS.data, uid: 0 };
  const { id } = c.flowInfo!;
  assertEquals(c.flowInfo, { id, nPid: client.pid, n1Pid: server.pid, ...common });
  assertEquals(s.flowInfo, { id, nPid: server.pid, n1Pid: client.pid, ...common });
  assertEquals(rings(node).length, 2);
  assertEquals((await dealloc(server, id))?.result, 0);
  assertEquals((await dealloc(server, id))?.result, 0);
  assertEquals(rings(node).length, 2);
  assertEquals((await dealloc(client, id))?.result, 0);
  assertEquals(rings(node).length, 0);
  assertEquals((await dealloc(client, id))?.result, -1000);
  await node.irmd!.waitForText(`Flow ${id} allocated (direct) for ${client.pid} to n1.`);
});

Deno.test("alloc of a name nobody created, nobody is bound to, or nobody accepts for says what is missing", async () => {
  await using node = await TestNode.start();
  const client = await Puppet.announced(node, "cli");
  const unknown = (await alloc(client, "n1"))!;
  assertEquals(unknown.result, -1007);
  assertEquals(unknown.error?.cause, 'name "n1" is not known here (irm name create n1)');
  await node.admin().createName(nameInfo("n1", PolLb.SPILLOVER));
  const unbound = (await alloc(client, "n1"))!;
  assertEquals(unbound.result, -1003);
  assertMatch(unbound.error!.cause, /nothing is bound to "n1" here/);
  const idle = await Puppet.announced(node, "srv");
  await node.admin().bindProcess(idle.pid, "n1");
  const silent = (await alloc(client, "n1"))!;
  assertEquals(silent.result, -1003);
  assertMatch(silent.error!.cause, /nothing that is bound to "n1" accepts/);
});

Deno.test("accept ends at its deadline with -110, at once for a time of zero", async () => {
  await using node = await TestNode.start();
  const server = await Puppet.announced(node, "srv");
  assertEquals((await accept(server, 0))?.result, -110);
  assertEquals((await accept(server, 50))?.result, -110);
});

for (
  const [word, polLb, order] of [
    ["round-robin serves acceptors in their order", PolLb.ROUND_ROBIN, [0, 1, 2]],
    ["spillover serves the latest acceptor first", PolLb.SPILLOVER, [2, 1, 0]],
  ] as const
) {
  Deno.test(`load balancing: ${word}`, async () => {
    await using node = await TestNode.start();
    await node.admin().createName(nameInfo("n1", polLb));
    const client = await Puppet.announced(node, "cli");
    const servers: Puppet[] = [];
    const accepts: Promise<IrmMsg | undefined>[] = [];
    for (let i = 0; i < 3; i++) {
      const s = await Puppet.announced(node, `srv${i}`);
      await node.admin().bindProcess(s.pid, "n1");
      servers.push(s);
      accepts.push(accept(s));
      // Answered after the accept of the same process was taken up: their order is what counts.
      await s.irm({ code: IrmCode.IRM_LIST_NAMES });
    }
    const got: number[] = [];
    for (let i = 0; i < 3; i++) {
      const r = (await alloc(client, "n1", 60_000))!;
      assertEquals(r.result, 0);
      got.push(servers.findIndex((s) => s.pid === r.flowInfo!.n1Pid));
    }
    assertEquals(got, [...order]);
    for (const a of accepts) assertEquals((await a)?.result, 0);
  });
}

Deno.test("more allocations at once than a server takes in a second wait while it takes some", async () => {
  await using node = await TestNode.start();
  const server = await Puppet.announced(node, "srv");
  const client = await Puppet.announced(node, "cli");
  await node.admin().bindProcess(server.pid, "n1");
  const start = performance.now();
  const allocs = Array.from({ length: 6 }, () => alloc(client, "n1", 60_000));
  // The server is slow, not idle: the last is served long after the second that an idle one has.
  for (let i = 0; i < allocs.length; i++) {
    assertEquals((await accept(server))?.result, 0, `accept ${i}`);
    await until(`pause ${i}`, () => performance.now() > start + (i + 1) * 300);
  }
  assertEquals((await Promise.all(allocs)).map((r) => r?.result), [0, 0, 0, 0, 0, 0]);
  // Nobody accepts any more: the next one hears so.
  assertEquals((await alloc(client, "n1", 60_000))?.result, -1003);
});

Deno.test("20 accepts of one process are all served, by 20 allocations at once", async () => {
  await using node = await TestNode.start();
  const server = await Puppet.announced(node, "srv");
  const client = await Puppet.announced(node, "cli");
  await node.admin().bindProcess(server.pid, "n1");
  const accepts = Array.from({ length: 20 }, () => accept(server));
  const allocs = Array.from({ length: 20 }, () => alloc(client, "n1", 60_000));
  const ids = (await Promise.all(allocs)).map((r) => [r?.result, r?.flowInfo?.id]);
  assertEquals(ids.map(([result]) => result), new Array(20).fill(0));
  assertEquals(new Set(ids.map(([, id]) => id)).size, 20);
  for (const a of accepts) assertEquals((await a)?.result, 0);
  assertEquals(rings(node).length, 40);
});

for (
  const [how, args, config] of [
    ["--no-direct", ["--no-direct"], undefined],
    ["[irmd] direct = false", [], "[irmd]\ndirect = false\n"],
  ] as const
) {
  Deno.test(`direct flows are off with ${how}: a local IPCP is needed and used`, async () => {
    await using node = await TestNode.start({
      args: [...args],
      ...(config === undefined ? {} : { config }),
    });
    const server = await Puppet.announced(node, "srv");
    const client = await Puppet.announced(node, "cli");
    await node.admin().bindProcess(server.pid, "n1");
    const accepted = accept(server);
    const without = (await alloc(client, "n1", 60_000))!;
    assertEquals(without.result, -1003);
    assertMatch(without.error!.cause, /direct flows are off and no IPCP is in a layer/);
    await node.must("irm", "ipcp", "bootstrap", "type", "local", "name", "l1", "layer", "lay");
    await node.must("irm", "name", "register", "n1", "layer", "lay");
    const [ipcp] = await node.admin().listIpcps();
    const c = (await alloc(client, "n1", 60_000))!;
    const s = (await accepted)!;
    assertEquals([c.result, s.result], [0, 0], c.error?.cause);
    assertEquals([c.flowInfo!.n1Pid, s.flowInfo!.n1Pid], [ipcp!.pid, ipcp!.pid]);
    assert(c.flowInfo!.id !== s.flowInfo!.id);
    for (const [p, r] of [[client, c], [server, s]] as const) {
      assertEquals((await dealloc(p, r.flowInfo!.id))?.result, 0);
    }
    await until("rings are gone", () => rings(node).length === 0);
  });
}

Deno.test("a process that allocates to its own name is not given a direct flow to itself", async () => {
  await using node = await TestNode.start();
  const p = await Puppet.announced(node, "srv");
  await node.admin().bindProcess(p.pid, "n1");
  const accepted = accept(p, 8000);
  const refused = (await alloc(p, "n1", 60_000))!;
  assertEquals(refused.result, -1003);
  assertMatch(refused.error!.cause, /^"n1" is served here by .* the caller itself, and no IPCP/);
  assertEquals((await accepted)?.result, -110);
  assertEquals(rings(node), []);
});

Deno.test("data flows between two programs that use the library; dealloc of one end is seen by the other", async () => {
  await using node = await TestNode.start();
  await node.admin().bindProgram(["/usr/bin/echo_srv"], "n1", false);
  const server = await serverPeer(node, "echo_srv");
  const { code, err } = await peer(node, ["churn", "n1", "5"]).wait();
  assertEquals([code, err], [0, ""]);
  await until("all flows closed", () => server.out.match(/^closed/gm)?.length === 5);
  await until("rings are gone", () => rings(node).length === 0);
});

Deno.test("a program bound with autostart is started for the first flow and stopped with the daemon", async () => {
  await using node = await TestNode.start();
  const script = `${node.prefix}/auto_srv`;
  const argv = peerArgv("serve", "auto_srv").map((w) => `'${w}'`).join(" ");
  await Deno.writeTextFile(script, `#!/bin/sh\nexec ${argv}\n`);
  await Deno.chmod(script, 0o755);
  await node.admin().bindProgram([script], "n1", true);
  const { code, err } = await peer(node, ["churn", "n1", "2"]).wait();
  assertEquals([code, err], [0, ""]);
  await node.irmd!.waitForText(`Starting ${script} for n1.`);
  const pid = Number((await node.irmd!.waitForLine(/Instantiated .* as process (\d+)\./))[1]);
  assertEquals(node.irmd!.out.match(/Instantiated/g)!.length, 1);
  assertEquals((await node.stopIrmd())!.code, 0);
  assertEquals(exists(`/proc/${pid}`), false);
});

Deno.test("a program that cannot be started, or does not accept: the allocation fails in time", async () => {
  await using node = await TestNode.start();
  const client = await Puppet.announced(node, "cli");
  await node.admin().bindProgram(["/no/such/program"], "n1", true);
  await node.admin().bindProgram(["/bin/true"], "n2", true);
  const absent = (await alloc(client, "n1", 60_000))!;
  assertEquals(absent.result, -1003);
  assertMatch(absent.error!.cause, /^\/no\/such\/program cannot be started \(.+\), and no IPCP/);
  assertEquals((await alloc(client, "n2", 60_000))?.result, -1003);
  await node.irmd!.waitForText("Failed to start /no/such/program");
});

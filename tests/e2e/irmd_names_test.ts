/**
 * What is proved here: names and bindings on a real daemon as far as processes are involved: inheriting by program,
 * binding late and early, destroying a name in use, lists longer than a packet of the prototype.
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import type { AdminClient } from "../../lib/irm/admin.ts";
import { irmRequest } from "../../lib/irm/client.ts";
import {
  encodeIrmMsg,
  flowInfoOf,
  IrmCode,
  type IrmMsg,
  PolLb,
  timeoOfMs,
} from "../../lib/irm/messages.ts";
import { MESSAGE_BYTES_MAX } from "../../lib/limits.ts";
import { QOS } from "../../lib/qos.ts";
import { Puppet } from "../support/puppet.ts";
import { TestNode } from "../support/node.ts";
import { nameInfo } from "../support/names.ts";

async function setUp(): Promise<{ node: TestNode; admin: AdminClient }> {
  const node = await TestNode.start();
  return { node, admin: node.admin() };
}

function accept(p: Puppet, timeoutMs = 60_000): Promise<IrmMsg | undefined> {
  return p.irm({
    code: IrmCode.IRM_FLOW_ACCEPT,
    flowInfo: flowInfoOf({ nPid: p.pid, qos: QOS.raw }),
    timeo: timeoOfMs(timeoutMs),
  });
}

function alloc(p: Puppet, dst: string): Promise<IrmMsg | undefined> {
  return p.irm({
    code: IrmCode.IRM_FLOW_ALLOC,
    dst,
    flowInfo: flowInfoOf({ nPid: p.pid, qos: QOS.raw }),
    timeo: timeoOfMs(60_000),
  });
}

Deno.test("a process inherits the names of its program, bound before or after it started", async () => {
  const { node, admin } = await setUp();
  await using _node = node;
  await admin.bindProgram(["/usr/bin/srv"], "early", false);
  const server = await Puppet.announced(node, "srv");
  await admin.bindProgram(["/usr/bin/srv"], "early2", false);
  const client = await Puppet.announced(node, "cli");
  for (const name of ["early", "early2"]) {
    const accepted = accept(server);
    const got = (await alloc(client, name))!;
    assertEquals([got.result, got.flowInfo?.n1Pid], [0, server.pid], got.error?.cause);
    assertEquals((await accepted)?.result, 0);
  }
});

Deno.test("a process bound while it waits in accept gets the flow", async () => {
  const { node, admin } = await setUp();
  await using _node = node;
  const server = await Puppet.announced(node, "srv");
  const client = await Puppet.announced(node, "cli");
  const accepted = accept(server);
  await server.irm({ code: IrmCode.IRM_LIST_NAMES });
  await admin.bindProcess(server.pid, "late");
  assertEquals((await alloc(client, "late"))?.result, 0);
  assertEquals((await accepted)?.result, 0);
});

Deno.test("bind of a process that is not announced fails in a moment, with the reason", async () => {
  const { node, admin } = await setUp();
  await using _node = node;
  const e = await admin.bindProcess(4242424, "n1").catch((e) => e);
  assertEquals(e.code, -1);
  assertMatch(e.message, /process 4242424 is no Ouroboros program of this node/);
});

Deno.test("unbound and destroyed names give flows no more, the accept goes on for other names", async () => {
  const { node, admin } = await setUp();
  await using _node = node;
  const server = await Puppet.announced(node, "srv");
  const client = await Puppet.announced(node, "cli");
  for (const name of ["a", "b", "c"]) await admin.bindProcess(server.pid, name);
  const accepted = accept(server);
  await server.irm({ code: IrmCode.IRM_LIST_NAMES });
  await admin.unbindProcess(server.pid, "a");
  await admin.destroyName("b");
  assertEquals((await alloc(client, "a"))?.result, -1003);
  assertEquals((await alloc(client, "b"))?.result, -1007);
  assertEquals((await alloc(client, "c"))?.result, 0);
  assertEquals((await accepted)?.result, 0);
});

Deno.test("a list of 1000 names: ours gets all, a client of the prototype what it can read", async () => {
  const { node, admin } = await setUp();
  await using _node = node;
  const count = 1000;
  for (let i = 0; i < count; i++) {
    await admin.createName(nameInfo(`name-${String(i).padStart(8, "0")}`, PolLb.SPILLOVER));
  }
  const all = await admin.listNames();
  assertEquals(all.length, count);
  const short = await irmRequest(node.instance, { code: IrmCode.IRM_LIST_NAMES });
  assertEquals(short.result, 0);
  const got = short.names!;
  assert(got.length > 300, `${got.length}`);
  assert(encodeIrmMsg(short).length <= MESSAGE_BYTES_MAX);
  assertEquals(got, all.slice(0, got.length));
});

// A server sees who wants a flow before it takes it: it refuses with a code and a reason, or thinks it over meanwhile.

import { assert, assertEquals, assertRejects } from "@std/assert";
import { Errno, Flow, OuroError, OuroProcess, QOS } from "../../lib/mod.ts";
import {
  AdminClient,
  bootstrapConfig,
  defaultBootstrapOptions,
  IpcpType,
} from "../../lib/irm/mod.ts";
import { twoNodes } from "../support/two_nodes.ts";
import { canMakeNetns } from "../support/netns.ts";
import { type RunningProcess, TestNode } from "../support/node.ts";
import { script } from "../support/process.ts";

const MS = 60_000;
const NAMES = ["open", "shut", "bare", "later", "release"];
const EACCES = 13;

async function decider(node: TestNode): Promise<RunningProcess> {
  const server = node.spawnArgv(script("tests/e2e/flow_request_peer.ts"));
  await server.waitForLine(/^ready$/m);
  const irm = new AdminClient(node.instance);
  for (const name of NAMES) {
    await irm.createName(name);
    await irm.bindProcess(server.pid, name);
    for (const { pid } of await irm.listIpcps()) await irm.regName(name, pid);
  }
  return server;
}

async function echoes(flow: Flow): Promise<void> {
  await flow.write(Uint8Array.of(1, 2));
  assertEquals(await flow.read({ timeoutMs: MS }), Uint8Array.of(1, 2));
}

/** What every way between the two must do. */
async function decides(
  client: TestNode,
  server: RunningProcess,
  layer: string,
  names: readonly string[] = ["open", "shut", "bare"],
): Promise<void> {
  using process = OuroProcess.open({ instance: client.instance, prog: "client" });
  const options = { qos: QOS.data, timeoutMs: MS, lingerMs: 0 } as const;
  if (names.includes("open")) {
    await using flow = await Flow.alloc(process, "open", options);
    await server.waitForLine(new RegExp(`^request open ${layer} 1 anonymous$`, "m"));
    await echoes(flow);
  }
  const shut = [["shut", -EACCES, /closed for today/], ["bare", -1, / refused/]] as const;
  for (const [name, code, reason] of shut) {
    if (!names.includes(name)) continue;
    const e = await assertRejects(() => Flow.alloc(process, name, options), OuroError);
    assertEquals([name, e.code], [name, code]);
    assert(reason.test(e.message), e.message);
    await server.waitForLine(new RegExp(`^request ${name} ${layer} 1 anonymous$`, "m"));
  }
}

/** One that is thought over keeps nobody else waiting; one whose asker has gone is nobody's. */
async function defers(client: TestNode, server: RunningProcess): Promise<void> {
  using process = OuroProcess.open({ instance: client.instance, prog: "client" });
  const options = { timeoutMs: MS, lingerMs: 0 };
  const release = () => assertRejects(() => Flow.alloc(process, "release", options), OuroError);
  const asked = Flow.alloc(process, "later", options);
  await server.waitForLine(/^request later/m);
  await (await Flow.alloc(process, "open", options)).dealloc();
  await release();
  {
    await using flow = await asked;
    await echoes(flow);
  }
  const abort = new AbortController();
  const given = Flow.alloc(process, "later", { ...options, signal: abort.signal });
  await server.waitForLine(/^request later[^]*^request later/m);
  abort.abort();
  await assertRejects(() => given);
  await release();
  await server.waitForLine(/^gone -1000$/m);
  await (await Flow.alloc(process, "open", options)).dealloc();
}

Deno.test("a request for a direct flow is refused with its reason, or thought over", async () => {
  await using node = await TestNode.start();
  const server = await decider(node);
  await decides(node, server, "direct");
  await defers(node, server);
});

Deno.test("a name is served for those whom a function admits", async () => {
  await using node = await TestNode.start();
  const server = node.spawnArgv(script("tests/e2e/flow_request_peer.ts", "guard"));
  await server.waitForLine(/^serving$/m);
  using process = OuroProcess.open({ instance: node.instance, prog: "client" });
  for (let k = 0; k < 2; k++) {
    const options = { timeoutMs: MS, lingerMs: 0 };
    const e = await assertRejects(() => Flow.alloc(process, "guarded", options), OuroError);
    assertEquals([e.code, /reliable flows only/.test(e.message)], [-1, true]);
    await using flow = await Flow.alloc(process, "guarded", { ...options, qos: QOS.data });
    await echoes(flow);
  }
});

Deno.test("a flow for which the server has no descriptor is refused with the reason, the server goes on", async () => {
  await using node = await TestNode.start();
  const server = node.spawnArgv(script("tests/e2e/flow_request_peer.ts", "full"));
  await server.waitForLine(/^serving$/m);
  using process = OuroProcess.open({ instance: node.instance, prog: "client" });
  const options = { qos: QOS.data, timeoutMs: MS, lingerMs: 0 } as const;
  const e = await assertRejects(() => Flow.alloc(process, "small", options), OuroError);
  assertEquals([e.code, /all flow descriptors/.test(e.message)], [-Errno.EMFILE, true]);
  await using flow = await Flow.alloc(process, "small", options);
  await echoes(flow);
});

Deno.test("a request for a flow over a layer is refused with its reason, or thought over", async () => {
  await using node = await TestNode.start({ args: ["--no-direct"] });
  const irm = new AdminClient(node.instance);
  await irm.createIpcp("here", IpcpType.LOCAL);
  const { pid } = (await irm.listIpcps())[0]!;
  await irm.bootstrapIpcp(
    pid,
    bootstrapConfig(IpcpType.LOCAL, "desk", defaultBootstrapOptions())!,
  );
  const server = await decider(node);
  await decides(node, server, "desk");
});

for (const type of ["eth-dix", "udp4"] as const) {
  Deno.test({
    name: `a request from another host is refused with its reason: ${type}`,
    ignore: !canMakeNetns(),
    fn: () =>
      twoNodes(type, { srv: "shut", back: "back" }, async (a, b) => {
        // Over UDP only a name that the hosts file has is found.
        const names = type === "udp4" ? ["shut"] : undefined;
        await decides(a, await decider(b), "lay", names);
      }),
  });
}

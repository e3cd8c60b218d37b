// A name that a program serves in one call: made, bound and registered; reached directly and over a layer.

import { assertEquals, assertRejects } from "@std/assert";
import { Flow, OuroError, OuroProcess, QOS } from "../../lib/mod.ts";
import {
  AdminClient,
  bootstrapConfig,
  defaultBootstrapOptions,
  IpcpType,
} from "../../lib/irm/mod.ts";
import { twoNodes } from "../support/two_nodes.ts";
import { canMakeNetns } from "../support/netns.ts";
import { DEADLINE_MS } from "../support/deadline.ts";
import { TestNode } from "../support/node.ts";
import { script } from "../support/process.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

async function echoed(flow: Flow, text: string): Promise<string> {
  await flow.write(bytes(text));
  return new TextDecoder().decode(await flow.read({ timeoutMs: DEADLINE_MS }));
}

for (const way of ["direct", "desk"]) {
  Deno.test(`Flow.serve() makes, binds and registers a name: ${way}`, async () => {
    await using node = await TestNode.start({ args: way === "direct" ? [] : ["--no-direct"] });
    const irm = new AdminClient(node.instance);
    await irm.createIpcp("here", IpcpType.LOCAL);
    const { pid } = (await irm.listIpcps())[0]!;
    await irm.bootstrapIpcp(
      pid,
      bootstrapConfig(IpcpType.LOCAL, "desk", defaultBootstrapOptions())!,
    );
    const server = node.spawnArgv(script("tests/e2e/serve_name_peer.ts", "one", "two"));
    await server.waitForLine(/ready/);
    using process = OuroProcess.open({ instance: node.instance, prog: "client" });
    for (const name of ["one", "two"]) {
      await using flow = await Flow.alloc(process, name, { qos: QOS.data, lingerMs: 1000 });
      await server.waitForLine(new RegExp(`^flow ${name} ${way} anonymous$`, "m"));
      assertEquals([flow.name, flow.layer], [name, way === "direct" ? undefined : way]);
      assertEquals(await echoed(flow, "hello"), "hello");
      assertEquals(await echoed(flow, "again"), "again");
    }
    await using failing = await Flow.alloc(process, "one", { lingerMs: 0 });
    await failing.write(bytes("fail"));
    await server.waitForLine(/^error as asked$/m);
    await assertRejects(() => failing.read({ timeoutMs: DEADLINE_MS }), OuroError, "-1005");
    await server.waitForLine(/^refused -22 register$/m);
    server.kill("SIGTERM");
    const { code, out } = await server.wait();
    assertEquals([code, out.includes("ended")], [0, true]);
    await assertRejects(() => Flow.alloc(process, "one", { timeoutMs: 500 }), OuroError);
  });
}

Deno.test({
  name: "Flow.serve() serves a name for another host, as docs/two-hosts.md has it",
  ignore: !canMakeNetns(),
  fn: () =>
    twoNodes("eth-dix", { srv: "one", back: "back" }, async (a, b) => {
      const server = b.spawnArgv(script("tests/e2e/serve_name_peer.ts", "one"));
      await server.waitForLine(/ready/);
      using process = OuroProcess.open({ instance: a.instance, prog: "client" });
      await using flow = await Flow.alloc(process, "one", {
        qos: QOS.data,
        keepaliveMs: 10_000,
        lingerMs: 1000,
      });
      assertEquals([flow.name, flow.layer, flow.qos.timeout], ["one", "lay", 10_000]);
      await server.waitForLine(/^flow one lay anonymous$/m);
      assertEquals(await echoed(flow, "hello"), "hello");
    }),
});

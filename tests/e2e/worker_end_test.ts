// A Worker that ends, however it ends, takes its flows and what it waits for with it, while its process lives on.

import { assertEquals, assertRejects } from "@std/assert";
import { Flow, OuroError, OuroProcess } from "../../lib/mod.ts";
import {
  AdminClient,
  bootstrapConfig,
  defaultBootstrapOptions,
  IpcpType,
} from "../../lib/irm/mod.ts";
import { type RunningProcess, TestNode } from "../support/node.ts";
import { script } from "../support/process.ts";

/** Much longer than it takes; without the news a read waits for ever. */
const MS = 60_000;

function peer(node: TestNode, ...words: string[]): RunningProcess {
  return node.spawnArgv(script("tests/e2e/worker_end_peer.ts", ...words));
}

/** A process of ours that serves a name. */
async function server(node: TestNode, name: string): Promise<OuroProcess> {
  const process = OuroProcess.open({ instance: node.instance, prog: "server" });
  const irm = new AdminClient(node.instance);
  await irm.createName(name);
  await irm.bindProcess(process.pid, name);
  return process;
}

for (const over of ["direct", "layer"]) {
  for (const way of ["terminate", "throw", "close"]) {
    Deno.test(`flows of a Worker that ends by ${way} go down at once (${over})`, async () => {
      await using node = await TestNode.start({ args: over === "direct" ? [] : ["--no-direct"] });
      const irm = new AdminClient(node.instance);
      using process = await server(node, "n");
      if (over === "layer") {
        await irm.createIpcp("here", IpcpType.LOCAL);
        const { pid } = (await irm.listIpcps())[0]!;
        const conf = bootstrapConfig(IpcpType.LOCAL, "desk", defaultBootstrapOptions())!;
        await irm.bootstrapIpcp(pid, conf);
        await irm.regName("n", pid);
      }
      const other = peer(node, "flows", "n", way);
      await using first = await Flow.accept(process, { timeoutMs: MS, lingerMs: 0 });
      await using second = await Flow.accept(process, { timeoutMs: MS, lingerMs: 0 });
      await first.write(await first.read({ timeoutMs: MS }));
      for (const flow of [first, second]) {
        await assertRejects(() => flow.read({ timeoutMs: MS }), OuroError, "-1005");
      }
      // The process itself is there all the while.
      await other.waitForLine(/^ended$/m);
      other.kill("SIGKILL");
      await other.wait();
    });
  }
}

Deno.test("an accept of a Worker that ended takes no flow", async () => {
  await using node = await TestNode.start();
  const acceptor = peer(node, "accept");
  await acceptor.waitForLine(/^ended$/m);
  await node.must("irm", "name", "create", "n");
  await node.must("irm", "bind", "process", String(acceptor.pid), "name", "n");
  using process = OuroProcess.open({ instance: node.instance, prog: "client" });
  await using flow = await Flow.alloc(process, "n", { timeoutMs: MS, lingerMs: 0 });
  await flow.write(Uint8Array.of(7));
  assertEquals(await flow.read({ timeoutMs: MS }), Uint8Array.of(7));
});

Deno.test("the process of a Worker that announced it ends with the Worker, and may be announced anew", async () => {
  await using node = await TestNode.start();
  using process = await server(node, "n");
  const workers = peer(node, "opener", "n");
  for (let k = 0; k < 2; k++) {
    await using flow = await Flow.accept(process, { timeoutMs: MS, lingerMs: 0 });
    await flow.write(await flow.read({ timeoutMs: MS }));
    await assertRejects(() => flow.read({ timeoutMs: MS }), OuroError, "-1005");
  }
  await workers.waitForLine(/^done$/m);
});

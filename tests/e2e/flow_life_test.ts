// How flows end between real processes: whoever waits is woken at once with the right error, whatever
// way the other side goes; a flow outlives its IRMd; a Worker may own flows.

import { assertEquals } from "@std/assert";
import { type RunningProcess, TestNode } from "../support/node.ts";
import { script } from "../support/process.ts";

function peer(node: TestNode, ...words: string[]): RunningProcess {
  return node.spawnArgv(script("tests/e2e/flow_life_peer.ts", ...words));
}

/** Starts a server of a role and binds it to a name. */
async function server(node: TestNode, role: string, name: string): Promise<RunningProcess> {
  const p = peer(node, role);
  await p.waitForLine(/ready/);
  await node.must("irm", "name", "create", name);
  await node.must("irm", "bind", "process", String(p.pid), "name", name);
  return p;
}

for (const role of ["blocked", "awaiting"]) {
  for (const end of ["SIGTERM", "SIGKILL"] as const) {
    const how = end === "SIGTERM" ? "deallocates" : "is killed";
    Deno.test(`a reader (${role}) without time-out is woken when its peer ${how}`, async () => {
      await using node = await TestNode.start();
      const reader = await server(node, role, "n");
      const other = peer(node, "hold", "n");
      await other.waitForLine(/allocated/);
      await reader.waitForLine(/accepted/);
      other.kill(end);
      await other.wait();
      await reader.waitForLine(/read -1005\n/);
      const { code, out } = await reader.wait();
      assertEquals([code, out.includes("dealloc 0")], [0, true]);
    });
  }
}

Deno.test("a flow carries on when its IRMd is killed", async () => {
  await using node = await TestNode.start();
  await server(node, "echo", "n");
  const talker = peer(node, "talk", "n");
  await talker.waitForLine(/answer 3\n/);
  node.irmd!.kill("SIGKILL");
  await node.irmd!.wait();
  const said = Number(talker.out.match(/answer (\d+)\n$/)![1]);
  await talker.waitForLine(new RegExp(`answer ${said + 20}\n`));
});

Deno.test("a Worker allocates, uses and ends flows of its own", async () => {
  await using node = await TestNode.start();
  await server(node, "echo", "n");
  const main = peer(node, "worker", "n");
  const { code, out, err } = await main.wait();
  assertEquals([code, out, err], [0, "worker done\n", ""]);
});

/**
 * A test that never ends, for tests/e2e/interrupted_test.ts: it has a node with IPCPs, files of the RIB, a namespace, and
 * processes that went away from their parents.
 */

import { canMakeNetns, NetLab } from "./netns.ts";
import { TestNode } from "./node.ts";
import { run } from "./process.ts";

Deno.test("hangs", async () => {
  await using net = new NetLab();
  const namespace = canMakeNetns() ? await net.namespace("h") : "none";
  await using node = await TestNode.start({ args: ["--rib", "on"] });
  await node.must("irm", "ipcp", "bootstrap", "type", "local", "name", "l1", "layer", "lay");
  // Of nobody any more, with an environment of its own.
  await run(["sh", "-c", `env -i TMPDIR=$TMPDIR setsid sleep 1000 </dev/null >/dev/null 2>&1 &`]);
  await Deno.writeTextFile(
    `${Deno.env.get("HANGING_SAYS")}.new`,
    `${namespace} ${node.instance.shmBase}`,
  );
  await Deno.rename(`${Deno.env.get("HANGING_SAYS")}.new`, Deno.env.get("HANGING_SAYS")!);
  const alive = setInterval(() => {}, 1000);
  await new Promise(() => {});
  clearInterval(alive);
});

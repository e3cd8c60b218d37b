// What is proved here: a program needs the permissions of docs/permissions.md and no others, and says which it lacks.

import { assertEquals, assertStringIncludes } from "@std/assert";
import { Flow, OuroProcess } from "../../lib/mod.ts";
import { DEADLINE_MS } from "../support/deadline.ts";
import { TestNode } from "../support/node.ts";
import { script } from "../support/process.ts";

const FLAGS = ["--allow-ffi", "--allow-env=OURO_PREFIX"];

Deno.test("a program needs the flags of docs/permissions.md and no others", async () => {
  await using node = await TestNode.start();
  using process = OuroProcess.open({ instance: node.instance, prog: "server" });
  const irm = node.admin();
  await irm.createName("echo");
  await irm.bindProcess(process.pid, "echo");
  const argv = script("tests/e2e/permissions_peer.ts", "echo");
  const client = (...flags: string[]) =>
    node.spawnArgv(argv.flatMap((word) => word === "-A" ? flags : [word]));
  const peer = client(...FLAGS);
  await using flow = await Flow.accept(process, { timeoutMs: DEADLINE_MS, lingerMs: 1000 });
  await flow.write(await flow.read({ timeoutMs: DEADLINE_MS }));
  const { code, out, err } = await peer.wait();
  assertEquals([code, out], [0, "hello\n"], err);
  for (const [lacks, access] of [[FLAGS[0], "ffi"], [FLAGS[1], "env"]]) {
    const refused = await client(...FLAGS.filter((flag) => flag !== lacks)).wait();
    assertStringIncludes(refused.err, `NotCapable: Requires ${access} access`);
    assertEquals(refused.code, 1);
  }
});

/**
 * What is proved here: the name by which the IRMd knows a Deno program that says none, so that
 * `irm bind program` finds it; from a Worker too.
 */

import { assertEquals } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { Flow, OuroProcess } from "../../lib/mod.ts";
import { DEADLINE_MS } from "../support/deadline.ts";
import { TestNode } from "../support/node.ts";

const LIB = new URL("../../lib/mod.ts", import.meta.url).href;
const CONFIG = fromFileUrl(new URL("../../deno.json", import.meta.url));
const ANSWER = `
  import { Flow, OuroProcess } from ${JSON.stringify(LIB)};
  OuroProcess.current();
  console.log("ready");
  for await (const flow of Flow.listen()) flow.write(new Uint8Array(7));
`;
const IN_WORKER = `
  if (Deno.mainModule !== undefined) new Worker(import.meta.url, { type: "module" });
  else await import("./answer.ts");
`;
const BOTH = `
  import { OuroProcess } from ${JSON.stringify(LIB)};
  const inWorker = Deno.mainModule === undefined;
  try {
    OuroProcess.current();
    if (!inWorker) new Worker(import.meta.url, { type: "module" });
  } catch (e) {
    console.log(e.message);
    self.close();
  }
`;

/** A node with `text` as executable file `file` below its prefix. */
async function withScript(node: TestNode, file: string, text: string): Promise<string> {
  const path = `${node.prefix}/${file}`;
  await Deno.writeTextFile(path, `#!/usr/bin/env -S deno run -A\n${text}`, { mode: 0o755 });
  return path;
}

function start(node: TestNode, path: string) {
  const words = ["run", "-A", "--quiet", "--no-check", "--config", CONFIG, path];
  return node.spawnArgv([Deno.execPath(), ...words]);
}

for (const where of ["the main thread", "a Worker"] as const) {
  Deno.test(`an executable script that serves in ${where} is bound by its path`, async () => {
    await using node = await TestNode.start();
    let path = await withScript(node, "answer.ts", ANSWER);
    if (where === "a Worker") path = await withScript(node, "worker.mts", IN_WORKER);
    await node.bindProgram(path, "n");
    await start(node, path).waitForLine(/ready/);
    using process = OuroProcess.open({ instance: node.instance });
    await using flow = await Flow.alloc(process, "n", { timeoutMs: DEADLINE_MS });
    assertEquals((await flow.read({ timeoutMs: DEADLINE_MS })).length, 7);
  });
}

Deno.test("a Worker of an announced process is told to join it", async () => {
  await using node = await TestNode.start();
  const program = start(node, await withScript(node, "both.ts", BOTH));
  await program.waitForLine(
    /announced already by another thread \(see OuroProcess.share and join\)/,
  );
});

/**
 * The node that the examples in the documentation run on: an IRMd of its own and a server that echoes under the name
 * `echo`. `tests/run.ts` gives its prefix to `deno test --doc`; by hand:
 *
 *     deno run -A tests/doc_node.ts lib README.md docs
 */
import { fromFileUrl } from "@std/path";
import { TestNode } from "./support/node.ts";

/** Starts the node; dispose of it when the documentation has run. */
export async function startDocNode(): Promise<TestNode> {
  const node = await TestNode.start();
  try {
    const echo = fromFileUrl(new URL("../examples/echo.ts", import.meta.url));
    const argv = [Deno.execPath(), "run", "-A", "--quiet", echo, "serve", "echo"];
    await node.spawnArgv(argv).waitForLine(/serving echo/);
    return node;
  } catch (e) {
    await node[Symbol.asyncDispose]();
    throw e;
  }
}

if (import.meta.main) {
  await using node = await startDocNode();
  const { code } = await new Deno.Command(Deno.execPath(), {
    args: ["test", "-A", "--doc", "--quiet", ...Deno.args],
    env: { OURO_PREFIX: node.prefix },
  }).spawn().status;
  Deno.exitCode = code;
}

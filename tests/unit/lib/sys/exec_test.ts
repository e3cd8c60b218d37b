/** Becoming another program, in a process of its own. */

import { assertEquals } from "@std/assert";
import { Errno } from "../../../../lib/errno.ts";
import { execute } from "../../../../lib/sys/exec.ts";

Deno.test("execute() keeps pid and environment and passes the words on", async () => {
  const module = JSON.stringify(new URL("../../../../lib/sys/exec.ts", import.meta.url).href);
  const script = `import { execute } from ${module};
    console.log(Deno.pid);
    execute("/bin/sh", ["sh", "-c", 'echo $$ "$1" $OURO_TEST_EXEC', "sh", "two  words é"]);`;
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["eval", script],
    env: { OURO_TEST_EXEC: "kept" },
  }).output();
  const [before, after] = new TextDecoder().decode(stdout).trim().split("\n");
  assertEquals(after, `${before} two  words é kept`);
});

Deno.test("execute() says why it could not", () => {
  assertEquals(execute("/nonexistent/program", ["program"]), -Errno.ENOENT);
});

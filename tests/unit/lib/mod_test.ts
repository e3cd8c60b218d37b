// The public interface: what it names is public too and has documentation.

import { assertEquals } from "@std/assert";
import { fromFileUrl } from "@std/path";

Deno.test("lib/mod.ts passes the documentation lint", async () => {
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["doc", "--lint", fromFileUrl(new URL("../../../lib/mod.ts", import.meta.url))],
    env: { NO_COLOR: "1" },
    stdout: "null",
  }).output();
  const errors = new TextDecoder().decode(stderr).split("\n").filter((l) => l.startsWith("error"));
  assertEquals([code, errors], [0, []]);
});

// The public interface: what it names is public too and has documentation, and it says where it cannot run.

import { assert, assertEquals } from "@std/assert";
import { fromFileUrl } from "@std/path";

const LIB = new URL("../../../lib/", import.meta.url);

for (const entry of ["mod.ts", "irm/mod.ts"]) {
  Deno.test(`lib/${entry} passes the documentation lint`, async () => {
    const { code, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["doc", "--lint", fromFileUrl(new URL(entry, LIB))],
      env: { NO_COLOR: "1" },
      stdout: "null",
    }).output();
    const lines = new TextDecoder().decode(stderr).split("\n");
    assertEquals([code, lines.filter((l) => l.startsWith("error"))], [0, []]);
  });
}

for (
  const [globals, name] of [
    [`delete globalThis.Deno; delete globalThis.process`, "this runtime"],
    [
      `delete globalThis.Deno; globalThis.process = { versions: { node: "24.0.0" } }`,
      "Node.js",
    ],
    [
      `delete globalThis.Deno; globalThis.process = { versions: { node: "24.0.0", bun: "1.3.0" } }`,
      "Bun",
    ],
  ]
) {
  Deno.test(`on ${name} the library says that it needs Deno`, async () => {
    const runtime = new URL("runtime.ts", LIB).href;
    const code = `${globals}; import(${JSON.stringify(runtime)})
      .then(() => console.log("ran"), (e) => console.log(e.message));`;
    const { stdout } = await new Deno.Command(Deno.execPath(), { args: ["eval", code] }).output();
    const said = new TextDecoder().decode(stdout).trim();
    assertEquals(said.includes("needs Deno") && said.endsWith(`cannot run on ${name}`), true, said);
  });
}

Deno.test("every entry of the package looks for Deno before anything else", async () => {
  for (const entry of ["mod.ts", "irm/mod.ts"]) {
    const text = await Deno.readTextFile(new URL(entry, LIB));
    const first = /^(?:import|export) [\s\S]*?"([^"]+)";/m.exec(text);
    assert(first![1]!.endsWith("/runtime.ts"), `${entry} begins with ${first![1]}`);
  }
});

// The text that the waiter thread is started from is that of its source; it runs in a bundle of an application.

import { assert } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { TARGET, waiterSource } from "../../../../scripts/waiter_source.ts";

const MOD = fromFileUrl(new URL("../../../../lib/mod.ts", import.meta.url));

/** Without the table of error numbers and that of their texts, which grow for others. */
function core(text: string): string {
  return text.replace(/\{EPERM:[^}]*\}/, "{}").replace(/\{1:\\"[^}]*\}/, "{}");
}

Deno.test("waiter_source.ts is made of the waiter as it is", async () => {
  const same = core(await Deno.readTextFile(TARGET)) === core(await waiterSource());
  assert(same, "run: deno run -A scripts/waiter_source.ts");
});

Deno.test("a bundle of an application carries the waiter, and looks for no file", async () => {
  const { code, stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["bundle", "--quiet", "--platform", "deno", MOD],
  }).output();
  const text = new TextDecoder().decode(stdout);
  assert(code === 0 && text.includes("data:text/javascript"), "not bundled");
  assert(!text.includes("waiter_worker"), "the bundle starts a file that it does not carry");
});

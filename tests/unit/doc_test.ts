/** Every value of the flow library has an example. That every symbol says what it is, is in lib/mod_test.ts. */
import { assert, assertEquals } from "@std/assert";
import { fromFileUrl } from "@std/path";

const MOD = fromFileUrl(new URL("../../lib/mod.ts", import.meta.url));

function denoDoc(): string {
  const { stdout } = new Deno.Command(Deno.execPath(), {
    args: ["doc", MOD],
    env: { NO_COLOR: "1" },
  }).outputSync();
  return new TextDecoder().decode(stdout);
}

Deno.test("every class, function and constant of lib/mod.ts has an example", () => {
  const text = denoDoc();
  const sources = new Map<string, string>();
  const missing: string[] = [];
  let values = 0;
  for (const m of text.matchAll(/Defined in (\S+?):(\d+):\d+\n\n(class|function|const) (\w+)/g)) {
    const [, url, line, , name] = m;
    if (!sources.has(url!)) sources.set(url!, Deno.readTextFileSync(fromFileUrl(url!)));
    const before = sources.get(url!)!.split("\n").slice(0, Number(line) - 1).join("\n");
    const comment = before.slice(before.lastIndexOf("/**"));
    values++;
    if (!comment.includes("@example")) missing.push(name!);
  }
  assert(values >= 12, `deno doc names only ${values} values`);
  assertEquals(missing, []);
});

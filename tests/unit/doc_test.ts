/**
 * What the documents promise: every value of the flow library has an example (that every symbol says what it is, is in
 * lib/mod_test.ts), no script sleeps, and the README says at once what ouro is and is not.
 */
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

const ROOT = fromFileUrl(new URL("../../", import.meta.url));

Deno.test("nothing in a script of the documents needs to sleep", () => {
  const docs = [...Deno.readDirSync(`${ROOT}docs`)].filter(({ name }) => name.endsWith(".md"));
  for (const file of ["README.md", ...docs.map(({ name }) => `docs/${name}`)]) {
    const found = /(?:^|[;&|(]|\b(?:do|then)) *sleep +[$0-9.].*/m.exec(
      Deno.readTextFileSync(ROOT + file),
    );
    assertEquals(found?.[0], undefined, file);
  }
});

Deno.test("README says on its first screen what ouro is and is not, and where to read more", () => {
  const screen = Deno.readTextFileSync(`${ROOT}README.md`).split("\n").slice(0, 25).join(" ");
  for (const said of ["drop-in for the C prototype", "on Linux, x86-64 only", "takes longer"]) {
    assert(screen.includes(said), said);
  }
  for (const [, path] of screen.matchAll(/\]\((docs[^)]*)\)/g)) Deno.statSync(ROOT + path);
});

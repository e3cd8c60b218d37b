/**
 * The README keeps its word: the commands of its tutorial run as they stand there, and what it shows
 * is what comes out, numbers aside.
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import { runSection } from "../support/tutorial.ts";

const ROOT = fromFileUrl(new URL("../..", import.meta.url));
Deno.test("README begins with the two commands", async () => {
  const readme = await Deno.readTextFile(join(ROOT, "README.md"));
  const first = /```\w*\n([\s\S]*?)```/.exec(readme)![1];
  assertEquals(
    first,
    "npx --yes deno@2.9.6 task demo\nnpx --yes deno@2.9.6 task test\n",
  );
});

Deno.test("every command of the tutorial runs, and shows what the README shows", async () => {
  const readme = await Deno.readTextFile(join(ROOT, "README.md"));
  // `deno` is the deno of this run; the installation goes where the README says.
  const tools = await Deno.makeTempDir({ prefix: "ouro-tutorial-" });
  try {
    await Deno.symlink(Deno.execPath(), join(tools, "deno"));
    await runSection(readme, "Tutorial", {
      blocksMin: 6,
      cwd: ROOT,
      env: { PATH: `${tools}:${Deno.env.get("PATH")}`, OURO_PREFIX: "", NO_COLOR: "1" },
      deadlineMs: 120_000,
    });
  } finally {
    await Deno.remove(tools, { recursive: true });
  }
});

Deno.test("links in the documentation lead somewhere", async () => {
  const pages = ["README.md", "CHANGELOG.md", "examples/README.md"];
  for await (const entry of Deno.readDir(join(ROOT, "docs"))) {
    if (entry.name.endsWith(".md")) pages.push(`docs/${entry.name}`);
  }
  for (const page of pages) {
    const text = await Deno.readTextFile(join(ROOT, page));
    for (const [, target] of text.matchAll(/\]\(([^)#\s]+)[^)]*\)/g)) {
      if (/^https?:/.test(target!)) continue;
      const path = join(ROOT, page, "..", target!);
      await Deno.stat(path).catch(() => {
        throw new Error(`${page} links to ${target}, which is not there`);
      });
    }
  }
});

Deno.test("the tasks that the documentation names exist", async () => {
  const { tasks } = JSON.parse(await Deno.readTextFile(join(ROOT, "deno.json")));
  const readme = await Deno.readTextFile(join(ROOT, "README.md"));
  const named = new Set([...readme.matchAll(/(?:deno|deno@[\d.]+) task (\w+)/g)].map((m) => m[1]!));
  for (const name of named) assert(name in tasks, name);
  assertMatch(await Deno.readTextFile(join(ROOT, ".ci/run")), /npx --yes deno@2\.9\.6 task test/);
});

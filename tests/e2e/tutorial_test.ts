/**
 * The README keeps its word: the commands of its tutorial run as they stand there, and what it shows
 * is what comes out, numbers aside.
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import { run } from "./support/process.ts";

const ROOT = fromFileUrl(new URL("../..", import.meta.url));
const MARK = "-- end of block";

interface Block {
  kind: string;
  text: string;
}

/** The code blocks of a section of the README. */
function blocksOf(readme: string, heading: string): Block[] {
  const from = readme.indexOf(`\n## ${heading}\n`);
  assert(from >= 0, `no section ${heading}`);
  const end = readme.indexOf("\n## ", from + 5);
  const section = readme.slice(from, end < 0 ? undefined : end);
  return [...section.matchAll(/```(\w*)\n([\s\S]*?)```/g)].map(([, kind, text]) => ({
    kind: kind!,
    text: text!,
  }));
}

/** A line without what differs from run to run. */
function shape(line: string): string {
  return line.replace(/\d+(\.\d+)?/g, "N").replace(/NaN/g, "N").replace(/µs|ms/g, "T")
    .replace(/\s+/g, " ").trim();
}

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
  const blocks = blocksOf(readme, "Tutorial");
  const commands = blocks.filter(({ kind }) => kind === "sh");
  assert(commands.length >= 6);
  // `deno` is the deno of this run; the installation goes where the README says.
  const tools = await Deno.makeTempDir({ prefix: "ouro-tutorial-" });
  try {
    await Deno.symlink(Deno.execPath(), join(tools, "deno"));
    const script = ["set -e", "exec 2>&1"];
    for (const { text } of commands) script.push(text, `echo "${MARK}"`);
    const result = await run(["bash", "-c", script.join("\n")], {
      cwd: ROOT,
      env: { PATH: `${tools}:${Deno.env.get("PATH")}`, OURO_PREFIX: "", NO_COLOR: "1" },
      deadlineMs: 900_000,
    });
    assertEquals(result.code, 0, result.out);
    const outputs = result.out.split(`${MARK}\n`);
    assertEquals(outputs.length, commands.length + 1);
    let block = -1;
    for (const { kind, text } of blocks) {
      if (kind === "sh") {
        block++;
        continue;
      }
      const got = outputs[block]!.split("\n").map(shape);
      for (const line of text.split("\n").filter((l) => l.trim() !== "")) {
        assert(got.includes(shape(line)), `not shown: ${line}\nbut:\n${outputs[block]}`);
      }
    }
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

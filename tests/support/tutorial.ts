/** Pages of the documentation as scripts: their commands are run as they stand there, and what they show must come. */

import { assert, assertEquals } from "@std/assert";
import { run, type RunOptions } from "./process.ts";

const MARK = "-- end of block";

interface Block {
  kind: string;
  text: string;
}

/** The code blocks of a section of a page. */
function blocksOf(page: string, heading: string): Block[] {
  const from = page.indexOf(`\n## ${heading}\n`);
  assert(from >= 0, `no section ${heading}`);
  const end = page.indexOf("\n## ", from + 5);
  const section = page.slice(from, end < 0 ? undefined : end);
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

/**
 * Runs the `sh` blocks of a section in one shell that ends at the first failure, after `before`; each line of the other
 * blocks must be among what the block before them printed, numbers aside. The number of lines that were looked for.
 */
export async function runSection(
  page: string,
  heading: string,
  options: RunOptions & { deadlineMs: number; before?: string; blocksMin: number },
): Promise<number> {
  const blocks = blocksOf(page, heading);
  const commands = blocks.filter(({ kind }) => kind === "sh");
  assert(commands.length >= options.blocksMin);
  const script = ["set -e", "exec 2>&1", options.before ?? ""];
  for (const { text } of commands) script.push(text, `echo "${MARK}"`);
  const { out, code } = await run(["bash", "-c", script.join("\n")], options);
  assertEquals(code, 0, out);
  const outputs = out.split(`${MARK}\n`);
  assertEquals(outputs.length, commands.length + 1);
  let block = -1;
  let shown = 0;
  for (const { kind, text } of blocks) {
    if (kind === "sh") {
      block++;
      continue;
    }
    const got = outputs[block]!.split("\n").map(shape);
    for (const line of text.split("\n").filter((l) => l.trim() !== "")) {
      assert(got.includes(shape(line)), `not shown: ${line}\nbut:\n${outputs[block]}`);
      shown++;
    }
  }
  return shown;
}

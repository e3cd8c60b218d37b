/**
 * The models of this directory, checked by `spin` (every state of every run): each property holds, and fails when the
 * rule that it rests on is taken away. Skipped where `spin` or a C compiler is not installed.
 */

import { assert, assertEquals } from "@std/assert";
import { fromFileUrl } from "@std/path";

function has(program: string): boolean {
  try {
    return new Deno.Command(program, { args: ["--version"], stdout: "null", stderr: "null" })
      .outputSync().code >= 0;
  } catch {
    return false;
  }
}

const ignore = !has("spin") || !has("gcc");

async function run(dir: string, program: string, args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await new Deno.Command(program, { args: [...args], cwd: dir })
    .output();
  const text = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  assertEquals(code, 0, `${program} ${args.join(" ")}: ${text}`);
  return text;
}

/** Explores all of a model; the assertion that fails in it, or undefined. */
async function failureOf(model: string, defines: readonly string[]): Promise<string | undefined> {
  const dir = await Deno.makeTempDir({ prefix: "ouro-model-" });
  try {
    await Deno.copyFile(fromFileUrl(new URL(model, import.meta.url)), `${dir}/m.pml`);
    await run(dir, "spin", [...defines.map((d) => `-D${d}`), "-a", "m.pml"]);
    // All orders of events; ends of processes do not matter.
    const flags = ["-O1", "-w", "-DSAFETY", "-DNOREDUCE"];
    await run(dir, "gcc", [...flags, "-o", "pan", "pan.c"]);
    const out = await run(dir, `${dir}/pan`, ["-m500000", "-E"]);
    assert(!/max search depth too small|out of memory/.test(out), out);
    assert(/errors: \d/.test(out), out);
    return /assertion violated[^\n]*/.exec(out)?.[0];
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

/** What is chosen in a model, and whether its property holds then. */
const CASES: readonly [model: string, defines: string, holds: boolean, says: string][] = [
  ["replay.pml", "", true, "no request is served twice, over restarts"],
  ["replay.pml", "STEPS=1 STEP=2 RESTARTS=0", true, "… though the clock is set back a little"],
  ["replay.pml", "STEPS=2 STEP=8 RESTARTS=0 ROOM", true, "… or far, while the list has room"],
  ["replay.pml", "NO_LIST", false, "without a list"],
  ["replay.pml", "NO_START", false, "when a restart is forgotten"],
  ["replay.pml", "NO_FUTURE", false, "when what came from the future is forgotten at a restart"],
  ["replay.pml", "STEPS=1 STEP=2 RESTARTS=0 NO_KEEP", false, "when entries go too early"],
  ["replay.pml", "STEPS=1 ROOM", false, "when a list is lost and the clock was set back"],
  [
    "replay.pml",
    "STEPS=1 STEP=8 ROOM DISK",
    true,
    "… or far and restarted, as the list is on disk",
  ],
  ["rotation.pml", "", true, "no packet meets a key that is not tried, whatever is lost"],
  ["rotation.pml", "AHEAD=0", false, "when no key ahead is tried"],
  ["rotation.pml", "BEHIND=0", false, "when none behind is tried"],
  ["rotation.pml", "NO_WAIT", false, "when an end leaves behind who cannot hear it"],
  ["rotation.pml", "ALONE=6", false, "when an end sends a key's packets while it hears nothing"],
];

for (const [model, defines, holds, says] of CASES) {
  Deno.test({
    name: `${model}: ${holds ? "holds" : "fails"}: ${says}`,
    ignore,
    async fn() {
      const failure = await failureOf(model, defines.split(" ").filter((d) => d !== ""));
      if (holds) assertEquals(failure, undefined);
      else assert(failure !== undefined, "it holds");
    },
  });
}

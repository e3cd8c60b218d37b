/** What is proved here: a run of tests that is interrupted, or stopped at a limit, leaves nothing on the host. */

import { assertEquals, assertStringIncludes } from "@std/assert";
import { endLeftOvers, processesOf } from "../left_overs.ts";
import { fileExists } from "../support/node.ts";
import { rooted, RunningProcess, script } from "../support/process.ts";

/** A run of the test that hangs, with all that it makes below `dir`. */
function start(dir: string, ...words: string[]): RunningProcess {
  const argv = script("tests/run.ts", "--tests", "tests/support/hanging.ts", ...words);
  const env = { TMPDIR: dir, HANGING_SAYS: `${dir}/says`, OURO_BINARY: "", OURO_CACHE: "" };
  return new RunningProcess(argv, { env, cwd: rooted(".") });
}

/** Not below the directory of the run that this test is part of: paths of sockets have a limit. */
function ownDir(): Promise<string> {
  return Deno.makeTempDir({ dir: "/tmp", prefix: "i-" });
}

function mountsBelow(dir: string): string[] {
  return Deno.readTextFileSync("/proc/mounts").split("\n").filter((line) => line.includes(dir));
}

/** Whether a directory has something of this name, or of one that begins so. */
function has(dir: string, start: string): boolean {
  return [...Deno.readDirSync(dir)].some(({ name }) => name.startsWith(start));
}

async function leavesNothing(dir: string): Promise<void> {
  assertEquals(processesOf(dir).map((pid) => Deno.readTextFileSync(`/proc/${pid}/cmdline`)), []);
  assertEquals(mountsBelow(dir), []);
  await Deno.remove(`${dir}/says`).catch(() => {});
  assertEquals((await Array.fromAsync(Deno.readDir(dir))).map(({ name }) => name), []);
}

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  Deno.test(`a run of tests that is ended by ${signal} leaves nothing`, async () => {
    const dir = await ownDir();
    try {
      await using run = start(dir);
      await fileExists(`${dir}/says`);
      const [namespace, shmBase] = (await Deno.readTextFile(`${dir}/says`)).split(" ");
      assertEquals(has("/dev/shm", shmBase!.slice(1)), true);
      // IRMd, IPCP, test and the one that went away: what is looked for is there.
      assertEquals(processesOf(dir).length >= 4, true);
      const mine = (await Array.fromAsync(Deno.readDir(dir))).map(({ name }) => name).filter((n) =>
        n !== "says"
      );
      assertEquals(mine.length, 1);
      run.kill(signal);
      assertEquals((await run.wait()).code, 130);
      await leavesNothing(dir);
      assertEquals(has("/dev/shm", shmBase!.slice(1)), false);
      if (namespace !== "none") assertEquals(has("/run/netns", namespace!), false);
    } finally {
      await endLeftOvers(dir, []);
      await Deno.remove(dir, { recursive: true });
    }
  });
}

Deno.test("a section that is stopped at its limit fails, and leaves nothing", async () => {
  const dir = await ownDir();
  try {
    await using run = start(dir, "--limit", "8");
    const { code, out, err } = await run.wait();
    assertEquals(code, 1);
    assertStringIncludes(err, "tests: stopped after 8 s");
    assertStringIncludes(out, "0 passed, 1 failed");
    await leavesNothing(dir);
  } finally {
    await endLeftOvers(dir, []);
    await Deno.remove(dir, { recursive: true });
  }
});

// deno-lint-ignore-file no-console -- a program, which prints
/**
 * How many faults the tests notice: breaks places of the house one at a time, in a copy, and runs the
 * unit tests and simulations that import the broken file, the nearest first. A fault that no test
 * notices is printed with its place; it is a hole in the tests, or changes nothing.
 *
 *     deno task mutate [--count 100] [--seed N] [--rooms ipcp,irmd/main.ts,lib/flow] [--tests 12]
 *                      [--places FILE:LINE,...] [--e2e]
 *
 * With `--places` the faults of those lines are tried, and no others. With `--e2e` a fault that these tests do not notice
 * is put before the end-to-end tests of its room: shells have their tests there.
 */

import { parseArgs } from "@std/cli/parse-args";
import { fromFileUrl, join } from "@std/path";
import { otherOptions } from "../../scripts/options.ts";
import { Prng } from "../../sim/prng.ts";
import { joinedModule } from "../joined.ts";
import { endToEndTests } from "./end_to_end.ts";
import { filesBelow, testsByFile } from "./graph.ts";
import { type Mutant, mutantsOf, withMutant } from "./mutants.ts";

const ROOT = fromFileUrl(new URL("../..", import.meta.url));
const USAGE = "deno task mutate [--count N] [--seed N] [--rooms ROOM,…] [--places FILE:LINE,…] " +
  "[--tests N] [--e2e]";

/** A test run that takes longer than this hangs on the fault: that is noticed, too. */
const LIMIT_MS = 120_000;
const E2E_LIMIT_MS = 900_000;
/** How long a unit test waits for what a fault may have kept from happening. */
const DEADLINE_MS = 10_000;

/** What a copy needs besides the rooms themselves. */
const LEFT_OUT = new Set([".git", "dist", "node_modules"]);

async function copyOf(root: string): Promise<string> {
  const dir = await Deno.makeTempDir({ prefix: "ouro-mutation-" });
  const names = (await Array.fromAsync(Deno.readDir(root))).map((e) => e.name).filter((n) =>
    !LEFT_OUT.has(n)
  );
  const { success } = await new Deno.Command("cp", { args: ["-r", ...names, dir], cwd: root })
    .output();
  if (!success) throw new Error(`Cannot copy ${root} to ${dir}`);
  return dir;
}

/** Whether the tests, loaded by one process in that order, fail or do not end. */
async function noticed(dir: string, tests: readonly string[], limitMs: number): Promise<boolean> {
  if (tests.length === 0) return false;
  const module = join(dir, "mutation_test.ts");
  await Deno.writeTextFile(module, joinedModule(tests.map((path) => join(dir, path))));
  const child = new Deno.Command(Deno.execPath(), {
    args: ["test", "-A", "--no-check", "--quiet", "--fail-fast", module],
    cwd: dir,
    env: {
      OURO_BINARY: "", // Programs run from the broken source.
      ...(limitMs === LIMIT_MS ? { OURO_TEST_DEADLINE_MS: String(DEADLINE_MS) } : {}),
    },
    stdout: "null",
    stderr: "null",
    stdin: "null",
  }).spawn();
  const timer = setTimeout(() => child.kill("SIGKILL"), limitMs);
  const { code } = await child.status;
  clearTimeout(timer);
  return code !== 0;
}

async function main(): Promise<number> {
  const options = parseArgs(Deno.args, {
    string: ["count", "seed", "rooms", "tests", "places"],
    boolean: ["e2e"],
    unknown: otherOptions(USAGE),
    default: { count: "100", seed: "1", rooms: "ipcp,irmd,lib/flow,security", tests: "12" },
  });
  const random = new Prng(Number(options.seed));
  const tests = ["tests/unit", "tests/slow", "tests/sim"].flatMap((dir) => filesBelow(ROOT, dir))
    .filter((path) => path.endsWith("_test.ts") && !path.endsWith("tidy_test.ts"));
  const reach = testsByFile(ROOT, tests);
  const chosen = options.places?.split(",");
  const rooms: string[] = chosen?.map((place: string) => place.split(":")[0]!) ??
    options.rooms.split(",");
  const files = new Set(
    rooms.flatMap((room) => room.endsWith(".ts") ? [room] : filesBelow(ROOT, room)),
  );
  const places: { path: string; mutant: Mutant }[] = [];
  let unseen = 0;
  for (const path of files) {
    const mutants = mutantsOf(await Deno.readTextFile(join(ROOT, path)))
      .filter(({ line }) => chosen === undefined || chosen.includes(`${path}:${line}`));
    if (options.e2e || reach.has(path)) places.push(...mutants.map((mutant) => ({ path, mutant })));
    else unseen += mutants.length;
  }
  console.log(
    `${places.length} places to break, ${unseen} in files that only end-to-end tests run ` +
      `(not broken without --e2e); seed ${options.seed}`,
  );
  const count = Math.min(Number(options.count), places.length);
  const drawn = Array.from(
    { length: count },
    () => places.splice(random.below(places.length), 1)[0]!,
  );
  const near = (path: string) => (reach.get(path) ?? []).slice(0, Number(options.tests));
  const dir = await copyOf(ROOT);
  let killed = 0;
  let tried = 0;
  try {
    // A test that fails anyway would notice everything.
    const all = [...new Set(drawn.flatMap(({ path }) => near(path)))];
    if (await noticed(dir, all, E2E_LIMIT_MS)) {
      console.error("The tests fail without a fault; run them first.");
      return 1;
    }
    for (const { path, mutant } of drawn) {
      const source = await Deno.readTextFile(join(ROOT, path));
      await Deno.writeTextFile(join(dir, path), withMutant(source, mutant));
      const hit = await noticed(dir, near(path), LIMIT_MS) ||
        options.e2e && await noticed(dir, endToEndTests(path), E2E_LIMIT_MS);
      await Deno.writeTextFile(join(dir, path), source);
      tried++;
      if (hit) killed++;
      else console.log(`not noticed: ${path}:${mutant.line}: ${mutant.what}`);
    }
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
  console.log(`${killed} of ${tried} faults noticed`);
  return 0;
}

Deno.exit(await main());

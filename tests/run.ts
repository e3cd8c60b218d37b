// deno-lint-ignore-file no-console -- a program, which prints
/**
 * The test runner behind `deno task test`, `ok` and `check`: runs the sections, counts every test,
 * and ends with `N passed, N failed, N skipped`. A section that is not made of tests (format, lint,
 * types, build) counts as one. Exit code 1 if anything failed.
 *
 *     deno run -A tests/run.ts [--only fmt,lint,...] [--filter WORD] [--limit SECONDS] [--tests PATH]
 *
 * Sections of one stage run side by side, the stages one after the other. The files of a `joined`
 * section are loaded by few processes (tests/joined.ts). With `--tests` the tests of a path are the
 * only section; `--limit` is how long a section may take.
 *
 * The end-to-end tests run the built binary (`OURO_BINARY`), in a cache directory of this run. A
 * section that is stopped at its limit, and a run that is interrupted, leave nothing behind
 * ({@linkcode endLeftOvers}).
 */

import { parseArgs } from "@std/cli/parse-args";
import { fromFileUrl, join } from "@std/path";
import { startDocNode } from "./doc_node.ts";
import { dealOut, joinedModule, testFilesBelow } from "./joined.ts";
import { countJunit, type Counts } from "./junit.ts";
import { endLeftOvers, processesOf } from "./left_overs.ts";
import { otherWords, refuse, wholeOption } from "../scripts/options.ts";

const ROOT = fromFileUrl(new URL("..", import.meta.url));

/** A section that has not ended by then is stopped and failed, ms: a machine with much other work takes its time. */
const SECTION_LIMIT_MS = 75 * 60_000;
/** Longest limit, s: what a timer takes. */
const LIMIT_SECONDS_MAX = 2_000_000;

const USAGE =
  "usage: deno run -A tests/run.ts [--only fmt,lint,...] [--filter WORD] [--limit SECONDS] [--tests PATH]";

interface Section {
  readonly name: string;
  /** `joined`: directories of tests that are loaded together, a share by each process. */
  readonly kind: "command" | "tests" | "joined";
  readonly args: readonly string[];
}

const STAGES: readonly (readonly Section[])[] = [
  [
    { name: "unit", kind: "joined", args: ["tests/unit"] },
    { name: "fmt", kind: "command", args: ["fmt", "--check", "--quiet"] },
    { name: "lint", kind: "command", args: ["lint", "--quiet"] },
    { name: "check", kind: "command", args: ["check", "--quiet", "--doc", "."] },
  ],
  [{ name: "slow", kind: "joined", args: ["tests/slow"] }],
  [{ name: "doc", kind: "tests", args: ["--doc", "lib", "README.md", "docs"] }],
  [{ name: "build", kind: "command", args: ["run", "-A", "scripts/build/main.ts"] }],
  [{ name: "e2e", kind: "tests", args: ["--parallel", "tests/e2e"] }],
  [{ name: "fuzz", kind: "tests", args: ["--parallel", "tests/fuzz"] }],
  [{ name: "sim", kind: "tests", args: ["--parallel", "tests/sim", "tests/models"] }],
  [{ name: "interop", kind: "tests", args: ["tests/interop"] }],
];

interface Report extends Counts {
  readonly name: string;
  readonly seconds: number;
}

/** What this run is about to do, for those who stop it. */
class Run {
  /** The ones that run now. */
  readonly children = new Set<Deno.ChildProcess>();
  /** Those that have run. */
  readonly pids: number[] = [];

  constructor(
    readonly scratch: string,
    readonly limitMs: number,
    readonly env: Record<string, string>,
    readonly filter: string | undefined,
  ) {}

  /** Whoever is being stopped does nothing more, and lets the signal's handler end the process. */
  isStopped = false;

  /** Ends what runs and removes everything that belongs to it. */
  async stop(): Promise<void> {
    this.isStopped = true;
    for (const child of this.children) {
      try {
        child.kill("SIGKILL");
      } catch {
        // It has ended.
      }
    }
    await endLeftOvers(this.scratch, this.pids);
  }
}

/**
 * Runs deno to its end or to the limit; returns the exit code, -1 at the limit. With `kept`, what
 * it prints goes there instead of to the terminal.
 */
async function deno(
  run: Run,
  args: readonly string[],
  env: Record<string, string>,
  kept?: Uint8Array[],
): Promise<number> {
  const to = kept === undefined ? "inherit" : "piped";
  const child = new Deno.Command(Deno.execPath(), {
    args: [...args],
    cwd: ROOT,
    stdin: "null",
    stdout: to,
    stderr: to,
    env,
  }).spawn();
  run.children.add(child);
  run.pids.push(child.pid);
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    child.kill("SIGTERM");
  }, run.limitMs);
  const killer = setTimeout(() => child.kill("SIGKILL"), run.limitMs + 10_000);
  const collect = async (stream: ReadableStream<Uint8Array>) => {
    for await (const chunk of stream) kept?.push(chunk);
  };
  const collected = kept === undefined ? [] : [collect(child.stdout), collect(child.stderr)];
  const { code } = await child.status;
  clearTimeout(timer);
  clearTimeout(killer);
  run.children.delete(child);
  if (run.isStopped) await new Promise(() => {});
  // Who was left behind may hold the pipe: what has come by then is enough.
  await Promise.race([Promise.all(collected), new Promise((done) => setTimeout(done, 1000))]);
  if (late) console.error(`tests: stopped after ${run.limitMs / 1000} s`);
  return late ? -1 : code;
}

/** The counts of one process of `deno test`. */
async function runTests(
  run: Run,
  args: readonly string[],
  env: Record<string, string>,
  kept?: Uint8Array[],
): Promise<Counts> {
  const junit = await Deno.makeTempFile({ dir: run.scratch, prefix: "junit-", suffix: ".xml" });
  try {
    const options = [
      "-A",
      "--no-prompt",
      "--quiet",
      "--no-check",
      "--permit-no-files",
      `--junit-path=${junit}`,
      ...(run.filter === undefined ? [] : [`--filter=${run.filter}`]),
    ];
    const code = await deno(run, ["test", ...options, ...args], env, kept);
    const counts = countJunit(await Deno.readTextFile(junit));
    // A module that does not load, or a run that was stopped, is a failure that no test reports.
    if (code !== 0 && counts.failed === 0) counts.failed = 1;
    return counts;
  } finally {
    await Deno.remove(junit).catch(() => {});
  }
}

/** Runs the tests of directories in as many processes as there are processors, two at least. */
async function runJoined(run: Run, section: Section, kept: Uint8Array[]): Promise<Counts> {
  const files = await Promise.all(section.args.map((dir) => testFilesBelow(join(ROOT, dir))));
  const shares = dealOut(files.flat(), Math.max(2, navigator.hardwareConcurrency));
  return total(
    await Promise.all(shares.map(async (share, i) => {
      const module = join(run.scratch, `${section.name}_${i + 1}_test.ts`);
      await Deno.writeTextFile(module, joinedModule(share));
      const printed: Uint8Array[] = [];
      const counts = await runTests(run, [module], run.env, printed);
      kept.push(...printed);
      return counts;
    })),
  );
}

function total(counts: readonly Counts[]): Counts {
  const sum = (key: keyof Counts) => counts.reduce((n, c) => n + c[key], 0);
  return { passed: sum("passed"), failed: sum("failed"), skipped: sum("skipped") };
}

async function runSection(run: Run, section: Section, kept?: Uint8Array[]): Promise<Counts> {
  if (section.name === "doc") {
    // Examples allocate flows: they get a node with an echo server.
    await using node = await startDocNode();
    return await runTests(run, section.args, { ...run.env, OURO_PREFIX: node.prefix }, kept);
  }
  if (section.kind === "joined") return await runJoined(run, section, kept ?? []);
  if (section.kind === "tests") return await runTests(run, section.args, run.env, kept);
  const code = await deno(run, section.args, run.env, kept);
  return { passed: code === 0 ? 1 : 0, failed: code === 0 ? 0 : 1, skipped: 0 };
}

async function reportOf(run: Run, section: Section, kept?: Uint8Array[]): Promise<Report> {
  const start = performance.now();
  const args = section.kind === "command" ? section.args : await present(section.args);
  const counts = args.some((arg) => !arg.startsWith("-"))
    ? await runSection(run, { ...section, args }, kept)
    : { passed: 0, failed: 0, skipped: 0 };
  return { name: section.name, ...counts, seconds: (performance.now() - start) / 1000 };
}

/** Runs sections side by side; each prints what it has to say once it is done. */
async function runStage(run: Run, sections: readonly Section[]): Promise<Report[]> {
  const [first] = sections;
  if (first !== undefined && sections.length === 1 && first.kind !== "joined") {
    console.log(`\n== ${first.name}`); // Alone, it is watched as it goes.
    return [await reportOf(run, first)];
  }
  return await Promise.all(sections.map(async (section) => {
    const kept: Uint8Array[] = [];
    const report = await reportOf(run, section, kept);
    console.log(`\n== ${section.name}`);
    for (const chunk of kept) await writeAll(chunk);
    return report;
  }));
}

async function writeAll(bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length;) done += await Deno.stdout.write(bytes.subarray(done));
}

/** A number that is another one for each commit; 1 where there is no repository. */
async function seedOfCommit(): Promise<string> {
  try {
    const { stdout, success } = await new Deno.Command("git", {
      args: ["rev-parse", "HEAD"],
      cwd: ROOT,
      stderr: "null",
    }).output();
    const hash = new TextDecoder().decode(stdout).slice(0, 7);
    return success && /^[0-9a-f]{7}$/.test(hash) ? String(parseInt(hash, 16)) : "1";
  } catch {
    return "1";
  }
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}

/** Where the launcher unpacks for the user that tests act as, who has no other place. */
const LEFT_BY_USERS = ["/var/tmp/ouro-65534"];

/** Makes a copy of the built binary that other users can reach and no later build replaces. */
async function publish(built: string, dir: string): Promise<void> {
  await Deno.chmod(dir, 0o755);
  await Deno.copyFile(built, join(dir, "ouro"));
  await Deno.chmod(join(dir, "ouro"), 0o755);
}

/** Drops paths that are not there, so that a section runs before all of its rooms exist. */
async function present(args: readonly string[]): Promise<string[]> {
  const kept: string[] = [];
  for (const arg of args) {
    if (arg.startsWith("-") || await exists(join(ROOT, arg))) kept.push(arg);
  }
  return kept;
}

async function main(): Promise<number> {
  const options = parseArgs(Deno.args, {
    string: ["only", "filter", "limit", "tests"],
    unknown: otherWords(USAGE),
  });
  const limitMs = options.limit === undefined
    ? SECTION_LIMIT_MS
    : wholeOption("limit", options.limit, 1, LIMIT_SECONDS_MAX, USAGE) * 1000;
  const stages: typeof STAGES = options.tests === undefined
    ? STAGES
    : [[{ name: "tests", kind: "tests", args: [options.tests] }]];
  const names = stages.flat().map((s) => s.name);
  const wanted: readonly string[] = options.only === undefined ? names : options.only.split(",");
  const unknown = wanted.find((name) => !names.includes(name));
  if (unknown !== undefined) {
    return refuse(`no section "${unknown}", there are ${names.join(", ")}`, USAGE);
  }
  const scratch = await Deno.makeTempDir({ prefix: "ouro-" });
  const temporary = join(scratch, "tmp");
  await Deno.mkdir(temporary);
  await Deno.chmod(scratch, 0o755); // for tests that act as other users
  await Deno.chmod(temporary, 0o1777);
  // Where what is made belongs to this run, and is known to.
  Deno.env.set("TMPDIR", temporary);
  const seed = Deno.env.get("OURO_FIRST_SEED") ?? await seedOfCommit();
  console.log(`first seed ${seed} (OURO_FIRST_SEED=${seed} does the same again)`);
  const env = {
    OURO_FIRST_SEED: seed,
    DENO_NO_UPDATE_CHECK: "1",
    OURO_BINARY: Deno.env.get("OURO_BINARY") ?? join(scratch, "ouro"),
    OURO_CACHE: Deno.env.get("OURO_CACHE") ?? join(scratch, "cache"),
    OURO_PREFIX: "",
    // Nodes that tests start by other people's words, as those of the README.
    OURO_PATIENCE: "5",
    ...(Deno.stdout.isTerminal() ? {} : { NO_COLOR: "1" }),
  };
  const run = new Run(
    scratch,
    limitMs,
    env,
    options.filter,
  );
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    Deno.addSignalListener(signal, async () => {
      await run.stop();
      await Deno.remove(scratch, { recursive: true }).catch(() => {});
      Deno.exit(130);
    });
  }
  const reports: Report[] = [];
  const built = join(ROOT, "dist/ouro");
  const foreign: string[] = [];
  for (const dir of LEFT_BY_USERS) if (!await exists(dir)) foreign.push(dir);
  try {
    if (await exists(built)) await publish(built, scratch);
    for (const stage of stages) {
      const sections = stage.filter((section) => wanted.includes(section.name));
      if (sections.length === 0) continue;
      reports.push(...await runStage(run, sections));
      const left = processesOf(temporary);
      if (left.length > 0) {
        console.error(`tests: ${left.length} processes were left, and are ended`);
      }
      await endLeftOvers(temporary, run.pids);
      const last = reports.at(-1);
      if (last?.failed === 0 && sections.some((section) => section.name === "build")) {
        await publish(built, scratch);
      }
    }
  } finally {
    for (const dir of [scratch, ...foreign]) {
      await Deno.remove(dir, { recursive: true }).catch(() => {});
    }
  }
  console.log("");
  for (const { name, passed, failed, skipped, seconds } of reports) {
    console.log(
      `${name.padEnd(8)} ${seconds.toFixed(1).padStart(6)} s   ` +
        `${passed} passed, ${failed} failed, ${skipped} skipped`,
    );
  }
  const { passed, failed, skipped } = total(reports);
  console.log(`\n${passed} passed, ${failed} failed, ${skipped} skipped`);
  return failed === 0 && passed > 0 ? 0 : 1;
}

Deno.exit(await main());

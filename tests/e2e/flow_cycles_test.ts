// deno-lint-ignore-file no-console -- a program, which prints
/**
 * Flows allocated, used and closed over and over against the real IRMd: no block, mapping, descriptor, shared-memory
 * object or memory of daemon, server or client is left. OURO_CYCLES sets how many (100000 takes some minutes), and
 * then what was measured is printed.
 *
 * Memory is compared after a fifth of the cycles and at the end. Server and client run with a small young generation,
 * as the daemon does by itself: V8 fills what it has, so a larger one would hide what leaks.
 */

import { assert, assertEquals } from "@std/assert";
import { irmSocketPath } from "../../lib/instance.ts";
import type { Sample } from "../support/cycle_client.ts";
import { until } from "../support/deadline.ts";
import { fileExists, ouro, TestNode } from "../support/node.ts";
import { script } from "../support/process.ts";

const CYCLES = Number(Deno.env.get("OURO_CYCLES") ?? 4000);
/** Longest time for a cycle, ms; it limits failures alone. */
const CYCLE_MS_MAX = 60;
/**
 * What a process may grow by between the fifth and the end, KiB: code and type feedback come, heaps breathe, the more so
 * as V8 collects little of a process that is never idle. With 40 000 cycles it is 4 MiB.
 */
const GROWTH_KIB_MAX = 20 * 1024;
/** The same for what the client holds after garbage collection: code and type feedback, bytes. */
const HELD_BYTES_MAX = 2e6;
/** Resident memory of the daemon at the end, KiB. */
const DAEMON_KIB_MAX = 120_000;

const PROCESSES = ["client", "daemon", "server"];

/** The command line of a script with flags for V8. */
function withFlags(flags: string, path: string, ...words: string[]): string[] {
  return script(path, ...words).toSpliced(2, 0, `--v8-flags=${flags}`);
}

/** Starts the IRMd with its log thrown away: 100 000 cycles write a million lines. */
async function startQuietly(node: TestNode): Promise<void> {
  node.irmd = node.spawnArgv([
    ...["sh", "-c", 'exec "$@" >/dev/null', "sh"],
    ...ouro("irmd", "--stdout"),
  ]);
  await fileExists(irmSocketPath(node.instance));
}

Deno.test(`${CYCLES} flows allocated, used and closed leave nothing behind`, async () => {
  await using node = await TestNode.start({ idle: true });
  await startQuietly(node);
  const small = "--max-semi-space-size=1";
  const server = node.spawnArgv(withFlags(small, "examples/echo.ts", "serve", "echo"));
  await server.waitForLine(/serving/);
  const pids = [node.irmd!.pid, server.pid].map(String);
  const cycles = "tests/support/cycle_client.ts";
  const client = node.spawnArgv(
    withFlags(`${small},--expose-gc`, cycles, `${CYCLES}`, ...pids),
  );
  const { code, out, err } = await client.wait(60_000 + CYCLES * CYCLE_MS_MAX);
  assertEquals(code, 0, err);
  const samples: Sample[] = out.trim().split("\n").map((line) => JSON.parse(line));
  if (Deno.env.has("OURO_CYCLES")) { for (const s of samples) console.log(describe(s)); }
  const [, fifth, end] = samples as [Sample, Sample, Sample];
  assertEquals(end.cycles, CYCLES);
  for (const kind of ["mappings", "objects", "descriptors", "flows"] as const) {
    assertEquals(end[kind], fifth[kind], kind);
  }
  const held = end.heapBytes - fifth.heapBytes;
  assert(held < HELD_BYTES_MAX, `the client holds ${held} bytes more`);
  PROCESSES.forEach((who, i) => {
    const grown = end.residentKib[i]! - fifth.residentKib[i]!;
    assert(grown < GROWTH_KIB_MAX, `the ${who} grew by ${grown} KiB`);
    // A flow that is just being closed at the other end holds a few.
    const more = end.openFiles[i]! - fifth.openFiles[i]!;
    assert(more <= 4, `the ${who} has ${more} descriptors more`);
  });
  const daemonKib = end.residentKib[1]!;
  assert(daemonKib < DAEMON_KIB_MAX, `the daemon has ${daemonKib} KiB`);
  await until("no rings are left", () => !node.sharedMemory().some((n) => n.includes(".rbuff.")));
});

function describe(s: Sample): string {
  const mib = (kib: number) => (kib / 1024).toFixed(1);
  const resident = PROCESSES.map((who, i) => `${who} ${mib(s.residentKib[i]!)}`).join(", ");
  return `${s.cycles} cycles in ${s.seconds.toFixed(1)} s: resident MiB ${resident}; ` +
    `heap of the client ${mib(s.heapBytes / 1024)}; open files ${s.openFiles.join(" ")}`;
}

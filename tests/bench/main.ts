// deno-lint-ignore-file no-console -- a program, which prints
/**
 * The bench (`deno task bench`): each figure beside a UNIX-socket ping-pong of the same run, and beside
 * the C prototype where `OURO_PROTOTYPE` names one. Prints ratios and the goals; asserts nothing.
 *
 * Figures are medians of slices; "best" is the tenth percentile, which shows what other work on the
 * machine took. `deno task bench flow` runs one part: table, ipcp, flow, irmd, frct, flows, security. `table` measures
 * works as an application does them beside TCP and writes `bench.json`, of which `deno task bench:doc` makes the table
 * of `docs/performance.md`; `--rounds 1 --file-mb 20` makes it short.
 */

import { parseArgs } from "@std/cli/parse-args";
import { fromFileUrl } from "@std/path";
import { ouro, RunningProcess, TestNode } from "../support/node.ts";
import { canMakeNetns } from "../support/netns.ts";
import { otherOptions } from "../../scripts/options.ts";
import { line, reported } from "./figures.ts";
import { prototypeBusyRoundTripUs } from "./prototype.ts";

const USAGE = "deno task bench [--rounds N] [--file-mb N] [PART…]";

/** What a peer printed as its figures. */
type Figures = Record<string, number>;

const RUN = [Deno.execPath(), "run", "-A", "--no-prompt", "--quiet", "--no-check"];
const PEER = script("./flow_peer.ts");
const UNIX = script("./unix_peer.ts");
/** Whole bench of one figure, ms. */
const DEADLINE_MS = 120_000;

function script(path: string): string {
  return fromFileUrl(new URL(path, import.meta.url));
}

/** Waits for the end of a peer and takes the JSON line it printed, if any. */
async function figures(p: RunningProcess): Promise<Figures | undefined> {
  const result = await p.wait(DEADLINE_MS);
  if (result.code !== 0) throw new Error(`${result.code}: ${result.err}`);
  return reported(result.out);
}

/** The ping-pong, where the scheduler puts it or (`apart`) with each end on a processor of its own. */
async function unixRoundTrip(dir: string, apart: boolean): Promise<Figures> {
  const path = `${dir}/bench-${apart}.sock`;
  const on = (cpu: number) => apart ? ["taskset", "-c", `${cpu}`] : [];
  await using server = new RunningProcess([...on(0), ...RUN, UNIX, "server", path, "40000", "64"]);
  await server.waitForLine(/ready/);
  await using client = new RunningProcess([...on(1), ...RUN, UNIX, "client", path, "40000", "64"]);
  return (await figures(client))!;
}

/** Runs server and client of one mode over a direct flow; the figures of whoever has them. */
async function flow(node: TestNode, mode: string, count: number, bytes: number): Promise<Figures> {
  const name = `bench-${mode}-${bytes}`;
  await node.must("irm", "name", "create", name);
  const server = node.spawnArgv([...RUN, PEER, "server", mode, `${count}`, `${bytes}`]);
  await server.waitForLine(/ready/);
  await node.must("irm", "bind", "process", `${server.pid}`, "name", name);
  const client = node.spawnArgv([...RUN, PEER, "client", mode, `${count}`, `${bytes}`, name]);
  const [s, c] = await Promise.all([figures(server), figures(client)]);
  return (c ?? s)!;
}

async function flowPart(node: TestNode): Promise<void> {
  const together = await unixRoundTrip(node.prefix, false);
  const us = (f: Figures) => `${f.median!.toFixed(2)} µs`;
  const best = (f: Figures) => `best ${f.best!.toFixed(2)}`;
  line("UNIX socket, 64 B round trip", us(together), best(together));
  let unix = together;
  if (navigator.hardwareConcurrency > 1) {
    // The scheduler likes to put such a pair on one processor, which leaves the other idle.
    unix = await unixRoundTrip(node.prefix, true);
    line("  each end on its own processor", us(unix), best(unix));
  }
  const busy = await flow(node, "busy", 400_000, 64);
  const ratio = unix.median! / busy.median!;
  line(
    "direct flow, 64 B round trip, busy",
    us(busy),
    `${best(busy)}; 1/${ratio.toFixed(1)} of UNIX (goal: at most 1/12)`,
  );
  const block = await flow(node, "block", 200_000, 64);
  line(
    "direct flow, 64 B round trip, blocking",
    us(block),
    `${best(block)}; ${(block.median! / unix.median!).toFixed(2)} of UNIX (goal: at most 1)`,
  );
  const c = await prototypeBusyRoundTripUs();
  if (c === undefined) line("C oping -F", "skipped", "OURO_PROTOTYPE is not set");
  else {line(
      "C oping -F, 64 B round trip",
      `${c.toFixed(2)} µs`,
      `ours is ${(busy.median! / c).toFixed(2)} of it (goal: at most 1)`,
    );}
  const small = await flow(node, "oneway", 4_000_000, 64);
  line(
    "one way, 64 B",
    `${(small.median! / 1e6).toFixed(2)} Mpps`,
    `best ${(small.best! / 1e6).toFixed(2)} (goal: at least 2)`,
  );
  const large = await flow(node, "oneway", 1_500_000, 1400);
  const gbit = (rate: number) => (rate * 1400 * 8 / 1e9).toFixed(1);
  line(
    "one way, 1400 B",
    `${gbit(large.median!)} Gbit/s`,
    `best ${gbit(large.best!)} (goal: at least 10)`,
  );
}

/** Resident memory of a process, MB. */
async function rssMb(pid: number): Promise<number> {
  const status = await Deno.readTextFile(`/proc/${pid}/status`);
  return Number(status.match(/VmRSS:\s+(\d+)/)![1]) / 1024;
}

async function irmdPart(node: TestNode): Promise<void> {
  await node.must("irm", "name", "create", "bench-alloc");
  const acceptor = node.spawnArgv([...RUN, PEER, "acceptor", "-", "0", "0"]);
  await acceptor.waitForLine(/ready/);
  await node.must("irm", "bind", "process", `${acceptor.pid}`, "name", "bench-alloc");
  const allocs = async (n: number) => {
    const p = node.spawnArgv([...RUN, PEER, "allocs", "-", `${n}`, "0", "bench-alloc"]);
    return (await figures(p))!;
  };
  await allocs(500);
  const before = await rssMb(node.irmd!.pid);
  const f = await allocs(10_000);
  const after = await rssMb(node.irmd!.pid);
  line(
    "alloc + dealloc, direct, one client",
    `${f.rate!.toFixed(0)} a second`,
    "(goal: at least 500)",
  );
  line(
    "  median",
    `${f.median!.toFixed(2)} ms`,
    `p99 ${f.p99!.toFixed(2)} ms, ${f.failed} failed (goal: median below 2)`,
  );
  line(
    "IRMd memory after 10 000 allocations",
    `${after.toFixed(0)} MB`,
    `before ${before.toFixed(0)} (goal: below 100, flat)`,
  );
  acceptor.kill("SIGKILL");
  await acceptor.wait(DEADLINE_MS);
  const times: number[] = [];
  for (let k = 0; k < 10; k++) {
    const start = performance.now();
    await node.must("irm", "name", "list");
    times.push(performance.now() - start);
  }
  times.sort((a, b) => a - b);
  line(
    `${ouro()[0]!.endsWith("deno") ? "source" : "built"}: irm name list`,
    `${times[5]!.toFixed(0)} ms`,
    `best ${times[0]!.toFixed(0)} (goal, built: below 80)`,
  );
}

/** Runs another bench script and passes its output on. */
async function other(path: string, flags: string[] = [], words: string[] = []): Promise<void> {
  const command = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-prompt", "--quiet", ...flags, script(path), ...words],
  });
  const { code } = await command.spawn().status;
  if (code !== 0) console.log(`${path}: exit ${code}`);
}

/** A part that fails says so, and the others follow. */
async function attempt(name: string, part: () => Promise<void>): Promise<void> {
  try {
    await part();
  } catch (error) {
    line(name, "failed", String(error).slice(0, 500));
  }
}

/** A part over a node of its own. */
async function onNode(part: (node: TestNode) => Promise<void>): Promise<void> {
  await using node = await TestNode.start();
  await part(node);
}

if (import.meta.main) {
  const args = parseArgs(Deno.args, {
    string: ["rounds", "file-mb"],
    unknown: otherOptions(USAGE),
  });
  const extent = ["rounds", "file-mb"].flatMap((o) => args[o] ? [`--${o}`, `${args[o]}`] : []);
  const gc = "--v8-flags=--expose-gc";
  const parts: Record<string, () => Promise<void>> = {
    table: () => other("./table/main.ts", [], extent),
    ipcp: () => canMakeNetns() ? other("./ipcp.ts") : Promise.resolve(),
    flow: () => onNode(flowPart),
    irmd: () => onNode(irmdPart),
    frct: () => other("./frct.ts", [gc]),
    flows: () => other("./frct_flows.ts", [gc]),
    security: async () => {
      await other("./security.ts");
      await other("./security_flow.ts");
    },
  };
  const asked = args._.length > 0 ? args._.map(String) : Object.keys(parts);
  for (const name of asked) {
    const part = parts[name];
    if (part === undefined) {
      console.error(`Cannot bench ${name}: the parts are ${Object.keys(parts).join(", ")}`);
      Deno.exit(2);
    }
    await attempt(name, part);
  }
}

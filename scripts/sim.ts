/**
 * `deno task sim`: thousands of layers in trouble, each from a seed (`sim/scenario.ts`).
 *
 *     deno task sim [--seeds 1000] [--first 1] [--faults cut,down,…]    run seeds, stop after ten that fail
 *     deno task sim --seed 42                                          one seed, told in full
 *
 * `--map FILE` runs them on a real map in GraphML (the Internet Topology Zoo's format) in place of drawn topologies.
 * `--routing FILE` and `--congestion FILE` run policies of one's own in place of the shipped ones: a file that exports
 * `routing` or `congestion` (`examples/policies/`).
 */

import { parseArgs } from "@std/cli/parse-args";
import { resolve, toFileUrl } from "@std/path";
import type { SimPolicies } from "../sim/node.ts";
import { graphml, type Topology } from "../sim/topology.ts";
import { drawScenario, type Fault, FAULTS, type Outcome, runScenario } from "../sim/scenario.ts";

/** Failing seeds shown before we stop. */
const FAILURES_MAX = 10;

/** What policy files export. */
async function loadPolicies(routing?: string, congestion?: string): Promise<SimPolicies> {
  const load = (file: string) => import(toFileUrl(resolve(file)).href);
  return {
    ...(routing === undefined ? {} : { routing: (await load(routing)).routing }),
    ...(congestion === undefined ? {} : { congestion: (await load(congestion)).congestion }),
  };
}

/** The topology of a GraphML file. */
function readMap(file: string): Topology {
  const map = graphml(file, Deno.readTextFileSync(file));
  if (map !== undefined && map.links.length > 0) return map;
  console.error(`${file}: no GraphML with two nodes and a link`);
  Deno.exit(2);
}

function run(seed: number, faults: readonly Fault[]): Outcome | Error {
  try {
    const drawn = drawScenario(seed, faults);
    return runScenario(map === undefined ? drawn : { ...drawn, topology: map }, policies);
  } catch (e) {
    return e instanceof Error ? e : new Error(String(e));
  }
}

function tell(seed: number, outcome: Outcome | Error, options: string): void {
  const lines = outcome instanceof Error ? [outcome.stack ?? outcome.message] : outcome.violations;
  console.error(`seed ${seed} fails; replay: deno task sim --seed ${seed}${options}`);
  for (const line of lines) console.error(`  ${line}`);
}

const args = parseArgs(Deno.args, {
  string: ["seeds", "seed", "first", "faults", "map", "routing", "congestion"],
}) as {
  seeds?: string;
  seed?: string;
  first?: string;
  faults?: string;
  map?: string;
  routing?: string;
  congestion?: string;
};
const policies = await loadPolicies(args.routing, args.congestion);
const chosen = args.faults?.split(",") ?? FAULTS;
const faults = FAULTS.filter((f) => chosen.includes(f));
const map = args.map === undefined ? undefined : readMap(args.map);
const options = (["faults", "map", "routing", "congestion"] as const)
  .map((o) => args[o] === undefined ? "" : ` --${o} ${args[o]}`).join("");

if (args.seed !== undefined) {
  const seed = Number(args.seed);
  const outcome = run(seed, faults);
  if (outcome instanceof Error || outcome.violations.length > 0) {
    tell(seed, outcome, options);
    Deno.exitCode = 1;
  }
  if (!(outcome instanceof Error)) {
    const { scenario, violations: _, ...numbers } = outcome;
    console.log({ ...scenario, topology: scenario.topology.name }, numbers);
  }
} else {
  const first = Number(args.first ?? 1), seeds = Number(args.seeds ?? 1000);
  const from = performance.now();
  let failed = 0, virtualUs = 0, happened = 0, packets = 0, slowest = 0, done = 0;
  for (let seed = first; seed < first + seeds && failed < FAILURES_MAX; seed++) {
    const outcome = run(seed, faults);
    done++;
    if (outcome instanceof Error || outcome.violations.length > 0) {
      failed++;
      tell(seed, outcome, options);
    }
    if (outcome instanceof Error) continue;
    virtualUs += outcome.virtualUs;
    happened += outcome.faults;
    packets += outcome.packets;
    slowest = Math.max(slowest, outcome.convergedUs);
  }
  const tookSec = ((performance.now() - from) / 1000).toFixed(1);
  console.log(
    `${done} seeds from ${first}: ${failed} failed; ${happened} faults, ${packets} packets sent by callers, ` +
      `${Math.round(virtualUs / 1e6)} s of virtual time in ${tookSec} s; slowest convergence ${
        (slowest / 1e6).toFixed(2)
      } s`,
  );
  if (failed > 0) Deno.exitCode = 1;
}

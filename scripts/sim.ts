// deno-lint-ignore-file no-console -- a program, which prints
/**
 * `deno task sim`: thousands of layers in trouble, each from a seed (`sim/scenario.ts`).
 *
 *     deno task sim [--seeds 1000] [--first 1] [--faults cut,down,…]    run seeds, stop after ten that fail
 *     deno task sim --seed 42                                          one seed, told in full
 *
 * `--map FILE` runs them on a real map in GraphML (the Internet Topology Zoo's format) in place of drawn topologies.
 * `--routing FILE`, `--congestion FILE`, `--forwarding FILE`, `--directory FILE` and `--addr_auth FILE` run policies of
 * one's own in place of the shipped ones (`docs/policies.md`, `examples/policies/`).
 */

import { parseArgs } from "@std/cli/parse-args";
import { compilePolicy } from "../ipcp/unicast/policy/compile.ts";
import { makePolicy } from "../ipcp/unicast/policy/make.ts";
import { POLICY_EXPORTS } from "../ipcp/unicast/policy/mod.ts";
import { POLICY_WORDS } from "../lib/codes.ts";
import type { SimPolicies } from "../sim/node.ts";
import { graphml, type Topology } from "../sim/topology.ts";
import { otherOptions, refuse, wholeOption } from "./options.ts";
import { drawScenario, type Fault, FAULTS, type Outcome, runScenario } from "../sim/scenario.ts";

const USAGE = "deno task sim [--seed N | --seeds N --first N] [--faults cut,down,…] [--map FILE] " +
  POLICY_WORDS.map((word) => `[--${word} FILE]`).join(" ");

/** Failing seeds shown before we stop. */
const FAILURES_MAX = 10;

/** Turns of loops and calls that a policy may take in a run: one without end fails the seed. */
const RUN_TURNS = 1e10;
/** Before each run. */
const renewals: (() => void)[] = [];

type PolicyWord = typeof POLICY_WORDS[number];

/** Policies from files, loaded as a live IPCP loads them. */
async function loadPolicies(files: Partial<Record<PolicyWord, string>>): Promise<SimPolicies> {
  const policies: Record<string, unknown> = {};
  for (const [kind, word] of POLICY_WORDS.entries()) {
    const file = files[word];
    if (file === undefined) continue;
    const compiled = compilePolicy(kind, file, await Deno.readTextFile(file));
    const made = "bad" in compiled ? compiled : await makePolicy(compiled);
    if ("bad" in made) {
      console.error(made.bad);
      Deno.exit(2);
    }
    const { turns, policy } = made;
    policies[POLICY_EXPORTS[kind]!.name] = policy;
    renewals.push(() => turns(RUN_TURNS));
  }
  return policies;
}

/** The topology of a GraphML file. */
function readMap(file: string): Topology {
  const map = graphml(file, Deno.readTextFileSync(file));
  if (map !== undefined && map.links.length > 0) return map;
  console.error(`${file}: no GraphML with two nodes and a link`);
  Deno.exit(2);
}

function run(seed: number, faults: readonly Fault[]): Outcome | Error {
  for (const renew of renewals) renew();
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
  string: ["seeds", "seed", "first", "faults", "map", ...POLICY_WORDS],
  unknown: otherOptions(USAGE),
}) as Partial<Record<"seeds" | "seed" | "first" | "faults" | "map" | PolicyWord, string>>;
/** Seeds are 32 bits wide. */
const whole = (name: "seed" | "first" | "seeds", otherwise: number, least = 0): number => {
  const text = args[name];
  return text === undefined ? otherwise : wholeOption(name, text, least, 2 ** 32 - 1, USAGE);
};
const chosen: readonly string[] = args.faults?.split(",") ?? FAULTS;
const noFault = chosen.find((word) => !(FAULTS as readonly string[]).includes(word));
if (noFault !== undefined) {
  refuse(`--faults ${noFault}: there is no such fault (${FAULTS.join(", ")})`, USAGE);
}
const policies = await loadPolicies(args);
const faults = FAULTS.filter((f) => chosen.includes(f));
const map = args.map === undefined ? undefined : readMap(args.map);
const options = (["faults", "map", ...POLICY_WORDS] as const)
  .map((o) => args[o] === undefined ? "" : ` --${o} ${args[o]}`).join("");

if (args.seed !== undefined) {
  const seed = whole("seed", 0);
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
  const first = whole("first", 1);
  const seeds = whole("seeds", 1000, 1);
  const from = performance.now();
  let failed = 0;
  let virtualUs = 0;
  let happened = 0;
  let packets = 0;
  let slowest = 0;
  let done = 0;
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

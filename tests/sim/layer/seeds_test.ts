/**
 * Whole layers over random worlds: safe during faults, well again afterwards (`sim/scenario.ts`). The first seed is the
 * commit's hash, so that every commit shakes other worlds; `deno task sim` runs thousands.
 *
 * OURO_SIM_LAYER_SEEDS=n runs that many; OURO_SIM_FIRST is the first one.
 */
import { assert, assertEquals } from "@std/assert";
import { Dht } from "../../../ipcp/unicast/dht/dht.ts";
import { Graph } from "../../../ipcp/unicast/graph.ts";
import { LinkStateRouting } from "../../../ipcp/unicast/link_state.ts";
import type { Fault } from "../../../sim/scenario.ts";
import { drawScenario, FAULTS, runScenario } from "../../../sim/scenario.ts";

const SEEDS_DEFAULT = 60;
const count = Number(Deno.env.get("OURO_SIM_LAYER_SEEDS") ?? SEEDS_DEFAULT);

/** A number that differs by commit; 1 outside a checkout. */
function commitSeed(): number {
  try {
    const args = ["rev-parse", "--short=7", "HEAD"];
    const { stdout } = new Deno.Command("git", { args, stderr: "null" }).outputSync();
    return parseInt(new TextDecoder().decode(stdout), 16) || 1;
  } catch {
    return 1;
  }
}

const first = Number(Deno.env.get("OURO_SIM_FIRST") ?? commitSeed());

/** The first of `seeds` that fails, and how. */
function firstFailure(
  seeds: number,
  faults: readonly Fault[],
  from = first,
): string | undefined {
  for (let seed = from; seed < from + seeds; seed++) {
    const { violations } = runScenario(drawScenario(seed, faults));
    if (violations.length === 0) continue;
    const replay = `deno task sim --seed ${seed} --faults ${faults.join()}`;
    return `replay: ${replay}\n${violations.join("\n")}`;
  }
  return undefined;
}

for (const fault of FAULTS) {
  Deno.test(`layers keep their promises, fault: ${fault}`, () => {
    assertEquals(firstFailure(Math.ceil(count / FAULTS.length), [fault]), undefined);
  });
}

Deno.test(`layers keep their promises, all faults, ${count} seeds from ${first}`, () => {
  assertEquals(firstFailure(count, FAULTS), undefined);
});

// The properties have teeth: a broken machine is found.

/** Run with a method of a machine replaced. */
function withBroken<T extends object, K extends keyof T>(of: T, method: K, broken: T[K]): void {
  const whole = of[method];
  of[method] = broken;
  try {
    // The same worlds at every commit: a graph that forgets nothing shows in one of twelve.
    const found = firstFailure(20, ["cut", "down", "close", "restart"], 1);
    assert(found !== undefined, `nobody noticed ${String(method)}`);
  } finally {
    of[method] = whole;
  }
}

Deno.test("a graph that forgets no link is noticed", () => {
  withBroken(Graph.prototype, "remove", () => false);
});

Deno.test("routing that does not hear of flows going down is noticed", () => {
  withBroken(LinkStateRouting.prototype, "transferGone", () => {});
});

Deno.test("a directory that does not hear who is a member is noticed", () => {
  withBroken(Dht.prototype, "onMembers", () => {});
});

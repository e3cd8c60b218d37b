/**
 * A layer in trouble, from one seed: a topology, names, calls, faults; then the faults stop, and it must be well again.
 *
 * During faults (safety): nothing reaches a flow that is not its own, nothing arrives twice, no machine throws, tables
 * stay within bounds. Afterwards (progress), within bounds of time: everybody reaches everybody, every name is found
 * and answers, flows that were open and whose ends live still carry packets, nothing loops, the database of links is
 * the truth again. Pure; `deno task sim` runs it.
 */

import { LINKS_MAX } from "../ipcp/unicast/link_state.ts";
import type { Settings } from "../ipcp/unicast/settings.ts";
import { attack } from "./hostile.ts";
import { defaultSettings, LayerSim } from "./layer.ts";
import type { LinkOptions } from "./link.ts";
import type { SimPolicies } from "./node.ts";
import { Prng } from "./prng.ts";
import * as topologies from "./topology.ts";
import { type Call, nameHash, Traffic } from "./traffic.ts";

/** What may happen to a layer. */
export const FAULTS = [
  "cut",
  "down",
  "close",
  "restart",
  "death",
  "partition",
  "stop",
  "twin",
  "hostile",
  "loss",
  "move",
  "clock",
] as const;
export type Fault = typeof FAULTS[number];

/** One run. */
export interface Scenario {
  readonly seed: number;
  readonly topology: topologies.Topology;
  readonly settings: Settings;
  readonly link: LinkOptions;
  readonly faults: readonly Fault[];
  /** How long faults go on, µs. */
  readonly troubleUs: number;
}

/** How a run ended. */
export interface Outcome {
  readonly scenario: Scenario;
  /** What should not have been; empty is good. */
  readonly violations: readonly string[];
  readonly virtualUs: number;
  readonly calls: number;
  readonly packets: number;
  /** Faults that happened. */
  readonly faults: number;
  /** From the end of faults until everybody reached everybody, µs. */
  readonly convergedUs: number;
}

/** Layers begin within this time, µs. */
const START_US = 2e6;
/** Names are found everywhere so long after routing is well, µs. */
const DIRECTORY_US = 12e6;

function drawTopology(random: Prng): topologies.Topology {
  switch (random.below(8)) {
    case 0:
      return topologies.line(random.between(2, 7));
    case 1:
      return topologies.ring(random.between(3, 10));
    case 2:
      return topologies.star(random.between(3, 12));
    case 3:
      return topologies.grid(random.between(2, 4), random.between(2, 4));
    case 4:
      return topologies.tree(random.between(3, 15), random.between(2, 3));
    case 5:
      return topologies.randomGeometric(random.between(5, 18), 0.35, random);
    case 6:
      return topologies.barabasiAlbert(random.between(5, 24), 2, random);
    default:
      return topologies.fatTree(4);
  }
}

/** The scenario of a seed; `only` when not all faults may happen. */
export function drawScenario(seed: number, only: readonly Fault[] = FAULTS): Scenario {
  const random = new Prng(seed);
  const topology = drawTopology(random);
  const settings = defaultSettings({
    routing: random.pick(["simple", "lfa", "ecmp"]),
    congestion: random.pick(["none", "mb-ecn"]),
    updateUs: 2e6,
    timeoutUs: 6e6,
  });
  const faults = only.filter(() => random.chance(0.4));
  const troubleUs = random.between(10, 40) * 1e6;
  const link: LinkOptions = {
    delayUs: random.pick([50, 500, 5000]),
    jitterUs: random.pick([0, 100, 2000]),
    loss: faults.includes("loss") ? random.pick([0.01, 0.05, 0.2]) : 0,
    healUs: START_US + troubleUs,
  };
  return { seed, topology, settings, link, faults, troubleUs };
}

class Run {
  readonly scenario: Scenario;
  readonly layer: LayerSim;
  readonly traffic: Traffic;
  readonly #random: Prng;
  #happened = 0;
  /** Nodes that do not live again. */
  readonly #dead = new Set<number>();
  /** Names that came and went. */
  #nextName = 1000;
  readonly #links: readonly (readonly [number, number])[];

  constructor(scenario: Scenario, policies: SimPolicies) {
    this.scenario = scenario;
    const { seed, settings, link, topology } = scenario;
    this.layer = LayerSim.of(topology, { seed, settings, link, policies });
    this.traffic = new Traffic(this.layer);
    this.#random = new Prng(seed ^ 0x5eed);
    this.#links = topology.links;
    this.layer.nodes.forEach((_, i) => this.traffic.serve(i, i));
  }

  #wrong(what: string): void {
    this.traffic.violations.push(`${(this.layer.queue.nowUs / 1e6).toFixed(3)} s: ${what}`);
  }

  run(): Outcome {
    const { layer, scenario } = this;
    layer.run(START_US);
    if (!layer.isConverged() && !scenario.faults.includes("loss")) {
      this.#wrong("the layer did not come up");
    }
    for (let i = 0; i < 8; i++) this.#call();
    this.#trouble();
    this.#heal();
    const healedUs = layer.queue.nowUs;
    // Neighbours notice each other with the next update; what was lost is sent again with it.
    const { updateUs, timeoutUs } = scenario.settings;
    const bound = timeoutUs + 2 * updateUs + 2e6;
    const well = layer.runFor(bound, () => layer.isConverged());
    const convergedUs = layer.queue.nowUs - healedUs;
    if (!well) this.#wrong(`not converged ${bound / 1e6} s after the faults: ${this.#holes()}`);
    else this.#afterwards();
    return {
      scenario,
      violations: this.traffic.violations,
      virtualUs: layer.queue.nowUs,
      calls: this.traffic.calls.length,
      packets: this.traffic.calls.reduce((n, c) => n + c.client.sent, 0),
      faults: this.#happened,
      convergedUs,
    };
  }

  /** Who does not reach whom. */
  #holes(): string {
    const alive = this.layer.nodes.filter((n) => n.alive);
    const holes: string[] = [];
    for (const n of alive) {
      const members = new Set(n.control.members);
      for (const m of alive) {
        if (m !== n && !members.has(m.addr)) holes.push(`${n.number} to ${m.number}`);
      }
    }
    return `${holes.length} pairs, as ${holes.slice(0, 3).join(", ")}`;
  }

  // Applications.

  #call(): void {
    const alive = this.layer.nodes.filter((n) => n.alive);
    const name = this.#random.pick(this.traffic.servedNames());
    if (alive.length === 0 || name === undefined) return;
    this.traffic.call(this.#random.pick(alive).number, name, (call) => this.#talk(call));
  }

  /** Packets both ways at intervals, until the call ends. */
  #talk(call: Call): void {
    const go = () => {
      if (!this.traffic.isWhole(call)) return;
      this.traffic.send(call, 0);
      this.traffic.send(call, 1);
      this.layer.queue.at(this.layer.queue.nowUs + 50_000 + this.#random.below(100_000), go);
    };
    go();
  }

  // Faults.

  #trouble(): void {
    const { layer, scenario } = this;
    const untilUs = layer.queue.nowUs + scenario.troubleUs;
    while (layer.queue.nowUs < untilUs) {
      layer.runFor(this.#random.between(50, 1500) * 1000);
      if (scenario.faults.length > 0) this.#fault(this.#random.pick(scenario.faults));
      if (this.#random.chance(0.3)) this.#call();
      const call = this.#random.pick(this.traffic.calls);
      if (call !== undefined && this.#random.chance(0.15)) this.traffic.close(call);
      this.#bounds();
    }
  }

  #fault(fault: Fault): void {
    const { layer, traffic } = this;
    const random = this.#random;
    const node = random.pick(layer.nodes);
    const [a, b] = random.pick(this.#links);
    this.#happened++;
    switch (fault) {
      case "cut":
        return layer.cut(a, b, random.chance(0.6));
      case "down":
        return layer.setUp(a, b, random.chance(0.4));
      case "close":
        if (layer.connection(a, b) !== undefined) return layer.close(a, b);
        if (layer.nodes[a]!.alive && layer.nodes[b]!.alive) layer.connect(a, b);
        return;
      case "restart":
        if (this.#dead.has(node.number)) return;
        if (node.alive && random.chance(0.7)) return layer.kill(node.number, random.chance(0.5));
        this.#restart(node.number);
        return;
      case "death":
        if (this.#dead.size > 0 || !this.#isSpare(node.number)) return;
        this.#dead.add(node.number);
        return layer.kill(node.number, random.chance(0.5));
      case "partition": {
        const half = new Set(layer.nodes.filter(() => random.chance(0.5)).map((n) => n.number));
        for (const [x, y] of this.#links) layer.cut(x, y, half.has(x) !== half.has(y));
        return;
      }
      case "stop":
        return node.stop(random.between(10, 6000) * 1000);
      case "twin":
        // A node comes up with the address of another.
        if (this.#dead.has(node.number) || random.chance(0.7)) return;
        this.#restart(node.number, random.pick(layer.nodes).addr);
        return;
      case "hostile":
        return attack(layer, node, nameHash(random.pick(layer.nodes).number), random.below(60));
      case "loss":
        return;
      case "clock":
        // Somebody sets it, a little or wholly wrong; it stays so.
        return node.setClock(random.pick([-1, 1]) * random.pick([5, 600, 3600, 86_400, 3e7]));
      case "move": {
        const name = this.#nextName + random.below(3);
        if (traffic.holders.get(name)?.has(node.number)) traffic.cease(node.number, name);
        else if (node.alive) traffic.serve(node.number, name);
        return;
      }
    }
  }

  #restart(number: number, addr?: number): void {
    this.layer.restart(number, addr);
    this.traffic.restarted(number);
    // Neighbours that are dead, or dead again, cannot be connected with now: heal() does.
    for (const c of [...this.layer.connections.values()]) {
      const other = c.a === number ? c.b : c.b === number ? c.a : -1;
      if (other >= 0 && !this.layer.nodes[other]!.alive) this.layer.close(c.a, c.b);
    }
  }

  /** The others stay connected without a node. */
  #isSpare(number: number): boolean {
    const n = this.layer.nodes.length;
    const seen = new Set([number, number === 0 ? 1 : 0]);
    const queue = [number === 0 ? 1 : 0];
    for (let at = queue.pop(); at !== undefined; at = queue.pop()) {
      for (const [a, b] of this.#links) {
        const to = a === at ? b : b === at ? a : -1;
        if (to < 0 || seen.has(to)) continue;
        seen.add(to);
        queue.push(to);
      }
    }
    return n > 2 && seen.size === n;
  }

  /** All that was broken is mended, once and for all. */
  #heal(): void {
    const { layer } = this;
    const taken = new Set<number>();
    for (const node of [...layer.nodes]) {
      if (this.#dead.has(node.number)) continue;
      if (!node.alive || taken.has(node.addr)) this.#restart(node.number);
      taken.add(layer.nodes[node.number]!.addr);
    }
    for (const [a, b] of this.#links) {
      if (this.#dead.has(a) || this.#dead.has(b)) {
        // Its neighbours' flows end when nothing has been heard for long.
        layer.close(a, b);
        continue;
      }
      layer.cut(a, b, false);
      layer.setUp(a, b, true);
      if (layer.connection(a, b) === undefined) layer.connect(a, b);
    }
  }

  /** What no attack may exceed. */
  #bounds(): void {
    for (const { linkState, number, alive } of this.layer.nodes) {
      if (!alive) continue;
      const links = linkState?.linksHeld ?? 0;
      if (links > LINKS_MAX) this.#wrong(`node ${number} knows ${links} links`);
    }
  }

  // Well again.

  #afterwards(): void {
    const { layer, scenario } = this;
    // Forged and old links age out, values reach who should hold them.
    layer.runFor(Math.max(DIRECTORY_US, scenario.settings.timeoutUs + 3e6));
    if (!layer.isConverged()) this.#wrong(`fell apart again: ${this.#holes()}`);
    const expired = this.#sum("expired");
    this.#names();
    this.#oldCalls();
    if (this.#sum("expired") !== expired) this.#wrong("packets loop");
    this.#truth();
  }

  #sum(counter: "expired" | "unroutable"): number {
    return this.layer.nodes.reduce(
      (n, { alive, counters }) => n + (alive ? counters[counter] : 0),
      0,
    );
  }

  /** Every name is found from everywhere, and answers. */
  #names(): void {
    const { layer, traffic } = this;
    const names = traffic.servedNames();
    const alive = layer.nodes.filter((n) => n.alive);
    let missing = 0;
    let example = "";
    for (const node of alive) {
      for (const name of names) {
        node.query(nameHash(name), (result) => {
          if (result === 0) return;
          missing++;
          example = `${name} at ${node.number}`;
        });
      }
    }
    layer.runFor(6e6);
    if (missing > 0) this.#wrong(`${missing} names not found, as ${example}`);
    const calls: Call[] = [];
    for (let i = 0; i < 30; i++) {
      calls.push(traffic.call(this.#random.pick(alive).number, this.#random.pick(names)));
    }
    layer.runFor(5e6);
    for (const call of calls) {
      const what = `call of ${call.client.node.number} to name ${call.name}`;
      if (call.state !== "open") this.#wrong(`${what}: ${call.state}, ${call.result}`);
      else if (traffic.serverOf(call)?.node.alive !== true) this.#wrong(`${what}: to nobody alive`);
    }
    this.#exchange(calls.filter((c) => c.state === "open"));
    calls.forEach((c) => traffic.close(c));
  }

  /** Calls from before still carry packets both ways. */
  #oldCalls(): void {
    this.#exchange(this.traffic.calls.filter((c) => this.traffic.isWhole(c)));
  }

  #exchange(calls: readonly Call[]): void {
    const { layer, traffic } = this;
    const before = calls.map((c) =>
      [c.client.got.size, traffic.serverOf(c)?.got.size ?? 0] as const
    );
    for (const call of calls) {
      traffic.send(call, 0);
      traffic.send(call, 1);
    }
    layer.runFor(2e6);
    calls.forEach((call, i) => {
      if (!traffic.isWhole(call)) return;
      const [client, server] = before[i]!;
      const back = call.client.got.size > client;
      const there = (traffic.serverOf(call)?.got.size ?? 0) > server;
      if (back && there) return;
      const at = `${call.client.node.number} and ${traffic.serverOf(call)?.node.number}`;
      this.#wrong(`call ${call.tag} between ${at} carries nothing ${there ? "back" : "there"}`);
    });
  }

  /** What nodes know is what is. */
  #truth(): void {
    const { layer } = this;
    const exist = 2 * layer.connections.size;
    for (const node of layer.nodes) {
      if (!node.alive) continue;
      const links = node.linkState?.links().length ?? exist;
      if (links !== exist) this.#wrong(`node ${node.number} knows ${links} links of ${exist}`);
      const { flows } = node.control;
      if (flows.size !== node.heldFlows) {
        this.#wrong(
          `node ${node.number} has ${flows.size} flows, its applications ${node.heldFlows}`,
        );
      }
    }
  }
}

/** Run a scenario to its end; `policies` other than the shipped ones, if any. */
export function runScenario(scenario: Scenario, policies: SimPolicies = {}): Outcome {
  return new Run(scenario, policies).run();
}

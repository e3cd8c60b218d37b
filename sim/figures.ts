/** What is measured of simulated layers, for `docs/simulation.md`. All in virtual time, from fixed seeds. Pure. */

import type { CongestionPolicy, RoutingPolicy } from "../ipcp/unicast/settings.ts";
import { defaultSettings, LayerSim } from "./layer.ts";
import { MB_ECN, type SimPolicies } from "./node.ts";
import { PROTOTYPE_MB_ECN } from "./prototype_sender.ts";
import type { LinkOptions } from "./link.ts";
import { grid, star, type Topology } from "./topology.ts";
import { nameHash, Traffic } from "./traffic.ts";

/** Link-state updates that all nodes have sent. */
function updatesSent(layer: LayerSim): number {
  return layer.nodes.reduce((n, { linkState }) => n + (linkState?.counters.sent ?? 0), 0);
}

/** From now on: when the last routes of any node changed, µs, and updates sent. */
function settle(layer: LayerSim, forUs: number): { us: number; updates: number } {
  const from = layer.queue.nowUs;
  const before = updatesSent(layer);
  const published = () => layer.nodes.reduce((n, node) => n + node.routesPublished, 0);
  let routes = published();
  let lastUs = from;
  layer.runFor(forUs, () => {
    const now = published();
    if (now !== routes) {
      routes = now;
      lastUs = layer.queue.nowUs;
    }
    return false;
  });
  return { us: lastUs - from, updates: updatesSent(layer) - before };
}

/** How a layer of a topology converges. */
export interface Convergence {
  readonly name: string;
  readonly start: { us: number; updates: number };
  readonly join: { us: number; updates: number };
  readonly down: { us: number; updates: number };
  readonly up: { us: number; updates: number };
}

/** Time to the last change of routes, and updates, after the start, a join, and a link that goes and returns. */
export function convergence(topology: Topology): Convergence {
  const layer = LayerSim.of(topology, { seed: 1, nodes: topology.nodes + 1 });
  const start = settle(layer, 2e6);
  const node = layer.add();
  layer.connect(0, node.number);
  const join = settle(layer, 1e6);
  const [a, b] = topology.links[topology.links.length >> 1]!;
  layer.setUp(a, b, false);
  const down = settle(layer, 1e6);
  layer.setUp(a, b, true);
  const up = settle(layer, 1e6);
  return { name: topology.name, start, join, down, up };
}

/** Packets of a flow over a 4×4 grid, 1000 a second, that are lost when the first link of its way goes. */
export function lossAtCut(
  routing: RoutingPolicy,
  told: boolean,
): { lost: number; outageUs: number } {
  const layer = LayerSim.of(grid(4, 4), { seed: 5, settings: defaultSettings({ routing }) });
  layer.runFor(2e6);
  const traffic = new Traffic(layer);
  traffic.serve(15, 1);
  layer.runFor(1e6);
  const call = traffic.call(0, 1);
  layer.runFor(1e6);
  const arrived = () => traffic.serverOf(call)?.got.size ?? 0;
  const send = () => {
    traffic.send(call, 0, 1000);
    layer.queue.at(layer.queue.nowUs + 1000, send);
  };
  send();
  layer.runFor(100_000);
  // The link that carries the flow is the one of node 0 that is used.
  const carried = [1, 4].map((n) => layer.connection(0, n)!.links[2]!.sent);
  const next = carried[0]! > carried[1]! ? 1 : 4;
  const from = layer.queue.nowUs;
  let last = arrived();
  let lastUs = from;
  let outageUs = 0;
  if (told) layer.setUp(0, next, false);
  else layer.cut(0, next);
  layer.runFor(told ? 2e6 : 60e6, () => {
    if (arrived() === last) return false;
    last = arrived();
    outageUs = Math.max(outageUs, layer.queue.nowUs - lastUs);
    lastUs = layer.queue.nowUs;
    return false;
  });
  layer.runFor(100_000);
  return { lost: call.client.sent - arrived(), outageUs };
}

/** How flows share a bottleneck. */
export interface Sharing {
  readonly flows: number;
  /** Part of the bottleneck's rate that arrives, 0 … 1. */
  readonly utilisation: number;
  /** (Σx)² / (n Σx²): 1 when all have the same. */
  readonly jain: number;
  /** Longest queue at the bottleneck, packets, once it runs; and packets it dropped then. */
  readonly queue: number;
  readonly dropped: number;
  /** What each long flow got, bytes/s. */
  readonly rates: readonly number[];
}

/** Whether the sender of flow `i` is a prototype where both kinds share a bottleneck: every other one. */
export function isPrototype(i: number): boolean {
  return i % 2 === 1;
}

/** Senders of both kinds, for {@linkcode sharing} at one bottleneck. */
export const MIXED: SimPolicies = {
  // Nodes 0 and 1 are the bottleneck, then come pairs of sender and receiver.
  congestion: (node) => node >= 2 && isPrototype((node - 2) >> 1) ? PROTOTYPE_MB_ECN : MB_ECN,
};

const RATE = 20e6;
const PACKET_BYTES = 1000;
/** A ring holds so many packets (spec 10). */
const RING_PACKETS = 1023;

/** Greedy senders at `hops` bottlenecks in a row; with more than one, each has `flows` of its own beside the long ones. */
export function sharing(
  flows: number,
  hops: number,
  congestion: CongestionPolicy,
  policies: SimPolicies = {},
  seconds = 12,
): Sharing {
  const settings = defaultSettings({ congestion });
  const fast: LinkOptions = { delayUs: 200, rate: 1e9, queuePackets: RING_PACKETS };
  const slow: LinkOptions = { delayUs: 500, rate: RATE, queuePackets: RING_PACKETS };
  const layer = new LayerSim({ seed: 9, settings, link: fast, policies, nodes: 128 });
  for (let i = 0; i <= hops; i++) layer.add();
  for (let i = 0; i < hops; i++) layer.connect(i, i + 1, slow);
  const traffic = new Traffic(layer);
  const pairs: { from: number; name: number }[] = [];
  const pair = (in_: number, out: number) => {
    const from = layer.add().number, to = layer.add().number;
    layer.connect(from, in_);
    layer.connect(to, out);
    traffic.serve(to, to);
    pairs.push({ from, name: to });
  };
  for (let i = 0; i < flows; i++) pair(0, hops);
  for (let hop = 0; hops > 1 && hop < hops; hop++) pair(hop, hop + 1);
  layer.runFor(5e6);
  const calls = pairs.map(({ from, name }) => traffic.call(from, name));
  layer.runFor(2e6);
  for (const call of calls) {
    const go = () => {
      const waitUs = traffic.send(call, 0, PACKET_BYTES);
      // An application writes as fast as its policy lets it, at most 80 Mb/s.
      if (waitUs >= 0) layer.queue.at(layer.queue.nowUs + Math.max(waitUs, 100), go);
    };
    layer.queue.at(layer.queue.nowUs + layer.random.below(100_000), go);
  }
  const arrived = () => calls.map((c) => traffic.serverOf(c)?.got.size ?? 0);
  // Until what happens when all begin at once is over.
  layer.runFor(10e6);
  const before = arrived();
  const bottlenecks = Array.from({ length: hops }, (_, i) => layer.connection(i, i + 1)!.links[2]!);
  const droppedBefore = bottlenecks.reduce((n, l) => n + l.overflowed, 0);
  for (const l of bottlenecks) l.queuedMost = 0;
  layer.runFor(seconds * 1e6);
  const rates = arrived().map((n, i) => (n - before[i]!) / seconds);
  // What crosses one bottleneck: the long flows, and one of its own.
  const crossing = hops === 1 ? rates : [...rates.slice(0, flows), rates[flows]!];
  const sum = crossing.reduce((a, b) => a + b, 0);
  const squares = crossing.reduce((a, b) => a + b * b, 0);
  return {
    flows: calls.length,
    utilisation: sum * (PACKET_BYTES + 15) * 8 / RATE,
    jain: squares === 0 ? 0 : sum * sum / (crossing.length * squares),
    queue: Math.max(...bottlenecks.map((l) => l.queuedMost)),
    dropped: bottlenecks.reduce((n, l) => n + l.overflowed, 0) - droppedBefore,
    rates: rates.slice(0, flows),
  };
}

/** What the directory of a layer costs and achieves. */
export interface DirectoryFigures {
  readonly nodes: number;
  readonly asked: number;
  readonly found: number;
  /** Directory messages a query, all nodes, medians of time in µs. */
  readonly messages: number;
  readonly medianUs: number;
  readonly worstUs: number;
  /** Most keys a node holds, when there are as many names as nodes. */
  readonly keysMost: number;
}

/** Every node of a star registers a name; random nodes ask for random names, each but once. */
export function directory(nodes: number, queries: number): DirectoryFigures {
  const layer = LayerSim.of(star(nodes), { seed: 3, link: { delayUs: 500, jitterUs: 100 } });
  layer.runFor(30e6);
  layer.nodes.forEach((n, i) => n.register(nameHash(i)));
  layer.runFor(20e6);
  const messages = () => layer.nodes.reduce((n, { directory: d }) => n + d.counters.sent, 0);
  const before = messages();
  const took: number[] = [];
  let asked = 0;
  for (let i = 0; i < queries; i++) {
    const who = layer.random.below(nodes);
    const name = layer.random.below(nodes);
    if (who === name) continue;
    asked++;
    const from = layer.queue.nowUs;
    layer.nodes[who]!.query(nameHash(name), (result) => {
      if (result === 0) took.push(layer.queue.nowUs - from);
    });
    layer.runFor(20_000);
  }
  layer.runFor(1e6);
  took.sort((a, b) => a - b);
  return {
    nodes,
    asked,
    found: took.length,
    messages: (messages() - before) / asked,
    medianUs: took[took.length >> 1] ?? Infinity,
    worstUs: took.at(-1) ?? Infinity,
    keysMost: Math.max(...layer.nodes.map(({ directory: d }) => d.values.size)),
  };
}

/** A large layer with many flows, made and ready: `run` moves virtual time on, with a packet a second on each flow. */
export function crowd(topology: Topology, flows: number): {
  readonly layer: LayerSim;
  readonly open: () => number;
  readonly run: (us: number) => void;
} {
  const layer = LayerSim.of(topology, { seed: 11 });
  layer.runFor(30e6);
  const traffic = new Traffic(layer);
  for (let i = 0; i < topology.nodes; i++) traffic.serve(i, i);
  layer.runFor(5e6);
  const n = topology.nodes;
  for (let i = 0; i < flows; i++) {
    const call = traffic.call(layer.random.below(n), layer.random.below(n), () => {
      const go = () => {
        traffic.send(call, 0, 100);
        layer.queue.at(layer.queue.nowUs + 1e6, go);
      };
      layer.queue.at(layer.queue.nowUs + layer.random.below(1e6), go);
    });
    if (i % 50 === 49) layer.runFor(20_000);
  }
  layer.runFor(10e6);
  const open = () => traffic.calls.filter((c) => c.state === "open").length;
  return { layer, open, run: (us) => void layer.runFor(us) };
}

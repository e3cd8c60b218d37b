/** Shapes of networks for the simulator: pairs of node numbers, 0 … n-1. Pure. */

import type { Prng } from "./prng.ts";

/** A network: how many nodes, and which of them are neighbours. */
export interface Topology {
  readonly name: string;
  readonly nodes: number;
  readonly links: readonly (readonly [number, number])[];
}

/** 0 – 1 – 2 – … */
export function line(n: number): Topology {
  const links = Array.from({ length: Math.max(0, n - 1) }, (_, i) => [i, i + 1] as const);
  return { name: `line ${n}`, nodes: n, links };
}

/** A line whose ends meet. */
export function ring(n: number): Topology {
  const links = n < 3 ? line(n).links : [...line(n).links, [n - 1, 0] as const];
  return { name: `ring ${n}`, nodes: n, links };
}

/** Node 0 in the middle of the others. */
export function star(n: number): Topology {
  const links = Array.from({ length: Math.max(0, n - 1) }, (_, i) => [0, i + 1] as const);
  return { name: `star ${n}`, nodes: n, links };
}

/** `width` × `height`, neighbours to the right and below. */
export function grid(width: number, height: number): Topology {
  const links: [number, number][] = [];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const i = y * width + x;
      if (x + 1 < width) links.push([i, i + 1]);
      if (y + 1 < height) links.push([i, i + width]);
    }
  }
  return { name: `grid ${width}x${height}`, nodes: width * height, links };
}

/** A tree in which every node has `fan` children. */
export function tree(n: number, fan = 2): Topology {
  const links: [number, number][] = [];
  for (let i = 1; i < n; i++) links.push([Math.floor((i - 1) / fan), i]);
  return { name: `tree ${n} by ${fan}`, nodes: n, links };
}

/**
 * Nodes at random in a square, neighbours if nearer than `radius` (of the side); parts that are apart are joined at
 * their nearest nodes.
 */
export function randomGeometric(n: number, radius: number, random: Prng): Topology {
  const at = Array.from({ length: n }, () => [random.next(), random.next()] as const);
  const distance = (i: number, j: number) =>
    Math.hypot(at[i]![0] - at[j]![0], at[i]![1] - at[j]![1]);
  const links: [number, number][] = [];
  for (let i = 0; i < n; i++) {
    for (let j = i + 1; j < n; j++) if (distance(i, j) < radius) links.push([i, j]);
  }
  return { name: `random geometric ${n}`, nodes: n, links: join(n, links, distance) };
}

/** Adds the shortest links that make one network of all parts. */
function join(
  n: number,
  links: [number, number][],
  distance: (i: number, j: number) => number,
): [number, number][] {
  const part = Array.from({ length: n }, (_, i) => i);
  const root = (i: number): number => part[i] === i ? i : (part[i] = root(part[i]!));
  for (const [i, j] of links) part[root(i)] = root(j);
  for (;;) {
    let best: [number, number] | undefined;
    let least = Infinity;
    for (let i = 0; i < n; i++) {
      for (let j = i + 1; j < n; j++) {
        if (root(i) === root(j) || distance(i, j) >= least) continue;
        best = [i, j];
        least = distance(i, j);
      }
    }
    if (best === undefined) return links;
    links.push(best);
    part[root(best[0])] = root(best[1]);
  }
}

/** A fat tree of `k`-port switches (k even), without hosts: core, aggregation and edge. */
export function fatTree(k: number): Topology {
  const half = k / 2;
  const cores = half * half;
  const perPod = k;
  const links: [number, number][] = [];
  for (let pod = 0; pod < k; pod++) {
    const first = cores + pod * perPod;
    for (let a = 0; a < half; a++) {
      for (let e = 0; e < half; e++) links.push([first + a, first + half + e]);
      for (let c = 0; c < half; c++) links.push([a * half + c, first + a]);
    }
  }
  return { name: `fat tree ${k}`, nodes: cores + k * perPod, links };
}

/** Nodes join one after the other with `m` links each, rather to those that have many (Barabási–Albert). */
export function barabasiAlbert(n: number, m: number, random: Prng): Topology {
  const links: [number, number][] = [];
  /** Every end of every link: picking one picks by degree. */
  const ends: number[] = [];
  for (let i = 1; i < n; i++) {
    const to = new Set<number>();
    while (to.size < Math.min(m, i)) {
      to.add(ends.length === 0 || i <= m ? random.below(i) : random.pick(ends));
    }
    for (const j of to) {
      links.push([j, i]);
      ends.push(i, j);
    }
  }
  return { name: `Barabasi-Albert ${n}/${m}`, nodes: n, links };
}

/**
 * A real map in GraphML, the format of the Internet Topology Zoo: its nodes and undirected edges; doubled edges and
 * loops are left out. Undefined if the text has no graph.
 */
export function graphml(name: string, text: string): Topology | undefined {
  const ids = new Map<string, number>();
  for (const [, id] of text.matchAll(/<node\b[^>]*\bid\s*=\s*"([^"]*)"/g)) {
    if (!ids.has(id!)) ids.set(id!, ids.size);
  }
  if (ids.size === 0) return undefined;
  const seen = new Set<string>();
  const links: [number, number][] = [];
  for (const [edge] of text.matchAll(/<edge\b[^>]*>/g)) {
    const end = (word: string) =>
      ids.get(new RegExp(`\\b${word}\\s*=\\s*"([^"]*)"`).exec(edge)?.[1] ?? "");
    const a = end("source");
    const b = end("target");
    if (a === undefined || b === undefined || a === b) continue;
    const key = `${Math.min(a, b)} ${Math.max(a, b)}`;
    if (seen.has(key)) continue;
    seen.add(key);
    links.push([a, b]);
  }
  return { name, nodes: ids.size, links };
}

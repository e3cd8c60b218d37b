/**
 * The graph of a layer as link state tells it, and the next hops it gives (spec 60 §12). Pure.
 *
 * A link counts only if both its ends announce it. All weights are 1. From a node, the next hop of a destination is
 * that of its lowest-addressed predecessor one hop nearer, recursively, so every node breaks ties alike. LFA adds the
 * neighbours that are nearer to the destination than through us (RFC 5286, inequality 1), ECMP gives all neighbours on
 * a shortest path; both in order of the neighbours, the link made last first.
 */

import type { RoutingPolicy } from "./settings.ts";

/** A link at one of its ends. */
interface Edge {
  readonly to: Vertex;
  /** This end announces it; the other end does. */
  here: boolean;
  there: boolean;
  /** The same link at its other end. */
  twin: Edge;
}

interface Vertex {
  readonly addr: number;
  /** Newest last. */
  readonly edges: Edge[];
  /** Number of the last search that came by. */
  seen: number;
}

/** Distance of what cannot be reached. */
const FAR = 0x7fffffff;

/** Destination and its next hops, best first. */
export type Routes = Map<number, number[]>;

export class Graph {
  readonly #vertices = new Map<number, Vertex>();
  #search = 0;

  /** Nodes that are an end of some announced link. */
  get size(): number {
    return this.#vertices.size;
  }

  /** Nodes and the neighbours of each with who announces the link, for people and tests. */
  *vertices(): Generator<{ addr: number; edges: { to: number; here: boolean; there: boolean }[] }> {
    for (const v of [...this.#vertices.values()].sort((a, b) => a.addr - b.addr)) {
      const edges = v.edges.map(({ to, here, there }) => ({ to: to.addr, here, there }));
      yield { addr: v.addr, edges: edges.reverse() };
    }
  }

  #vertex(addr: number): Vertex {
    let v = this.#vertices.get(addr);
    if (v === undefined) {
      v = { addr, edges: [], seen: 0 };
      this.#vertices.set(addr, v);
    }
    return v;
  }

  /** The link at `from`, sought at the end that has fewer: whoever forges links gives one of them many. */
  #edge(from: Vertex, to: Vertex): Edge | undefined {
    if (from.edges.length <= to.edges.length) return from.edges.find((e) => e.to === to);
    return to.edges.find((e) => e.to === from)?.twin;
  }

  #link(from: Vertex, to: Vertex): Edge {
    const edge = { to, here: false, there: false } as Edge;
    edge.twin = { to: from, here: false, there: false, twin: edge };
    from.edges.push(edge);
    to.edges.push(edge.twin);
    return edge;
  }

  #unlink(edge: Edge): void {
    const from = edge.twin.to;
    from.edges.splice(from.edges.lastIndexOf(edge), 1);
    edge.to.edges.splice(edge.to.edges.lastIndexOf(edge.twin), 1);
    for (const v of [from, edge.to]) if (v.edges.length === 0) this.#vertices.delete(v.addr);
  }

  /** `src` announces a link to `dst`. Announcing it twice is announcing it once. */
  add(src: number, dst: number): void {
    const s = this.#vertex(src);
    const d = this.#vertex(dst);
    const edge = this.#edge(s, d) ?? this.#link(s, d);
    edge.here = true;
    edge.twin.there = true;
  }

  /** `src` announces its link to `dst` no longer; false if it did not. */
  remove(src: number, dst: number): boolean {
    const s = this.#vertices.get(src);
    const d = this.#vertices.get(dst);
    const edge = s === undefined || d === undefined ? undefined : this.#edge(s, d);
    if (edge === undefined || !edge.here) return false;
    edge.here = false;
    edge.twin.there = false;
    if (!edge.there) this.#unlink(edge);
    return true;
  }

  /** Neighbours over links that both ends announce, newest first. */
  #neighbours(v: Vertex): Vertex[] {
    return v.edges.filter((e) => e.here && e.there).map((e) => e.to).reverse();
  }

  /** Distances from `from`, by breadth; within a level lowest address first. Who was reached, in order. */
  #walk(from: Vertex, distanceOf: Map<Vertex, number>, hops?: Map<Vertex, Vertex>): Vertex[] {
    const mark = ++this.#search;
    from.seen = mark;
    distanceOf.set(from, 0);
    const reached: Vertex[] = [from];
    let level = [from];
    for (let d = 1; level.length > 0; d++) {
      const next: Vertex[] = [];
      level.sort((a, b) => a.addr - b.addr);
      for (const v of level) {
        for (const e of v.edges) {
          if (!e.here || !e.there || e.to.seen === mark) continue;
          e.to.seen = mark;
          distanceOf.set(e.to, d);
          hops?.set(e.to, v === from ? e.to : hops.get(v)!);
          next.push(e.to);
        }
      }
      reached.push(...next);
      level = next;
    }
    return reached;
  }

  /** Next hops from `self` to everybody who can be reached. */
  routes(self: number, policy: RoutingPolicy): Routes {
    const routes: Routes = new Map();
    const me = this.#vertices.get(self);
    if (me === undefined) return routes;
    const mine = new Map<Vertex, number>();
    const hops = new Map<Vertex, Vertex>();
    const reached = this.#walk(me, mine, hops);
    const neighbours = policy === "simple" ? [] : this.#neighbours(me);
    const theirs = neighbours.map((n) => {
      const distances = new Map<Vertex, number>();
      this.#walk(n, distances);
      return distances;
    });
    for (const v of reached) {
      if (v === me) continue;
      const primary = hops.get(v)!.addr;
      const list = policy === "ecmp" ? [] : [primary];
      const distance = mine.get(v)!;
      neighbours.forEach((n, i) => {
        const d = theirs[i]!.get(v) ?? FAR;
        const good = policy === "ecmp" ? d + 1 === distance : n !== v && d < 1 + distance;
        if (good && n.addr !== (policy === "lfa" ? primary : 0)) list.push(n.addr);
      });
      routes.set(v.addr, list);
    }
    return routes;
  }
}

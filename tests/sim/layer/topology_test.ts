import { assert, assertEquals } from "@std/assert";
import { Prng } from "../../../sim/prng.ts";
import * as topologies from "../../../sim/topology.ts";

/** Nodes that can be reached from node 0. */
function reached({ links }: topologies.Topology): number {
  const seen = new Set([0]);
  for (let before = 0; before !== seen.size;) {
    before = seen.size;
    for (const [a, b] of links) {
      if (seen.has(a)) seen.add(b);
      else if (seen.has(b)) seen.add(a);
    }
  }
  return seen.size;
}

Deno.test("topologies are one piece, without loops and doubled links", () => {
  const random = new Prng(8);
  const all = [
    topologies.line(5),
    topologies.ring(6),
    topologies.star(7),
    topologies.grid(3, 4),
    topologies.tree(9, 3),
    topologies.randomGeometric(30, 0.15, random),
    topologies.fatTree(4),
    topologies.barabasiAlbert(40, 2, random),
  ];
  for (const t of all) {
    assertEquals(reached(t), t.nodes, t.name);
    const keys = t.links.map(([a, b]) => `${Math.min(a, b)} ${Math.max(a, b)}`);
    assertEquals(new Set(keys).size, keys.length, t.name);
    assert(t.links.every(([a, b]) => a !== b && Math.max(a, b) < t.nodes), t.name);
  }
  assertEquals(topologies.fatTree(4).nodes, 20);
});

Deno.test("GraphML: nodes and edges as they stand, doubled edges and loops left out", () => {
  const text = `<?xml version="1.0"?><graphml><graph edgedefault="undirected">
    <node id="0"><data key="d1">Gent</data></node><node id="7"/><node id="x"/>
    <edge source="0" target="7"><data key="d2">1</data></edge>
    <edge target="0" source="7"/><edge source="x" target="x"/><edge id="e" source="x" target="7"/>
    <edge source="0" target="nowhere"/></graph></graphml>`;
  const t = topologies.graphml("map", text);
  assertEquals(t, { name: "map", nodes: 3, links: [[0, 1], [2, 1]] });
  assertEquals(topologies.graphml("none", "no graph"), undefined);
});

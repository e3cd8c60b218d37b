import { assert, assertEquals } from "@std/assert";
import { defaultSettings, LayerSim } from "../../../sim/layer.ts";
import { barabasiAlbert, grid, line, ring } from "../../../sim/topology.ts";
import { Prng } from "../../../sim/prng.ts";

function key(n: number): Uint8Array {
  const random = new Prng(n);
  return Uint8Array.from({ length: 32 }, () => random.below(256));
}

Deno.test("LayerSim: a line of five converges, a name is found and a flow carries data", () => {
  const layer = LayerSim.of(line(5), { seed: 1 });
  assert(layer.runFor(2e6, () => layer.isConverged()), "not converged");
  layer.runFor(1e6);
  const server = layer.nodes[4]!;
  const client = layer.nodes[0]!;
  server.register(key(7));
  layer.runFor(100_000);
  let flow = 0;
  client.alloc(key(7), (f) => flow = f);
  layer.runFor(1e6, () => flow !== 0);
  assert(flow > 0, `allocation: ${flow}`);
  let got = 0;

  for (let id = 1; id < 10; id++) server.onData(id, () => got++);
  for (let i = 0; i < 10; i++) client.send(flow, new Uint8Array(100));
  layer.runFor(1e6);
  assertEquals(got, 10);
});

Deno.test("LayerSim: 100 nodes, every name resolves from everywhere", () => {
  for (const t of [ring(12), grid(6, 6), barabasiAlbert(100, 2, new Prng(3))]) {
    const layer = LayerSim.of(t, { seed: 2, settings: defaultSettings() });
    assert(layer.runFor(20e6, () => layer.isConverged()), `${t.name} not converged`);
    layer.runFor(10e6);
    layer.nodes.forEach((n, i) => n.register(key(1000 + i)));
    layer.runFor(5e6);
    let ok = 0;
    let asked = 0;
    for (let i = 0; i < 300; i++) {
      asked++;
      const who = layer.random.pick(layer.nodes);
      const name = layer.random.below(t.nodes);
      who.query(key(1000 + name), (r) => {
        if (r === 0) ok++;
      });
    }
    layer.runFor(2e6);
    assertEquals(ok, asked, t.name);
  }
});

/** Policies of one's own, as files: the worked examples run in whole layers. */

import { assert, assertEquals } from "@std/assert";
import { congestion } from "../../../examples/policies/one_bit.ts";
import { routing } from "../../../examples/policies/distance_vector.ts";
import { sharing } from "../../../sim/figures.ts";
import { defaultSettings, LayerSim } from "../../../sim/layer.ts";
import { grid } from "../../../sim/topology.ts";
import { Traffic } from "../../../sim/traffic.ts";

Deno.test("distance vectors: a grid converges, carries a flow, and finds another way when a link goes", () => {
  const settings = defaultSettings({ updateUs: 2e6 });
  const layer = LayerSim.of(grid(3, 3), { seed: 4, settings, policies: { routing } });
  assert(layer.runFor(5e6, () => layer.isConverged()), "not converged");
  const traffic = new Traffic(layer);
  layer.runFor(2e6);
  traffic.serve(8, 1);
  layer.runFor(1e6);
  const call = traffic.call(0, 1);
  layer.runFor(1e6);
  assertEquals(call.state, "open");
  const got = () => traffic.serverOf(call)!.got.size;
  for (const [a, b] of [[0, 1], [3, 4]] as const) {
    layer.setUp(a, b, false);
    layer.runFor(5e6);
    const before = got();
    traffic.send(call, 0);
    layer.runFor(1e6);
    assertEquals(got(), before + 1, `without the link ${a}-${b}`);
  }
  assertEquals(traffic.violations, []);
});

Deno.test("one bit: flows share a slow link", () => {
  const s = sharing(4, 1, "mb-ecn", { congestion }, 6);
  assert(s.jain > 0.9, `Jain ${s.jain}`);
  assert(s.utilisation > 0.7, `utilisation ${s.utilisation}`);
});

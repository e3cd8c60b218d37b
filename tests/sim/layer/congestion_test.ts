/** Greedy flows at one slow link: what the congestion policy makes of them, against sending without one. */

import { assert, assertEquals } from "@std/assert";
import { sharing } from "../../../sim/figures.ts";

Deno.test("mb-ecn: flows share a slow link equally, use it and lose nothing", () => {
  for (const flows of [2, 8]) {
    const s = sharing(flows, 1, "mb-ecn", {}, 6);
    assert(s.jain > 0.95, `${flows} flows: Jain ${s.jain}`);
    assert(s.utilisation > 0.7, `${flows} flows: utilisation ${s.utilisation}`);
    assertEquals(s.dropped, 0);
  }
});

Deno.test("without congestion avoidance the same flows lose most of what they send", () => {
  const s = sharing(4, 1, "none", {}, 2);
  assert(s.dropped > 10_000, `${s.dropped} dropped`);
});

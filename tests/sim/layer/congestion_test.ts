/** Greedy flows at slow links: what the congestion policy makes of them, against sending without one. */

import { assert, assertEquals } from "@std/assert";
import { isPrototype, MIXED, sharing } from "../../../sim/figures.ts";

Deno.test("mb-ecn: flows share a slow link equally, use it whole and keep half its queue free", () => {
  for (const flows of [2, 8, 32]) {
    const s = sharing(flows, 1, "mb-ecn", {}, 6);
    assert(s.jain > 0.95, `${flows} flows: Jain ${s.jain}`);
    assert(s.utilisation > 0.9, `${flows} flows: utilisation ${s.utilisation}`);
    assert(s.queue < 512, `${flows} flows: queue ${s.queue}`);
    assertEquals(s.dropped, 0);
  }
});

Deno.test("mb-ecn: flows through three slow links get nearly as much as those through one", () => {
  const s = sharing(2, 3, "mb-ecn", {}, 12);
  assert(s.jain > 0.95, `Jain ${s.jain}`);
  assert(s.utilisation > 0.9, `utilisation ${s.utilisation}`);
  assert(s.queue < 512, `queue ${s.queue}`);
});

Deno.test("mb-ecn: prototypes that send beside ours get their part, and ours get theirs", () => {
  const { rates } = sharing(4, 1, "mb-ecn", MIXED, 12);
  const fair = 20e6 / 8 / 1015 / 4;
  const of = (prototype: boolean) =>
    rates.filter((_, i) => isPrototype(i) === prototype).reduce((a, b) => a + b, 0) / 2;
  assert(of(true) > fair / 5 && of(false) > fair / 5, `${rates.map(Math.round)}, fair ${fair}`);
});

Deno.test("without congestion avoidance the same flows lose most of what they send", () => {
  const s = sharing(4, 1, "none", {}, 2);
  assert(s.dropped > 10_000, `${s.dropped} dropped`);
});

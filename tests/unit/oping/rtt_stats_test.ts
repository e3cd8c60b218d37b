/** Running statistics against the plain computation over all samples. */

import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { RttStats } from "../../../oping/rtt_stats.ts";

const samples = fc.array(fc.integer({ min: 0, max: 20_000_000_000 }), {
  minLength: 1,
  maxLength: 200,
});

function statsOf(list: readonly number[]): RttStats {
  const stats = new RttStats();
  for (const ns of list) stats.add(ns);
  return stats;
}

Deno.test("RttStats: min, max, mean and mdev agree with the sums over whole µs", () => {
  fc.assert(fc.property(samples, (list) => {
    const stats = statsOf(list);
    const ms = list.map((ns) => Math.trunc(ns / 1000) / 1000);
    const mean = ms.reduce((a, b) => a + b) / ms.length;
    const variance = ms.reduce((sum, x) => sum + (x - mean) ** 2, 0) / (ms.length - 1);
    assertEquals(stats.min, Math.min(...ms));
    assertEquals(stats.max, Math.max(...ms));
    assert(Math.abs(stats.mean - mean) <= 1e-9 * (1 + mean));
    if (ms.length > 1) {
      assert(Math.abs(stats.mdev - Math.sqrt(variance)) <= 1e-6 * (1 + Math.sqrt(variance)));
    } else assertEquals(stats.mdev, 0);
  }));
});

Deno.test("RttStats: percentiles are right within 0.2 %", () => {
  fc.assert(
    fc.property(samples, fc.constantFrom(1, 50, 90, 99, 99.9, 100), (list, percent) => {
      const sorted = [...list].sort((a, b) => a - b);
      const exact = sorted[Math.max(1, Math.ceil((percent / 100) * sorted.length)) - 1]!;
      const got = statsOf(list).percentileNs(percent);
      assert(got >= exact && got <= exact * 1.002 + 1, `${got} for ${exact}`);
    }),
  );
});

Deno.test("RttStats: the histogram holds every sample in its row", () => {
  fc.assert(fc.property(samples, (list) => {
    const rows = statsOf(list).histogram();
    assertEquals(rows.reduce((n, row) => n + row.count, 0), list.length);
    for (const [i, row] of rows.entries()) {
      if (i > 0) assertEquals(row.fromNs, rows[i - 1]!.toNs);
      // A counter covers 0.2 %, so a sample may stand in the row beside its own at the border.
      const inner = list.filter((ns) => ns >= row.fromNs * 1.002 && ns < row.toNs * 0.998).length;
      const outer = list.filter((ns) => ns >= row.fromNs * 0.998 && ns < row.toNs * 1.002).length;
      assert(row.count >= inner && row.count <= outer);
    }
    assert(rows[0]!.count > 0 && rows.at(-1)!.count > 0);
  }));
});

Deno.test("RttStats: without samples there is nothing", () => {
  const stats = new RttStats();
  assertEquals(stats.histogram(), []);
  assert(Number.isNaN(stats.percentileNs(50)));
});

Deno.test("RttStats: jitter follows RFC 3550", () => {
  const stats = statsOf([1000, 17_000]);
  assertEquals(stats.jitterNs, 1000);
  stats.add(17_000);
  assertEquals(stats.jitterNs, 937.5);
});

/** Age of requests to the nanosecond, and the memory of those seen (spec 40 §7). */

import { assert, assertEquals } from "@std/assert";
import { checkAge, ReplayCache } from "../../../../security/oap/replay_cache.ts";

const NOW = 1_780_000_000_123_456_789n;
const MS = 1_000_000n;

function id(n: number): Uint8Array {
  const b = new Uint8Array(16);
  new DataView(b.buffer).setUint32(0, n);
  return b;
}

Deno.test("checkAge() accepts -100.999999 ms to 20000.999999 ms, and wraps", () => {
  const age = (d: bigint) => checkAge(NOW, NOW - d);
  for (const d of [0n, -100n * MS, -100_999_999n, 20000n * MS, 20_000_999_999n]) {
    assertEquals(age(d).ok, true, `${d}`);
  }
  assertEquals(age(-101n * MS), { ok: false, why: "future", ms: -101n });
  assertEquals(age(20_001n * MS), { ok: false, why: "old", ms: 20001n });
  assertEquals(checkAge(NOW, 0n), { ok: false, why: "old", ms: NOW / MS });
  assertEquals(checkAge(NOW, 2n ** 63n), { ok: false, why: "future", ms: -7443372036731n });
  assertEquals(checkAge(NOW, 2n ** 64n - 1n).ok, false);
});

Deno.test("ReplayCache knows (id, timestamp), not either alone", () => {
  const c = new ReplayCache();
  assertEquals(c.add(id(1), NOW, NOW), "added");
  assertEquals(c.add(id(1), NOW, NOW), "known");
  assertEquals(c.add(id(1), NOW + 1n, NOW), "added");
  assertEquals(c.add(id(2), NOW, NOW), "added");
  assertEquals([c.has(id(2), NOW), c.has(id(2), NOW + 1n), c.size], [true, false, 3]);
});

Deno.test("ReplayCache keeps an entry as long as the time test accepts it (the gap at 20 s)", () => {
  const c = new ReplayCache();
  c.add(id(1), NOW, NOW);
  for (const later of [20_000_000_001n, 20_000_999_999n]) {
    assert(checkAge(NOW + later, NOW).ok);
    assertEquals(c.add(id(1), NOW, NOW + later), "known");
  }
  c.expire(NOW + 22_000_000_000n);
  assertEquals(c.size, 0);
});

Deno.test("ReplayCache survives a clock that is set back", () => {
  const c = new ReplayCache();
  c.add(id(1), NOW, NOW);
  c.expire(NOW - 3_600_000_000_000n);
  assertEquals(c.has(id(1), NOW), true);
});

Deno.test("ReplayCache keeps what is old while there is room: no step of the clock makes it new", () => {
  const c = new ReplayCache(8, "refuse", 4);
  const HOUR = 3_600_000_000_000n;
  c.add(id(1), NOW, NOW);
  for (let i = 2; i <= 4; i++) c.add(id(i), NOW + HOUR, NOW + HOUR);
  assertEquals([c.has(id(1), NOW), c.size], [true, 4]);
  c.add(id(5), NOW + 2n * HOUR, NOW + 2n * HOUR);
  assertEquals([c.has(id(1), NOW), c.size], [false, 1]);
});

Deno.test("ReplayCache is bounded: refuses, or forgets the oldest second", () => {
  const strict = new ReplayCache(2, "refuse");
  strict.add(id(1), NOW, NOW);
  strict.add(id(2), NOW, NOW);
  assertEquals(strict.add(id(3), NOW, NOW), "full");
  assertEquals([strict.has(id(1), NOW), strict.size], [true, 2]);
  const later = NOW + 25_000_000_000n;
  assertEquals(strict.add(id(3), later, later), "added");

  const lenient = new ReplayCache(2, "forget");
  lenient.add(id(1), NOW - 5_000_000_000n, NOW);
  lenient.add(id(2), NOW, NOW);
  assertEquals(lenient.add(id(3), NOW, NOW), "added");
  assertEquals(
    [lenient.has(id(1), NOW - 5_000_000_000n), lenient.has(id(2), NOW), lenient.size],
    [false, true, 2],
  );
});

Deno.test("ReplayCache holds a limit of many entries and counts them right", () => {
  const n = 100_000;
  const c = new ReplayCache(n);
  for (let i = 0; i < n; i++) {
    c.add(id(i), NOW + BigInt(i) * 200_000n, NOW + BigInt(i) * 200_000n);
  }
  assertEquals(c.size, n);
  assertEquals(c.has(id(n - 1), NOW + BigInt(n - 1) * 200_000n), true);
  c.expire(NOW + 60_000_000_000n);
  assertEquals(c.size, 0);
});

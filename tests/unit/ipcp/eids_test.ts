// Endpoint ids: range, distinct keys, rest of freed ids, and a crowded range.

import { assert, assertEquals } from "@std/assert";
import { eidKey, EidPool } from "../../../ipcp/shim/eids.ts";
import { seeded } from "../../support/machines.ts";

const LLC = { first: 2, last: 63, quarantineUs: 120e6, mplUs: 100 };
const UDP = { first: 1, last: 0xfffffffe, quarantineUs: 120e6, mplUs: 5e6 };

Deno.test("take() gives ids in range whose low 16 bits differ and are never 0", () => {
  const pool = new EidPool(UDP, seeded());
  const keys = new Set<number>();
  for (let i = 0; i < 10_000; i++) {
    const eid = pool.take(0);
    assert(eid >= 1 && eid <= 0xfffffffe);
    keys.add(eidKey(eid));
  }
  assertEquals(keys.size, 10_000);
  assert(!keys.has(0));
});

Deno.test("take() hands out all 62 SAPs and then -1", () => {
  const pool = new EidPool(LLC, seeded());
  const saps = Array.from({ length: 62 }, () => pool.take(0)).sort((a, b) => a - b);
  assertEquals(saps, Array.from({ length: 62 }, (_, i) => i + 2));
  assertEquals(pool.take(0), -1);
});

Deno.test("a crowded range reuses the id that rested longest, not before the packet lifetime", () => {
  const pool = new EidPool(LLC, seeded());
  for (let i = 0; i < 62; i++) pool.take(0);
  pool.give(0, 5);
  pool.give(10, 6);
  assertEquals(pool.take(99), -1);
  assertEquals(pool.take(100), 5);
  assertEquals(pool.take(100), -1);
  assertEquals(pool.take(110), 6);
});

Deno.test("give() ignores ids that are not in use", () => {
  const pool = new EidPool(LLC, seeded());
  pool.give(0, 5);
  assertEquals(pool.size, 0);
});

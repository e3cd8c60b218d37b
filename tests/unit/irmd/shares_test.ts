/** What is proved here: shares of what is bounded, and turns. */

import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { Share, Turns } from "../../../irmd/shares.ts";

Deno.test("Share: a user gets half of what is there, the next half of the rest, root the last", () => {
  const s = new Share(100, 10);
  const fill = (uid: number) => {
    let n = 0;
    while (s.take(uid)) n++;
    return n;
  };
  assertEquals([fill(1), fill(2), fill(3)], [45, 23, 11]);
  for (let uid = 4; uid < 1000; uid++) fill(uid);
  assert(s.used <= 90);
  const left = 100 - s.used;
  assert(left >= 10);
  assertEquals(fill(0), left);
  assertEquals(s.used, 100);
  s.give(1, 45);
  assertEquals([s.heldBy(1), s.users().has(1), s.used], [0, false, 55]);
  assert(s.take(1, 17));
  assert(!s.take(1, 18));
});

Deno.test("Share: whatever is taken and given, it adds up and root finds its part", () => {
  const op = fc.tuple(fc.nat(5), fc.integer({ min: 1, max: 9 }), fc.boolean());
  fc.assert(fc.property(fc.array(op, { maxLength: 200 }), (ops) => {
    const s = new Share(64, 8);
    for (const [uid, n, take] of ops) {
      if (take) s.take(uid, n);
      else if (s.heldBy(uid) >= n) s.give(uid, n);
      const sum = [...s.users().values()].reduce((a, b) => a + b, 0);
      assertEquals(s.used, sum);
      assert(s.used <= 64 && sum - s.heldBy(0) <= 56);
    }
  }));
});

Deno.test("Turns: users take turns, each user's things keep their order", () => {
  const t = new Turns<string>();
  for (const item of ["a1", "a2", "a3", "b1", "c1", "c2"]) t.push(item.charCodeAt(0), item);
  const got = [];
  while (t.length > 0) got.push(t.next());
  assertEquals(got, ["a1", "b1", "c1", "a2", "c2", "a3"]);
  assertEquals(t.next(), undefined);
  t.push(1, "x");
  assertEquals([t.next(), t.length], ["x", 0]);
});

// Which packets were here before: against a set of all numbers, and the bound of what is remembered.

import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { ORIGINS_MAX, Seen, WINDOW } from "../../../../ipcp/broadcast/seen.ts";

Deno.test("first() is true once for each number, as a set of all numbers says, inside the window", () => {
  const steps = fc.array(fc.integer({ min: -300, max: 300 }), { maxLength: 400 });
  fc.assert(fc.property(steps, fc.nat(0xffffffff), (moves, start) => {
    const seen = new Seen();
    const all = new Set<number>();
    let at = 0;
    let highest = 0;
    for (const move of moves) {
      at = Math.max(highest - WINDOW + 1, at + move);
      highest = Math.max(highest, at);
      assertEquals(seen.first(1, 2, (start + at) >>> 0), !all.has(at));
      all.add(at);
    }
  }));
});

Deno.test("first() takes a number before the window for a repetition", () => {
  const seen = new Seen();
  assert(seen.first(1, 2, 5000));
  assert(seen.first(1, 2, 5000 - WINDOW + 1));
  assert(!seen.first(1, 2, 5000 - WINDOW));
});

Deno.test("first() goes on over the end of the numbers", () => {
  const seen = new Seen();
  assert(seen.first(1, 2, 0xffffffff));
  assert(seen.first(1, 2, 0));
  assert(!seen.first(1, 2, 0xffffffff));
  assert(seen.first(1, 2, 0xfffffffe));
});

Deno.test("origins that share one word are apart", () => {
  const seen = new Seen();
  assert(seen.first(1, 2, 9));
  assert(seen.first(1, 3, 9));
  assert(seen.first(2, 2, 9));
  assert(!seen.first(1, 3, 9));
});

Deno.test("a flood of origins stays bounded, and who is heard meanwhile is not forgotten", () => {
  const seen = new Seen();
  assert(seen.first(1, 1, 1));
  for (let i = 0; i < ORIGINS_MAX * 3; i++) {
    seen.first(7, i + 1, 1);
    if (i % 100 === 0) assert(!seen.first(1, 1, 1));
  }
  assert(seen.size <= ORIGINS_MAX, `${seen.size}`);
});

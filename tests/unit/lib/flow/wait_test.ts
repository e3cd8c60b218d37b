// How long a waiting call looks before it blocks.

import { assertEquals } from "@std/assert";
import { SpinBudget } from "../../../../lib/flow/wait.ts";

/** Lengths of the next looks, all in vain, µs. */
function inVain(budget: SpinBudget, looks: number): number[] {
  return Array.from({ length: looks }, () => {
    const us = budget.ns / 1000;
    budget.missed();
    return us;
  });
}

Deno.test("looks that do not pay become short, but for a long one now and then", () => {
  const budget = new SpinBudget(48_000);
  assertEquals(inVain(budget, 6), [48, 24, 12, 6, 3, 3]);
  const later = inVain(budget, 64);
  assertEquals(later.filter((us) => us === 48).length >= 2, true);
  assertEquals(later.filter((us) => us === 3).length >= 32, true);
});

Deno.test("a look that paid makes the next ones long", () => {
  const budget = new SpinBudget(48_000);
  inVain(budget, 9);
  budget.found(true);
  assertEquals([budget.ns, budget.aloneNs], [48_000, 0]);
  budget.found(false);
  assertEquals(budget.aloneNs > 0, true);
});

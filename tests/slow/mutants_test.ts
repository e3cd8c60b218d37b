/** What is proved here: faults are put where the program runs, and each changes the text. */

import { assert, assertEquals } from "@std/assert";
import { mutantsOf, withMutant } from "../mutation/mutants.ts";

Deno.test("mutantsOf(): operators, conditions, literals and calls, but no types, texts or imports", () => {
  const source = `import { a } from "./a.ts";
type T = true | "x";
function f(n: number, log: { warn(s: string): void }): boolean {
  if (!n) log.warn("a - b");
  a(n - 1);
  return n < 3 && true;
}
`;
  const faults = mutantsOf(source);
  assertEquals(faults.map((m) => m.what), [
    "if (!n) negated",
    "! left out",
    "a() left out",
    "- → +",
    "&& → ||",
    "< → <=",
    "true → false",
  ]);
  for (const fault of faults) assert(withMutant(source, fault) !== source, fault.what);
  assertEquals(
    withMutant(source, faults[5]!).split("\n")[5],
    "  return n <= 3 && true;",
  );
});

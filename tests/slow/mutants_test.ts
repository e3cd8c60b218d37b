/** What is proved here: faults are put where the program runs, and each changes the text. */

import { assert, assertEquals } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { endToEndTests } from "../mutation/end_to_end.ts";
import { filesBelow } from "../mutation/graph.ts";
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

Deno.test("endToEndTests(): every file of the rooms has some, and they exist", () => {
  const root = fromFileUrl(new URL("../..", import.meta.url));
  const there = new Set(filesBelow(root, "tests/e2e"));
  for (const room of ["ipcp", "irmd", "lib/flow", "security"]) {
    for (const path of filesBelow(root, room)) {
      const tests = endToEndTests(path);
      assert(tests.length > 0, path);
      assertEquals(tests.filter((test) => !there.has(test)), [], path);
    }
  }
  assertEquals(endToEndTests("irmd/save.ts"), ["tests/e2e/irm_save_test.ts"]);
});

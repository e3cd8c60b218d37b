/** That joining loses no file: all of them are found, and each is in one share. */

import { assert, assertEquals } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import { dealOut, joinedModule, testFilesBelow } from "../joined.ts";

Deno.test("testFilesBelow() finds tests in every directory, and only tests", async () => {
  const dir = await Deno.makeTempDir({ prefix: "ouro-joined-" });
  try {
    await Deno.mkdir(join(dir, "b/c"), { recursive: true });
    const files = ["a_test.ts", "b/c/d_test.ts", "b/support.ts", "b/x_test.json"];
    for (const file of files) await Deno.writeTextFile(join(dir, file), "");
    assertEquals(await testFilesBelow(dir), [join(dir, "a_test.ts"), join(dir, "b/c/d_test.ts")]);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
  const own = await testFilesBelow(fromFileUrl(new URL(".", import.meta.url)));
  assert(own.includes(fromFileUrl(import.meta.url)), "this file");
});

Deno.test("dealOut(): every item once, shares alike, none empty", () => {
  assertEquals(dealOut([1, 2, 3, 4, 5], 2), [[1, 3, 5], [2, 4]]);
  assertEquals(dealOut([1], 4), [[1]]);
  assertEquals(dealOut([1, 2], 0), [[1, 2]]);
});

Deno.test("joinedModule() imports each file, whatever its name", () => {
  assertEquals(
    joinedModule(["/x/a_test.ts", '/x/"b# c_test.ts']),
    'import "file:///x/a_test.ts";\nimport "file:///x/%22b%23%20c_test.ts";\n',
  );
});

/** What counts as absent. */

import { assertEquals, assertThrows } from "@std/assert";
import { SysError } from "../../../../lib/sys/ffi.ts";
import { isAbsent } from "../../../../lib/sys/access.ts";

Deno.test("isAbsent() tells what is not there from files, directories, dead links and what it cannot see", async () => {
  const dir = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${dir}/file`, "");
    await Deno.symlink(`${dir}/nothing`, `${dir}/link`);
    const names = ["", "/", "/file", "/link", "/nothing", "/nothing/below", "/file/below", "/é"];
    assertEquals(
      names.map((name) => isAbsent(dir + name)),
      [false, false, false, false, true, true, false, true],
    );
    assertThrows(() => isAbsent(`${dir}/\0`), SysError, "EINVAL");
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

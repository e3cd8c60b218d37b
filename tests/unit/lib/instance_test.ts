/** What is proved here: one directory is one node, however it is spelled. */

import { assertEquals, assertNotEquals } from "@std/assert";
import { instanceOf } from "../../../lib/instance.ts";

Deno.test("instanceOf(): a link to a directory, or to one above it, is the same node", () => {
  const dir = Deno.realPathSync(Deno.makeTempDirSync());
  try {
    Deno.symlinkSync(dir, `${dir}/link`);
    Deno.mkdirSync(`${dir}/node`);
    assertEquals(instanceOf(`${dir}/link/node`), instanceOf(`${dir}/node`));
    // Also before it is made.
    assertEquals(instanceOf(`${dir}/link/a/b`), instanceOf(`${dir}/a/b`));
    assertEquals(instanceOf(`${dir}/a/b`).socketDir, `${dir}/a/b/run`);
    assertNotEquals(instanceOf(`${dir}/a`).shmBase, instanceOf(`${dir}/b`).shmBase);
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
});

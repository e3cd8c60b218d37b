/** What is proved here: one directory is one node, however it is spelled, and its path leaves room for all below it. */

import { assertEquals, assertMatch, assertNotEquals, assertThrows } from "@std/assert";
import { Errno, OuroError } from "../../../lib/errno.ts";
import { instanceOf, ipcpSocketPath, irmSocketPath } from "../../../lib/instance.ts";

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

Deno.test("instanceOf(): a prefix whose sockets could not be bound is refused where it is given", () => {
  const bytes = (path: string) => new TextEncoder().encode(path).length;
  for (const letter of ["p", "ä"]) {
    const most = "/".padEnd(letter === "p" ? 85 : 43, letter);
    const instance = instanceOf(most);
    for (const path of [irmSocketPath(instance), ipcpSocketPath(instance, 4194303)]) {
      assertEquals(bytes(path) <= 107, true, path);
    }
    const error = assertThrows(() => instanceOf(`${most}p`), OuroError);
    assertEquals(error.code, -Errno.ENAMETOOLONG);
    assertMatch(
      error.message,
      /^Cannot have a node below \/.*: the prefix has 86 bytes, at most 85/,
    );
  }
  // Links do not count: the path without them does.
  const dir = Deno.realPathSync(Deno.makeTempDirSync());
  try {
    Deno.mkdirSync(`${dir}/${"x".repeat(85)}`);
    Deno.symlinkSync(`${dir}/${"x".repeat(85)}`, `${dir}/short`);
    assertThrows(() => instanceOf(`${dir}/short`), OuroError, "at most 85");
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
});

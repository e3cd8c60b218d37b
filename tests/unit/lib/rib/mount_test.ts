/** What is proved here: nothing is mounted where another user could lead us elsewhere (spec 80 §8.5). */

import { assertEquals } from "@std/assert";
import { instanceOf } from "../../../../lib/instance.ts";
import { ribDir, RibServer } from "../../../../lib/rib/mount.ts";
import { Rib } from "../../../../lib/rib/tree.ts";

Deno.test("RibServer.open() mounts nothing below a link, or below a directory of another user", () => {
  const prefix = Deno.realPathSync(Deno.makeTempDirSync());
  const instance = instanceOf(prefix);
  const dir = ribDir(instance);
  const server = new RibServer(instance);
  try {
    Deno.mkdirSync(`${prefix}/tmp`);
    Deno.mkdirSync(`${prefix}/elsewhere`);
    Deno.symlinkSync(`${prefix}/elsewhere`, dir);
    assertEquals(server.open("u1", new Rib()), `${dir} is no directory`);
    if (Deno.uid() === 0) {
      Deno.removeSync(dir);
      Deno.mkdirSync(dir);
      Deno.chownSync(dir, 65534, 65534);
      const said = `${dir} belongs to uid 65534 (remove it and start again)`;
      assertEquals(server.open("u1", new Rib()), said);
    }
    assertEquals([...Deno.readDirSync(`${prefix}/elsewhere`)], []);
    assertEquals(server.size, 0);
  } finally {
    Deno.removeSync(prefix, { recursive: true });
  }
});

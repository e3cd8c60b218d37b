/** `irm save`: where the text goes, and what is told. */

import { assertEquals, assertStringIncludes } from "@std/assert";
import { FakeAdmin } from "../../support/admin.ts";
import { realSystem } from "../../../irm/system.ts";
import { irm } from "./console.ts";

const CONFIG = "[irmd]\nretry = true\n";
const NOTE = "Not saved: process 7 (\\x1bx).\n";

Deno.test("irm save prints the file, or writes it, and tells what is not in it", async () => {
  assertEquals(await irm(["save"]), { code: 0, out: CONFIG, err: NOTE });
  assertEquals(await irm(["save", "-"]), { code: 0, out: CONFIG, err: NOTE });
  assertEquals(await irm(["sav", "/etc/x"]), { code: 0, out: "", err: NOTE });
  const full = await irm(["save", "/full/x"]);
  assertEquals(full.code, 1);
  assertStringIncludes(full.err, "Failed to write /full/x: No space left on device.\n");
  assertEquals(JSON.parse((await irm(["save", "--json"])).out).config, CONFIG);
  assertEquals((await irm(["save", "a", "b"])).code, 1);
  const gone = new FakeAdmin();
  gone.running = false;
  assertEquals((await irm(["save"], gone)).code, 1);
});

Deno.test("a saved file takes the place of one as a whole, through links, and keeps others out", async () => {
  const dir = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${dir}/real`, "before");
    await Deno.chmod(`${dir}/real`, 0o666);
    await Deno.symlink(`${dir}/real`, `${dir}/link`);
    assertEquals(realSystem.writeFile(`${dir}/link`, "after"), undefined);
    assertEquals(await Deno.readTextFile(`${dir}/real`), "after");
    assertEquals((await Deno.stat(`${dir}/real`)).mode! & 0o777, 0o644);
    assertEquals((await Deno.lstat(`${dir}/link`)).isSymlink, true);
    assertEquals(realSystem.writeFile(`${dir}/none/x`, "after"), "No such file or directory");
    assertEquals(realSystem.writeFile("/dev/full", "after"), "No space left on device");
    assertEquals((await Array.fromAsync(Deno.readDir(dir))).map(({ name }) => name).sort(), [
      "link",
      "real",
    ]);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

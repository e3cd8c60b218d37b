/** What is proved here: a configuration file that others may write, or put in place, is not read. */

import { assertEquals, assertMatch } from "@std/assert";
import { loadConfig } from "../../../irmd/apply_config.ts";
import { Logger, nullSink } from "../../../lib/log.ts";

Deno.test("loadConfig(): a file that others may write is refused, with the remedy", async () => {
  const dir = await Deno.makeTempDir();
  const path = `${dir}/irmd.conf`;
  const cause = () => {
    const loaded = loadConfig(path, new Logger(nullSink, "test"));
    return loaded.kind === "failed" ? loaded.cause : undefined;
  };
  try {
    await Deno.writeTextFile(path, "[name.n1]\n");
    await Deno.chmod(path, 0o644);
    assertEquals(cause(), undefined);
    for (const [of, open, closed] of [[path, 0o646, 0o644], [dir, 0o777, 0o700]] as const) {
      await Deno.chmod(of, open);
      assertMatch(cause()!, /can be changed by others/);
      await Deno.chmod(of, closed);
    }
    assertEquals(cause(), undefined);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

// Giving up capabilities reaches every thread of a process, those of the runtime included.

import { assertEquals } from "@std/assert";
import { fromFileUrl } from "@std/path";

const PROCESS = fromFileUrl(new URL("../../../support/capable_threads.ts", import.meta.url));

Deno.test({
  name: "keepCapabilitiesEverywhere(): no thread keeps more than what is asked for",
  ignore: Deno.build.arch !== "x86_64" || Deno.uid() !== 0,
  async fn() {
    const { stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--quiet", "--no-check", PROCESS],
      stderr: "inherit",
    }).output();
    const { all, several, left } = JSON.parse(new TextDecoder().decode(stdout));
    // Bit 1: CAP_DAC_OVERRIDE.
    assertEquals([all, several, left], [true, true, [2]]);
  },
});

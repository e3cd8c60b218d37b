/** The command line that keeps a daemon's heap small. That it does is proved in tests/e2e/flow_cycles_test.ts. */

import { assertEquals } from "@std/assert";
import { withHeapFlags } from "../../../lib/heap.ts";
import { V8_FLAGS } from "../../../lib/self.ts";

Deno.test("withHeapFlags() puts our flags for V8 behind `run` and keeps the other words", () => {
  const argv = withHeapFlags(["deno", "run", "-A", "main.ts", "irmd", "--stdout", ""])!;
  assertEquals(argv.slice(0, 2), ["deno", "run"]);
  assertEquals(argv[2]!.startsWith(V8_FLAGS), true);
  assertEquals(argv.slice(3), ["-A", "main.ts", "irmd", "--stdout", ""]);
});

Deno.test("withHeapFlags() leaves alone what it cannot make, or has made already", () => {
  const made = withHeapFlags(["deno", "run", "-A", "main.ts", "irmd"])!;
  const alone = [
    made,
    ["deno", "run", "--v8-flags=--expose-gc", "main.ts", "irmd"],
    ["deno", "test", "-A", "irmd_test.ts"],
    ["/usr/local/bin/ouro", "irmd"],
    ["deno", "run", "main.ts", "irmd", "--config", "not\ufffdutf-8"],
    [],
  ];
  for (const argv of alone) assertEquals(withHeapFlags(argv), undefined, argv.join(" "));
});

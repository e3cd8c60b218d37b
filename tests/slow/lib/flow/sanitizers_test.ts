// Flows in a program's own tests: Deno's sanitizers of resources and ops find nothing, whether the process is closed or not,
// when a process was opened before (that opens libc for good).

import { assertEquals } from "@std/assert";
import { instanceOf } from "../../../../lib/instance.ts";
import { Flow } from "../../../../lib/mod.ts";
import { FakeIrmd } from "../../../support/memory_irmd.ts";
import { removeShm } from "../../../support/shm.ts";

async function exchange(qos: "raw" | "data", closed: boolean): Promise<void> {
  const instance = instanceOf(`/tmp/ouro-sanitizers-test-${crypto.randomUUID()}`);
  const irmd = new FakeIrmd(instance);
  const [a, b] = [irmd.open(), irmd.open()];
  try {
    const accepting = Flow.accept(b);
    await using x = await Flow.alloc(a, "svc", { qos, lingerMs: 100 });
    await using y = await accepting;
    const got = y.read({ timeoutMs: 30_000 });
    await x.write(Uint8Array.of(1, 2, 3));
    assertEquals(await got, Uint8Array.of(1, 2, 3));
    await x.dealloc();
  } finally {
    if (closed) { for (const process of [a, b]) process.close(); }
    irmd[Symbol.dispose]();
    removeShm(instance);
  }
}

// As docs/api.md says: a process that was opened once, outside of the tests.
{
  const instance = instanceOf(`/tmp/ouro-sanitizers-test-${crypto.randomUUID()}`);
  const irmd = new FakeIrmd(instance);
  irmd.open().close();
  irmd[Symbol.dispose]();
  removeShm(instance);
}

for (const qos of ["raw", "data"] as const) {
  for (const closed of [true, false]) {
    Deno.test({
      name: `flows pass the test sanitizers: ${qos}, process ${closed ? "closed" : "left open"}`,
      sanitizeOps: true,
      sanitizeResources: true,
      sanitizeExit: true,
      fn: () => exchange(qos, closed),
    });
  }
}

// A Worker takes over the data path of a flow that the main thread made, blocking and asynchronously.

import { assertEquals, assertThrows } from "@std/assert";
import { Worker } from "node:worker_threads";
import { OuroError, QOS } from "../../../../lib/mod.ts";
import { instanceOf } from "../../../../lib/instance.ts";
import { FakeIrmd } from "../../../support/memory_irmd.ts";
import { removeShm } from "../../../support/shm.ts";

for (const blocking of [true, false]) {
  Deno.test({
    name: `a Worker echoes on a shared flow, ${blocking ? "blocking" : "asynchronously"}`,
    sanitizeOps: false,
    sanitizeResources: false,
    async fn() {
      const instance = instanceOf(`/tmp/ouro-shared-test-${crypto.randomUUID()}-${blocking}`);
      const irmd = new FakeIrmd(instance);
      try {
        const [a, b] = [irmd.open(), irmd.open()];
        const [x, y] = irmd.pair(a, b, QOS.raw);
        const worker = new Worker(new URL("./shared_worker.ts", import.meta.url), {
          workerData: { process: b.share(), flow: y.share(), messages: 200, blocking },
        });
        const done = new Promise((ok, bad) => worker.once("message", ok).once("error", bad));
        for (let k = 0; k < 200; k++) {
          await x.write(Uint8Array.of(k, 1, 2));
          assertEquals(await x.read({ timeoutMs: 20_000 }), Uint8Array.of(k, 1, 2));
        }
        assertEquals(await done, "done");
        await worker.terminate();
        a.close();
        b.close();
        assertEquals(irmd.blocksInUse(), 0);
      } finally {
        irmd[Symbol.dispose]();
        removeShm(instance);
      }
    },
  });
}

Deno.test("share() refuses flows whose state can't be in two threads", () => {
  const instance = instanceOf(`/tmp/ouro-shared-test-${crypto.randomUUID()}-r`);
  const irmd = new FakeIrmd(instance);
  try {
    const [a, b] = [irmd.open(), irmd.open()];
    const [x] = irmd.pair(a, b, QOS.data);
    assertThrows(() => x.share(), OuroError, "-95");
    a.close();
    b.close();
  } finally {
    irmd[Symbol.dispose]();
    removeShm(instance);
  }
});

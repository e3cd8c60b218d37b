// Asking for a flow apart from opening it: grants and flows that move to another thread, with their ciphers.

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { Worker } from "node:worker_threads";
import { Flow, OuroError, QOS } from "../../../../lib/mod.ts";
import { openFlow, partsOf } from "../../../../lib/flow/flow.ts";
import { partsOfProcess } from "../../../../lib/flow/process.ts";
import { ask, askSync, giveBack, giveBackSync, grantTransfer } from "../../../../lib/flow/grant.ts";
import { instanceOf } from "../../../../lib/instance.ts";
import { FakeIrmd } from "../../../support/memory_irmd.ts";
import { removeShm } from "../../../support/shm.ts";

const AES_256_GCM = 901;

async function onNode(use: (irmd: FakeIrmd) => void | Promise<void>): Promise<void> {
  const instance = instanceOf(`/tmp/ouro-grant-test-${crypto.randomUUID()}`);
  const irmd = new FakeIrmd(instance);
  try {
    await use(irmd);
    assertEquals(irmd.blocksInUse(), 0);
  } finally {
    irmd[Symbol.dispose]();
    removeShm(instance);
  }
}

const bare = { sanitizeOps: false, sanitizeResources: false };

Deno.test({
  name: "a grant is plain data, opened once, and its key is wiped",
  ...bare,
  fn: () =>
    onNode(async (irmd) => {
      irmd.cipherNid = AES_256_GCM;
      const [a, b] = [irmd.open(), irmd.open()];
      const accepting = ask(partsOfProcess(a), "accept", "");
      const mine = await ask(partsOfProcess(b), "alloc", "peer");
      const theirs = await accepting;
      assertEquals(mine.symKey, irmd.key);
      const moved = structuredClone(mine, { transfer: grantTransfer(mine) });
      assertEquals(mine.symKey.length, 0, "the key moved");
      const x = openFlow(b, moved);
      const y = openFlow(a, theirs, { lingerMs: 5 });
      assertEquals(y.lingerMs, 5);
      assertEquals(moved.symKey, new Uint8Array(32), "opening wipes the key");
      await x.write(Uint8Array.of(1, 2));
      assertEquals(await y.read({ timeoutMs: 60_000 }), Uint8Array.of(1, 2));
      a.close();
      b.close();
    }),
});

Deno.test({
  name: "a grant that nobody opens is given back",
  ...bare,
  fn: () =>
    onNode(async (irmd) => {
      const [a, b] = [irmd.open(), irmd.open()];
      const accepting = ask(partsOfProcess(a), "accept", "");
      const mine = await ask(partsOfProcess(b), "alloc", "peer");
      const theirs = await accepting;
      assertEquals(await giveBack(partsOfProcess(b), mine.info.id), 0);
      assertEquals(giveBackSync(partsOfProcess(a), theirs.info.id), 0);
      assertEquals(irmd.deallocs.get(mine.info.id), 2);
      a.close();
      b.close();
    }),
});

Deno.test({
  name: "ask() refuses a time and a QoS that are none, and ends with its signal",
  ...bare,
  fn: () =>
    onNode(async (irmd) => {
      const a = irmd.open();
      assertThrows(
        () => askSync(partsOfProcess(a), "alloc", "x", { timeoutMs: -1 }),
        OuroError,
        "-22",
      );
      assertThrows(
        () => askSync(partsOfProcess(a), "alloc", "x", { timeoutMs: NaN }),
        OuroError,
        "-22",
      );
      await assertRejects(
        () => ask(partsOfProcess(a), "alloc", "x", { qos: "gold" as "raw" }),
        OuroError,
        "gold",
      );
      const asked = irmd.log.length;
      const signal = AbortSignal.abort(new Error("over"));
      await assertRejects(() => ask(partsOfProcess(a), "alloc", "x", { signal }), Error, "over");
      assertEquals(irmd.log.length, asked, "nothing was asked");
      a.close();
    }),
});

for (const [nid, name] of [[0, "with CRC"], [AES_256_GCM, "encrypted"]] as const) {
  Deno.test({
    name: `handOver() gives a flow ${name} to a Worker, which goes on with it`,
    ...bare,
    fn: () =>
      onNode(async (irmd) => {
        irmd.cipherNid = nid;
        const [a, b] = [irmd.open(), irmd.open()];
        const [x, y] = irmd.pair(a, b, { ...QOS.raw, ber: 0 });
        await x.write(Uint8Array.of(1));
        await y.read({ timeoutMs: 60_000 });
        const flow = partsOf(y).handOver();
        assert(y.isClosed, "this thread's use ended");
        assertEquals(flow.cipher === undefined, nid === 0);
        const worker = new Worker(new URL("./shared_worker.ts", import.meta.url), {
          workerData: { process: b.share(), flow, messages: 50, blocking: false },
          transferList: flow.cipher === undefined ? [] : [flow.cipher.buffer],
        });
        const done = new Promise((ok, bad) => worker.once("message", ok).once("error", bad));
        for (let k = 0; k < 50; k++) {
          await x.write(Uint8Array.of(k, 7));
          assertEquals(await x.read({ timeoutMs: 60_000 }), Uint8Array.of(k, 7));
        }
        assertEquals(await done, "done");
        await worker.terminate();
        const back = Flow.attach(b, { info: flow.info });
        back.deallocSync();
        a.close();
        b.close();
      }),
  });
}

Deno.test({
  name: "handOver() refuses a flow with FRCT",
  ...bare,
  fn: () =>
    onNode((irmd) => {
      const [a, b] = [irmd.open(), irmd.open()];
      const [x] = irmd.pair(a, b, QOS.data);
      assertThrows(() => partsOf(x).handOver(), OuroError, "-95");
      a.close();
      b.close();
    }),
});

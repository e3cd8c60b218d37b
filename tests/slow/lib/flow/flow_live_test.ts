// Flows with the library's own timers and waits over real shared memory with the IRMd's double: FRCT of every cube,
// windows, streams, keepalives.

import { assert, assertEquals, assertRejects } from "@std/assert";
import { Errno } from "../../../../lib/errno.ts";
import { Flow, OuroError, QOS } from "../../../../lib/mod.ts";
import { Rbuff } from "../../../../lib/shm/rbuff.ts";
import { bytes, flowTest } from "../../../support/flow_node.ts";

flowTest("alloc(), listen() and streams carry bytes both ways", async ({ a, b }) => {
  const abort = new AbortController();
  const server = (async () => {
    for await (const flow of Flow.listen({ process: b, signal: abort.signal })) {
      for await (const chunk of flow.readable) await flow.write(chunk);
      await flow.dealloc();
      abort.abort();
    }
  })();
  {
    await using flow = await Flow.alloc("peer", { process: a });
    const writer = flow.writable.getWriter();
    const data = bytes(50000, 3);
    await writer.write(data);
    const got: number[] = [];
    const reader = flow.readable.getReader();
    while (got.length < data.length) got.push(...(await reader.read()).value!);
    assertEquals(Uint8Array.from(got), data);
    reader.releaseLock();
  }
  await server;
});

flowTest(
  "a silent peer times out with -EFLOWPEER, a living one doesn't",
  async ({ irmd, a, b }) => {
    const [, y] = irmd.pair(a, b, { ...QOS.raw, timeout: 1200 });
    // Both ends are in this thread, so both keep each other alive while it runs timers.
    await new Promise((r) => setTimeout(r, 2000));
    assertEquals(y.readSync(new Uint8Array(9), { nonblock: true }), -Errno.EAGAIN);
    const [x2, y2] = irmd.pair(a, b, { ...QOS.raw, timeout: 200 });
    x2.detach();
    await assertRejects(() => y2.read(), OuroError, "-1006");
    // What was sent to the silent one: the IRMd frees it when a process dies.
    using ring = Rbuff.open(irmd.instance, x2.info.nPid, x2.id);
    assert(ring.drain((off) => irmd.pool.remove(off)) > 0);
  },
);

for (const qos of ["best", "video", "voice", "data"] as const) {
  flowTest(`${qos}: messages arrive once and in order, also encrypted`, async ({ irmd, pair }) => {
    for (const nid of [0, 1018]) {
      irmd.cipherNid = nid;
      const [x, y] = pair({ ...QOS[qos], ber: 1 });
      const into = new Uint8Array(2000);
      for (let k = 0; k < 300; k++) {
        assertEquals(x.writeSync(bytes(1 + k, k)), 1 + k);
        assertEquals(y.readSync(into), 1 + k);
        assertEquals(into.subarray(0, 1 + k), bytes(1 + k, k));
        assertEquals(y.writeSync(bytes(2)), 2);
        assertEquals(x.readSync(into), 2);
      }
      x.writeSync(bytes(9));
      assertEquals(y.readSync(into.subarray(0, 4)), 4);
      assertEquals(y.readSync(into.subarray(0, 9)), 5);
      assertEquals(y.readSync(into, { nonblock: true }), -Errno.EAGAIN);
      const both = Promise.all([x.dealloc(), y.dealloc()]);
      await both;
    }
  });
}

flowTest(
  "data: a writer is held back by the window and goes on when the reader reads",
  async ({ pair }) => {
    const [x, y] = pair({ ...QOS.data, ber: 1 });
    let sent = 0;
    while (x.writeSync(bytes(8), { nonblock: true }) === 8) sent += 1;
    assert(sent >= 64 && sent <= 1024, `${sent} sent`);
    const total = 2000;
    const writer = (async () => {
      while (sent < total) {
        await x.write(bytes(8));
        sent += 1;
      }
    })();
    for (let k = 0; k < total; k++) assertEquals((await y.read()).length, 8);
    await writer;
    await Promise.all([x.dealloc(), y.dealloc()]);
  },
);

flowTest("alloc() takes a QoS by name and a time-out by either name", async ({ a, b, irmd }) => {
  const accepted = Flow.accept(b);
  const flow = await Flow.alloc("peer", { process: a, qos: "data", timeout: 2500 });
  const server = await accepted;
  assertEquals(flow.qos, { ...QOS.data, ber: 1 });
  const asked = irmd.log.find((m) => m.dst === "peer")!;
  assertEquals([Number(asked.timeo!.sec), asked.timeo!.nsec], [2, 500_000_000]);
  await Promise.all([flow.dealloc(), server.dealloc()]);
});

flowTest("a flow that is never empty leaves timers and signals their turn", async ({ pair }) => {
  const [x, y] = pair();
  const signal = AbortSignal.timeout(20);
  await assertRejects(async () => {
    for (;;) {
      await x.write(bytes(1), { signal });
      await y.read({ signal });
    }
  }, DOMException);
});

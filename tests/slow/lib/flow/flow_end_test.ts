// How waits and flows end for who asked: streams that are closed or aborted, loops that are left, an end
// that is asked for twice, options that make no sense.

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { Errno, Flow, OuroError, type OuroProcess, QOS } from "../../../../lib/mod.ts";
import { instanceOf } from "../../../../lib/instance.ts";
import { FakeIrmd } from "../../../support/memory_irmd.ts";
import { removeShm } from "../../../support/shm.ts";

interface Fixture {
  readonly a: OuroProcess;
  readonly b: OuroProcess;
  pair(qos?: keyof typeof QOS, timeoutMs?: number): [Flow, Flow];
}

/** Two processes on a node of their own. The waiter's thread outlives a test shortly. */
function endTest(name: string, use: (f: Fixture) => Promise<void>): void {
  const fn = async () => {
    const instance = instanceOf(`/tmp/ouro-flow-end-test-${crypto.randomUUID()}`);
    try {
      using irmd = new FakeIrmd(instance);
      using a = irmd.open();
      using b = irmd.open();
      await use({
        a,
        b,
        pair: (qos = "raw", timeout = 160_000) => irmd.pair(a, b, { ...QOS[qos], timeout }),
      });
    } finally {
      removeShm(instance);
    }
  };
  Deno.test({ name, sanitizeOps: false, sanitizeResources: false, fn });
}

/** Fails instead of hanging. */
async function soon<T>(what: string, promise: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout>;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: still waiting`)), 60_000);
  });
  return await Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

for (const qos of ["raw", "data"] as const) {
  endTest(
    `writable.abort() ends a write (${qos}) to a peer that never reads, and the flow`,
    async ({ pair }) => {
      const [x, y] = pair(qos);
      const writer = x.writable.getWriter();
      const closed = assertRejects(() => writer.closed);
      // More than ring and window take.
      const written = writer.write(new Uint8Array(8_000_000)).then(() => "written", (e) => e);
      const why = new Error("enough");
      await soon("abort", writer.abort(why));
      assertEquals(await soon("write", written), why);
      await soon("closed", closed);
      assert(x.isClosed);
      y.deallocSync({ lingerMs: 0 });
    },
  );
}

endTest(
  "writable.close() ends our half when all is acknowledged; the flow is closed when both halves ended",
  async ({ pair }) => {
    const [x, y] = pair("data");
    const sent = new Uint8Array(300_000).fill(3);
    let received = 0;
    const reading = (async () => {
      for await (const chunk of y.readable) received += chunk.length;
    })();
    await soon("pipe", new Blob([sent]).stream().pipeTo(x.writable));
    assertEquals(x.frctStats!.sndLwe, x.frctStats!.sndSeqno, "all is acknowledged");
    await soon("the end of the other stream", reading);
    assertEquals(received, sent.length);
    assert(!x.isClosed && !y.isClosed);
    // The other half goes on.
    const answer = soon("the answer", Array.fromAsync(x.readable));
    const writer = y.writable.getWriter();
    await writer.write(Uint8Array.of(1, 2, 3));
    await soon("close", writer.close());
    assertEquals(await answer, [Uint8Array.of(1, 2, 3)]);
    await soon("both closed", Promise.all([x.closed, y.closed]));
  },
);

for (const qos of ["raw", "data"] as const) {
  endTest(
    `a write (${qos}) that waits for a peer that went silent ends with -EFLOWPEER`,
    async ({ pair }) => {
      const [x, y] = pair(qos, 200);
      const blocked = new Uint8Array(1400);
      let code = 0;
      // Blocking: nobody serves the other end meanwhile.
      while (code >= 0) code = x.writeSync(blocked);
      assertEquals(code, -Errno.EFLOWPEER);
      const error = await assertRejects(() => soon("write", x.write(blocked)), OuroError);
      assertEquals(error.code, -Errno.EFLOWPEER);
      x.deallocSync({ lingerMs: 0 });
      y.deallocSync({ lingerMs: 0 });
    },
  );
}

endTest("dealloc() again waits for the same end", async ({ pair }) => {
  const [x, y] = pair("data");
  const first = x.dealloc({ lingerMs: 0 });
  await soon("second end", x.dealloc());
  assert(x.isClosed);
  await first;
  y.deallocSync({ lingerMs: 0 });
});

endTest(
  "dealloc() whose signal aborted does not wait for a peer that never reads",
  async ({ pair }) => {
    const [x, y] = pair("data");
    assertEquals(await x.write(Uint8Array.of(1)), 1);
    const waiting = x.dealloc();
    await soon("hurried end", x.dealloc({ signal: AbortSignal.abort() }));
    await soon("first end", waiting);
    assert(x.isClosed);
    y.deallocSync({ lingerMs: 0 });
  },
);

endTest(
  "listen(): return() ends a next() that waits, and takes no later flow",
  async ({ a, b }) => {
    const flows = Flow.listen({ process: a });
    const next = flows.next();
    assertEquals(await soon("return", flows.return()), { done: true, value: undefined });
    assertEquals(await soon("next", next), { done: true, value: undefined });
    await assertRejects(() => Flow.alloc(b, "peer"), OuroError); // nobody accepts any more
  },
);

endTest(
  "listen() ends with its signal, and a loop that is left takes no flow away",
  async ({ a, b }) => {
    const stop = new AbortController();
    const first = (async () => {
      for await (const flow of Flow.listen({ process: a, signal: stop.signal })) return flow;
    })();
    await using client = await Flow.alloc(b, "peer");
    await using server = (await soon("first flow", first))!;
    assertEquals(client.info.n1Pid, server.info.nPid);
    await assertRejects(() => Flow.alloc(b, "peer"), OuroError);
    const second = Array.fromAsync(Flow.listen({ process: a, signal: stop.signal }));
    stop.abort();
    assertEquals(await soon("aborted loop", second), []);
  },
);

endTest(
  "alloc() refuses a QoS and times that there are not, with -EINVAL and the reason",
  async ({ a }) => {
    for (
      const [options, why] of [
        [{ qos: "best_of_all" as keyof typeof QOS }, "not one of raw, raw_no_errors, best"],
        [{ timeoutMs: NaN }, "timeoutMs is NaN"],
        [{ timeout: -1 }, "timeoutMs is -1"],
      ] as const
    ) {
      const error = await assertRejects(() => Flow.alloc(a, "peer", options), OuroError, why);
      assertEquals(error.code, -Errno.EINVAL);
      assertThrows(() => Flow.allocSync(a, "peer", options), OuroError, why);
    }
  },
);

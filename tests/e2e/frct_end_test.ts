/**
 * How reliable flows end when something else does: the peer exits, is killed, never reads; the writer and the reader blocked
 * meanwhile are told at once.
 */
import { assert, assertEquals } from "@std/assert";
import { Errno, errnoName } from "../../lib/errno.ts";
import { Flow } from "../../lib/flow/flow.ts";
import { OuroProcess } from "../../lib/flow/process.ts";
import { QOS } from "../../lib/qos.ts";
import { until } from "../support/deadline.ts";
import { type RunningProcess, TestNode } from "../support/node.ts";
import { script } from "../support/process.ts";

/** Much less than the peer's time-out of 120 s. */
const SOON_MS = 60_000;

function start(node: TestNode, ...words: string[]): RunningProcess {
  return node.spawnArgv(script("tests/e2e/frct_end_peer.ts", ...words));
}

async function withFlow(
  mode: string,
  use: (flow: Flow, server: RunningProcess) => Promise<void>,
  qos: keyof typeof QOS = "data",
): Promise<void> {
  await using node = await TestNode.start();
  const server = start(node, mode);
  await server.waitForLine(/serving/);
  await node.must("irm", "name", "create", "peer");
  await node.must("irm", "bind", "process", String(server.pid), "name", "peer");
  const process = OuroProcess.open({ instance: node.instance, prog: "frct-end" });
  try {
    await use(await Flow.alloc(process, "peer", { qos: QOS[qos], timeoutMs: SOON_MS }), server);
  } finally {
    process.close();
  }
}

function endTest(name: string, fn: () => Promise<void>): void {
  // The waiter thread of the library outlives its flow a little.
  Deno.test({ name, fn, sanitizeOps: false, sanitizeResources: false });
}

endTest("a peer that exits ends a blocked read with -EFLOWDOWN", async () => {
  await withFlow("exit", async (flow) => {
    await flow.write(Uint8Array.of(1));
    const code = await flow.read({ timeoutMs: SOON_MS }).then(() => 0, (e) => e.code);
    assertEquals(errnoName(code), "EFLOWDOWN");
    await flow.dealloc();
  });
});

endTest("a peer that is killed ends a blocked write with -EFLOWDOWN", async () => {
  await withFlow("deaf", async (flow, server) => {
    await flow.write(Uint8Array.of(1));
    let written = 0;
    const writing = (async () => {
      for (;; written++) await flow.write(new Uint8Array(100), { timeoutMs: SOON_MS });
    })().then(() => 0, (e) => e.code);
    // It never reads: the window closes after 64 to 256 messages.
    await until("window closed", () => written >= 64);
    server.kill("SIGKILL");
    const code = await writing;
    assert(written <= 300, `${written} messages without a reader`);
    assertEquals(errnoName(code), "EFLOWDOWN");
    const start = performance.now();
    await flow.dealloc();
    assert(performance.now() - start < SOON_MS, "close lingers for a dead peer");
  });
});

for (const qos of ["raw", "best", "data"] as const) {
  endTest(
    `${qos}: closing a flow wakes the other end's blocked thread with -EFLOWDOWN`,
    async () => {
      await withFlow("blocked", async (flow, server) => {
        await flow.write(Uint8Array.of(1));
        await flow.dealloc();
        await server.waitForLine(/ended with EFLOWDOWN/, SOON_MS);
      }, qos);
    },
  );
}

endTest(
  "a peer that never reads holds back the writer, and takes everything when it reads",
  async () => {
    await withFlow("late", async (flow) => {
      let refused = 0;
      let sent = 0;
      for (; sent < 1000; sent++) {
        const n = flow.writeSync(Uint8Array.of(sent >> 8, sent), { nonblock: true });
        if (n === -Errno.EAGAIN) {
          refused++;
          await flow.write(Uint8Array.of(sent >> 8, sent), { timeoutMs: SOON_MS });
        } else {
          assertEquals(n, 2);
        }
      }
      assert(refused > 0, "the window never closed");
      const answer = await flow.read({ timeoutMs: SOON_MS });
      assertEquals(new TextDecoder().decode(answer), "1000 in order");
      await flow.dealloc();
    });
  },
);

/**
 * What is proved here: a process that never reads, between real processes. Its writer is told in every form of
 * write, everybody else goes on, nothing is lost when it reads again, and when it is killed the writer hears of it
 * at once and every block comes back. The ring itself is in tests/unit/lib/shm, one process in tests/unit/lib/flow.
 */

import { assert, assertEquals } from "@std/assert";
import { errnoName, OuroError } from "../../lib/errno.ts";
import type { Flow } from "../../lib/flow/flow.ts";
import { QOS } from "../../lib/qos.ts";
import { First, numbered } from "../support/fault_peer.ts";
import {
  blocksUsed,
  Bystanders,
  exchange,
  faultServer,
  openFlow,
  ownProcess,
  SOON_MS,
} from "../support/faults.ts";
import { until, within } from "../support/deadline.ts";
import { TestNode } from "../support/node.ts";

const NOW = { nonblock: true } as const;

function faultTest(name: string, fn: () => Promise<void>): void {
  // The waiter thread of the library outlives its flow a little.
  Deno.test({ name, fn, sanitizeOps: false, sanitizeResources: false });
}

/** Writes numbered messages until none is taken for a while; returns how many were taken. Every refusal is -EAGAIN. */
function fill(flow: Flow): number {
  for (let n = 0;;) {
    const result = flow.writeSync(numbered(n, false), NOW);
    if (result >= 0) n++;
    else {
      assertEquals(errnoName(result), "EAGAIN");
      // A window may open once more, a block may be given back by others.
      const waited = flow.writeSync(numbered(n, false), { timeoutMs: 100 });
      if (waited < 0) {
        assertEquals(errnoName(waited), "ETIMEDOUT");
        return n;
      }
      n++;
    }
    assert(n < 5000, "a process that never reads stops nobody");
  }
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  const code = await promise.then(() => 0, (e) => {
    if (!(e instanceof OuroError)) throw e;
    return e.code;
  });
  return code === 0 ? "done" : errnoName(code);
}

for (const qos of ["raw", "best", "data"] as const) {
  faultTest(
    `${qos}: a server that never reads holds back its writer alone, and gets everything when it reads`,
    async () => {
      await using node = await TestNode.start();
      const server = await faultServer(node, "deaf");
      const others = await Bystanders.start(node, "others", qos);
      using process = ownProcess(node);
      const deaf = await openFlow(process, "deaf", First.DEAF, QOS[qos]);
      const echo = await openFlow(process, "deaf", First.ECHO, QOS[qos]);
      await server.waitForLine(/flow \d+ deaf/);

      let n = fill(deaf);
      assert(n >= 64, `only ${n} messages were taken`);
      // A block that a bystander gives back just then may let one more pass.
      let code;
      while ((code = await codeOf(deaf.write(numbered(n, false), { timeoutMs: 50 }))) === "done") {
        n++;
      }
      assertEquals(code, "ETIMEDOUT");
      let name;
      const aborted = () => deaf.write(numbered(n, false), { signal: AbortSignal.timeout(50) });
      while ((name = await aborted().then(() => "done", (e) => e.name)) === "done") n++;
      assertEquals(name, "TimeoutError");

      // The same processes' other flow, and others with the same pool.
      for (let k = 0; k < 50; k++) await exchange(echo, numbered(k, false));
      await others.goOn();

      // Back-pressure: a writer without time-out waits until somebody reads.
      let writing = true;
      const last = n + 1000; // more than a window that opens once more
      const writes = (async () => {
        while (n < last) await deaf.write(numbered(n++, false));
        writing = false;
      })();
      await exchange(echo, numbered(0, false));
      assert(writing);

      server.kill("SIGUSR1");
      await within("held back writes", writes, SOON_MS);
      while (qos !== "data" && deaf.txQueued > 0) await exchange(echo, numbered(1, false));
      await deaf.write(numbered(n++, true), { timeoutMs: SOON_MS });
      const answer = new TextDecoder().decode(await deaf.read({ timeoutMs: SOON_MS }));
      assertEquals(answer, `${n} in order`);
      await exchange(echo, numbered(2, false));
      await deaf.dealloc();
      await echo.dealloc();
      await others.goOn(3);
    },
  );
}

for (const qos of ["raw", "data"] as const) {
  faultTest(
    `${qos}: a server killed with full rings: its writers are told at once, every block comes back`,
    async () => {
      await using node = await TestNode.start();
      const server = await faultServer(node, "deaf");
      const others = await Bystanders.start(node, "others", qos);
      using process = ownProcess(node);
      const flows = [];
      for (let k = 0; k < 3; k++) {
        flows.push(await openFlow(process, "deaf", First.DEAF, QOS[qos]));
      }
      for (const flow of flows) fill(flow);
      const [first, second, third] = flows as [Flow, Flow, Flow];
      const writing = codeOf((async () => {
        for (;;) await first.write(new Uint8Array(64));
      })());
      const streaming = codeOf(second.writable.getWriter().write(new Uint8Array(5_000_000)));
      await others.goOn(3);
      server.kill("SIGKILL");
      // Blocks this thread, so nobody can tell it but the ring.
      let result;
      do result = third.writeSync(new Uint8Array(64)); while (result > 0); // blocks of rings that go first
      assertEquals(errnoName(result), "EFLOWDOWN");
      assertEquals(await within("write", writing, SOON_MS), "EFLOWDOWN");
      assertEquals(await within("stream", streaming, SOON_MS), "EFLOWDOWN");
      for (const flow of flows) {
        assertEquals(errnoName(flow.writeSync(new Uint8Array(64), NOW)), "EFLOWDOWN");
        await within("dealloc", flow.dealloc(), SOON_MS);
      }
      await others.goOn();
      others.client.kill("SIGKILL");
      await until("rings are gone", () => !node.sharedMemory().some((s) => s.includes(".rbuff.")));
      await until("blocks are back", () => blocksUsed(node) === 0);
    },
  );
}

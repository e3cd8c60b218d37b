/**
 * Flows allocated and closed over and over against the real IRMd: no block, mapping, descriptor, shared-memory object or
 * memory of the daemon is left. OURO_CYCLES sets how many (100000 takes some minutes).
 */
import { assert, assertEquals } from "@std/assert";
import { Errno } from "../../lib/errno.ts";
import { Flow } from "../../lib/flow/flow.ts";
import { OuroProcess } from "../../lib/flow/process.ts";
import { QOS } from "../../lib/qos.ts";
import { Fd } from "../../lib/sys/fd.ts";
import { Mapping, ShmObject } from "../../lib/sys/mman.ts";
import { TestNode } from "./support/node.ts";
import { until } from "./support/deadline.ts";
import { descriptors, script } from "./support/process.ts";

const CYCLES = Number(Deno.env.get("OURO_CYCLES") ?? 600);
/** Cycles before anything is measured: tables and buffers reach their size. */
const WARM = Math.ceil(CYCLES / 5);
/** What the daemon may grow by without our calling it a leak, KiB: its heap breathes. */
const DAEMON_GROWTH_KIB = 80_000;

/** Descriptors of daemon and server; those of this process are counted by kind, since other tests share it. */
function residentKib(pid: number): number {
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  return Number(/VmRSS:\s+(\d+)/.exec(status)![1]);
}

/** Lets the output of the daemon through: a full pipe would stop it while this thread blocks. */
async function pause(_done: void): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 0));
}

Deno.test({
  name: `${CYCLES} flows allocated, used and closed leave nothing behind`,
  sanitizeOps: false,
  sanitizeResources: false,
  async fn() {
    await using node = await TestNode.start();
    const server = node.spawnArgv(script("examples/echo.ts", "serve", "echo"));
    await server.waitForLine(/serving/);
    const process = OuroProcess.open({ instance: node.instance, prog: "cycles" });
    const buffer = new Uint8Array(100);
    const message = Uint8Array.of(1, 2, 3);
    const specs = [QOS.raw, QOS.data, QOS.best];
    const cycle = (i: number) => {
      const qos = specs[i % specs.length]!;
      const flow = Flow.allocSync(process, "echo", { qos, timeoutMs: 10_000 });
      if (i % 4 !== 3) { // every fourth is closed unused
        assertEquals(flow.writeSync(message, { timeoutMs: 5000 }), 3);
        const n = flow.readSync(buffer, { timeoutMs: 5000 });
        // An unreliable flow may have lost it to a server that was too slow to start reading.
        assert(n === 3 || (qos !== QOS.data && n === -Errno.ETIMEDOUT), `read gave ${n}`);
      }
      assertEquals(flow.deallocSync(), 0);
    };
    for (let i = 0; i < WARM; i++) await pause(cycle(i));
    const before = {
      mappings: Mapping.live,
      objects: ShmObject.live,
      own: Fd.live,
      descriptors: descriptors(node.irmd!.pid, server.pid),
      daemonKib: residentKib(node.irmd!.pid),
    };
    for (let i = 0; i < CYCLES; i++) await pause(cycle(i));
    assertEquals(Mapping.live, before.mappings, "mappings");
    assertEquals(ShmObject.live, before.objects, "descriptors of shared memory");
    assertEquals(process.flows, 0);
    assertEquals(Fd.live, before.own, "descriptors");
    // A flow that is just being closed at the other end holds a few.
    await until("the others close theirs", () => {
      return descriptors(node.irmd!.pid, server.pid) <= before.descriptors + 2;
    });
    const grown = residentKib(node.irmd!.pid) - before.daemonKib;
    assert(grown < DAEMON_GROWTH_KIB, `the daemon grew by ${grown} KiB`);
    // The server closes its ends when it hears of it.
    await until("no rings are left", () => !node.sharedMemory().some((n) => n.includes(".rbuff.")));
    const used = () => process.pool.stats().classes.reduce((sum, c) => sum + c.used, 0);
    await until("all blocks are free", () => used() === 0);
    process.close();
  },
});

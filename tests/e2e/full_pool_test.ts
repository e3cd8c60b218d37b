/**
 * What is proved here: a process that takes every block of its pool. Others with the same pool are told in every
 * form of write and never hang, whoever has another pool does not notice, and all goes on when the blocks come
 * back: given back, after an orderly end with all of them in hand, and after SIGKILL.
 */

import { assert, assertEquals, assertMatch, assertNotMatch } from "@std/assert";
import { errnoName, OuroError } from "../../lib/errno.ts";
import { Flow } from "../../lib/flow/flow.ts";
import { QOS } from "../../lib/qos.ts";
import { Pool } from "../../lib/shm/pool.ts";
import { First, numbered } from "../support/fault_peer.ts";
import {
  blocksUsed,
  Bystanders,
  exchange,
  faultPeer,
  faultServer,
  openFlow,
  ownProcess,
  SOON_MS,
  STACK_TRACE,
} from "../support/faults.ts";
import { until, within } from "../support/deadline.ts";
import { PATIENT, type RunningProcess, TestNode } from "../support/node.ts";

const ROOT = Deno.uid() === 0;
const NOW = { nonblock: true } as const;

const ENDS = {
  "gives them back": async (hog: RunningProcess) => {
    hog.kill("SIGUSR1");
    await hog.waitForLine(/gave back/);
  },
  "ends in good order": async (hog: RunningProcess) => {
    hog.kill("SIGTERM");
    assertEquals((await hog.wait()).code, 0);
  },
  "is killed": async (hog: RunningProcess) => {
    hog.kill("SIGKILL");
    await hog.wait();
  },
};

for (const [how, end] of Object.entries(ENDS)) {
  Deno.test({
    name: `a process that holds every block of the pool stops nobody for good, and ${how}`,
    // The waiter thread of the library outlives its flow a little.
    sanitizeOps: false,
    sanitizeResources: false,
    async fn() {
      await using node = await TestNode.start();
      const server = await faultServer(node, "echo");
      await node.bindProgram("oping", "op");
      const oping = node.spawn(["oping", "-l", "-Q"]);
      await oping.waitForLine(/started/);
      using process = ownProcess(node);
      const raw = await openFlow(process, "echo", First.ECHO, QOS.raw);
      const data = await openFlow(process, "echo", First.ECHO, QOS.data);
      for (const flow of [raw, data]) await exchange(flow, numbered(0, false));

      const hog = faultPeer(node, ["hog"]);
      const held = Number((await hog.waitForLine(/holds (\d+)/))[1]);
      assert(held > 2000, `${held} blocks`);

      for (const flow of [raw, data]) {
        // Acknowledgements may still have a block in their hands.
        await until("no block", () => flow.writeSync(numbered(1, false), NOW) < 0);
        const results = [
          flow.writeSync(numbered(1, false), NOW),
          flow.writeSync(numbered(1, false), { timeoutMs: 50 }),
        ];
        assertEquals(results.map(errnoName), ["EAGAIN", "ETIMEDOUT"]);
        const error = await flow.write(numbered(1, false), { timeoutMs: 50 }).catch((e) => e);
        assert(error instanceof OuroError);
        assertEquals(error.message, "Cannot write: -110: timed out");
      }
      // What needs no packet goes on: names, a new flow. What needs one says so and ends.
      await node.must("irm", "name", "list");
      const fresh = await Flow.alloc(process, "echo", { qos: QOS.raw, timeoutMs: SOON_MS });
      const client = await node.run([
        "oping",
        "-n",
        "op",
        "-c",
        "2",
        "-i",
        "10",
        "--timeout",
        "300",
      ]);
      assertEquals(client.code, 0);
      assertMatch(client.out, /Server timed out\.\n\n--- op ping statistics ---/);
      assertEquals(client.err, "");

      // Writers without time-out wait and are served when there are blocks again.
      const waiting = [raw, data, fresh].map((flow) => flow.write(numbered(2, false)));
      await end(hog);
      await within("waiting writers", Promise.all(waiting), SOON_MS);
      while ((await raw.read({ timeoutMs: SOON_MS }))[3] !== 2) { /* what came before */ }
      while ((await data.read({ timeoutMs: SOON_MS }))[3] !== 2) { /* what came before */ }
      for (const flow of [raw, data]) await exchange(flow, numbered(3, false));
      const after = await node.run(["oping", "-n", "op", "-c", "5", ...PATIENT, "-i", "5"]);
      assertMatch(after.out, /5 packets transmitted, 5 received/);
      for (const flow of [raw, data, fresh]) await flow.dealloc();
      for (const p of [server, oping, node.irmd!]) {
        assertEquals(p.ended, undefined);
        assertNotMatch(p.out + p.err, STACK_TRACE);
      }
      await until("every block is back", () => blocksUsed(node) === 0);
    },
  });
}

Deno.test({
  name:
    "a process that holds every block of its user's pool stops that user alone, until it is killed",
  ignore: !ROOT,
  async fn() {
    const [user, other] = [65534, 65533];
    await using node = await TestNode.start();
    Deno.chmodSync(node.prefix, 0o755);
    const mine = await Bystanders.start(node, "mine", "raw", user);
    const theirs = await Bystanders.start(node, "theirs", "data", other);
    const global = await Bystanders.start(node, "global", "data");
    const hog = faultPeer(node, ["hog"], user);
    const held = Number((await hog.waitForLine(/holds (\d+)/))[1]);
    assert(held > 200, `${held} blocks`);
    {
      using pool = Pool.open(node.instance, user);
      await until("the pool is empty", () => pool.alloc(64) < 0);
    }
    await theirs.goOn();
    await global.goOn();
    // A block is freed here and there; the pair waits, and neither ends nor complains.
    assertEquals([mine.client.ended, mine.server.ended], [undefined, undefined]);
    hog.kill("SIGKILL");
    await hog.wait();
    await mine.goOn();
    await theirs.goOn(3);
    await global.goOn(3);
  },
});

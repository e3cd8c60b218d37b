/**
 * What is proved here: a process that owns a flow and does not call the library for seconds, because it computes or
 * is stopped. Nobody acknowledges for it meanwhile; its peer waits, is not told that the flow is down, sends no storm,
 * and all goes on at once when the owner is back.
 */

import { assert, assertEquals } from "@std/assert";
import { QOS } from "../../lib/qos.ts";
import { First, numbered } from "../support/fault_peer.ts";
import {
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

function busyTest(name: string, args: string[], fn: (node: TestNode) => Promise<void>): void {
  Deno.test({
    name,
    // The waiter thread of the library outlives its flow a little.
    sanitizeOps: false,
    sanitizeResources: false,
    async fn() {
      await using node = await TestNode.start({ args });
      if (args.length > 0) {
        await node.must("irm", "ipcp", "bootstrap", "type", "local", "name", "l", "layer", "lay");
      }
      await fn(node);
    },
  });
}

for (const args of [[], ["--no-direct"]]) {
  const how = args.length > 0 ? "through a layer" : "directly";

  busyTest(
    `the peer of a process that computes for seconds waits for it, ${how}`,
    args,
    async (node) => {
      const layer = args.length > 0 ? "lay" : undefined;
      const owner = await faultServer(node, "busy", 0, "compute", layer);
      const others = await Bystanders.start(node, "others", "data", 0, layer);
      using process = ownProcess(node);
      const marker = `${node.prefix}/computing`;
      await Deno.writeTextFile(marker, "");
      const flow = await openFlow(process, "busy", First.DEAF, QOS.data);
      await flow.write(new TextEncoder().encode(marker));
      await owner.waitForLine(/computing/);
      let sent = 0;
      const COUNT = 1000;
      const sending = (async () => {
        for (; sent < COUNT; sent++) await flow.write(numbered(sent, sent === COUNT - 1));
      })();
      await until("a closed window", async () => {
        const before = sent;
        await others.goOn(25);
        return sent === before && sent > 0;
      });
      // About three seconds; the bystanders count the time.
      await others.goOn(100);
      assert(sent < COUNT && !flow.isClosed && !flow.hasEnded());
      assertEquals(flow.readSync(new Uint8Array(10), NOW), -11);
      const { retransmissions, rendezVous } = flow.frctStats!;
      assert(retransmissions + rendezVous < 30, `${retransmissions} + ${rendezVous} packets`);
      await Deno.remove(marker);
      await owner.waitForLine(/computed/);
      await within("the rest", sending, SOON_MS);
      const answer = new TextDecoder().decode(await flow.read({ timeoutMs: SOON_MS }));
      assertEquals(answer, `${COUNT} in order`);
      await within("dealloc", flow.dealloc(), SOON_MS);
      assertEquals((await owner.wait(SOON_MS)).code, 0);
    },
  );
}

busyTest(
  "a process that is stopped and continued loses nothing, and its peer waits",
  [],
  async (node) => {
    const server = await faultServer(node, "echo");
    const others = await Bystanders.start(node, "others", "data");
    using process = ownProcess(node);
    const flow = await openFlow(process, "echo", First.ECHO, QOS.data);
    server.kill("SIGSTOP");
    let written = 0;
    while (flow.writeSync(numbered(written, false), NOW) > 0) written++;
    // How many depends on whether the first exchange ran into a time-out.
    assert(written > 0);
    await others.goOn(50);
    assert(!flow.hasEnded());
    server.kill("SIGCONT");
    for (let k = 0; k < written; k++) {
      const answer = await flow.read({ timeoutMs: SOON_MS });
      assertEquals(new DataView(answer.buffer).getUint32(0), k);
    }
    await exchange(flow, numbered(written, false));
    await flow.dealloc();
  },
);

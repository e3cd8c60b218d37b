/**
 * What is proved here: a user's flow goes on whatever other users, broken clients and a killed IRMd do meanwhile.
 * Each fault is tested for itself elsewhere (irmd_abuse_test.ts, irmd_crash_test.ts, irmd_lifecycle_test.ts); here two
 * processes of one user exchange messages through all of them. Every program that ends says so in one line at most.
 */

import { assert, assertEquals, assertMatch, assertNotMatch } from "@std/assert";
import { encodeIrmMsg, IrmCode } from "../../lib/irm/messages.ts";
import { peer, serverPeer } from "../support/peer.ts";
import { Puppet } from "../support/puppet.ts";
import { Prng } from "../../sim/prng.ts";
import { Bystanders, faultPeer, STACK_TRACE } from "../support/faults.ts";
import { until } from "../support/deadline.ts";
import { TestNode } from "../support/node.ts";

const SEED = Number(Deno.env.get("OURO_SEED") ?? 20261125);
/** Whose flow goes on, and who does harm. */
const USER = 65533;
const OTHER = 65534;

Deno.test({
  name: `a user's flows go on through whatever others do (seed ${SEED})`,
  ignore: Deno.uid() !== 0,
  async fn(t) {
    const random = new Prng(SEED);
    await using node = await TestNode.start();
    Deno.chmodSync(node.prefix, 0o755);
    const raw = await Bystanders.start(node, "raw", "raw", USER);
    const data = await Bystanders.start(node, "data", "data", USER);
    const goOn = async (n = 10) => {
      await raw.goOn(n);
      await data.goOn(n);
    };

    await t.step("1000 idle connections and half-open requests of another user", async () => {
      const puppet = await Puppet.start(node, OTHER);
      assertEquals(await puppet.tell({ op: "hold", count: 1000 }), { held: 1000 });
      const list = encodeIrmMsg({ code: IrmCode.IRM_LIST_NAMES }).toHex();
      await puppet.tell({ op: "hold", hex: list, count: 50 });
      await goOn();
      await puppet.kill();
      await goOn();
    });

    await t.step("messages of another user that are none", async () => {
      const puppet = await Puppet.start(node, OTHER);
      for (let k = 0; k < 50; k++) {
        const bytes = Uint8Array.from({ length: random.below(3000) }, () => random.below(256));
        await puppet.raw(bytes);
      }
      await goOn();
    });

    await t.step(
      "clients and servers of another user killed at random moments under load",
      async () => {
        const env = { OURO_TEST_UID: String(OTHER) };
        await node.must("irm", "name", "create", "churned");
        for (let round = 0; round < 4; round++) {
          const server = await serverPeer(node, "churned", { env });
          await node.must("irm", "bind", "process", String(server.pid), "name", "churned");
          const clients = [0, 1].map(() => peer(node, ["churn", "churned", "0"], { env }));
          for (const c of clients) await c.waitForLine(/^ready/m);
          // The moment is the daemon's work, not a time.
          const want = node.irmd!.out.length + 1000 + random.below(5000);
          await until("some flows", () => {
            return node.irmd!.out.length >= want || clients.every((c) => c.ended);
          });
          for (const p of [...clients, server].slice(random.below(3))) p.kill("SIGKILL");
          for (const p of [...clients, server]) {
            p.kill("SIGKILL");
            await p.wait();
          }
          await goOn(5);
        }
      },
    );

    await t.step("another user's pool exhausted", async () => {
      const hog = faultPeer(node, ["hog"], OTHER);
      await hog.waitForLine(/holds/);
      await goOn();
      hog.kill("SIGKILL");
      await hog.wait();
      await goOn();
    });

    await t.step("a second IRMd", async () => {
      const { code, out, err } = await node.run(["irmd", "--stdout"]);
      assertEquals([code, err, out.trimEnd().split("\n").length], [1, "", 1]);
      assertMatch(out, /already running/);
      await goOn();
    });

    await t.step("the IRMd killed under load, and started again", async () => {
      const env = { OURO_TEST_UID: String(OTHER) };
      const server = await serverPeer(node, "churned", { env });
      await node.must("irm", "bind", "process", String(server.pid), "name", "churned");
      const client = peer(node, ["churn", "churned", "0"], { env });
      await client.waitForLine(/^ready/m);
      const killed = node.irmd!;
      killed.kill("SIGKILL");
      await killed.wait();
      assertNotMatch(killed.out + killed.err, STACK_TRACE);
      assert((await client.wait()).code !== 0);
      await goOn();
      await node.startIrmd();
      await goOn();
      server.kill("SIGKILL");
      await server.wait();
      await goOn();
      const ping = await node.run(["oping", "-n", "nobody", "-c", "1"]);
      assertEquals(ping.code, 1);
      assertNotMatch(ping.out + ping.err, STACK_TRACE);
      assertEquals(ping.err.trimEnd().split("\n").length, 1);
    });

    const { out, err } = node.irmd!;
    assertNotMatch(out + err, STACK_TRACE);
  },
});

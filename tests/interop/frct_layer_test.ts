/**
 * FRCT across a layer, with the prototype on one host and ours on the other: every QoS, both roles, over its eth-dix IPCP and
 * ours. Judged as in frct_test.ts; here the ends share no memory, so less of the prototype's trouble is in the way.
 */
import { assert } from "@std/assert";
import { NetLab } from "../support/netns.ts";
import { canRunPrototype, CHost, promptly } from "./c_host.ts";
import { PEER, pingOurs, prototypesFault } from "./frct_client.ts";
import { OurHost } from "./our_host.ts";
import { sayRetry } from "./retries.ts";

const COUNT = 5;
const TRIES = 8;

Deno.test({
  name: "flows of every QoS between our library and C oping across a layer",
  ignore: !canRunPrototype,
  async fn(t) {
    await using net = new NetLab();
    const [nsC, nsO] = [await net.namespace("c"), await net.namespace("o")];
    await net.link({ ns: nsC, dev: "vethA" }, { ns: nsO, dev: "vethB" });
    await using c = await CHost.start({ ns: nsC });
    await using our = await OurHost.start(nsO);
    const layer = (dev: string) => ["type", "eth-dix", "name", "i", "layer", "lay", "dev", dev];
    await c.makeIpcp("bootstrap", ...layer("vethA"));
    await our.must("irm", "ipcp", "bootstrap", ...layer("vethB"));
    await c.serve("theirs", "lay");
    await c.must("irm", "name", "create", "ours");
    await our.must("irm", "name", "create", "theirs");
    await our.must("irm", "name", "create", "ours");
    await our.must("irm", "name", "register", "ours", "layer", "lay");
    for (const qos of ["raw", "best", "video", "voice", "data"]) {
      await t.step(`${qos}: our client, C server`, async () => {
        const results: string[] = [];
        for (let i = 0; i < TRIES; i++) {
          const r = await our.run([...PEER, "ping", "theirs", qos, String(COUNT)]);
          const got = /"got":(\d+)/.exec(r.out)?.[1];
          if (got === String(COUNT)) return;
          results.push(r.out + r.err);
          sayRetry(`${qos}, our client got ${got ?? 0} of ${COUNT} from the prototype's server`);
        }
        throw new Error(results.join("\n") + c.irmd.out.slice(-2000) + our.irmd.out.slice(-2000));
      });
      await t.step(`${qos}: C client, our server`, async () => {
        const results: string[] = [];
        let best = 0;
        for (let i = 0; i < TRIES && best < COUNT; i++) {
          const words = ["-n", "ours", "-q", qos, "-c", String(COUNT), "-i", "30"];
          const tried = await pingOurs(c, words, async () => {
            const server = our.spawn(promptly([...PEER, "echo"]));
            await server.waitForLine(/serving/);
            await our.must("irm", "bind", "process", String(server.pid), "name", "ours");
            return server;
          });
          const { received, client, ours } = tried;
          best = Math.max(best, received);
          const what = `${client.code} ${client.out}${client.err}\n${ours.out}${ours.err}`;
          results.push(what);
          if (received === COUNT) break;
          const fault = prototypesFault(tried);
          assert(fault !== undefined, what + our.irmd.out.slice(-2000));
          sayRetry(`${qos}, the prototype's client got ${received} of ${COUNT}: ${fault}`);
          // Ours has served every message that it acknowledged, and goes on.
          if (client.code === 0) assert(ours.out.includes(`"got":${COUNT}`), what);
        }
        // Of a few tries one at least is complete or nearly so; unreliable flows lose what its two readers take from each
        // other.
        assert(best >= (qos === "raw" ? COUNT : COUNT - 2), results.join("\n"));
      });
    }
  },
});

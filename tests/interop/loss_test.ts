/**
 * Reliable flows between our library and C oping, in both roles, over a network that loses one datagram in twenty each
 * way: ours over our udp4 IPCP, the prototype's over its own. Judged as in frct_layer_test.ts.
 */
import { assert } from "@std/assert";
import { NetLab } from "../support/netns.ts";
import { bindProcess, canRunPrototype, CHost, promptly } from "./c_host.ts";
import { PEER, pingOurs, prototypesFault } from "./frct_client.ts";
import { sayRetry } from "./retries.ts";

const COUNT = 40;
const TRIES = 8;
/** Timers of FRCT begin at 1 s, and what is sent again may be lost again. */
const PATIENCE_MS = 8000;
const IP = { c: "10.79.0.1", ours: "10.79.0.2" };
/** MD5 of the names `theirs` and `ours`, which is what a UDP layer resolves. */
const MD5 = {
  theirs: "ce97a90ef59e9c768263754682f68bd6",
  ours: "abdc793c700a0f9110566c092398985f",
};

/** Loses datagrams of flows; those of the management endpoint, 0, are sent once by the prototype and must pass. */
const LOSSY = [
  ...["iptables", "-A", "INPUT", "-p", "udp"],
  ...["-m", "u32", "--u32", "0>>22&0x3C@8=0x1:0xffffffff"],
  ...["-m", "statistic", "--mode", "random", "--probability", "0.05", "-j", "DROP"],
];

Deno.test({
  name: "reliable flows between our library and C oping over lossy udp4 are whole",
  ignore: !canRunPrototype,
  async fn(t) {
    await using net = new NetLab();
    const [nsC, nsO] = [await net.namespace("c"), await net.namespace("o")];
    await net.link(
      { ns: nsC, dev: "vethC", addr: `${IP.c}/24` },
      { ns: nsO, dev: "vethO", addr: `${IP.ours}/24` },
    );
    const hosts = [`${IP.c} ${MD5.theirs}`, `${IP.ours} ${MD5.ours}`];
    await using c = await CHost.start({ ns: nsC, hosts });
    await using our = await CHost.start({ ns: nsO, hosts, node: "ouro" });
    const layer = (ip: string) => ["type", "udp4", "name", "i", "layer", "lay", "ip", ip];
    await c.makeIpcp("bootstrap", ...layer(IP.c));
    await our.makeIpcp("bootstrap", ...layer(IP.ours));
    await c.serve("theirs", "lay");
    await c.must("irm", "name", "create", "ours");
    for (const name of ["theirs", "ours"]) await our.must("irm", "name", "create", name);
    await our.must("irm", "name", "register", "ours", "layer", "lay");
    for (const ns of [nsC, nsO]) {
      const made = await net.exec(ns, LOSSY);
      assert(made.code === 0, made.err);
    }

    await t.step("our client, C server", async () => {
      const results: string[] = [];
      for (let i = 0; i < TRIES; i++) {
        const words = ["ping", "theirs", "data", String(COUNT), String(PATIENCE_MS)];
        const r = await our.run([...PEER, ...words]);
        const got = /"got":(\d+)/.exec(r.out)?.[1];
        if (got === String(COUNT)) return;
        results.push(r.out + r.err);
        sayRetry(`our client got ${got ?? 0} of ${COUNT} from the prototype's server`);
      }
      throw new Error(results.join("\n") + c.irmd.out.slice(-2000) + our.irmd.out.slice(-2000));
    });

    await t.step("C client, our server", async () => {
      const results: string[] = [];
      for (let i = 0; i < TRIES; i++) {
        const words = ["-n", "ours", "-q", "data", "-c", String(COUNT), "-i", "30"];
        const tried = await pingOurs(c, words, async () => {
          const server = our.spawn(promptly([...PEER, "echo", String(PATIENCE_MS)]));
          await server.waitForLine(/serving/);
          await bindProcess((...argv) => our.run(our.tool(...argv)), server.pid, "ours");
          return server;
        });
        const { received, client, ours } = tried;
        if (received === COUNT) return;
        const what = `${client.code} ${client.out}${client.err}\n${ours.out}${ours.err}`;
        results.push(what);
        const fault = prototypesFault(tried);
        assert(fault !== undefined, what + our.irmd.out.slice(-2000));
        sayRetry(`the prototype's client got ${received} of ${COUNT}: ${fault}`);
      }
      throw new Error(results.join("\n"));
    });

    for (const ns of [nsC, nsO]) {
      const { out } = await net.exec(ns, ["iptables", "-nvxL", "INPUT"]);
      const lost = Number(/^ *(\d+) .*DROP/m.exec(out)?.[1]);
      assert(lost > 0, `nothing was lost in ${ns}:\n${out}`);
    }
  },
});

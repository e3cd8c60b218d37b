// Whole nodes: our IRMd, our IPCPs, our tools. Local between users, two hosts as namespaces on a veth pair, the
// loopback tutorial, two nodes without root over UDP on the loopback, an IRMd that is restarted, many flows.

import { assert, assertEquals, assertMatch } from "@std/assert";
import { md5Hex } from "../support/ipcp_pair.ts";
import { until } from "../support/deadline.ts";
import { loopbackNet } from "../support/loopback.ts";
import { nodeIn, serve, twoNodes, TYPES } from "../support/two_nodes.ts";
import { canMakeNetns, NetLab } from "../support/netns.ts";
import { PATIENT, type RunResult, TestNode } from "../support/node.ts";

const root = Deno.uid() === 0;
const canNet = canMakeNetns();
/** From source, other users cannot read the runtime's cache of root. */
const canOthers = root && Deno.env.has("OURO_BINARY");

function assertPinged(r: RunResult, n: number, node: TestNode): void {
  const text = `${r.out}${r.err}\n${node.irmd?.out}`;
  assertEquals(r.code, 0, text);
  assert(r.out.includes(`${n} packets transmitted, ${n} received`), text);
}

const LOCAL = ["irm", "ipcp", "bootstrap", "type", "local", "name", "l1", "layer", "loc"];

Deno.test("local with --no-direct: pings of every class pass and nothing is left", async () => {
  await using node = await TestNode.start({ args: ["--no-direct"] });
  await node.must(...LOCAL);
  await serve(node, "srv", "loc");
  for (const q of ["raw", "best", "video", "voice", "data"]) {
    const r = await node.run(["oping", "-n", "srv", "-c", "3", ...PATIENT, "-i", "5", "-q", q]);
    assertPinged(r, 3, node);
    assert(r.err.includes('Flow: layer "loc".'), r.err);
  }
  const big = await node.run([
    "oping",
    "-n",
    "srv",
    "-c",
    "3",
    ...PATIENT,
    "-i",
    "5",
    "-s",
    "8000",
  ]);
  assertPinged(big, 3, node);
  const list = await node.must("irm", "ipcp", "list");
  assert(/l1.*local.*loc/.test(list), list);
  await node.must("irm", "ipcp", "destroy", "name", "l1");
  assert(!(await node.must("irm", "ipcp", "list")).includes("l1"));
  await until("rbuffs gone", () => !node.sharedMemory().some((n) => n.includes("rbuff")));
});

const USERS: [string, number | undefined, number | undefined][] = [
  ["one user and itself", 65534, 65534],
  ["a user and root", 65534, undefined],
  ["root and a user", undefined, 65534],
  ["two users", 65534, 65533],
];

for (const [who, client, server] of USERS) {
  Deno.test({
    name: `local between ${who}`,
    ignore: !canOthers,
    async fn() {
      const args = client === server ? ["--no-direct"] : [];
      await using node = await TestNode.start({ args });
      await Deno.chmod(node.prefix, 0o755);
      const as = (uid?: number) => uid === undefined ? {} : { uid, gid: uid };
      await node.must(...LOCAL);
      await serve(node, "srv", "loc", as(server));
      for (let i = 0; i < 2; i++) {
        const words = [
          "oping",
          "-n",
          "srv",
          "-c",
          "3",
          ...PATIENT,
          "-i",
          "5",
          "-q",
          i ? "data" : "raw",
        ];
        assertPinged(await node.run(words, as(client)), 3, node);
      }
    },
  });
}

Deno.test({
  name: "local: a user that cuts off all memory it shares harms itself alone",
  ignore: !canOthers || Deno.build.arch !== "x86_64",
  async fn() {
    const [evil, good] = [65534, 65533];
    await using node = await TestNode.start();
    await Deno.chmod(node.prefix, 0o755);
    await node.must(...LOCAL);
    await serve(node, "srv", "loc", {});
    const ping = ["oping", "-n", "srv", "-c", "100000", "-i", "1"];
    const client = node.spawn(ping, { uid: evil, gid: evil });
    await client.waitForLine(/seq=20 /);
    const theirs = node.sharedMemory().filter((name) => {
      return Deno.statSync(`/dev/shm/${name}`).uid === evil;
    });
    assert(theirs.length >= 3, theirs.join(" ")); // A ring, its flow set, its pool.
    for (const name of theirs) Deno.truncateSync(`/dev/shm/${name}`, 0);
    client.kill("SIGKILL");
    await client.wait();
    // The IPCP and everybody else go on.
    const other = await node.run(["oping", "-n", "srv", "-c", "20", ...PATIENT, "-i", "5"], {
      uid: good,
      gid: good,
    });
    assertPinged(other, 20, node);
    assertMatch(await node.must("irm", "ipcp", "list"), /local/);
  },
});

for (const type of TYPES) {
  Deno.test({
    name: `${type} between two hosts: ping both ways, every class, then the server is killed`,
    ignore: !canNet,
    async fn() {
      await twoNodes(type, { srv: "srv", back: "back" }, async (a, b) => {
        const server = await serve(b, "srv", "lay");
        await a.must("irm", "name", "create", "srv");
        await serve(a, "back", "lay");
        await b.must("irm", "name", "create", "back");
        for (const q of ["raw", "best", "data"]) {
          const args = ["-c", "3", ...PATIENT, "-i", "5", "-q", q];
          assertPinged(await a.run(["oping", "-n", "srv", ...args]), 3, a);
          assertPinged(await b.run(["oping", "-n", "back", ...args]), 3, b);
        }
        const big = ["-c", "3", ...PATIENT, "-i", "5", "-s", "1400"];
        assertPinged(await a.run(["oping", "-n", "srv", ...big]), 3, a);
        await server.stop("SIGKILL");
        await until("server gone", async () => {
          const r = await a.run(["oping", "-n", "srv", "-c", "1"]);
          return r.code !== 0 || r.out.includes(" 0 received");
        });
        // The other direction does not notice.
        assertPinged(await b.run(["oping", "-n", "back", "-c", "3", ...PATIENT, "-i", "5"]), 3, b);
        await b.must("irm", "name", "unregister", "srv", "layer", "lay");
        await b.must("irm", "ipcp", "destroy", "name", "nB");
      });
    },
  });
}

Deno.test({
  name: "eth-dix: one IPCP a device and ethertype; the list says that the device is down",
  ignore: !canNet,
  async fn() {
    await twoNodes("eth-dix", { srv: "srv", back: "back" }, async (a, _b, net, ns) => {
      const words = [
        "irm",
        "ipcp",
        "bootstrap",
        "type",
        "eth-dix",
        "layer",
        "other",
        "dev",
        "vethA",
      ];
      const second = await a.run([...words, "name", "second"]);
      assertEquals(second.code, 1);
      assertMatch(second.err, /IPCP nA has ethertype 0xA000 of device vethA already/);
      await a.must(...words, "name", "third", "ethertype", "0xA001");
      const link = (state: string) => net.exec(ns.A, ["ip", "link", "set", "vethA", state]);
      const notes = async (): Promise<string[]> => {
        const list = JSON.parse(await a.must("irm", "--json", "ipcp", "list"));
        const noted = list.filter((i: { note?: string }) => i.note !== undefined);
        return noted.map((i: { name: string; note: string }) => `${i.name}: ${i.note}`).sort();
      };
      assertEquals(await notes(), []);
      await link("down");
      const down = ["nA: device vethA is down", "third: device vethA is down"];
      await until("both say so", async () => (await notes()).join() === down.join());
      assertMatch((await a.run(["irm", "ipcp", "list"])).err, /nA: device vethA is down/);
      await link("up");
      await until("neither says so", async () => (await notes()).length === 0);
    });
  },
});

for (const args of [[], ["--no-direct"]]) {
  Deno.test({
    name: `the tutorial of ouroboros-tutorial(7), word for word, ${args[0] ?? "as it comes"}`,
    ignore: !canNet,
    async fn() {
      await using net = new NetLab();
      await using node = await nodeIn(net, await net.namespace("a"), args);
      const words = (line: string) => node.must(...line.split(" "));
      await words("irm ipcp bootstrap type eth-llc name llc layer llc if lo");
      await words("irm reg name my.oping.server layer llc");
      const server = node.spawn(["oping", "-l"]);
      await server.waitForLine(/started/);
      await words(`irm bind process ${server.pid} name my.oping.server`);
      const out = await words("oping -n my.oping.server -c 3");
      assert(/3 packets transmitted, 3 received/.test(out), out);
    },
  });
}

Deno.test({
  name: "eth-dix on the loopback of one host, direct flows off",
  ignore: !canNet,
  async fn() {
    await using net = new NetLab();
    await using node = await nodeIn(net, await net.namespace("a"), ["--no-direct"]);
    const boot = ["type", "eth-dix", "name", "eth", "layer", "eth-layer", "dev", "lo"];
    await node.must("irm", "ipcp", "bootstrap", ...boot);
    await serve(node, "my.oping", "eth-layer");
    for (const q of ["raw", "data"]) {
      const r = await node.run([
        "oping",
        "-n",
        "my.oping",
        "-c",
        "3",
        ...PATIENT,
        "-i",
        "5",
        "-q",
        q,
      ]);
      assertPinged(r, 3, node);
    }
  },
});

Deno.test("two nodes over UDP on the loopback, as whoever runs the test", async () => {
  const net = loopbackNet().join(".");
  const ips = [`${net}.1`, `${net}.2`];
  await using a = await TestNode.start();
  await using b = await TestNode.start();
  for (const [i, node] of [a, b].entries()) {
    await Deno.mkdir(`${node.prefix}/etc`, { recursive: true });
    await Deno.writeTextFile(`${node.prefix}/etc/hosts`, `${ips[1]} ${md5Hex("srv")}\n`);
    const boot = ["type", "udp4", "name", `u${i}`, "layer", "udp", "ip", ips[i]!];
    await node.must("irm", "ipcp", "bootstrap", ...boot);
  }
  await serve(b, "srv", "udp");
  await a.must("irm", "name", "create", "srv");
  assertPinged(await a.run(["oping", "-n", "srv", "-c", "3", ...PATIENT, "-i", "5"]), 3, a);
});

Deno.test({
  name: "two nodes without root over UDP on the loopback",
  ignore: !canOthers,
  async fn() {
    const net = loopbackNet().join(".");
    const ips = [`${net}.1`, `${net}.2`];
    await using a = await TestNode.start({ uid: 65534 });
    await using b = await TestNode.start({ uid: 65534 });
    for (const [i, node] of [a, b].entries()) {
      await Deno.mkdir(`${node.prefix}/etc`, { recursive: true });
      await Deno.writeTextFile(`${node.prefix}/etc/hosts`, `${ips[1]} ${md5Hex("srv")}\n`);
      const boot = ["type", "udp4", "name", `u${i}`, "layer", "udp", "ip", ips[i]!];
      await node.must("irm", "ipcp", "bootstrap", ...boot);
    }
    await serve(b, "srv", "udp");
    await a.must("irm", "name", "create", "srv");
    const ping = ["oping", "-n", "srv", "-c", "3", ...PATIENT, "-i", "5", "-q", "data"];
    assertPinged(await a.run(ping), 3, a);
  },
});

Deno.test("a bad bootstrap says why in one line, and the IPCP can still be bootstrapped", async () => {
  await using node = await TestNode.start();
  const boot = (ip: string) => ["type", "udp4", "name", "u1", "layer", "udp", "ip", ip];
  const r = await node.run(["irm", "ipcp", "bootstrap", ...boot("192.0.2.77")]);
  assert(r.code !== 0);
  assert(/192\.0\.2\.77/.test(r.out + r.err), r.out + r.err);
  await node.must("irm", "ipcp", "bootstrap", ...boot(`${loopbackNet().join(".")}.1`));
});

Deno.test("an IPCP that is killed is listed no more in the way of others", async () => {
  await using node = await TestNode.start({ args: ["--no-direct"] });
  await node.must(...LOCAL);
  await node.must("irm", "ipcp", "bootstrap", "type", "local", "name", "l2", "layer", "other");
  await serve(node, "srv", "other");
  const pids = (await node.must("irm", "ipcp", "list")).match(/\d+(?= \|\s+l1)/)!;
  Deno.kill(Number(pids[0]), "SIGKILL");
  assertPinged(await node.run(["oping", "-n", "srv", "-c", "3", ...PATIENT, "-i", "5"]), 3, node);
  await node.run(["irm", "ipcp", "destroy", "name", "l1"]);
  assert(!/l1 .*loc /.test(await node.must("irm", "ipcp", "list")));
});

Deno.test("IPCPs of an IRMd that is killed end, and a restarted IRMd serves as before", async () => {
  await using node = await TestNode.start({ args: ["--no-direct"] });
  await node.must(...LOCAL);
  const pid = Number((await node.must("irm", "ipcp", "list")).match(/\d+(?= \|\s+l1)/)![0]);
  node.irmd!.kill("SIGKILL");
  await until("IPCP ends", () => {
    try {
      return !Deno.readTextFileSync(`/proc/${pid}/cmdline`).includes("ipcpd-local");
    } catch {
      return true;
    }
  });
  await node.startIrmd();
  await node.must(...LOCAL);
  await serve(node, "srv", "loc");
  assertPinged(await node.run(["oping", "-n", "srv", "-c", "3", ...PATIENT, "-i", "5"]), 3, node);
});

Deno.test("an IPCP that is killed under load ends its flows and no others", async () => {
  await using node = await TestNode.start({ args: ["--no-direct"] });
  await node.must(...LOCAL);
  await node.must("irm", "ipcp", "bootstrap", "type", "local", "name", "l2", "layer", "other");
  await serve(node, "a", "loc");
  await serve(node, "b", "other");
  const victim = node.spawn(["oping", "-n", "a", "-f", "-d", "20s", "-Q"]);
  const bystander = node.spawn(["oping", "-n", "b", "-c", "100", ...PATIENT, "-i", "20", "-Q"]);
  await until("flows", () => node.irmd!.out.match(/Flow \d+ accepted/g)?.length === 2);
  const pid = Number((await node.must("irm", "ipcp", "list")).match(/\d+(?= \|\s+l1)/)![0]);
  Deno.kill(pid, "SIGKILL");
  await victim.wait(); // It notices, long before its 20 s are over or at the latest then.
  const r = await bystander.wait();
  assert(r.out.includes("100 packets transmitted, 100 received"), r.out + r.err);
  await node.run(["irm", "ipcp", "destroy", "name", "l1"]);
  await node.must(...LOCAL);
  await node.must("irm", "name", "register", "a", "layer", "loc");
  await until("served again", async () => {
    const r = await node.run(["oping", "-n", "a", "-c", "2", "-i", "5"]);
    return r.out.includes("2 received");
  });
});

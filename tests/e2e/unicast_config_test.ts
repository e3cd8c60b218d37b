// Unicast layers made by configuration files: two members on one host, and a host each in network namespaces over
// eth-dix, with enrol, conn, reg and autobind; the prototype's own sequence on the command line.

import { assertEquals, assertMatch } from "@std/assert";
import { serve } from "../support/two_nodes.ts";
import { until } from "../support/deadline.ts";
import { canMakeNetns, NetLab } from "../support/netns.ts";
import { ouro, TestNode } from "../support/node.ts";
import { pinged } from "../support/unicast_layer.ts";

const THREE = /3 packets transmitted, 3 received/;
const canNet = canMakeNetns();

const OFFICE = `
[local.loop]
bootstrap = "loop"
reg = ["office.1"]

[unicast."office.1"]
bootstrap = "office"
autobind = true
reg = ["srv"]

[unicast."office.2"]
enrol = "office"
conn = ["office.1"]
autobind = true
`;

for (const direct of [true, false]) {
  const how = direct ? "directly" : "over a local layer";
  Deno.test(`two members on one host, made by the configuration file, meet ${how}`, async () => {
    const config = direct ? OFFICE : OFFICE.replace('enrol = "office"', 'enrol = "office.1"');
    const args = direct ? [] : ["--no-direct"];
    await using node = await TestNode.start({ config, args });
    await until("both in the layer", async () => {
      return await node.admin().countMembers("office").catch(() => 0) === 2;
    });
    await serve(node, "srv", undefined);
    assertMatch((await pinged(node, "srv")).out, THREE);
  });
}

Deno.test("enrol in the configuration waits for a layer that is not there yet, and says so", async () => {
  const config = `
[name.office]
[name."office.1"]

[unicast."office.2"]
enrol = "office"
conn = ["office.1"]
autobind = true
reg = ["srv"]
`;
  await using node = await TestNode.start({ config });
  await node.irmd!.waitForLine(
    /\(WW\): Failed to enrol office\.2: .*office.* \(line 5\); it is tried until that succeeds/,
  );
  const waiting = await node.run(["irm", "ipcp", "list"]);
  assertMatch(waiting.out, /office\.2 .*Not enrolled/);
  assertMatch(waiting.err, /office\.2.*office/);
  const first = ["ipcp", "bootstrap", "type", "unicast", "name", "office.1"];
  await node.must("irm", ...first, "layer", "office", "autobind");
  await node.must("irm", "wait", "layer", "office", "members", "2");
  await serve(node, "srv", undefined);
  assertMatch((await pinged(node, "srv")).out, THREE);
  await until("nothing is left to do", async () => {
    return (await node.run(["irm", "ipcp", "list"])).err === "";
  });
  // With `retry = false` it ends the daemon, as the prototype does; so does a name that nobody can ever answer to.
  for (
    const text of [`[irmd]\nretry = false\n${config}`, '[unicast."office.2"]\nenrol = "office"\n']
  ) {
    await using strict = await TestNode.start({ idle: true });
    const path = `${strict.prefix}/irmd.conf`;
    await Deno.writeTextFile(path, text);
    const ended = await strict.run(["irmd", "--stdout", "--config", path]);
    assertEquals(ended.code, 1, ended.out);
    assertMatch(ended.out, /\(EE\): Failed to enrol office\.2: .* \(line \d+\)/);
  }
});

/** A host in a namespace, with a configuration file. */
async function host(net: NetLab, ns: string, config: string): Promise<TestNode> {
  const node = await TestNode.start({ idle: true });
  const path = `${node.prefix}/irmd.conf`;
  await Deno.writeTextFile(path, config);
  node.irmd = node.spawnArgv(net.inside(ns, ouro("irmd", "--stdout", "--config", path)));
  await node.irmd.waitForLine(/daemon started/);
  return node;
}

Deno.test({
  name: "two hosts over eth-dix, made by their configuration files",
  ignore: !canNet,
  async fn() {
    await using net = new NetLab();
    const ns = { a: await net.namespace("a"), b: await net.namespace("b") };
    await net.link({ ns: ns.a, dev: "eth0" }, { ns: ns.b, dev: "eth0" });
    await using a = await host(
      net,
      ns.a,
      `[eth-dix.wire]
bootstrap = "lan"
dev = "eth0"
reg = ["net.a", "net"]

[unicast."net.a"]
bootstrap = "net"
autobind = true
reg = ["my.ping"]
`,
    );
    await until("a is in its layer", async () => {
      return await a.admin().countMembers("net").catch(() => 0) === 1;
    });
    await using b = await host(
      net,
      ns.b,
      `[name."net.a"]
[name.net]

[eth-dix.wire]
bootstrap = "lan"
dev = "eth0"
reg = ["net.b"]

[unicast."net.b"]
enrol = "net"
conn = ["net.a"]
autobind = true
`,
    );
    await b.must("irm", "wait", "layer", "net");
    await serve(a, "my.ping", undefined);
    assertMatch((await pinged(b, "my.ping")).out, THREE);
    const nobody = await b.run(["irm", "wait", "name", "no.such", "timeout", "0"]);
    assertEquals(nobody.code, 2);
    assertMatch(
      nobody.err,
      /no IPCP of this node knows "no\.such" \(asked: .*wire: nobody on its Ethernet knows it/,
    );
  },
});

Deno.test({
  name:
    "two hosts over eth-dix: the sequence of the tutorial; an interface goes down and comes back",
  ignore: !canNet,
  async fn() {
    await using net = new NetLab();
    const ns = { a: await net.namespace("a"), b: await net.namespace("b") };
    await net.link({ ns: ns.a, dev: "eth0" }, { ns: ns.b, dev: "eth0" });
    await using a = await host(net, ns.a, "");
    await using b = await host(net, ns.b, "");
    const irm = async (node: TestNode, lines: string) => {
      for (const line of lines.trim().split("\n")) {
        await node.must("irm", ...line.trim().split(" "));
      }
    };
    const WIRE = "ipcp bootstrap type eth-dix name wire layer lan dev eth0";
    await irm(
      a,
      `${WIRE}
      ipcp bootstrap type unicast name net.a layer net autobind
      name reg net.a ipcp wire
      name reg net ipcp wire`,
    );
    await irm(
      b,
      `${WIRE}
      name create net.b
      name create net.a
      name create net
      ipcp enroll type unicast name net.b layer net autobind
      name reg net.b ipcp wire
      ipcp connect name net.b dst net.a`,
    );
    await serve(a, "my.ping", "net");
    assertMatch((await pinged(b, "my.ping")).out, THREE);
    const members = (node: TestNode, n: number) =>
      until(`${n} members`, async () => await node.admin().countMembers("net") === n);
    await net.exec(ns.b, ["ip", "link", "set", "eth0", "down"]);
    await Promise.all([members(a, 1), members(b, 1)]);
    await net.exec(ns.b, ["ip", "link", "set", "eth0", "up"]);
    await Promise.all([members(a, 2), members(b, 2)]);
    assertMatch((await pinged(b, "my.ping")).out, THREE);
  },
});

// A unicast layer over lower layers of two kinds, a node that borders two layers, and what stacked layers carry.

import { assertEquals, assertMatch } from "@std/assert";
import { md5Hex } from "../support/ipcp_pair.ts";
import { nodeIn, serve } from "../support/two_nodes.ts";
import { canMakeNetns, NetLab } from "../support/netns.ts";
import { first, joins, pinged } from "../support/unicast_layer.ts";

const THREE = /3 packets transmitted, 3 received/;

Deno.test({
  name:
    "a - udp4 - b - eth-dix - c: one layer over both; b borders a second one; long messages are refused in words",
  ignore: !canMakeNetns(),
  async fn() {
    await using net = new NetLab();
    const [na, nb, nc] = [
      await net.namespace("a"),
      await net.namespace("b"),
      await net.namespace("c"),
    ];
    await net.link({ ns: na, dev: "e0", addr: "10.81.0.1/24" }, {
      ns: nb,
      dev: "e0",
      addr: "10.81.0.2/24",
    });
    await net.link({ ns: nb, dev: "e1" }, { ns: nc, dev: "e1" });
    await using a = await nodeIn(net, na);
    await using b = await nodeIn(net, nb);
    await using c = await nodeIn(net, nc);
    const hosts = `10.81.0.1 ${md5Hex("net.a")}\n10.81.0.2 ${md5Hex("net.b")}\n`;
    for (const node of [a, b]) await Deno.writeTextFile(`${node.prefix}/etc/hosts`, hosts);
    const boot = ["irm", "ipcp", "bootstrap", "type"];
    await a.must(...boot, "udp4", "name", "inet", "layer", "inet", "ip", "10.81.0.1");
    await b.must(...boot, "udp4", "name", "inet", "layer", "inet", "ip", "10.81.0.2");
    for (const node of [b, c]) {
      await node.must(...boot, "eth-dix", "name", "wire", "layer", "lan", "dev", "e1");
    }
    await first(a, "net.a", "net", "inet");
    await joins(b, "net.b", "net", "inet", "net.a");
    await b.must("irm", "name", "reg", "net.b", "ipcp", "wire");
    await joins(c, "net.c", "net", "wire", "net.b");
    await serve(a, "ping.a", "net");
    assertMatch((await pinged(c, "ping.a", 3, ["-q", "data"])).out, THREE);

    // c's way out is Ethernet: 1496 bytes, less 15 of our header.
    assertMatch((await pinged(c, "ping.a", 3, ["-s", "1481"])).out, THREE);
    const long = await c.run(["oping", "-n", "ping.a", "-c", "1", "-s", "1482"]);
    assertMatch(long.out + long.err, /1481/);

    // A second layer over the Ethernet alone; b is in both and reaches names of both.
    await first(c, "own.c", "own", "wire");
    await joins(b, "own.b", "own", "wire", "own.c");
    await serve(c, "ping.own", "own");
    assertMatch((await pinged(b, "ping.own")).out, THREE);
    assertMatch((await pinged(b, "ping.a")).out, THREE);
    const outside = await a.run(["irm", "wait", "name", "ping.own", "timeout", "0"]);
    assertEquals(outside.code, 2);
  },
});

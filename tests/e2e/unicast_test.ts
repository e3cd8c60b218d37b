// Layers that recurse, live: unicast over UDP on the loopback, several nodes of one user; chains; three layers deep.

import { assertEquals, assertMatch } from "@std/assert";
import { serve } from "../support/two_nodes.ts";
import { PATIENT } from "../support/node.ts";
import { first, joins, Loopback, pinged, pingServer } from "../support/unicast_layer.ts";

const THREE = /3 packets transmitted, 3 received/;

Deno.test("two nodes over UDP: bootstrap, enroll, connect, ping both ways", async () => {
  await using lab = await Loopback.make([["net.a"], ["net.b"]]);
  const [a, b] = lab.nodes;
  await first(a!, "net.a", "net", "wire");
  await joins(b!, "net.b", "net", "wire", "net.a");
  await pingServer(a!, "ping.a", "net");
  assertMatch((await pinged(b!, "ping.a")).out, THREE);
  await pingServer(b!, "ping.b", "net");
  assertMatch((await pinged(a!, "ping.b")).out, THREE);
});

Deno.test("a chain of three: the ends reach each other through the middle", async () => {
  await using lab = await Loopback.make([["net.a"], ["net.b"], ["net.c"]]);
  const [a, b, c] = lab.nodes;
  await first(a!, "net.a", "net", "wire");
  await joins(b!, "net.b", "net", "wire", "net.a");
  await joins(c!, "net.c", "net", "wire", "net.b");
  await pingServer(a!, "ping.a", "net");
  for (const qos of ["raw", "best", "video", "voice", "data"]) {
    assertMatch((await pinged(c!, "ping.a", 3, ["-q", qos])).out, THREE);
  }
  assertMatch((await pinged(c!, "ping.a", 3, ["-s", "8000"])).out, THREE);
});

Deno.test("flows to neighbours are encrypted where enc.conf of the name says so", async () => {
  await using lab = await Loopback.make([["net.a"], ["net.b"]]);
  const [a, b] = lab.nodes;
  for (const [node, side] of [[a!, "server"], [b!, "client"]] as const) {
    const dir = `${node.prefix}/etc/security/${side}/net.a`;
    await Deno.mkdir(dir, { recursive: true });
    await Deno.writeTextFile(`${dir}/enc.conf`, "kex=X25519\n");
  }
  await first(a!, "net.a", "net", "wire");
  await joins(b!, "net.b", "net", "wire", "net.a");
  await pingServer(a!, "ping.a", "net");
  assertMatch((await pinged(b!, "ping.a")).out, THREE);
  assertMatch((await pinged(b!, "ping.a", 3, ["-s", "8000"])).out, THREE);
  await b!.irmd!.waitForLine(/X25519/);
  // A configuration that cannot be read refuses, in words.
  await Deno.writeTextFile(`${b!.prefix}/etc/security/client/net.a/enc.conf`, "kex=rot13\n");
  const no = await b!.run(["irm", "ipcp", "enroll", "name", "other", "dst", "net.a"]);
  assertEquals(no.code, 1);
  assertMatch(no.err, /no flow to "net\.a": .*enc\.conf/);
});

Deno.test("three layers deep: unicast over unicast over UDP", async () => {
  await using lab = await Loopback.make([["low.a"], ["low.b"], ["low.c"]]);
  const [a, b, c] = lab.nodes;
  await first(a!, "low.a", "low", "wire");
  await joins(b!, "low.b", "low", "wire", "low.a");
  await joins(c!, "low.c", "low", "wire", "low.b");
  await first(a!, "high.a", "high", "low.a");
  await joins(c!, "high.c", "high", "low.c", "high.a");
  await pingServer(a!, "ping.a", "high");
  assertMatch((await pinged(c!, "ping.a", 3, ["-q", "data"])).out, THREE);
});

Deno.test({
  name: "applications of other users: packets go from pool to pool",
  // From source, other users cannot read the runtime's cache of root.
  ignore: Deno.uid() !== 0 || !Deno.env.has("OURO_BINARY"),
  async fn() {
    await using lab = await Loopback.make([["net.a"], ["net.b"]]);
    const [a, b] = lab.nodes;
    for (const node of lab.nodes) await Deno.chmod(node.prefix, 0o755);
    await first(a!, "net.a", "net", "wire");
    await joins(b!, "net.b", "net", "wire", "net.a");
    await serve(a!, "ping.a", "net", { uid: 65534, gid: 65534 });
    await pinged(b!, "ping.a");
    for (const qos of ["raw", "data"]) {
      const words = ["oping", "-n", "ping.a", "-c", "3", ...PATIENT, "-i", "5", "-q", qos];
      assertMatch((await b!.run(words, { uid: 65533, gid: 65533 })).out, THREE);
    }
  },
});

Deno.test({
  name: "several nodes of one user without privileges",
  ignore: Deno.uid() !== 0 || !Deno.env.has("OURO_BINARY"),
  async fn() {
    await using lab = await Loopback.make([["net.a"], ["net.b"]], 65534);
    const [a, b] = lab.nodes;
    await first(a!, "net.a", "net", "wire");
    await joins(b!, "net.b", "net", "wire", "net.a");
    await pingServer(a!, "ping.a", "net");
    assertMatch((await pinged(b!, "ping.a")).out, THREE);
  },
});

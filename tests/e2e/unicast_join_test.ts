// The whole way into a layer in one command, and waiting without sleep: `irm ipcp enroll … connect`, `irm wait`.

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { PATIENT } from "../support/node.ts";
import { first, joins, Loopback, pingServer } from "../support/unicast_layer.ts";

Deno.test("enroll … connect does it all, and what is waited for can be used at once", async () => {
  await using lab = await Loopback.make([["net.a", "net"], ["net.b"], ["net.c"]]);
  const [a, b, c] = lab.nodes;
  // b and c may be there before a is.
  const joining = b!.spawn(["irm", "ipcp", "enroll", "name", "net.b", "layer", "net"].concat(
    ["dst", "net.a", "connect"],
  ));
  await first(a!, "net.a", "net", "wire");
  const joined = await joining.wait();
  assertEquals(joined.code, 0, joined.out + joined.err);
  assertStringIncludes(joined.out, "Enrolled net.b in layer net with net.a.");
  await c!.must(
    "irm",
    "ipcp",
    "enroll",
    "name",
    "net.c",
    "layer",
    "net",
    "dst",
    "net.b",
    "connect",
  );
  await c!.must("irm", "wait", "ipcp", "net.c");
  await a!.must("irm", "wait", "layer", "net", "members", "3");
  await c!.must("irm", "wait", "layer", "net", "members", "3");
  await pingServer(a!, "ping.a", "net");
  await c!.must("irm", "name", "create", "ping.a");
  await c!.must("irm", "wait", "name", "ping.a");
  // The first flow succeeds.
  const pinged = await c!.run(["oping", "-n", "ping.a", "-c", "3", ...PATIENT, "-i", "5"]);
  assertStringIncludes(pinged.out, "3 packets transmitted, 3 received");
});

Deno.test("failures name the step, the layer below, the peer and what it said", async () => {
  await using lab = await Loopback.make([["net.a"], ["net.b"]]);
  const [a, b] = lab.nodes;
  const enroll = ["irm", "ipcp", "enroll", "name", "net.b", "dst", "net.a"];
  await b!.must("irm", "name", "create", "net.a");
  const nobody = await b!.run(enroll);
  assertEquals(nobody.code, 1);
  assertStringIncludes(nobody.out, "Failed to enroll IPCP.");
  assertMatch(nobody.err, /no flow to "net\.a"/);
  const late = await b!.run([...enroll, "connect", "wait", "0"]);
  assertEquals(late.code, 1);

  await first(a!, "net.a", "net", "wire");
  const notYet = await b!.run(["irm", "wait", "layer", "net", "timeout", "0"]);
  assertEquals(notYet.code, 2, notYet.err);
  await joins(b!, "net.b", "net", "wire", "net.a");
  const comp = await b!.run(["irm", "ipcp", "connect", "name", "net.b", "dst", "nowhere"]);
  assertEquals(comp.code, 1);
  assertMatch(comp.err, /"nowhere"/);
  const again = await b!.run(enroll);
  assert(again.code !== 0);
  assertMatch(again.err, /in layer "net" already/);
});

Deno.test("a broadcast layer over a unicast one, joined by enroll … connect", async () => {
  await using lab = await Loopback.make([["net.a"], ["net.b"], ["net.c"]]);
  const [a, b, c] = lab.nodes;
  await first(a!, "net.a", "net", "wire");
  await joins(b!, "net.b", "net", "wire", "net.a");
  await joins(c!, "net.c", "net", "wire", "net.b");
  const all = ["type", "broadcast", "name"];
  await a!.must("irm", "ipcp", "bootstrap", ...all, "all.a", "layer", "all", "autobind");
  await a!.must("irm", "name", "reg", "all.a", "ipcp", "net.a");
  const joined = ["dst", "all.a", "connect"];
  await c!.must("irm", "ipcp", "enroll", ...all, "all.c", "layer", "all", ...joined);
  const listener = c!.spawn(["obc", "-n", "all", "-l"]);
  await listener.waitForLine(/New flow/);
  await a!.must("obc", "-n", "all", "-m", "hello");
  await listener.waitForLine(/Message is hello/);
  assertStringIncludes(listener.out, "hello");
});

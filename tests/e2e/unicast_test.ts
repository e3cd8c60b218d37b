// Layers that recurse, live: unicast over UDP on the loopback, several nodes of one user; chains; three layers deep.

import { first, joins, Loopback, pinged, pingServer } from "./unicast_support.ts";

Deno.test("two nodes over UDP: bootstrap, enroll, connect, ping both ways", async () => {
  await using lab = await Loopback.make([["net.a"], ["net.b"]]);
  const [a, b] = lab.nodes;
  await first(a!, "net.a", "net", "wire");
  await joins(b!, "net.b", "net", "wire", "net.a");
  await pingServer(a!, "ping.a", "net");
  await pinged(b!, "ping.a");
  await pingServer(b!, "ping.b", "net");
  await pinged(a!, "ping.b");
});

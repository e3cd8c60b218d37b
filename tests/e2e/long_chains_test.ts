// Post-quantum certificates and key exchanges over every type of IPCP: requests and answers of flows that no layer
// carries in one packet, in pieces between our own nodes.

import { assert } from "@std/assert";
import { first, joins, Loopback, pingServer } from "../support/unicast_layer.ts";
import { type ShimType, twoNodes } from "../support/two_nodes.ts";
import { canMakeNetns } from "../support/netns.ts";
import { PATIENT, type TestNode } from "../support/node.ts";
import { run } from "../support/process.ts";

/** Certificates of an ML-DSA CA for server and client, and a hybrid key exchange, on both nodes. */
async function secure(a: TestNode, b: TestNode, name: string, key: string): Promise<void> {
  const kex = key === "ml-dsa-87" ? "X448MLKEM1024" : "X25519MLKEM768";
  await a.must("pki", "init", "--key", key);
  await a.must("pki", "server", name, "--key", key, "--encrypt", "--kex", kex);
  const as = ["--as", "alice", "--require-auth"];
  await a.must("pki", "client", name, ...as, "--key", key, "--encrypt", "--kex", kex);
  const copied = await run(["cp", "-a", `${a.prefix}/etc/security`, `${b.prefix}/etc/`]);
  assert(copied.code === 0, copied.err);
}

async function pings(a: TestNode, b: TestNode, name: string): Promise<void> {
  const r = await a.run(["oping", "-n", name, "-c", "2", ...PATIENT, "-i", "50ms"]);
  assert(r.code === 0, `${r.out}${r.err}\n${a.irmd?.out}\n${b.irmd?.out}`);
  await b.irmd!.waitForLine(/Client authenticated as alice\./);
}

for (const type of ["udp4", "eth-dix", "eth-llc"] satisfies ShimType[]) {
  Deno.test({
    name: `${type}: ML-DSA-65 certificates of both sides and X25519MLKEM768`,
    ignore: !canMakeNetns(),
    fn: () =>
      twoNodes(type, { srv: "srv", back: "back" }, async (a, b) => {
        await secure(a, b, "srv", "ml-dsa-65");
        await a.must("irm", "name", "create", "srv");
        await pingServer(b, "srv", "lay");
        await pings(a, b, "srv");
      }),
  });
}

Deno.test("unicast: ML-DSA-87 certificates of both sides and X448MLKEM1024", async () => {
  await using lab = await Loopback.make([["m0"], ["m1"]]);
  const [a, b] = lab.nodes as [TestNode, TestNode];
  await first(a, "m0", "net", "wire");
  await joins(b, "m1", "net", "wire", "m0");
  await secure(a, b, "srv", "ml-dsa-87");
  await a.must("irm", "name", "create", "srv");
  await pingServer(b, "srv", "net");
  await pings(a, b, "srv");
});

// Broadcast layers, live: several nodes of one user over UDP on the loopback, connected as a tree and in loops.

import { assertEquals } from "@std/assert";
import { until } from "../support/deadline.ts";
import type { RunningProcess, TestNode } from "../support/node.ts";
import { Loopback } from "../support/unicast_layer.ts";

const LISTENS = /New flow\./;

/** Makes a node the first of broadcast layer `all`. */
async function first(node: TestNode, ipcp: string): Promise<void> {
  const words = ["type", "broadcast", "name", ipcp, "layer", "all", "autobind"];
  await node.must("irm", "ipcp", "bootstrap", ...words);
  await node.must("irm", "name", "reg", ipcp, "ipcp", "wire");
}

/** Enrols IPCP `ipcp` with the member `dst`; it is connected to nobody. */
async function enrolls(node: TestNode, ipcp: string, dst: string): Promise<void> {
  for (const name of [dst, "all", ipcp]) await node.run(["irm", "name", "create", name]);
  const who = ["type", "broadcast", "name", ipcp, "layer", "all"];
  await node.must("irm", "ipcp", "enroll", ...who, "dst", dst, "autobind");
  await node.must("irm", "name", "reg", ipcp, "ipcp", "wire");
}

async function connect(node: TestNode, ipcp: string, dst: string, ...more: string[]) {
  await node.run(["irm", "name", "create", dst]);
  await node.must("irm", "ipcp", "connect", "name", ipcp, "dst", dst, "comp", "dt", ...more);
}

async function listener(node: TestNode): Promise<RunningProcess> {
  const process = node.spawn(["obc", "-n", "all", "-l"]);
  await process.waitForLine(LISTENS);
  return process;
}

async function say(node: TestNode, message: string): Promise<void> {
  await node.must("obc", "-n", "all", "-m", message);
}

/** Messages that a listener got, up to and including `last`. */
async function heard(process: RunningProcess, last: string): Promise<string[]> {
  await until(`"${last}" comes`, () => process.out.includes(`Message is ${last}.`));
  return [...process.out.matchAll(/Message is (.*)\.\n/g)].map((m) => m[1]!);
}

/** Three members, each connected to the others. */
async function triangle(lab: Loopback): Promise<[TestNode, TestNode, TestNode]> {
  const [a, b, c] = lab.nodes as [TestNode, TestNode, TestNode];
  await first(a, "all.a");
  await enrolls(b, "all.b", "all.a");
  await enrolls(c, "all.c", "all.a");
  await connect(b, "all.b", "all.a");
  await connect(c, "all.c", "all.a");
  await connect(c, "all.c", "all.b");
  return [a, b, c];
}

Deno.test("a triangle of three members: everybody hears everything once", async () => {
  await using lab = await Loopback.make([["all.a"], ["all.b"], ["all.c"]]);
  const [a, b, c] = await triangle(lab);
  const listeners = await Promise.all([a, b, c, a].map(listener));
  for (const [i, node] of [a, b, c].entries()) await say(node, `from ${i}`);
  // Messages of one sender keep their order where the way does; those of others are apart in time.
  await Promise.all(listeners.map((l) => heard(l, "from 2")));
  await say(a, "end");
  for (const l of listeners) {
    assertEquals((await heard(l, "end")).toSorted(), ["end", "from 0", "from 1", "from 2"]);
  }
});

Deno.test("a member that leaves and one that dies disturb nobody; a loop keeps the layer whole", async () => {
  await using lab = await Loopback.make([["all.a"], ["all.b"], ["all.c"]]);
  const [a, b, c] = await triangle(lab);
  const listeners = await Promise.all([b, c].map(listener));
  await c.must("irm", "ipcp", "disconnect", "name", "all.c", "dst", "all.a", "comp", "dt");
  await say(a, "one");
  for (const l of listeners) assertEquals(await heard(l, "one"), ["one"]);
  // a listener that is killed
  await listeners[0]!.stop("SIGKILL");
  await say(a, "two");
  assertEquals(await heard(listeners[1]!, "two"), ["one", "two"]);
  // a member that goes
  await a.must("irm", "ipcp", "destroy", "name", "all.a");
  const again = await listener(b);
  await say(c, "three");
  assertEquals(await heard(again, "three"), ["three"]);
});

Deno.test("a reliable connection carries messages as well, and long ones", async () => {
  await using lab = await Loopback.make([["all.a"], ["all.b"]]);
  const [a, b] = lab.nodes as [TestNode, TestNode];
  await first(a, "all.a");
  await enrolls(b, "all.b", "all.a");
  await connect(b, "all.b", "all.a", "qos", "data");
  const [la, lb] = await Promise.all([a, b].map(listener));
  const long = "x".repeat(3000);
  await say(a, long);
  assertEquals(await heard(lb!, long), [long]);
  await say(b, "back");
  assertEquals(await heard(la!, "back"), [long, "back"]);
});

Deno.test("connections are encrypted where enc.conf of the name says so", async () => {
  await using lab = await Loopback.make([["all.a"], ["all.b"]]);
  const [a, b] = lab.nodes as [TestNode, TestNode];
  for (const [node, side] of [[a, "server"], [b, "client"]] as const) {
    const dir = `${node.prefix}/etc/security/${side}/all.a`;
    await Deno.mkdir(dir, { recursive: true });
    await Deno.writeTextFile(`${dir}/enc.conf`, "kex=X25519\n");
  }
  await first(a, "all.a");
  await enrolls(b, "all.b", "all.a");
  // Without FRCT the worker has the cipher, with it the main thread.
  for (const more of [[], ["qos", "data"]]) {
    await connect(b, "all.b", "all.a", ...more);
    const [la, lb] = await Promise.all([a, b].map(listener));
    await say(a, "down");
    assertEquals(await heard(lb!, "down"), ["down"]);
    await say(b, "up");
    assertEquals(await heard(la!, "up"), ["down", "up"]);
    await Promise.all([la!, lb!].map((l) => l.stop()));
    await b.must("irm", "ipcp", "disconnect", "name", "all.b", "dst", "all.a", "comp", "dt");
  }
  await b.irmd!.waitForLine(/X25519/);
});

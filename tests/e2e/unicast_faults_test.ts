// What becomes of a unicast layer when members leave, die, come back, or do not read.

import { assertEquals, assertStringIncludes } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { until } from "../support/deadline.ts";
import type { TestNode } from "../support/node.ts";
import { serve } from "../support/two_nodes.ts";
import { first, joins, Loopback, pinged, pingServer } from "../support/unicast_layer.ts";

/** The layer has so many members, and will have them. */
function members(node: TestNode, n: number): Promise<unknown> {
  // While its IPCP is away the node is in no layer.
  const there = async () => await node.admin().countMembers("net").catch(() => 0) === n;
  return until(`${n} members`, there);
}

/**
 * A member learns that its neighbour is gone. One that is killed is back soon, so that is in the log and not in a number
 * of members. Nobody needs to miss the updates of its links, which takes 34 s.
 */
async function losesNeighbour(node: TestNode, kill: () => void): Promise<void> {
  const before = node.irmd!.out.length;
  kill();
  await until("a neighbour is gone", () => {
    return /Data Transfer connection with [\da-f.]+ is over/.test(node.irmd!.out.slice(before));
  }, 33_000);
}

async function pidOf(node: TestNode, ipcp: string): Promise<number> {
  const found = (await node.admin().listIpcps()).find((i) => i.name === ipcp);
  if (found === undefined || found.pid <= 0) throw new Error(`no IPCP ${ipcp}`);
  return found.pid;
}

/** A chain a - b - c, or a pair. */
async function chain(n: 2 | 3): Promise<Loopback> {
  const lab = await Loopback.make([["net.0"], ["net.1"], ["net.2"]].slice(0, n));
  await first(lab.nodes[0]!, "net.0", "net", "wire");
  for (let i = 1; i < n; i++) await joins(lab.nodes[i]!, `net.${i}`, "net", "wire", `net.${i - 1}`);
  for (const node of lab.nodes) await members(node, n);
  return lab;
}

Deno.test("disconnect is known at both ends at once, and connecting again makes it whole", async () => {
  await using lab = await chain(2);
  const [a, b] = lab.nodes;
  await b!.must("irm", "ipcp", "disconnect", "name", "net.1", "dst", "net.0");
  await Promise.all([members(a!, 1), members(b!, 1)]);
  await b!.must("irm", "ipcp", "connect", "name", "net.1", "dst", "net.0");
  await Promise.all([members(a!, 2), members(b!, 2)]);
  await pingServer(a!, "ping.a", "net");
  await pinged(b!, "ping.a");
});

Deno.test("a member that is killed is gone at once for its neighbours, and joins anew by itself", async () => {
  await using lab = await chain(3);
  const [a, b, c] = lab.nodes;
  const pid = await pidOf(c!, "net.2");
  await losesNeighbour(b!, () => Deno.kill(pid, "SIGKILL"));
  await Promise.all([a!, b!, c!].map((node) => members(node, 3)));
  await pingServer(a!, "ping.a", "net");
  await pinged(c!, "ping.a");
});

Deno.test("a member that comes back with another address is connected to again without a command", async () => {
  await using lab = await chain(2);
  const [a, b] = lab.nodes;
  const pid = await pidOf(a!, "net.0");
  await losesNeighbour(b!, () => Deno.kill(pid, "SIGKILL"));
  await Promise.all([members(a!, 2), members(b!, 2)]);
  await pingServer(b!, "ping.b", "net");
  await pinged(a!, "ping.b");
});

/** How often a member is killed, and the seed of the moments; `OURO_KILLS=50 OURO_SEED=…` for more of them. */
const KILLS = Number(Deno.env.get("OURO_KILLS") ?? 8);
const SEED = Number(Deno.env.get("OURO_SEED") ?? 1);
/** A kill in so many is during transfer, the others are while it enrols and connects. */
const TRANSFERS = 4;
/** Within which time of the begin it is killed, ms. */
const MOMENT_MS = 400;

Deno.test("a member that is killed at any moment of joining and transfer harms nobody, and joins in the end", async () => {
  await using lab = await Loopback.make([["net.0"], ["net.1"]]);
  const [a, b] = lab.nodes;
  await first(a!, "net.0", "net", "wire");
  await pingServer(a!, "ping.a", "net");
  for (const name of ["net.0", "net.1", "net", "ping.a"]) {
    await b!.must("irm", "name", "create", name);
  }
  const words = ["ipcp", "enroll", "name", "net.1", "dst", "net.0", "connect"];
  const gone = async () => !(await b!.admin().listIpcps()).some((i) => i.name === "net.1");
  const random = seeded(SEED);
  for (let i = 0; i < KILLS; i++) {
    let busy = b!.spawn(["irm", ...words]);
    if (i % TRANSFERS === TRANSFERS - 1) {
      await busy.wait();
      busy = b!.spawn(["oping", "-n", "ping.a", "-f", "-c", "1000000", "-Q"]);
    }
    const pid = await until("it is there", () => pidOf(b!, "net.1").catch(() => undefined));
    await new Promise((resolve) => setTimeout(resolve, random() * MOMENT_MS)); // the moment, not a wait
    Deno.kill(pid, "SIGKILL");
    busy.kill("SIGKILL");
    await busy.wait();
    // One that was in the layer already would be made again.
    await until("its IRMd forgets it", async () => {
      await b!.run(["irm", "ipcp", "destroy", "name", "net.1"]);
      return await gone();
    });
  }
  await members(a!, 1);
  await b!.must("irm", ...words);
  await members(a!, 2);
  await pinged(b!, "ping.a");
});

/** Numbers in [0, 1) from a seed. */
function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

Deno.test("a stranger that presents itself and sends garbage harms nobody", async () => {
  await using lab = await chain(2);
  const [a, b] = lab.nodes;
  const pids = await Promise.all([pidOf(a!, "net.0"), pidOf(b!, "net.1")]);
  const peer = fromFileUrl(new URL("./unicast_hostile_peer.ts", import.meta.url));
  for (const seed of [1, 2]) {
    const argv = [Deno.execPath(), "run", "-A", "--no-prompt", "--quiet", peer, "net.0", `${seed}`];
    const stranger = await b!.spawnArgv(argv).wait();
    assertStringIncludes(stranger.out, "done", stranger.err);
  }
  await pingServer(a!, "ping.a", "net");
  await pinged(b!, "ping.a");
  assertEquals(await Promise.all([pidOf(a!, "net.0"), pidOf(b!, "net.1")]), pids);
});

Deno.test("an application that never reads stops nobody else", async () => {
  await using lab = await chain(3);
  const [a, , c] = lab.nodes;
  const server = await serve(a!, "ping.a", "net");
  await c!.must("irm", "name", "create", "ping.a");
  const flood = c!.spawn(["oping", "-n", "ping.a", "-i", "0", "-c", "10000000", "-Q"]);
  await server.waitForLine(/New flow/);
  server.kill("SIGSTOP");
  await pingServer(a!, "other.a", "net");
  assertStringIncludes((await pinged(c!, "other.a")).out, "3 received");
  if (!flood.ended) flood.kill("SIGKILL");
  server.kill("SIGKILL");
});

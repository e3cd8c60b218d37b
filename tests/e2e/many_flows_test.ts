// deno-lint-ignore-file no-console -- figures that were asked for
// Many flows through one unicast IPCP on each of two nodes, over UDP: all are opened, each gets its messages through, and
// none gets them at the cost of others. OURO_FLOWS sets how many (4000 take some minutes), and then figures are printed.

import { assert, assertEquals } from "@std/assert";
import { until } from "../support/deadline.ts";
import type { TestNode } from "../support/node.ts";
import type { Figures } from "../support/many_flows_peer.ts";
import { script } from "../support/process.ts";
import { first, joins, Loopback } from "../support/unicast_layer.ts";

const FLOWS = Number(Deno.env.get("OURO_FLOWS") ?? 200);
const MESSAGES = 10;
/** Longest time for a flow, ms; it limits failures alone. */
const FLOW_MS_MAX = 1000;
/** Jain's index of what each had halfway: 1 when all had the same. A lost packet costs a time-out, on a busy host more. */
const JAIN_MIN = 0.6;

Deno.test(`${FLOWS} flows through one unicast IPCP: all work, each has its share`, async () => {
  // A busy host answers late.
  await using lab = await Loopback.make([["net.a"], ["net.b"]], undefined, ["--patience", "30"]);
  const [a, b] = lab.nodes;
  await first(a!, "net.a", "net", "wire");
  await joins(b!, "net.b", "net", "wire", "net.a");
  const server = a!.spawnArgv(script("tests/support/flow_peer.ts", "serve"));
  await server.waitForLine(/ready/);
  await a!.must("irm", "name", "create", "many");
  await a!.must("irm", "bind", "process", `${server.pid}`, "name", "many");
  await a!.must("irm", "name", "register", "many", "layer", "net");
  await b!.must("irm", "name", "create", "many");
  await b!.must("irm", "wait", "name", "many");
  const client = b!.spawnArgv(
    script("tests/support/many_flows_peer.ts", "many", `${FLOWS}`, `${MESSAGES}`),
  );
  const { code, out, err } = await client.wait(120_000 + FLOWS * FLOW_MS_MAX);
  assertEquals(code, 0, err);
  const { opened, halfway, all, seconds }: Figures = JSON.parse(out.trim().split("\n").at(-1)!);
  assertEquals(opened, FLOWS);
  assert(all.every((n) => n === MESSAGES));
  const jain = halfway.reduce((s, n) => s + n, 0) ** 2 /
    (FLOWS * halfway.reduce((s, n) => s + n * n, 0));
  if (Deno.env.has("OURO_FLOWS")) {
    const times = Object.entries(seconds).map(([what, s]) => `${what} ${s.toFixed(1)} s`);
    console.log(`${FLOWS} flows: ${times.join(", ")}; Jain ${jain.toFixed(3)}`);
    console.log(`peaks: ${await peaks(a!)}; ${await peaks(b!)}`);
  }
  assert(jain >= JAIN_MIN, `Jain ${jain}: ${halfway}`);
  for (const node of [a!, b!]) {
    const left = () => node.sharedMemory().filter((n) => n.includes(".rbuff.")).length;
    await until("the rings of the flows are gone", () => left() < 20, 120_000);
  }
});

/** Highest resident memory of the daemon and the IPCPs of a node, in words. */
async function peaks(node: TestNode): Promise<string> {
  const ipcps = await node.admin().listIpcps();
  return [{ name: "irmd", pid: node.irmd!.pid }, ...ipcps].map(({ name, pid }) => {
    const kib = Number(/VmHWM:\s+(\d+)/.exec(Deno.readTextFileSync(`/proc/${pid}/status`))![1]);
    return `${name} ${(kib / 1024).toFixed(0)} MiB`;
  }).join(", ");
}

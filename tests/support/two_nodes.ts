// Two nodes as two hosts: each with its IRMd and its IPCP in a network namespace, joined by a veth pair.

import { md5Hex } from "./ipcp_pair.ts";
import { until } from "./deadline.ts";
import { NetLab } from "./netns.ts";
import { ouro, type RunningProcess, TestNode } from "./node.ts";
import { run } from "./process.ts";

/** Start `oping -l`, bind it to a name and register that in a layer. */
export async function serve(
  node: TestNode,
  name: string,
  layer: string | undefined,
  options: { uid?: number; gid?: number } = {},
): Promise<RunningProcess> {
  await node.must("irm", "name", "create", name);
  const server = node.spawn(["oping", "-l"], options);
  await until("bind", async () => {
    const r = await node.run(["irm", "bind", "process", String(server.pid), "name", name]);
    return r.code === 0;
  });
  if (layer !== undefined) await node.must("irm", "name", "register", name, "layer", layer);
  return server;
}

const IP = { A: "10.79.0.1", B: "10.79.0.2" };
const IP6 = { A: "fd79::1", B: "fd79::2" };
/** The types of IPCP that reach other hosts. */
export const TYPES = ["udp4", "udp6", "eth-dix", "eth-llc"] as const;
/** One of them. */
export type ShimType = typeof TYPES[number];

/** Words after `irm ipcp bootstrap` for one side. */
function words(type: ShimType, side: "A" | "B"): string[] {
  const lower = type === "udp4"
    ? ["ip", IP[side]]
    : type === "udp6"
    ? ["ip", IP6[side]]
    : ["dev", `veth${side}`];
  return ["type", type, "name", `n${side}`, "layer", "lay", ...lower];
}

/** A node whose IRMd lives in a namespace; its IPCPs do too. */
export async function nodeIn(net: NetLab, ns: string, args: string[] = []): Promise<TestNode> {
  const node = await TestNode.start({ idle: true });
  node.irmd = node.spawnArgv(net.inside(ns, ouro("irmd", "--stdout", ...args)));
  await node.irmd.waitForLine(/daemon started/);
  await Deno.mkdir(`${node.prefix}/etc`, { recursive: true });
  return node;
}

/** Two nodes with an IPCP of this type each in layer `lay`; over UDP `srv` is at B and `back` at A. */
export async function twoNodes(
  type: ShimType,
  names: { srv: string; back: string },
  use: (a: TestNode, b: TestNode, net: NetLab, ns: { A: string; B: string }) => Promise<void>,
  mtuBytes?: number,
): Promise<void> {
  await using net = new NetLab();
  const ns = { A: await net.namespace("a"), B: await net.namespace("b") };
  await net.link(
    { ns: ns.A, dev: "vethA", addr: [`${IP.A}/24`, `${IP6.A}/64`] },
    { ns: ns.B, dev: "vethB", addr: [`${IP.B}/24`, `${IP6.B}/64`] },
  );
  for (const side of mtuBytes === undefined ? [] : ["A", "B"] as const) {
    const words = ["link", "set", `veth${side}`, "mtu", String(mtuBytes)];
    const r = await run(["ip", "-n", ns[side], ...words]);
    if (r.code !== 0) throw new Error(r.err);
  }
  await using a = await nodeIn(net, ns.A);
  await using b = await nodeIn(net, ns.B);
  const ip = type === "udp6" ? IP6 : IP;
  const hosts = `${ip.B} ${md5Hex(names.srv)}\n${ip.A} ${md5Hex(names.back)}\n`;
  for (const node of [a, b]) await Deno.writeTextFile(`${node.prefix}/etc/hosts`, hosts);
  await a.must("irm", "ipcp", "bootstrap", ...words(type, "A"));
  await b.must("irm", "ipcp", "bootstrap", ...words(type, "B"));
  await use(a, b, net, ns);
}

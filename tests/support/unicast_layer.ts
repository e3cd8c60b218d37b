// Unicast layers of several nodes of one user over UDP on the loopback, or of hosts as network namespaces.

import { md5Hex } from "./ipcp_pair.ts";
import { until } from "./deadline.ts";
import { loopbackNet } from "./loopback.ts";
import { PATIENT, type RunResult, TestNode } from "./node.ts";
import { serve } from "./two_nodes.ts";

/** Nodes on one UDP layer `lan`, each with an IPCP `wire` in it. */
export class Loopback implements AsyncDisposable {
  readonly nodes: TestNode[] = [];
  private constructor(private readonly net: string) {}

  /** `names[i]` can be reached at node i. */
  static async make(
    names: readonly (readonly string[])[],
    uid?: number,
    args: string[] = [],
  ): Promise<Loopback> {
    const lab = new Loopback(loopbackNet().join("."));
    try {
      const hosts = names.flatMap((of, i) => of.map((n) => `${lab.#ip(i)} ${md5Hex(n)}\n`)).join(
        "",
      );
      await Promise.all(names.map(async (_, i) => {
        const node = await TestNode.start(uid === undefined ? { args } : { uid, args });
        lab.nodes[i] = node;
        await Deno.mkdir(`${node.prefix}/etc`, { recursive: true });
        await Deno.writeTextFile(`${node.prefix}/etc/hosts`, hosts);
        const words = ["type", "udp4", "name", "wire", "layer", "lan", "ip", lab.#ip(i)];
        await node.must("irm", "ipcp", "bootstrap", ...words);
      }));
      return lab;
    } catch (e) {
      await lab[Symbol.asyncDispose]();
      throw e;
    }
  }

  #ip(i: number): string {
    return `${this.net}.${i + 1}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.nodes.map((n) => n?.[Symbol.asyncDispose]()));
  }
}

/** Makes a node the first of unicast layer `layer`: IPCP `ipcp`, reachable in the layer below through `lower`. */
export async function first(
  node: TestNode,
  ipcp: string,
  layer: string,
  lower: string,
  words: readonly string[] = [],
): Promise<void> {
  const more = ["layer", layer, "autobind", ...words];
  await node.must("irm", "ipcp", "bootstrap", "type", "unicast", "name", ipcp, ...more);
  await node.must("irm", "name", "reg", ipcp, "ipcp", lower);
}

/** Enrols IPCP `ipcp` with the member `dst`, and connects it to that one. */
export async function joins(
  node: TestNode,
  ipcp: string,
  layer: string,
  lower: string,
  dst: string,
  words: readonly string[] = [],
): Promise<void> {
  for (const name of [dst, layer, ipcp]) await node.run(["irm", "name", "create", name]);
  const who = ["type", "unicast", "name", ipcp];
  await node.must(
    "irm",
    "ipcp",
    "enroll",
    ...who,
    "layer",
    layer,
    "dst",
    dst,
    "autobind",
    ...words,
  );
  await node.must("irm", "name", "reg", ipcp, "ipcp", lower);
  await node.must("irm", "ipcp", "connect", "name", ipcp, "dst", dst);
}

/** An `oping -l` with a name of layer `layer`. */
export async function pingServer(node: TestNode, name: string, layer: string): Promise<void> {
  await serve(node, name, layer);
}

/** Pings until all of `n` are answered; routes and directory may still be on their way. */
export async function pinged(
  node: TestNode,
  name: string,
  n = 3,
  words: readonly string[] = [],
): Promise<RunResult> {
  await node.run(["irm", "name", "create", name]);
  let last: RunResult | undefined;
  await until(`${name} answers`, async () => {
    last = await node.run(["oping", "-n", name, "-c", `${n}`, ...PATIENT, "-i", "5", ...words]);
    return last.code === 0 && last.out.includes(`${n} packets transmitted, ${n} received`);
  }).catch((e) => {
    throw new Error(`${e}\n${last?.out}${last?.err}\n${node.irmd?.out}`);
  });
  return last!;
}

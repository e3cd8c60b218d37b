/** Round trips of `oping` between two hosts of our make or of the prototype's. */

import { md5Hex } from "../support/ipcp_pair.ts";
import { NetLab } from "../support/netns.ts";
import { CHost } from "../interop/c_host.ts";

const IP = { a: "10.80.0.1", b: "10.80.0.2" };

/** Median round trip of `oping` at some pace between two hosts of our make or the prototype's, µs. */
export async function opingRoundTrip(
  type: "udp4" | "eth-dix",
  node: "c" | "ouro",
  pace: readonly string[],
): Promise<number> {
  await using net = new NetLab();
  const ns = { a: await net.namespace("a"), b: await net.namespace("b") };
  await net.link(
    { ns: ns.a, dev: "vetha", addr: `${IP.a}/24` },
    { ns: ns.b, dev: "vethb", addr: `${IP.b}/24` },
  );
  const hosts = [`${IP.b} ${md5Hex("bench")}`];
  await using a = await CHost.start({ ns: ns.a, hosts, node });
  await using b = await CHost.start({ ns: ns.b, hosts, node });
  for (const [host, side] of [[a, "a"], [b, "b"]] as const) {
    const lower = type === "udp4" ? ["ip", IP[side]] : ["dev", `veth${side}`];
    const words = ["type", type, "name", type, "layer", type, ...lower];
    await host.must("irm", "ipcp", "bootstrap", ...words);
  }
  await b.serve("bench", type);
  await a.must("irm", "name", "create", "bench");
  const r = await a.run(a.tool("oping", "-n", "bench", ...pace));
  const times = [...r.out.matchAll(/time=([\d.]+) (ms|µs)/g)]
    .map((m) => Number(m[1]) * (m[2] === "ms" ? 1000 : 1))
    .sort((a, b) => a - b);
  if (times.length === 0) throw new Error(r.out + r.err);
  return times[times.length >> 1]!;
}

// Our IPCPs and the C prototype's: on one host under the C IRMd, and on two hosts over a veth, whichever side
// asks. Needs OURO_PROTOTYPE and root.

import { assert, assertEquals } from "@std/assert";
import { NetLab } from "../e2e/support/netns.ts";
import type { RunResult } from "../e2e/support/process.ts";
import { canRunPrototype, CHost } from "./c_host.ts";

const ignore = !canRunPrototype;
const IP = { A: "10.78.0.1", B: "10.78.0.2" }, IP6 = { A: "fd78::1", B: "fd78::2" };
/** MD5 of the names used, which is what a UDP layer resolves. */
const MD5 = { srv: "254d290cd568731c37ba45103c16c22d", back: "469bba0a564235dfceede42db14f17b0" };
const TYPES = ["udp4", "udp6", "eth-dix", "eth-llc"] as const;
type ShimType = typeof TYPES[number];

function bootstrapWords(type: ShimType, side: "A" | "B"): string[] {
  const device = type === "udp4"
    ? ["ip", IP[side]]
    : type === "udp6"
    ? ["ip", IP6[side]]
    : ["dev", `veth${side}`];
  return ["irm", "ipcp", "bootstrap", "type", type, "name", `n${side}`, "layer", "lay", ...device];
}

function assertPinged(r: RunResult, n: number, log: () => string): void {
  const text = `${r.out}${r.err}\n${log()}`;
  assertEquals(r.code, 0, text);
  assert(new RegExp(`${n} packets transmitted, ${n} received`).test(r.out), text);
}

/** At least one answer came. */
function assertSomePinged(r: RunResult, log: () => string): void {
  const text = `${r.out}${r.err}\n${log()}`;
  assertEquals(r.code, 0, text);
  assert(/packets transmitted, [1-9]/.test(r.out), text);
}

for (const [client, server] of [[undefined, 65534], [65534, undefined], [65534, 65533]]) {
  const who = (uid?: number) => uid === undefined ? "root" : String(uid);
  Deno.test({
    name: `C IRMd, our local IPCP: C oping of ${who(client)} to ${who(server)}`,
    ignore,
    async fn() {
      await using host = await CHost.start({ ours: ["local"] });
      await host.must("irm", "ipcp", "bootstrap", "type", "local", "name", "l", "layer", "lay");
      await host.serve("srv", "lay", server);
      const r = await host.run(["oping", "-n", "srv", "-c", "5", "-i", "10"], client);
      assertPinged(r, 5, () => host.irmd.out);
      const again = await host.run(["oping", "-n", "srv", "-c", "5", "-i", "10"], client);
      assertPinged(again, 5, () => host.irmd.out);
      assert((await host.must("irm", "ipcp", "list")).includes("local"));
      await host.must("irm", "ipcp", "destroy", "name", "l");
      assert(!(await host.must("irm", "ipcp", "list")).includes("local"));
    },
  });
}

/** Two C hosts on a veth; A's IPCPs are ours, B's the prototype's. */
async function twoHosts(
  type: ShimType,
  use: (a: CHost, b: CHost) => Promise<void>,
): Promise<void> {
  await using net = new NetLab();
  const ns = { A: await net.namespace("a"), B: await net.namespace("b") };
  await net.link(
    { ns: ns.A, dev: "vethA", addr: [`${IP.A}/24`, `${IP6.A}/64`] },
    { ns: ns.B, dev: "vethB", addr: [`${IP.B}/24`, `${IP6.B}/64`] },
  );
  const ip = type === "udp6" ? IP6 : IP;
  const hosts = [`${ip.B} ${MD5.srv}`, `${ip.A} ${MD5.back}`];
  await using a = await CHost.start({ ns: ns.A, hosts, ours: [type] });
  await using b = await CHost.start({ ns: ns.B, hosts });
  await a.must(...bootstrapWords(type, "A"));
  await b.must(...bootstrapWords(type, "B"));
  await use(a, b);
}

for (const type of TYPES) {
  Deno.test({
    name: `${type}: our IPCP and the C IPCP over a veth, ping in both directions`,
    ignore,
    async fn() {
      await twoHosts(type, async (a, b) => {
        const log = () => a.irmd.out + b.irmd.out;
        await b.serve("srv", "lay");
        await a.must("irm", "name", "create", "srv");
        await a.serve("back", "lay");
        await b.must("irm", "name", "create", "back");
        for (let i = 0; i < 3; i++) {
          const words = ["-c", "5", "-i", "10"];
          assertPinged(await a.run(["oping", "-n", "srv", ...words]), 5, log);
          assertPinged(await b.run(["oping", "-n", "back", ...words]), 5, log);
        }
        for (const q of ["video", "data"]) {
          // A C library on such a flow reads from two threads and loses packets, C to C just the same.
          const words = ["-c", "5", "-i", "10", "-q", q];
          assertSomePinged(await a.run(["oping", "-n", "srv", ...words]), log);
          assertSomePinged(await b.run(["oping", "-n", "back", ...words]), log);
        }
        const words = ["-c", "5", "-i", "10", "-s", "1400"];
        assertPinged(await a.run(["oping", "-n", "srv", ...words]), 5, log);
        assertPinged(await b.run(["oping", "-n", "back", ...words]), 5, log);
      });
    },
  });
}

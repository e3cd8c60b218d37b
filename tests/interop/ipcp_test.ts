// Our IPCPs and the C prototype's: on one host under the C IRMd, and on two hosts over a veth, whichever side
// asks. Needs OURO_PROTOTYPE and root.

import { assert, assertEquals } from "@std/assert";
import { NetLab } from "../support/netns.ts";
import type { RunResult } from "../support/process.ts";
import { canRunPrototype, CHost, type CHostOptions } from "./c_host.ts";
import { sayRetry } from "./retries.ts";

const ignore = !canRunPrototype;
const IP = { A: "10.78.0.1", B: "10.78.0.2" };
const IP6 = { A: "fd78::1", B: "fd78::2" };
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
  return ["bootstrap", "type", type, "name", `n${side}`, "layer", "lay", ...device];
}

function assertPinged(r: RunResult, n: number, log: () => string): void {
  const text = `${r.out}${r.err}\n${log()}`;
  assertEquals(r.code, 0, text);
  assert(new RegExp(`${n} packets transmitted, ${n} received`).test(r.out), text);
}

for (const [client, server] of [[undefined, 65534], [65534, undefined], [65534, 65533]]) {
  const who = (uid?: number) => uid === undefined ? "root" : String(uid);
  Deno.test({
    name: `C IRMd, our local IPCP: C oping of ${who(client)} to ${who(server)}`,
    ignore,
    async fn() {
      await using host = await CHost.start({ ours: ["local"] });
      await host.makeIpcp("bootstrap", "type", "local", "name", "l", "layer", "lay");
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

for (const [client, server] of [[undefined, 65534], [65534, undefined]]) {
  Deno.test({
    name: `our IRMd, C local IPCP: C oping of ${client ?? "root"} to ${server ?? "root"}`,
    ignore,
    async fn() {
      await using host = await CHost.start({ node: "ouro", cIpcps: true });
      await host.makeIpcp("bootstrap", "type", "local", "name", "l", "layer", "lay");
      await host.serve("srv", "lay", server, ["oping", "-l"]);
      for (let i = 0; i < 2; i++) {
        const r = await host.run(["oping", "-n", "srv", "-c", "5", "-i", "10"], client);
        assertPinged(r, 5, () => host.irmd.out);
      }
      await host.must("irm", "ipcp", "destroy", "name", "l");
    },
  });
}

Deno.test({
  name: "our IRMd, our local IPCP: C oping of one user to another",
  ignore,
  async fn() {
    await using host = await CHost.start({ node: "ouro" });
    await host.makeIpcp("bootstrap", "type", "local", "name", "l", "layer", "lay");
    await host.serve("srv", "lay", 65533, ["oping", "-l"]);
    for (let i = 0; i < 2; i++) {
      const r = await host.run(["oping", "-n", "srv", "-c", "5", "-i", "10"], 65534);
      assertPinged(r, 5, () => host.irmd.out);
    }
  },
});

/** Two hosts on a veth. */
async function twoHosts(
  type: ShimType,
  optionsA: CHostOptions,
  optionsB: CHostOptions,
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
  await using a = await CHost.start({ ns: ns.A, hosts, ...optionsA });
  await using b = await CHost.start({ ns: ns.B, hosts, ...optionsB });
  await a.makeIpcp(...bootstrapWords(type, "A"));
  await b.makeIpcp(...bootstrapWords(type, "B"));
  await use(a, b);
}

/**
 * Run a scenario again, on fresh hosts, if the C host failed by itself: its IPCP may answer before it knows whom
 * (spec 50 §18 R1), its three UDP writers read one ring (spec 10 §5.2), its IRMd waits 500 ms for an IPCP and then
 * for ever (spec 50 §2). C to C shows the same.
 */
async function despiteRaces(scenario: () => Promise<void>): Promise<void> {
  for (let tries = 1;; tries++) {
    try {
      return await scenario();
    } catch (e) {
      if (tries === 4) throw e;
      sayRetry(String(e).split("\n").slice(0, 3).join("; "));
    }
  }
}

const PING = ["-c", "5", "-i", "10"];
/** The two hosts of each mixture; `type` is the type of IPCP. */
const MIXTURES: [string, (type: ShimType) => CHostOptions, CHostOptions][] = [
  ["C IRMd with our IPCP, and C host", (type) => ({ ours: [type] }), {}],
  ["ouro host and C host", () => ({ node: "ouro" }), {}],
  ["our IRMd with C IPCP, and ouro host", () => ({ node: "ouro", cIpcps: true }), { node: "ouro" }],
];

for (const type of TYPES) {
  for (const [what, optionsA, optionsB] of MIXTURES) {
    Deno.test({
      name: `${type}, ${what}: register, query, ping in both directions`,
      ignore,
      fn: () =>
        despiteRaces(() =>
          twoHosts(type, optionsA(type), optionsB, async (a, b) => {
            const log = () => a.irmd.out + b.irmd.out;
            await b.serve("srv", "lay");
            await a.must("irm", "name", "create", "srv");
            await a.serve("back", "lay");
            await b.must("irm", "name", "create", "back");
            const there = (...words: string[]) => a.run(a.tool("oping", "-n", "srv", ...words));
            const back = (...words: string[]) => b.run(b.tool("oping", "-n", "back", ...words));
            for (let i = 0; i < 2; i++) {
              assertPinged(await there(...PING), 5, log);
              assertPinged(await back(...PING), 5, log);
            }
            assertPinged(await there(...PING, "-s", "1400"), 5, log);
            assertPinged(await back(...PING, "-s", "1400"), 5, log);
          })
        ),
    });
  }
}

/** The longest raw message over MTU 1500, or what oping takes at most. */
const LONGEST: Record<ShimType, number> = {
  udp4: 1500,
  udp6: 1500,
  "eth-dix": 1496,
  "eth-llc": 1497,
};
const TOO_LONG =
  /Cannot send packets of 1500 bytes \(a message of this flow holds at most 149[67]\)/;

for (const type of TYPES) {
  const most = LONGEST[type];
  const sized = (host: CHost, name: string, bytes: number) =>
    host.run(host.tool("oping", "-n", name, ...PING, "-s", String(bytes)));

  Deno.test({
    name:
      `${type}, ouro host and C host: the longest messages pass both ways, ours knows the limit`,
    ignore,
    fn: () =>
      despiteRaces(() =>
        twoHosts(type, { node: "ouro" }, {}, async (a, b) => {
          const log = () => a.irmd.out + b.irmd.out;
          await b.serve("srv", "lay");
          await a.must("irm", "name", "create", "srv");
          await a.serve("back", "lay");
          await b.must("irm", "name", "create", "back");
          assertPinged(await sized(a, "srv", most), 5, log);
          assertPinged(await sized(b, "back", most), 5, log);
          if (most === 1500) return;
          const long = await sized(a, "srv", 1500);
          assertEquals(long.code, 1, long.out + long.err);
          assert(TOO_LONG.test(long.err), long.err);
        })
      ),
  });

  Deno.test({
    name: `${type}, our IRMd with C IPCP, and ouro host: no limit is told, and all is as in C`,
    ignore,
    fn: () =>
      despiteRaces(() =>
        twoHosts(type, { node: "ouro", cIpcps: true }, { node: "ouro" }, async (a, b) => {
          const log = () => a.irmd.out + b.irmd.out;
          await b.serve("srv", "lay");
          await a.must("irm", "name", "create", "srv");
          assertPinged(await sized(a, "srv", most), 5, log);
          if (most === 1500) return;
          // The C IPCP drops it, and nobody says so.
          const lost = await sized(a, "srv", 1500);
          assert(lost.out.includes(" 0 received"), lost.out + lost.err);
          assert(!TOO_LONG.test(lost.err), lost.err);
        })
      ),
  });

  Deno.test({
    name: `${type}, C IRMd with our IPCP, and ouro host: the C IRMd skips what our IPCP tells`,
    ignore,
    fn: () =>
      despiteRaces(() =>
        twoHosts(type, { ours: [type] }, { node: "ouro" }, async (a, b) => {
          const log = () => a.irmd.out + b.irmd.out;
          await b.serve("srv", "lay");
          await a.must("irm", "name", "create", "srv");
          await a.serve("back", "lay");
          await b.must("irm", "name", "create", "back");
          assertPinged(await sized(a, "srv", most), 5, log);
          assertPinged(await sized(b, "back", most), 5, log);
          if (most === 1500) return;
          // A C application does not know the limit: our IPCP drops its packets and says so once.
          const lost = await sized(a, "srv", 1500);
          assert(lost.out.includes(" 0 received"), lost.out + lost.err);
        })
      ),
  });
}

for (const type of TYPES) {
  Deno.test({
    name: `${type}, ouro host and C host: either side killed, and the other serves on`,
    ignore,
    fn: () =>
      despiteRaces(() =>
        twoHosts(type, { node: "ouro" }, {}, async (a, b) => {
          const log = () => a.irmd.out + b.irmd.out;
          const server = await b.serve("srv", "lay");
          await a.must("irm", "name", "create", "srv");
          const back = await a.serve("back", "lay");
          await b.must("irm", "name", "create", "back");
          // A client of ours is killed in mid-flow, then a C client.
          const ours = a.spawn(a.tool("oping", "-n", "srv", "-c", "1000", "-i", "20"));
          await ours.waitForLine(/seq=5/);
          await ours.stop("SIGKILL");
          const theirs = b.spawn(b.tool("oping", "-n", "back", "-c", "1000", "-i", "20"));
          await theirs.waitForLine(/seq=5/);
          await theirs.stop("SIGKILL");
          assertPinged(await a.run(a.tool("oping", "-n", "srv", ...PING)), 5, log);
          assertPinged(await b.run(b.tool("oping", "-n", "back", ...PING)), 5, log);
          // A server is killed; a client of it gets no answers and can still leave.
          const last = a.spawn(a.tool("oping", "-n", "srv", "-c", "20", "-i", "20"));
          await last.waitForLine(/seq=2/);
          await server.stop("SIGKILL");
          await last.wait(30_000);
          await back.stop("SIGKILL");
          await a.must("irm", "ipcp", "destroy", "name", "nA");
          await b.must("irm", "ipcp", "destroy", "name", "nB");
        })
      ),
  });
}

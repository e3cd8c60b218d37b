// `irm` and IRMd of both makes in all four combinations: the same commands give the same output and exit codes, and C
// applications work on our IRMd. The combination of the two C programs is the reference.

import { assert, assertEquals } from "@std/assert";
import { ouro } from "../support/node.ts";
import { bindProcess, canRunPrototype, CHost, PROTOTYPE } from "./c_host.ts";

const ignore = !canRunPrototype;

/** Our IRMd, with the prototype's IPCPs. */
const OUR_IRMD = () => [...ouro("irmd", "--stdout", "--ipcp-dir"), `${PROTOTYPE}/sbin`];

/** Commands of which nothing, but for one, is known to differ on purpose; run in order on one host. */
const COMMANDS = [
  "name list",
  "name create n1",
  "n c n2 lb spillover",
  "name create n1 lb spillover",
  "name list",
  "bind program /mnt/ouro-prototype/bin/oping name n1",
  "b prog oping n n3",
  "bind program /nonexistent/program name n1",
  "unbind program oping name n1",
  "unbind program oping name n1",
  "name destroy n2",
  "name destroy n2",
  "name list",
  "bind process 1 name n1",
  "ipcp list",
  "ipcp create name l1 type local",
  "ipcp list",
  "ipcp bootstrap name l1 layer lay type local",
  "ipcp bootstrap name l1 layer lay type local",
  "i l",
  "name register n1 layer lay",
  "name register n4 ipcp l1",
  "name unregister n1 layer lay",
  "bind ipcp l1 name l1.n",
  "unbind ipcp l1 name l1.n",
  "ipcp create name u1 type unicast",
  "ipcp bootstrap name u1 layer uni type unicast",
  "ipcp list",
  "ipcp connect name l1 dst n1",
  "ipcp enroll name u1 dst nowhere",
  "name list",
  "ipcp destroy name u1",
  "ipcp destroy name l1",
  "ipcp list",
];

/** The one of them that our `irm` refuses. */
const FORGOTTEN = "name create n1 lb spillover";

interface Result {
  code: number;
  out: string;
}

async function transcript(host: CHost, irm: string[]): Promise<Result[]> {
  const results: Result[] = [];
  for (const c of COMMANDS) {
    const { code, out } = await host.run([...irm, ...c.split(" ")]);
    results.push({ code, out: out.replace(/\| +\d+ \|/g, "|     PID |") });
  }
  return results;
}

let reference: Promise<Result[]> | undefined;

function expected(): Promise<Result[]> {
  return reference ??= (async () => {
    await using host = await CHost.start();
    return await transcript(host, ["irm"]);
  })();
}

for (
  const [what, irm, irmd] of [
    ["C irm on our IRMd", () => ["irm"], OUR_IRMD],
    ["our irm on the C IRMd", () => ouro("irm"), undefined],
    ["our irm on our IRMd with C IPCPs", () => ouro("irm"), OUR_IRMD],
  ] as const
) {
  Deno.test({
    name: `${what}: output and exit codes as with C programs alone`,
    ignore,
    async fn(t) {
      const want = await expected();
      assert(want.some((r) => r.code === 0) && want.some((r) => r.code === 1));
      await using host = await CHost.start(irmd === undefined ? {} : { irmd: irmd() });
      const got = await transcript(host, irm());
      for (const [i, c] of COMMANDS.entries()) {
        // The prototype takes settings for a name that exists already, and forgets them.
        const forgotten = irm()[0] !== "irm" && c === FORGOTTEN;
        const wanted = forgotten ? { code: 1, out: "" } : want[i];
        await t.step(`irm ${c}`, () => assertEquals(got[i], wanted));
      }
    },
  });
}

Deno.test({
  name: "C oping client and server on our IRMd: direct flows, several servers, auto-start",
  ignore,
  async fn() {
    await using host = await CHost.start({ irmd: OUR_IRMD() });
    await host.must("irm", "name", "create", "ping");
    const server = host.spawn(["oping", "-l"]);
    await bindProcess((...argv) => host.run(argv), server.pid, "ping");
    for (let i = 0; i < 3; i++) {
      const out = await host.must("oping", "-n", "ping", "-c", "3", "-i", "5");
      assert(/3 packets transmitted, 3 received/.test(out), out);
    }
    await server.stop("SIGINT"); // else it would serve "auto" too: it is the same program
    await host.must("irm", "bind", "program", "oping", "name", "auto", "auto", "--", "-l");
    const out = await host.must("oping", "-n", "auto", "-c", "2", "-i", "5");
    assert(/2 packets transmitted, 2 received/.test(out), out);
    assert(/Instantiated .*oping as process/.test(host.irmd.out), host.irmd.out);
    const end = await host.irmd.stop("SIGTERM", 10_000);
    assertEquals(end.code, 0);
    // On this host that directory is a mount, which nobody can remove.
    const errors = end.out.split("\n").filter((l) => l.includes("(EE)"));
    assertEquals(errors.filter((l) => !l.includes("Failed to remove /tmp/ouroboros")), []);
  },
});

Deno.test({
  name: "C oping over C IPCPs under our IRMd: another user's client, over the local IPCP",
  ignore,
  async fn() {
    await using host = await CHost.start({ irmd: OUR_IRMD() });
    await host.makeIpcp("bootstrap", "name", "l1", "type", "local", "layer", "lay");
    await host.serve("ping", "lay");
    const r = await host.run(["oping", "-n", "ping", "-c", "3", "-i", "5"], 65534);
    assert(/3 packets transmitted, 3 received/.test(r.out), r.out + r.err + host.irmd.out);
    await host.must("irm", "ipcp", "destroy", "name", "l1");
    assert((await host.must("irm", "ipcp", "list")).includes("No IPCPs in system."));
  },
});

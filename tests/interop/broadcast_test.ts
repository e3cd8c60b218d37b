// Broadcast layers of our members and the prototype's, in a line: who enrols with whom, who passes packets on, whose obc
// speaks and listens. Needs OURO_PROTOTYPE and root.

import { assertEquals } from "@std/assert";
import { until } from "../support/deadline.ts";
import type { RunningProcess } from "../support/process.ts";
import { canRunPrototype } from "./c_host.ts";
import { type Chain, type Kind, onChain, PrototypesFault } from "../support/mixed_chain.ts";

/**
 * Makes all hosts members of broadcast layer `all`, each enrolled with the one before it (in a star the first) and
 * connected.
 */
async function layer(chain: Chain): Promise<void> {
  for (const [i, host] of chain.hosts.entries()) {
    const own = `all.${i}`;
    const before = `all.${chain.options.star ? 0 : i - 1}`;
    const who = ["type", "broadcast", "name", own, "layer", "all"];
    if (i === 0) await host.makeIpcp("bootstrap", ...who, "autobind");
    else {
      for (const name of [before, own, "all"]) {
        await host.run(host.tool("irm", "name", "create", name));
      }
      await host.makeIpcp("enroll", ...who, "dst", before, "autobind");
    }
    for (const [ipcp] of chain.links(i)) await host.must("irm", "name", "reg", own, "ipcp", ipcp);
    if (i > 0) await host.must("irm", "ipcp", "connect", "name", own, "dst", before, "comp", "dt");
  }
}

async function listeners(chain: Chain): Promise<RunningProcess[]> {
  return await Promise.all(chain.hosts.map(async (host, i) => {
    // The prototype's writes at once to a terminal alone.
    const argv = chain.kinds[i] === "c"
      ? ["script", "-qfc", "obc -n all -l", "/dev/null"]
      : host.tool("obc", "-n", "all", "-l");
    const process = host.spawn(argv);
    await process.waitForLine(/New flow\./);
    return process;
  }));
}

/** How long the prototype's obc may take before it is known to wait for ever, ms. */
const OBC_MS = 20_000;

/** Host i says where it is. The prototype's obc, once its message is written, waits for its IPCP to read it, which may miss that. */
async function speak(chain: Chain, i: number): Promise<void> {
  const host = chain.hosts[i]!;
  const obc = host.spawn(host.tool("obc", "-n", "all", "-m", `from ${i}`));
  const timer = setTimeout(() => obc.kill("SIGKILL"), chain.kinds[i] === "c" ? OBC_MS : 60_000);
  const { code, out, err } = await obc.wait(90_000);
  clearTimeout(timer);
  if (code === 137 && chain.kinds[i] === "c") throw new PrototypesFault("obc hung in its close");
  assertEquals(code, 0, out + err);
}

/** What a listener got, once `last` has come. */
async function heard(process: RunningProcess, last: string): Promise<string[]> {
  await until(`"${last}" comes`, () => process.out.includes(`Message is ${last}.`), 20_000);
  return [...process.out.matchAll(/Message is (.*)\.\r?\n/g)].map((m) => m[1]!);
}

const SHAPES: readonly (readonly [readonly Kind[], star?: boolean])[] = [
  [["ouro", "c"]],
  [["c", "ouro"]],
  [["ouro", "c", "ouro"]],
  [["c", "ouro", "c"]],
  [["ouro", "ouro", "c"]],
  [["ouro", "c", "ouro", "c"], true],
  [["c", "ouro", "ouro", "c"], true],
];
for (const [kinds, star = false] of SHAPES) {
  const shape = star ? `tree ${kinds[0]} over ${kinds.slice(1).join(", ")}` : kinds.join(" - ");
  Deno.test({
    name: `a broadcast layer ${shape}: everybody hears everybody, once`,
    ignore: !canRunPrototype,
    async fn() {
      await onChain(kinds, { star }, async (chain) => {
        await layer(chain);
        const all = await listeners(chain);
        for (const i of chain.hosts.keys()) {
          await speak(chain, i);
          for (const one of all) await heard(one, `from ${i}`);
        }
        const wanted = kinds.map((_, i) => `from ${i}`);
        for (const one of all) assertEquals(await heard(one, wanted.at(-1)!), wanted);
      });
    },
  });
}

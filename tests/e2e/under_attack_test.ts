// What is proved here: while an attack goes on, the flow of an honest user comes about and the daemon answers; its memory
// and its log stay bounded. One attack of each kind; docs/security.md has the table.

import { assert, assertMatch } from "@std/assert";
import { until } from "../support/deadline.ts";
import { md5Hex } from "../support/ipcp_pair.ts";
import { loopbackNet } from "../support/loopback.ts";
import { Puppet } from "../support/puppet.ts";
import { PATIENT, type RunningProcess, TestNode } from "../support/node.ts";
import { serve } from "../support/two_nodes.ts";
import { userProgram } from "../support/user_program.ts";

const USER = 4204;
const MIB = 1 << 20;
const GROWTH_BYTES = 150 * MIB;
const LOG_BYTES = 128 << 10;

const ATTACKER = new URL("./attacker.ts", import.meta.url);

function memoryBytes(pid: number): number {
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  return 1024 * Number(/VmRSS:\s*(\d+)/.exec(status)![1]);
}

/** How far an attack has got. */
const rounds = (attack: RunningProcess) => Number(/(\d+)\n[^\n]*$/.exec(attack.out)?.[1] ?? 0);

/** The flow of an honest user at `client`, during an attack on `node` that goes on after it. */
async function servedDuring(
  attack: RunningProcess,
  node: TestNode,
  client: TestNode,
): Promise<void> {
  await attack.waitForLine(/^attacking/);
  const begun = rounds(attack);
  await until("the attack is under way", () => rounds(attack) > begun);
  const irmd = node.irmd!;
  const [bytes, logged] = [memoryBytes(irmd.pid), irmd.out.length + irmd.err.length];
  for (let n = 0; n < 2; n++) {
    const r = await client.run(["oping", "-n", "good", "-c", "1", ...PATIENT]);
    assertMatch(r.out, /1 received/, `${r.out}${r.err}\n${irmd.out.slice(-4000)}`);
    await node.must("irm", "name", "list");
  }
  const then = rounds(attack);
  await until("the attack has gone on", () => rounds(attack) > then);
  const grown = memoryBytes(irmd.pid) - bytes;
  assert(grown < GROWTH_BYTES, `${grown} bytes more`);
  const said = irmd.out.length + irmd.err.length - logged;
  assert(said < LOG_BYTES, `${said} bytes in the log:\n${irmd.out.slice(-4000)}`);
  attack.kill("SIGKILL");
  await attack.wait();
}

Deno.test({
  name: "a user's attacks on the IRMd do not keep others from their flows",
  ignore: Deno.uid() !== 0,
  async fn(t) {
    await using node = await TestNode.start();
    await Deno.chmod(node.prefix, 0o755);
    const argv = await userProgram(node.prefix, ATTACKER);
    const env = { DENO_DIR: `${node.prefix}/cache.${USER}` };
    await using _good = await serve(node, "good", undefined);
    await using _slow = await serve(node, "slow", undefined);
    await node.must("pki", "init");
    await node.must("pki", "server", "slow", "--key", "slh-dsa-sha2-128f");
    for (
      const [says, words, of] of [
        ["connections that say nothing", ["silent"], { uid: USER, gid: USER }],
        ["requests without end", ["requests", "good"], { uid: USER, gid: USER }],
        ["accepts that take every flow", ["accepts"], { uid: USER, gid: USER }],
        ["flows whose server signs slowly", ["slow", "slow"], {}],
      ] as const
    ) {
      await t.step(says, async () => {
        await using attack = node.spawnArgv([...argv, ...words], { ...of, env });
        await servedDuring(attack, node, node);
      });
    }
  },
});

Deno.test({
  name: "a flood of requests from many addresses does not keep others from a server",
  ignore: Deno.uid() !== 0,
  async fn() {
    const net = loopbackNet();
    const forged = loopbackNet();
    await using node = await TestNode.start();
    await using client = await TestNode.start();
    const at = (host: number) => [...net, host].join(".");
    await Deno.mkdir(`${client.prefix}/etc`, { recursive: true });
    await Deno.writeTextFile(`${client.prefix}/etc/hosts`, `${at(1)} ${md5Hex("good")}\n`);
    for (const [n, host] of [[node, 1], [client, 2]] as const) {
      await n.must(..."irm ipcp bootstrap type udp4 name u layer lay ip".split(" "), at(host));
    }
    await using _good = await serve(node, "good", "lay");
    await client.must("irm", "name", "create", "good");
    // Bound, and never accepted from: each request waits.
    const idle = await Puppet.announced(node);
    await node.must("irm", "name", "create", "idle");
    await node.must("irm", "bind", "process", String(idle.pid), "name", "idle");
    await node.must("irm", "name", "register", "idle", "layer", "lay");
    const argv = await userProgram(node.prefix, ATTACKER);
    const hex = [Uint8Array.of(...net, 1), Uint8Array.of(...forged)].map((b) => b.toHex());
    await using attack = node.spawnArgv([...argv, "datagrams", ...hex, md5Hex("idle")]);
    await servedDuring(attack, node, client);
  },
});

// What is proved here: a user who spoils all shared memory that it may open, the flow set of the IPCP included, and
// floods through it, disturbs no flow of others: every packet arrives.

import { assert, assertEquals, assertMatch } from "@std/assert";
import { until } from "../support/deadline.ts";
import { PATIENT, TestNode } from "../support/node.ts";
import { userProgram } from "../support/user_program.ts";

const USER = 4203;
const SEED = Number(Deno.env.get("OURO_TEST_SEED") ?? Date.now() % 1e6);

async function pingVictim(node: TestNode): Promise<void> {
  const { out, err, code } = await node.run([
    "oping",
    "-n",
    "victim",
    "-c",
    "40",
    ...PATIENT,
    "-i",
    "10",
  ]);
  assertMatch(out, /40 received.* 0% packet loss/, err);
  assertEquals(code, 0);
}

Deno.test({
  name: `a hostile user of an IPCP stops no flow of others (seed ${SEED})`,
  ignore: Deno.uid() !== 0,
  async fn() {
    // The IPCP that is spoilt and flooded may take its time to answer.
    await using node = await TestNode.start({ args: ["--no-direct"], patience: 50 });
    await Deno.chmod(node.prefix, 0o755);
    const argv = await userProgram(node.prefix, new URL("./hostile_user.ts", import.meta.url));
    const env = { DENO_DIR: `${node.prefix}/cache.${USER}` };
    const hostile = (...args: string[]) =>
      node.spawnArgv([...argv, ...args], { uid: USER, gid: USER, env });
    await node.must("irm", "ipcp", "bootstrap", "type", "local", "name", "l", "layer", "lay");
    for (const name of ["victim", "sink"]) {
      await node.must("irm", "name", "create", name);
      await node.must("irm", "name", "register", name, "layer", "lay");
      const server = node.spawn(["oping", "-l"]);
      await server.waitForLine(/server started/);
      await node.must("irm", "bind", "process", String(server.pid), "name", name);
    }
    const quiet = await node.run(["oping", "-n", "victim", "-c", "3", ...PATIENT, "-i", "5"]);
    assertMatch(quiet.out, /3 received/);
    const flood = hostile("flood", "sink");
    await flood.waitForLine(/flooding/);
    const base = node.sharedMemory()[0]!.split(".").slice(0, -1).join(".").replace(
      /\.(pup|set|rbuff).*/,
      "",
    );
    const spoiler = hostile("spoil", base, String(SEED));
    const [, objects] = await spoiler.waitForLine(/spoiling (\d+)/);
    // Its own pool, set and rings, and the set of the IPCP.
    assert(Number(objects) >= 4, `${objects} objects`);
    for (let k = 0; k < 3; k++) await pingVictim(node);
    // What is in use is cut off while a flow goes on.
    const during = node.spawn(["oping", "-n", "victim", "-c", "100", ...PATIENT, "-i", "10"]);
    await during.waitForLine(/seq=9 /);
    for (const p of [flood, spoiler]) {
      p.kill("SIGKILL");
      await p.wait();
    }
    assert((await hostile("cut", base).wait()).code === 0);
    const { out, err } = await during.wait();
    assertMatch(out, /100 received.* 0% packet loss/, err);
    await until("the set of the IPCP is whole again", async () => {
      const late = await node.run(["oping", "-n", "victim", "-c", "1", ...PATIENT]);
      return /1 received/.test(late.out);
    });
    await node.must("irm", "name", "list");
  },
});

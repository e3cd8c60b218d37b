/** The configuration files of vectors/irmd.json (`config/`) given to an IRMd, and what comes of them. */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { isTaken } from "../unit/irmd/config/taken.ts";
import vectors from "../vectors/irmd.json" with { type: "json" };
import { DEADLINE_MS } from "../support/deadline.ts";
import { ouro, RunningProcess, TestNode } from "../support/node.ts";

interface ConfigCase {
  readonly name: string;
  readonly input: { readonly config: string };
  readonly result: string;
  readonly ipcps?: readonly { name: string; type: string; layer: string; hash_algo: number }[];
  readonly names?: readonly { name: string; lb: string }[];
  readonly errors?: readonly string[];
}

const cases = (vectors.cases as unknown as ConfigCase[])
  .filter(({ name }) => name.startsWith("config/"));

Deno.test("irmd does what the configuration files of the vectors say", async (t) => {
  for (const one of cases) {
    assert(one.result === "running" || one.result === "exits", `${one.name}: ${one.result}`);
    const running = one.result === "running" || isTaken(one);
    await t.step({
      name: one.name,
      // Interfaces and raw sockets need root.
      ignore: one.input.config.includes("[eth-") && Deno.uid() !== 0,
      fn: () => running ? runs(one) : exits(one),
    });
  }
});

async function runs(one: ConfigCase): Promise<void> {
  await using node = await TestNode.start({ config: one.input.config });
  // The daemon serves while it applies the file; what it holds is compared when it is complete.
  const wanted = one.result === "running" ? one : undefined;
  const lists = async () => ({
    ipcps: JSON.parse(await node.must("irm", "ipcp", "list", "--json")) as ConfigCase["ipcps"],
    names: JSON.parse(await node.must("irm", "name", "list", "--json")) as ConfigCase["names"],
  });
  const end = performance.now() + DEADLINE_MS;
  for (;;) {
    assert(!node.irmd!.ended, node.irmd!.out);
    const got = await lists();
    if (!wanted) {
      if (got.ipcps!.length > 0 && got.ipcps!.every(({ layer }) => layer !== null)) break;
    } else if (
      got.ipcps!.length === wanted.ipcps!.length && got.names!.length === wanted.names!.length &&
      got.ipcps!.every(({ layer }) => layer !== null)
    ) {
      const ipcps = got.ipcps!.map(({ name, type, layer, hash_algo }) => ({
        name,
        type,
        layer,
        hash_algo,
      }));
      assertEquals(ipcps, [...wanted.ipcps!]);
      assertEquals(got.names, [...wanted.names!]);
      break;
    }
    assert(performance.now() < end, `${JSON.stringify(got)}\n${node.irmd!.out}`);
  }
  const result = await node.stopIrmd();
  assertEquals(result!.code, 0, result!.out);
}

async function exits(one: ConfigCase): Promise<void> {
  await using node = await TestNode.start({ idle: true });
  const path = `${node.prefix}/irmd.conf`;
  await Deno.writeTextFile(path, one.input.config);
  const irmd = node.spawn(["irmd", "--stdout", "--config", path]);
  const result = await irmd.wait();
  assertEquals(result.code, 1, result.out);
  const prefix = "irmd/configuration(EE): ";
  for (const line of one.errors!) {
    // Lines of other components differ in detail; those of the configuration tell the cause.
    if (!line.startsWith(prefix)) continue;
    if (line.includes("Failed to enrol")) assertStringIncludes(result.out, line.slice(0, -1));
    // Harmless, so a warning here.
    else if (line.includes("Ignoring ")) {
      assertStringIncludes(result.out, line.slice(prefix.length));
    } else assertStringIncludes(result.out, line.replace("Unkown ", "Unknown "));
  }
  assertEquals(node.sharedMemory(), []);
}

Deno.test("irmd names file and line of every mistake and makes nothing", async () => {
  await using node = await TestNode.start({ idle: true });
  const path = `${node.prefix}/irmd.conf`;
  const text = '[name.a]\nlb = 1\n\n[local.l]\nbootstrap = "x"\nhsah = "SHA3_256"\n';
  await Deno.writeTextFile(path, text);
  const result = await node.run(["irmd", "--stdout", "--config", path]);
  assertEquals(result.code, 1);
  assertStringIncludes(result.out, `lb in [name.a] must be a string, not an integer. (${path}:2)`);
  assertStringIncludes(
    result.out,
    `Unknown key in [local.l]: hsah. Did you mean "hash"? (${path}:6)`,
  );
  assert(!result.out.includes("Created"), result.out);
});

Deno.test("irmd tells a configuration file that it cannot read", async () => {
  await using node = await TestNode.start({ idle: true });
  const bad = `${node.prefix}/latin1.conf`;
  await Deno.writeFile(bad, Uint8Array.of(0x5b, 0xe9, 0x5d));
  for (const path of [`${node.prefix}/gone.conf`, node.prefix, bad]) {
    const irmd = new RunningProcess(ouro("irmd", "--stdout", "--config", path), { env: node.env });
    const result = await irmd.wait();
    assertEquals(result.code, 1, path);
    assert(!/\n\s+at /.test(result.out + result.err), result.out + result.err);
    assertStringIncludes(result.out, "Failed to load config file.");
  }
});

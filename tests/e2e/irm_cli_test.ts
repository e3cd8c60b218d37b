/**
 * The transcripts of the prototype's `irm`, in order, against a running IRMd of ours with real IPCPs.
 * Most command lines run in this process (the commands are the same code); some run the program itself.
 */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { tools } from "../../commands/table.ts";
import { realSystem } from "../../irm/system.ts";
import { AdminClient } from "../../lib/irm/admin.ts";
import { instanceOf } from "../../lib/instance.ts";
import { irm } from "../unit/irm/console.ts";
import { cliCases, SECOND_LIST_ORDER, withoutPids } from "../unit/irm/vectors.ts";
import { ouro, TestNode } from "../support/node.ts";
import { nameInfo } from "../support/names.ts";
import { PolLb } from "../../lib/irm/messages.ts";

const SYSTEM = { ...realSystem, ownTools: tools() };

Deno.test("irm gives the transcripts of the prototype with an IRMd of ours", async (t) => {
  const bindir = await Deno.makeTempDir({ prefix: "ouro-bin-" });
  await Deno.writeTextFile(`${bindir}/oping`, "#!/bin/sh\n", { mode: 0o755 });
  const system = { ...SYSTEM, path: `${bindir}:/usr/bin:/bin` };
  const cases = cliCases(bindir);
  const lists = [
    cases.filter(({ order }) => order < SECOND_LIST_ORDER),
    cases.filter(({ order }) => order >= SECOND_LIST_ORDER),
  ];
  try {
    for (const list of lists) {
      await using node = await TestNode.start();
      const admin = node.admin(30_000);
      const nobody = new AdminClient(instanceOf(`${node.prefix}/nobody`));
      for (const one of list) {
        const fn = async () => {
          const got = await irm(one.argv, one.irmdRunning ? admin : nobody, system);
          const said = `${got.out}${got.err}`;
          assertEquals(withoutPids(got.out), withoutPids(one.stdout), got.err);
          // A command that says that it failed exits 1, whatever the prototype did.
          const failed = /^Failed to /m.test(said);
          assertEquals(got.code, one.exit === 0 && failed ? 1 : one.exit, said);
          assertStringIncludes(got.err, one.stderr);
        };
        await t.step({ name: one.name, fn });
      }
    }
  } finally {
    await Deno.remove(bindir, { recursive: true });
  }
});

Deno.test("irm as a program: streams, exit codes, --prefix on both sides, one line of reason", async () => {
  await using node = await TestNode.start();
  const usage = await node.run(["irm"]);
  assertEquals([usage.code, usage.err], [255, ""]);
  assertStringIncludes(usage.out, "Usage: irm [OPERATION]");

  const unknown = await node.run(["irm", "bogus"]);
  assertEquals([unknown.code, unknown.out], [1, ""]);
  assertEquals(unknown.err, '"bogus" is unknown, try "irm help".\n');

  await node.must("irm", "n", "c", "oping");
  const elsewhere = { env: { OURO_PREFIX: "/nonexistent" } };
  const before = await node.run(["irm", "--prefix", node.prefix, "name", "list"], elsewhere);
  const after = await node.run(["irm", "name", "list", `--prefix=${node.prefix}`], elsewhere);
  assertEquals(before, after);
  assertStringIncludes(before.out, "oping");

  const json = JSON.parse(await node.must("irm", "name", "list", "--json"));
  assertEquals(json, [{ name: "oping", lb: "round-robin" }]);

  const gone = await node.run(["irm", "name", "destroy", "nonesuch"]);
  assertEquals([gone.code, gone.out], [1, ""]);
  assertMatch(gone.err, /^Failed to destroy name "nonesuch": -\d+: [^\n]+\n$/);

  const absent = await node.run(["irm", "name", "list"], elsewhere);
  assertEquals(absent.code, 1);
  assertEquals(
    absent.out,
    "Failed to communicate with the Ouroboros IPC Resource Manager daemon.\n",
  );
  assertStringIncludes(absent.err, "IRMd is not running");
});

Deno.test("irm survives bad names and a list longer than one classic packet", async () => {
  await using node = await TestNode.start();
  const admin = node.admin(30_000);
  for (const name of ["n".repeat(256), "\ud800", "é".repeat(128)]) {
    const got = await irm(["name", "create", name], admin, SYSTEM);
    assertEquals(got.code, 1);
    assert(got.err + got.out !== "");
  }
  const argv = ouro("irm", "name", "create", "name");
  const raw = 'exec "$@" "$(printf "n\\377")"';
  const latin = await node.spawnArgv(["sh", "-c", raw, "sh", ...argv.slice(0, -1)]).wait();
  assertEquals([latin.code, latin.out], [1, ""]);
  assertMatch(latin.err, /^Failed to read the command line: word \d+ is not UTF-8\n$/);
  const names = Array.from({ length: 200 }, (_, i) => `${"x".repeat(120)}${i}`);
  for (const name of names) {
    await admin.createName(nameInfo(name, PolLb.SPILLOVER));
  }
  const got = await irm(["name", "list", "--json"], admin, SYSTEM);
  const listed = JSON.parse(got.out).map((entry: { name: string }) => entry.name);
  assertEquals(listed.sort(), names.sort());
});

/** The transcripts of the prototype's `irm`, in order, against a daemon in memory. */

import { assertEquals, assertStringIncludes } from "@std/assert";
import { FakeAdmin } from "../../support/admin.ts";
import { fakeSystem, irm } from "./console.ts";
import { cliCases, SECOND_LIST_ORDER, withoutPids } from "./vectors.ts";

const BINDIR = "/opt/ouro/bin";

Deno.test("irm gives the transcripts of the prototype in order", async (t) => {
  const system = fakeSystem({
    "/etc/hostname": false,
    [`${BINDIR}/oping`]: true,
    "/usr/bin/oping": true,
  });
  let admin = new FakeAdmin();
  const cases = cliCases(BINDIR);
  let second = false;
  for (const one of cases) {
    if (!second && one.order >= SECOND_LIST_ORDER) {
      second = true;
      admin = new FakeAdmin();
    }
    await t.step(one.name, async () => {
      admin.running = one.irmdRunning;
      const got = await irm(one.argv, admin, system);
      assertEquals(withoutPids(got.out), withoutPids(one.stdout));
      // A command that says that it failed exits 1, whatever the prototype did.
      const failed = /^Failed to /m.test(got.err) || /^Failed to /m.test(got.out);
      assertEquals(got.code, one.exit === 0 && failed ? 1 : one.exit);
      assertStringIncludes(got.err, one.stderr);
    });
  }
});

/** Random command lines: `irm` never throws, and says something whenever it fails. */

import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { FakeAdmin } from "../support/admin.ts";
import { anyText } from "../support/text.ts";
import { fakeSystem, irm } from "../unit/irm/console.ts";
import { cliCases } from "../unit/irm/vectors.ts";
import { fuzzRuns } from "../support/seed.ts";

const NUM_RUNS = fuzzRuns(3000);

const known = [
  ...new Set(cliCases("/bin").flatMap(({ argv }) => argv)),
  "--json",
  "--prefix",
  "--",
];

const word = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(...known) },
  { weight: 1, arbitrary: anyText(300) },
  {
    weight: 2,
    arbitrary: fc.tuple(fc.constantFrom(...known), fc.nat(12)).map(([w, n]) => w.slice(0, n)),
  },
);

Deno.test("irm answers any command line with an exit code and a text", async () => {
  const system = fakeSystem({ "/bin/oping": true, "/etc/hostname": false });
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(word, { maxLength: 9 }), { minLength: 1, maxLength: 6 }),
      fc.boolean(),
      async (lines, running) => {
        const admin = new FakeAdmin();
        admin.running = running;
        for (const line of lines) {
          const got = await irm(line, admin, system);
          assert([0, 1, 255].includes(got.code), `${got.code}`);
          if (got.code !== 0) assert(got.out + got.err !== "", JSON.stringify(line));
          assert(!/\n\s+at /.test(got.err + got.out), JSON.stringify(line));
        }
      },
    ),
    { numRuns: NUM_RUNS },
  );
});

Deno.test("irm prints one JSON document or nothing with --json", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.string({ maxLength: 40 }), { maxLength: 5 }), async (names) => {
      const admin = new FakeAdmin();
      for (const name of names) await irm(["name", "create", name], admin);
      const got = await irm(["name", "list", "--json"], admin);
      const listed = JSON.parse(got.out).map((n: { name: string }) => n.name);
      assertEquals(listed.sort(), admin.names.map(({ name }) => name).sort());
    }),
    { numRuns: fuzzRuns(200) },
  );
});

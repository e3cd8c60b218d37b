/** Random configuration files: reading one never throws, and every error has a line of the file. */

import { assert } from "@std/assert";
import fc from "fast-check";
import { parseConfig } from "../../irmd/config.ts";
import vectors from "../vectors/irmd.json" with { type: "json" };
import { anyText } from "../support/text.ts";
import { fuzzRuns } from "../support/seed.ts";

const NUM_RUNS = fuzzRuns(4000);

const files = (vectors.cases as unknown as { name: string; input: { config?: string } }[])
  .filter(({ name }) => name.startsWith("config/")).map(({ input }) => input.config!);

/** Pieces of good files and of bad ones. */
const piece = fc.oneof(
  fc.constantFrom(...files.flatMap((file) => file.split("\n"))),
  fc.constantFrom(
    ...["[", "]", "[[", '"""', "'''", "=", "\n", ",", "{", "}", "\\", "\0", "#", "\r\n", "."],
  ),
  anyText(20),
  fc.integer().map(String),
  fc.constantFrom('hash="SHA3_224"', "ethertype=1", 'dev="lo"', 'conn=["a"]', "args=[[1]]"),
);

const file = fc.oneof(
  fc.array(piece, { maxLength: 12 }).chain((pieces) =>
    fc.constantFrom("", "\n", " ").map((glue) => pieces.join(glue))
  ),
  fc.tuple(fc.constantFrom(...files), fc.nat(), anyText(3))
    .map(([text, at, noise]) => {
      const cut = at % (text.length + 1);
      return text.slice(0, cut) + noise + text.slice(cut + 1);
    }),
);

Deno.test("parseConfig() takes any text without throwing and tells the line of each error", () => {
  fc.assert(
    fc.property(file, (text) => {
      const parsed = parseConfig(text, "f");
      if (!Array.isArray(parsed)) return;
      assert(parsed.length > 0);
      const lines = text.split("\n").length;
      for (const error of parsed) {
        assert(error.line >= 1 && error.line <= lines, `${error}`);
        assert(error.lines().every((line) => line !== ""));
      }
    }),
    { numRuns: NUM_RUNS },
  );
});

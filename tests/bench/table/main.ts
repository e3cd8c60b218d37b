// deno-lint-ignore-file no-console -- a program, which prints
/**
 * The table of the bench: works as an application does them, over flows and over TCP in the same run.
 *
 *     deno run -A tests/bench/table/main.ts [--rounds 5] [--file-mb 200] [--json FILE] [PART…]
 *
 * Writes what it measured as JSON (`bench.json`; a part that is measured again replaces its rows), from which
 * `deno task bench:doc` makes the table of `docs/performance.md`. Needs root for the parts with two hosts. Asserts nothing.
 */

import { parseArgs } from "@std/cli/parse-args";
import { canMakeNetns } from "../../support/netns.ts";
import { otherOptions, wholeOption } from "../../../scripts/options.ts";
import { line } from "../figures.ts";
import { type BenchFile, machine, readBench } from "./file.ts";
import { canPin } from "./hosts.ts";
import { moreParts } from "./more.ts";
import { PARTS, type Row } from "./rows.ts";
import { tunnelParts } from "./tunnels.ts";

const USAGE = "tests/bench/table/main.ts [--rounds N] [--file-mb N] [--json FILE] [PART…]";
const args = parseArgs(Deno.args, {
  string: ["rounds", "file-mb", "json"],
  default: { rounds: "5", "file-mb": "200", json: "bench.json" },
  unknown: otherOptions(USAGE),
});
const extent = {
  rounds: wholeOption("rounds", args.rounds, 1, 1000, USAGE),
  fileBytes: wholeOption("file-mb", args["file-mb"], 1, 100_000, USAGE) * 1e6,
};
const all = { ...PARTS, ...tunnelParts, ...moreParts };
/** Whether a part has two hosts. */
const needsHosts = (name: string) =>
  name.startsWith("file-") || name === "flood" || name in tunnelParts;
const names = args._.length > 0 ? args._.map(String) : Object.keys(all);

const digits = (v: number) => v >= 100 ? v.toFixed(0) : v.toPrecision(3);

function show(row: Row): void {
  const span = (r: { median: number; least: number; most: number }) =>
    `${digits(r.median)} ${row.unit} (${digits(r.least)}–${digits(r.most)})`;
  const peer = row.peer === undefined ? "" : `${row.peer.name}: ${span(row.peer)}`;
  const ratio = row.ratio === undefined ? "" : `; ratio ${row.ratio.toFixed(2)}`;
  line(row.what, span(row.ours), `${peer}${ratio} (goal ${row.goal})`);
}

const file: BenchFile = await readBench(args.json) ?? { machine: await machine(canPin), parts: {} };
for (const name of names) {
  const part = all[name];
  if (part === undefined) {
    console.error(`Cannot bench ${name}: there is no such part (${Object.keys(all).join(", ")})`);
    Deno.exit(2);
  }
  if (needsHosts(name) && !canMakeNetns()) {
    line(name, "skipped", "needs root, for network namespaces");
    continue;
  }
  try {
    const rows = await part(extent);
    rows.forEach(show);
    file.parts[name] = { machine: await machine(canPin), rows };
    await Deno.writeTextFile(args.json, JSON.stringify(file, null, 1) + "\n");
  } catch (error) {
    line(name, "failed", String(error).slice(0, 500));
  }
}

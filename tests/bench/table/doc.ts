// deno-lint-ignore-file no-console -- a program, which prints
/**
 * `deno task bench:doc [FILE]`: writes the table of `docs/performance.md` from what the bench measured (`bench.json`), below
 * the line that says so.
 */

import { fromFileUrl } from "@std/path";
import { type Machine, readBench } from "./file.ts";
import type { Rounds, Row } from "./rows.ts";

const PAGE = fromFileUrl(new URL("../../../docs/performance.md", import.meta.url));
const MARK = "<!-- What follows is written by `deno task bench:doc`. -->";

const digits = (v: number) => v >= 100 ? v.toFixed(0) : v.toPrecision(3);
const span = (r: Rounds) => `${digits(r.median)} (${digits(r.least)}–${digits(r.most)})`;

function cells(row: Row): string[] {
  const unit = row.unit === "" ? "" : `, ${row.unit}`;
  const peer = row.peer === undefined ? "" : `${row.peer.name}: ${span(row.peer)}`;
  return [row.what + unit, span(row.ours), peer, row.ratio?.toFixed(2) ?? "", row.goal];
}

function about(m: Machine): string {
  const { cpus, model, kernel, deno, date, pinned } = m;
  const pins = pinned ? "peers on one node have a processor each" : "nothing is pinned";
  return `${date}, ${cpus} × ${model}, Linux ${kernel}, Deno ${deno}; ${pins}.`;
}

const file = await readBench(Deno.args[0] ?? "bench.json");
if (file === undefined) {
  console.error("Cannot read bench.json: run `deno task bench table` first");
  Deno.exit(1);
}
const parts = Object.values(file.parts);
const loads = parts.map((p) => p.machine.load[0]!);
const noises = parts.map((p) => p.machine.noise);
const head = ["work", "ours", "peer", "ratio", "goal"];
const lines = [head, head.map(() => "---"), ...parts.flatMap((p) => p.rows.map(cells))];
const text = [
  about(file.machine),
  "",
  "Medians of several rounds, least and most in brackets; ratio: median of the rounds' ratios, ours to the peer's, each round " +
  `in turns with the peer's. Load of the machine while this was measured: ${
    Math.min(...loads)
  } to ${Math.max(...loads)}; a ` +
  `fixed computation took up to ${Math.max(...noises).toFixed(1)} times its shortest time.`,
  "",
  ...lines.map((row) => `| ${row.join(" | ")} |`),
  "",
].join("\n");
const page = await Deno.readTextFile(PAGE);
const at = page.indexOf(MARK);
if (at < 0) throw new Error(`${PAGE} has no line ${MARK}`);
await Deno.writeTextFile(PAGE, `${page.slice(0, at)}${MARK}\n\n${text}`);

// deno-lint-ignore-file no-console -- a program, which prints
/**
 * `deno task figures`: measures simulated layers (`sim/figures.ts`) and writes the tables of `docs/simulation.md`, below
 * the line that says so. `--large` adds the runs that take minutes (1024 nodes; 1000 nodes with 10 000 flows).
 */

import { fromFileUrl } from "@std/path";
import {
  convergence,
  crowd,
  directory,
  isPrototype,
  lossAtCut,
  MIXED,
  sharing,
} from "../sim/figures.ts";
import { Prng } from "../sim/prng.ts";
import * as topologies from "../sim/topology.ts";

const PAGE = fromFileUrl(new URL("../docs/simulation.md", import.meta.url));
const MARK = "<!-- What follows is written by `deno task figures`. -->";
const large = Deno.args.includes("--large");

function table(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const line = (cells: readonly (string | number)[]) => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}
const ms = (us: number) => (us / 1000).toFixed(us < 10_000 ? 1 : 0);

const parts: string[] = [];
function section(title: string, text: string, made: string): void {
  console.error(`${title} …`);
  parts.push(`## ${title}\n\n${text}\n\n${made}\n`);
}

section(
  "Convergence",
  "Links of 0.5 ms. After an event: ms until the last node changed its routes / link-state updates sent by all, " +
    "renewals of the second or two measured among them.",
  table(
    ["topology", "start", "a node joins", "a link goes down", "it returns"],
    [
      topologies.line(5),
      topologies.ring(10),
      topologies.grid(6, 6),
      topologies.fatTree(4),
      topologies.barabasiAlbert(100, 2, new Prng(3)),
    ].map(convergence).map(({ name, start, join, down, up }) => [
      name,
      ...[start, join, down, up].map(({ us, updates }) => `${ms(us)} / ${updates}`),
    ]),
  ),
);

section(
  "Packets lost when a link goes",
  "A flow across a 4×4 grid, 1000 packets a second; the link it uses goes down and both ends are told (as when an " +
    "interface goes down), or is cut and nobody is told. Default times (t_update 15 s).",
  table(
    ["policy", "down: lost", "down: outage, ms", "silent cut: outage, s"],
    (["simple", "lfa", "ecmp"] as const).map((policy) => {
      const down = lossAtCut(policy, true);
      const cut = lossAtCut(policy, false);
      return [policy, down.lost, ms(down.outageUs), (cut.outageUs / 1e6).toFixed(1)];
    }),
  ),
);

const share = (n: number, hops: number, policy: "mb-ecn" | "none") => {
  const s = sharing(n, hops, policy);
  return [
    policy,
    hops === 1 ? `${n} flows` : `${n} through ${hops} links, 1 at each`,
    s.utilisation.toFixed(3),
    s.jain.toFixed(3),
    s.queue,
    s.dropped,
  ];
};
/** Both kinds of senders; what each kind got, of its equal part. */
const mixed = (n: number) => {
  const s = sharing(n, 1, "mb-ecn", MIXED);
  const sum = s.rates.reduce((a, b) => a + b, 0);
  const part = (prototype: boolean) => {
    const own = s.rates.filter((_, i) => isPrototype(i) === prototype);
    return (2 * own.reduce((a, b) => a + b, 0) / sum).toFixed(2);
  };
  const kinds = `${n}, every other a prototype's: ours ${part(false)}, theirs ${
    part(true)
  } of an equal part`;
  return ["mb-ecn", kinds, s.utilisation.toFixed(3), s.jain.toFixed(3), s.queue, s.dropped];
};
section(
  "Congestion avoidance",
  "Bottlenecks of 20 Mb/s with rings of 1023 packets, greedy senders with packets of 1000 bytes, 12 s measured, " +
    "from 10 s after all began at once. Jain's index is 1 when all flows get the same.",
  table(
    ["policy", "flows", "utilisation", "Jain", "longest queue", "dropped"],
    [
      ...[2, 4, 8, 16, 32].map((n) => share(n, 1, "mb-ecn")),
      share(2, 3, "mb-ecn"),
      ...[4, 8].map((n) => mixed(n)),
      share(4, 1, "none"),
    ],
  ),
);

section(
  "Directory",
  "A star; every node registers one name, then random nodes ask for random names, cold. Messages of all nodes a query.",
  table(
    ["nodes", "found", "messages", "median, ms", "worst, ms", "most keys at a node"],
    [8, 16, 32, 64, 128, 256, 512, ...(large ? [1024] : [])].map((n) => directory(n, 200)).map((
      d,
    ) => [
      d.nodes,
      `${d.found} of ${d.asked}`,
      d.messages.toFixed(1),
      ms(d.medianUs),
      ms(d.worstUs),
      d.keysMost,
    ]),
  ),
);

section(
  "Speed and memory of the simulator",
  "Barabási–Albert networks with two links a node, one packet of 100 bytes a second on each flow, 10 s of virtual time, " +
    "on the machine that wrote this page.",
  table(
    ["nodes", "flows open", "virtual time by real time", "memory a node, KiB"],
    [[100, 1000], ...(large ? [[1000, 10_000]] : [])].map(([nodes, flows]) => {
      const before = Deno.memoryUsage().rss;
      const c = crowd(topologies.barabasiAlbert(nodes!, 2, new Prng(1)), flows!);
      const memory = (Deno.memoryUsage().rss - before) / nodes! / 1024;
      const from = performance.now();
      c.run(10e6);
      const factor = 10_000 / (performance.now() - from);
      return [nodes!, c.open(), factor.toFixed(1), Math.round(memory)];
    }),
  ),
);

const text = Deno.readTextFileSync(PAGE);
const own = text.slice(0, text.indexOf(MARK) + MARK.length);
Deno.writeTextFileSync(PAGE, `${own}\n\n${parts.join("\n")}`);
new Deno.Command(Deno.execPath(), { args: ["fmt", "--quiet", PAGE] }).outputSync();

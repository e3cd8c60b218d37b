// deno-lint-ignore-file no-console -- a program, which prints
/**
 * Many reliable flows in one process, one byte a second each: what share of a core that costs, and memory per flow.
 * The other ends are in another process. A flow table holds 4032 flows (descriptors 64..4095), so they are
 * spread over several.
 *
 * Run: `deno run -A tests/bench/frct_flows.ts [FLOWS] [SECONDS]`.
 */
import { cpuUsage } from "node:process";
import { fromFileUrl } from "@std/path";
import { type Flow, type OuroProcess, QOS } from "../../lib/mod.ts";
import { BenchNode, openFlow, openProcess, tableOf } from "./frct_peer.ts";

/** Writes are spread over the second. */
const TURN_MS = 10;

function wait(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Opens one end of all flows and reads what comes. */
function openEnds(
  prefix: string,
  which: 0 | 1,
  flows: number,
): { ends: Flow[]; count: () => number } {
  let received = 0;
  const drain = async (flow: Flow) => {
    try {
      for (;; received++) await flow.read();
    } catch {
      // The bench is over.
    }
  };
  const ends: Flow[] = [];
  const processes: OuroProcess[] = [];
  for (let id = 1; id <= flows; id++) {
    const table = tableOf(id);
    const process = processes[table] ??= openProcess(prefix, which, table);
    const flow = openFlow(process, id, QOS.data);
    ends.push(flow);
    drain(flow);
  }
  return { ends, count: () => received };
}

/** Writes one byte a second to each flow. */
function startWriting(ends: Flow[]): { sent: () => number; stop: () => void } {
  const byte = Uint8Array.of(42);
  const started = performance.now();
  let sent = 0;
  let tried = 0;
  const timer = setInterval(() => {
    const due = ends.length * (performance.now() - started) / 1000;
    for (; tried < due; tried++) {
      if (ends[tried % ends.length]!.writeSync(byte, { nonblock: true }) === 1) sent++;
    }
  }, TURN_MS);
  return { sent: () => sent, stop: () => clearInterval(timer) };
}

async function share(seconds: number): Promise<number> {
  const cpu = cpuUsage();
  const start = performance.now();
  await wait(seconds * 1000);
  const used = cpuUsage(cpu);
  return (used.user + used.system) / 10 / (performance.now() - start);
}

if (Deno.args[0] === "peer") {
  openEnds(Deno.args[1]!, 1, Number(Deno.args[2]));
  console.log("ready");
  await wait(0x7fffffff);
}

const flows = Number(Deno.args[0] ?? 10_000);
const seconds = Number(Deno.args[1] ?? 10);
const prefix = `/tmp/ouro-bench-${Deno.pid}`;
const node = new BenchNode(prefix, flows);
const peer = new Deno.Command(Deno.execPath(), {
  args: ["run", "-A", "--quiet", fromFileUrl(import.meta.url), "peer", prefix, String(flows)],
  stdout: "piped",
}).spawn();
try {
  await peer.stdout.getReader().read();
  const before = Deno.memoryUsage().rss;
  const { ends } = openEnds(prefix, 0, flows);
  const kilobytes = (Deno.memoryUsage().rss - before) / 1024 / flows;
  console.log(`${flows} flows open, ${kilobytes.toFixed(1)} KiB each`);
  const writing = startWriting(ends);
  await wait(2000); // warm
  const first = writing.sent();
  const used = await share(seconds);
  const rate = (writing.sent() - first) / seconds;
  console.log(`${rate.toFixed(0)} messages a second, ${used.toFixed(1)} % of a core (goal: 20)`);
  writing.stop();
  await wait(1000);
  console.log(`idle: ${(await share(3)).toFixed(1)} % of a core`);
} finally {
  peer.kill("SIGKILL");
  await peer.status;
  node[Symbol.dispose]();
}
Deno.exit(0);

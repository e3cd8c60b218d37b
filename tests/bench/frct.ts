// deno-lint-ignore-file no-console -- a program, which prints
/**
 * FRCT over direct flows: what reliability costs. Two threads, one flow each way at a time.
 *
 * - round trip of 64 bytes in busy mode, raw against reliable, and the difference;
 * - one way, 1400 bytes, raw against reliable;
 * - memory and cost of idle reliable flows.
 *
 * Run: `deno run -A --v8-flags=--expose-gc tests/bench/frct.ts`. Needs two processors for the first two to mean anything.
 */
import { Worker } from "node:worker_threads";
import { BufferPool, createFrct } from "../../lib/frct/mod.ts";
import { QOS } from "../../lib/mod.ts";
import { type Figures, roundTrips } from "./figures.ts";
import { BenchNode, openFlow, openProcess } from "./frct_peer.ts";

type Qos = keyof typeof QOS;

const PREFIX = `/tmp/ouro-bench-${Deno.pid}`;
const PINGS = 200_000;
const PACKETS = 500_000;

function peer(id: number, qos: Qos, mode: "echo" | "sink", messages: number) {
  const worker = new Worker(new URL("./frct_worker.ts", import.meta.url), {
    workerData: { prefix: PREFIX, id, qos, mode, messages },
  });
  const next = () =>
    new Promise<unknown>((ok, bad) => worker.once("message", ok).once("error", bad));
  return { worker, next };
}

/** The round trip, µs. */
async function roundTrip(id: number, qos: Qos): Promise<Figures> {
  const { worker, next } = peer(id, qos, "echo", PINGS);
  await next();
  const done = next();
  const proc = openProcess(PREFIX, 0);
  const flow = openFlow(proc, id, QOS[qos]);
  const message = new Uint8Array(64);
  const into = new Uint8Array(64 + 1);
  const busy = { nonblock: true };
  const figures = roundTrips(PINGS, () => {
    flow.writeSync(message);
    let n;
    do n = flow.readSync(into, busy); while (n === -11);
    if (n !== 64) throw new Error(`Cannot read: ${n}`);
  });
  flow.deallocSync();
  proc.close();
  await done;
  await worker.terminate();
  return figures;
}

/** Gbit/s of payload. */
async function oneWay(id: number, qos: Qos): Promise<number> {
  const { worker, next } = peer(id, qos, "sink", PACKETS);
  await next();
  const done = next();
  const proc = openProcess(PREFIX, 0);
  const flow = openFlow(proc, id, QOS[qos]);
  const message = new Uint8Array(1400);
  for (let i = 0; i < PACKETS; i++) {
    const n = flow.writeSync(message);
    if (n !== 1400) throw new Error(`Cannot write: ${n}`);
  }
  const ms = await done as number;
  flow.deallocSync();
  proc.close();
  await worker.terminate();
  return (PACKETS * 1400 * 8) / (ms / 1000) / 1e9;
}

/** Bytes of memory of an idle endpoint after a few messages each way. */
function idleBytes(): number {
  const buffers = new BufferPool();
  const config = { reliable: true, mplMs: 1, buffers };
  const n = 10_000;
  const out = new Uint8Array(100);
  const before = memory();
  const all = [];
  for (let i = 0; i < n; i++) {
    const a = createFrct(1, { ...config, initialSeqno: i });
    const b = createFrct(1, { ...config, initialSeqno: i });
    for (let k = 0; k < 2; k++) {
      b.onPacketDirect(1e9, out, 0, a.write(1e9, out, 50, 8, out, 0), 8);
      a.onPacketDirect(1e9, out, 0, b.write(1e9, out, 50, 8, out, 0), 8);
    }
    all.push(a, b);
  }
  const bytes = (memory() - before) / all.length;
  return all.length > 0 ? bytes : 0;
}

function memory(): number {
  (globalThis as { gc?: () => void }).gc?.();
  const m = Deno.memoryUsage();
  return m.heapUsed + m.external;
}

if (import.meta.main) {
  using _node = new BenchNode(PREFIX, 8);
  const raw = await roundTrip(1, "raw");
  const data = await roundTrip(2, "data");
  const show = (r: { median: number; best: number }) =>
    `${r.median.toFixed(2)} µs (best ${r.best.toFixed(2)})`;
  console.log(`64 B round trip, raw:      ${show(raw)}`);
  console.log(`64 B round trip, reliable: ${show(data)}`);
  const above = { median: data.median - raw.median, best: data.best - raw.best };
  console.log(`  above raw:               ${show(above)} (goal: at most 1)`);
  const rawRate = await oneWay(3, "raw");
  const dataRate = await oneWay(4, "data");
  console.log(`1400 B one way, raw:       ${rawRate.toFixed(2)} Gbit/s`);
  console.log(`1400 B one way, reliable:  ${dataRate.toFixed(2)} Gbit/s (goal: at least 5)`);
  console.log(`idle endpoint:             ${idleBytes().toFixed(0)} bytes`);
}

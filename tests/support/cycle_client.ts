// deno-lint-ignore-file no-console -- a program, which prints
/**
 * The client of flow_cycles_test.ts: allocates, uses and closes flows to `echo` one after the other, a process of its
 * own so that its memory is its own.
 *
 * Arguments: cycles, then pids of other processes. It prints a JSON line ({@linkcode Sample}) before the first cycle,
 * after a fifth of them and after the last. Run it with `--v8-flags=--expose-gc`.
 */

import { assert, assertEquals } from "@std/assert";
import { setImmediate } from "node:timers";
import { Errno } from "../../lib/errno.ts";
import { Flow } from "../../lib/flow/flow.ts";
import { OuroProcess, partsOfProcess } from "../../lib/flow/process.ts";
import { QOS } from "../../lib/qos.ts";
import { Fd } from "../../lib/sys/fd.ts";
import { Mapping, ShmObject } from "../../lib/sys/mman.ts";
import { until } from "./deadline.ts";
import { descriptors } from "./process.ts";

/** What is there when no flow is. */
export interface Sample {
  readonly cycles: number;
  readonly seconds: number;
  /** What this process holds, bytes; the garbage is collected first. */
  readonly heapBytes: number;
  /** What `lib/sys` holds in this process. */
  readonly mappings: number;
  readonly objects: number;
  readonly descriptors: number;
  readonly flows: number;
  /** Of this process and the others in the order of the arguments. */
  readonly residentKib: readonly number[];
  readonly openFiles: readonly number[];
}

/** Now and then the event loop has a turn: timers, garbage. */
const CYCLES_BETWEEN_TURNS = 16;

function residentKib(pid: number): number {
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  return Number(/VmRSS:\s+(\d+)/.exec(status)![1]);
}

const specs = [QOS.raw, QOS.data, QOS.best];
const buffer = new Uint8Array(100);
const message = Uint8Array.of(1, 2, 3);

function cycle(process: OuroProcess, i: number): void {
  const qos = specs[i % specs.length]!;
  const flow = Flow.allocSync(process, "echo", { qos, timeoutMs: 60_000 });
  if (i % 4 !== 3) { // every fourth is closed unused
    assertEquals(flow.writeSync(message, { timeoutMs: 60_000 }), 3);
    const n = flow.readSync(buffer, { timeoutMs: 5000 });
    // An unreliable flow may have lost it to a server that was too slow to start reading.
    assert(n === 3 || (qos !== QOS.data && n === -Errno.ETIMEDOUT), `read gave ${n}`);
  }
  assertEquals(flow.deallocSync(), 0);
}

async function main(): Promise<void> {
  const [cycles, ...others] = Deno.args.map(Number) as [number, ...number[]];
  const pids = [Deno.pid, ...others];
  const start = performance.now();
  const process = OuroProcess.open({ prog: "cycles" });
  const { pool } = partsOfProcess(process);
  const used = () => pool.stats().classes.reduce((sum, c) => sum + c.used, 0);
  const sample = async (done: number) => {
    // The server closes its ends when it hears of it.
    await until("all blocks are free", () => used() === 0);
    (globalThis as unknown as { gc(): void }).gc();
    const now: Sample = {
      cycles: done,
      seconds: (performance.now() - start) / 1000,
      heapBytes: Deno.memoryUsage().heapUsed,
      mappings: Mapping.live,
      objects: ShmObject.live,
      descriptors: Fd.live,
      flows: process.flows,
      residentKib: pids.map(residentKib),
      openFiles: pids.map((pid) => descriptors(pid)),
    };
    console.log(JSON.stringify(now));
  };
  await sample(0);
  const fifth = Math.ceil(cycles / 5);
  for (let i = 1; i <= cycles; i++) {
    cycle(process, i);
    if (i % CYCLES_BETWEEN_TURNS === 0) await new Promise((resolve) => setImmediate(resolve));
    if (i === fifth || i === cycles) await sample(i);
  }
  process.close();
}

if (import.meta.main) await main();

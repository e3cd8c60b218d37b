/** What the bench writes, and on what machine it was measured. */

import type { Row } from "./rows.ts";

/** The machine, and how busy it was with other work. */
export interface Machine {
  readonly date: string;
  readonly cpus: number;
  readonly model: string;
  readonly kernel: string;
  readonly deno: string;
  /** Load averages (1, 5, 15 minutes) when the part ended. */
  readonly load: readonly number[];
  /** Peers of works on one node had a processor each. */
  readonly pinned: boolean;
  /** Spread of a fixed piece of computation, slowest to fastest of 20: 1 on a quiet machine. */
  readonly noise: number;
}

/** `bench.json`. */
export interface BenchFile {
  readonly machine: Machine;
  readonly parts: Record<string, { readonly machine: Machine; readonly rows: readonly Row[] }>;
}

/** A piece of computation, ms. */
function once(): number {
  const start = performance.now();
  let x = 1;
  for (let i = 0; i < 3_000_000; i++) x = (x * 1103515245 + 12345) & 0x7fffffff;
  return x === -1 ? 0 : performance.now() - start;
}

/** The machine as it is now. */
export async function machine(pinned: boolean): Promise<Machine> {
  for (let i = 0; i < 5; i++) once();
  const times = Array.from({ length: 20 }, once);
  const info = await Deno.readTextFile("/proc/cpuinfo").catch(() => "");
  return {
    date: new Date().toISOString().slice(0, 16),
    cpus: navigator.hardwareConcurrency,
    model: info.match(/model name\s*:\s*(.+)/)?.[1] ?? Deno.build.arch,
    kernel: Deno.osRelease(),
    deno: Deno.version.deno,
    load: Deno.loadavg().map((l) => Math.round(l * 10) / 10),
    pinned,
    noise: Math.max(...times) / Math.min(...times),
  };
}

/** A bench file that is there already. */
export async function readBench(path: string): Promise<BenchFile | undefined> {
  try {
    return JSON.parse(await Deno.readTextFile(path));
  } catch {
    return undefined;
  }
}

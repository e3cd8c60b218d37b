/**
 * A process whose threads are all blocked in the library, for flow_down_test.ts. Each call is made without a
 * time-out; a line `KIND blocked` comes before it and `KIND <error or result>` when it returns.
 *
 *     flows NAME      one flow of its own to the deaf server NAME for each way to wait for a flow
 *     layered NAME    the same without raw writes, which a layer takes and drops
 *     requests        each way to wait for the IRMd: accept; alloc of `n`; join of `bc`
 */

import { isMainThread, Worker, workerData } from "node:worker_threads";
import {
  errnoName,
  Flow,
  FlowSet,
  OuroError,
  OuroProcess,
  Packet,
  QOS,
  type SharedProcess,
} from "../../lib/mod.ts";
import { First } from "../support/fault_peer.ts";

const NOW = { nonblock: true } as const;

function print(line: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${line}\n`));
}

function told(result: number): string {
  return result < 0 ? errnoName(result) : `result ${result}`;
}

/** Fills what the peer does not empty, so that a write without time-out has to wait. */
function fill(flow: Flow): void {
  const message = new Uint8Array(64);
  let result;
  do {
    result = flow.writeSync(message, NOW);
    // What opens a window once more is on its way.
    if (result < 0) result = flow.writeSync(message, { timeoutMs: 200 });
  } while (result > 0);
}

const message = new Uint8Array(64);
const buffer = new Uint8Array(2000);

/** Waits for the end of the flow and returns what the waiting calls say then. */
const BLOCKING: Record<string, (flow: Flow, process: OuroProcess) => number> = {
  read: (flow) => flow.readSync(buffer),
  receive: (flow) => flow.receive(new Packet()),
  write: (flow) => untilRefused(() => flow.writeSync(message)),
  reserve: (flow) => {
    const packet = new Packet();
    return untilRefused(() => {
      const result = flow.reserve(packet, message.length);
      return result < 0 ? result : flow.commit(packet);
    });
  },
  "flow set": (flow, process) => {
    using set = new FlowSet(process);
    set.add(flow);
    while (!flow.hasEnded()) set.wait();
    return flow.readSync(buffer, NOW);
  },
};

function untilRefused(write: () => number): number {
  for (;;) {
    const result = write();
    if (result < 0) return result;
  }
}

const AWAITING: Record<string, (flow: Flow, process: OuroProcess) => Promise<unknown>> = {
  read: (flow) => flow.read(),
  write: async (flow) => {
    for (;;) await flow.write(message);
  },
  "flow set": async (flow, process) => {
    using set = new FlowSet(process);
    set.add(flow);
    while (!flow.hasEnded()) await set.next();
    await flow.read();
  },
  readable: async (flow) => {
    for await (const _ of flow.readable.values({ preventCancel: true }));
    return "end of stream";
  },
  writable: (flow) => flow.writable.getWriter().write(new Uint8Array(5_000_000)),
};

/** Ways that first fill the way to the peer. */
const WRITES = new Set(["write", "reserve", "writable"]);

const REQUESTS = {
  accept: [
    (process: OuroProcess) => Flow.acceptSync(process),
    (process: OuroProcess) => Flow.accept(process),
  ],
  alloc: [
    (process: OuroProcess) => Flow.allocSync(process, "n", { timeoutMs: 600_000 }),
    (process: OuroProcess) => Flow.alloc(process, "n", { timeoutMs: 600_000 }),
  ],
  join: [
    (process: OuroProcess) => Flow.joinSync(process, "bc", { timeoutMs: 600_000 }),
    (process: OuroProcess) => Flow.join("bc", { process, timeoutMs: 600_000 }),
  ],
} as const;

/** What a thread does: blocks in one call. */
interface Task {
  readonly process: SharedProcess;
  readonly kind: string;
  readonly way: string;
  readonly qos: "raw" | "data";
  readonly name: string;
}

async function outcome(kind: string, promise: Promise<unknown>): Promise<void> {
  const text = await promise.then(
    (value) => String(value),
    (e) => e instanceof OuroError ? errnoName(e.code) : String(e),
  );
  print(`${kind} ${text}`);
}

async function openFlow(process: OuroProcess, name: string, qos: "raw" | "data", way: string) {
  const flow = await Flow.alloc(process, name, { qos: QOS[qos], timeoutMs: 60_000 });
  await flow.write(Uint8Array.of(First.DEAF));
  if (WRITES.has(way)) fill(flow);
  return flow;
}

function startThread(task: Task): Promise<void> {
  const worker = new Worker(new URL(import.meta.url), { workerData: task });
  return new Promise((done, failed) => worker.once("exit", () => done()).once("error", failed));
}

async function thread({ process: shared, kind, way, qos, name }: Task): Promise<void> {
  const process = OuroProcess.join(shared);
  if (way in REQUESTS) {
    print(`${kind} blocked`);
    const [request] = REQUESTS[way as keyof typeof REQUESTS];
    return await outcome(kind, (async () => await request(process))());
  }
  const flow = await openFlow(process, name, qos, way);
  print(`${kind} blocked`);
  print(`${kind} ${told(BLOCKING[way]!(flow, process))}`);
  await flow.dealloc();
  process.close();
}

async function main(): Promise<void> {
  const [role, name = ""] = Deno.args;
  const process = OuroProcess.open({ prog: "blocked" });
  const shared = process.share();
  const ends: Promise<void>[] = [];
  if (role === "requests") {
    for (const [way, [, request]] of Object.entries(REQUESTS)) {
      ends.push(startThread({ process: shared, kind: `blocking ${way}`, way, qos: "raw", name }));
      print(`awaiting ${way} blocked`);
      ends.push(outcome(`awaiting ${way}`, request(process)));
    }
  } else {
    for (const qos of ["raw", "data"] as const) {
      const blocks = (way: string) => role === "flows" || qos !== "raw" || !WRITES.has(way);
      for (const way of Object.keys(BLOCKING).filter(blocks)) {
        ends.push(startThread({ process: shared, kind: `blocking ${qos} ${way}`, way, qos, name }));
      }
      for (const [way, wait] of Object.entries(AWAITING)) {
        if (!blocks(way)) continue;
        const kind = `awaiting ${qos} ${way}`;
        const flow = await openFlow(process, name, qos, way);
        print(`${kind} blocked`);
        ends.push(outcome(kind, wait(flow, process)).then(() => flow.dealloc()));
      }
    }
  }
  await Promise.all(ends);
  process.close();
  print("all returned");
}

await (isMainThread ? main() : thread(workerData as Task));

/** The other end of tests/bench/frct.ts: echoes in a busy loop, or counts what arrives. */
import { parentPort, workerData } from "node:worker_threads";
import { openFlow, openProcess } from "./frct_peer.ts";
import { QOS } from "../../lib/mod.ts";

interface Start {
  prefix: string;
  id: number;
  qos: keyof typeof QOS;
  mode: "echo" | "sink";
  messages: number;
}

const { prefix, id, qos, mode, messages } = workerData as Start;
const proc = openProcess(prefix, 1);
const flow = openFlow(proc, id, QOS[qos]);
const into = new Uint8Array(2048);
const views = new Map<number, Uint8Array>();
parentPort!.postMessage("ready");
const busy = { nonblock: true };
let startMs = 0;
for (let got = 0; got < messages;) {
  const n = flow.readSync(into, mode === "echo" ? busy : undefined);
  if (n === -11) continue;
  if (n < 0) throw new Error(`Cannot read: ${n}`);
  if (got++ === 0) startMs = performance.now();
  if (mode === "echo") {
    let view = views.get(n);
    if (view === undefined) views.set(n, view = into.subarray(0, n));
    const w = flow.writeSync(view);
    if (w !== n) throw new Error(`Cannot write: ${w}`);
  }
}
const ms = performance.now() - startMs;
flow.deallocSync();
proc.close();
parentPort!.postMessage(ms);

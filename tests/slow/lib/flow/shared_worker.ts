/** Echoes on a flow that another thread of the process made: the Worker's half of `shared_test.ts`. */

import { parentPort, workerData } from "node:worker_threads";
import { Flow, OuroProcess, type SharedFlow, type SharedProcess } from "../../../../lib/mod.ts";

const start = workerData as {
  process: SharedProcess;
  flow: SharedFlow;
  messages: number;
  blocking: boolean;
};
const process = OuroProcess.join(start.process);
const flow = Flow.attach(process, start.flow);
const into = new Uint8Array(2000);
for (let k = 0; k < start.messages; k++) {
  if (start.blocking) {
    const n = flow.readSync(into, { timeoutMs: 20_000 });
    if (n < 0) throw new Error(`read: ${n}`);
    flow.writeSync(into.subarray(0, n));
  } else {
    await flow.write(await flow.read({ timeoutMs: 20_000 }));
  }
}
flow.detach();
process.close();
parentPort!.postMessage("done");

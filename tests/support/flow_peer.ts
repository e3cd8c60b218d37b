// A small application for tests of the daemon: it uses the flow library as any program does.
//
// argv: serve [name]             accepts flows; prints "ready", "flow ID", "closed ID"; answers every packet
//       hold NAME [PACKETS [QOS]]  allocates a flow, writes packets, prints "flow ID", stays until it is killed
//       churn NAME COUNT         allocates and deallocates flows, sends one packet on each; prints the summary as JSON
//       churn NAME 0             the same until it is killed or a flow fails
//       leave [name]             accepts one flow, leaves packets in it and closes it; prints "ready", "closed"; lives on
//       die-closing NAME         allocates a flow, waits for its end, and is killed within its own dealloc
//
// With OURO_TEST_UID it becomes that user first.

import { deallocRequest } from "../../lib/flow/irmd.ts";
import { partsOfProcess } from "../../lib/flow/process.ts";
import { Flow, OuroProcess, type QosName } from "../../lib/mod.ts";
import { becomeUser } from "../../lib/sys/users.ts";

const [mode, name = "", count = "0", qos = "raw"] = Deno.args;

function print(line: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${line}\n`));
}

/** Answers packets on all flows, taking new ones as they come. */
async function serve(process: OuroProcess): Promise<never> {
  print("ready");
  for (;;) {
    let flow: Flow;
    try {
      flow = await Flow.accept(process);
    } catch (e) {
      print(`refused ${e instanceof Error ? e.message : e}`);
      continue;
    }
    print(`flow ${flow.info.id}`);
    void answer(flow);
  }
}

async function answer(flow: Flow): Promise<void> {
  const { id } = flow.info;
  try {
    for (;;) await flow.write(await flow.read());
  } catch {
    // The other end has closed it, or died.
  }
  await flow.dealloc();
  print(`closed ${id}`);
}

function hold(process: OuroProcess): void {
  const flow = Flow.allocSync(process, name, { qos: qos as QosName });
  for (let i = 0; i < Number(count); i++) flow.writeSync(new Uint8Array(100));
  print(`flow ${flow.info.id}`);
  setInterval(() => {}, 1e6);
}

/** Accepts one flow, leaves five packets for its other end, closes it and lives on. */
async function leave(process: OuroProcess): Promise<void> {
  print("ready");
  const flow = await Flow.accept(process);
  for (let i = 0; i < 5; i++) await flow.write(new Uint8Array(100));
  await flow.dealloc();
  print("closed");
  setInterval(() => {}, 1e6);
}

/** Is killed within its dealloc, which is the last of the flow: the IRMd has it, the packets are not freed yet. */
async function dieClosing(process: OuroProcess): Promise<void> {
  const flow = Flow.allocSync(process, name);
  while (!flow.hasEnded()) await new Promise((done) => setTimeout(done, 5));
  partsOfProcess(process).requestSync(deallocRequest(process.pid, flow.info.id, 0));
  Deno.kill(Deno.pid, "SIGKILL");
}

function churn(process: OuroProcess): void {
  const times: number[] = [];
  const buffer = new Uint8Array(100);
  const startMs = performance.now();
  print("ready");
  for (let i = 0; Number(count) === 0 || i < Number(count); i++) {
    const at = performance.now();
    const flow = Flow.allocSync(process, name);
    flow.writeSync(buffer);
    const got = flow.readSync(buffer, { timeoutMs: 5000 });
    flow.deallocSync();
    if (got !== 100) throw new Error(`read ${got} on flow ${i}`);
    times.push(performance.now() - at);
  }
  times.sort((a, b) => a - b);
  print(JSON.stringify({
    perSecond: times.length / (performance.now() - startMs) * 1000,
    medianMs: times[times.length >> 1],
  }));
}

const uid = Number(Deno.env.get("OURO_TEST_UID") ?? 0);
if (uid !== 0) becomeUser(uid, uid);
const process = OuroProcess.open({
  prog: mode === "serve" || mode === "leave" ? name || "flow_peer" : "client",
});
if (mode === "serve") await serve(process);
else if (mode === "hold") hold(process);
else if (mode === "leave") await leave(process);
else if (mode === "die-closing") await dieClosing(process);
else {
  churn(process);
  process.close();
}

// A small application for tests of the daemon: it uses the flow library as any program does.
//
// argv: serve [name]             accepts flows; prints "ready", "flow ID", "closed ID"; answers every packet
//       hold NAME [PACKETS]      allocates a flow, writes packets, prints "flow ID", stays until it is killed
//       churn NAME COUNT         allocates and deallocates flows, sends one packet on each; prints the summary as JSON
//       churn NAME 0             the same until it is killed or a flow fails
//
// With OURO_TEST_UID it becomes that user first.

import { Flow, OuroProcess } from "../../lib/mod.ts";
import { becomeUser } from "../../lib/sys/users.ts";

const [mode, name = "", count = "0"] = Deno.args;

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
  const flow = Flow.allocSync(process, name);
  for (let i = 0; i < Number(count); i++) flow.writeSync(new Uint8Array(100));
  print(`flow ${flow.info.id}`);
  setInterval(() => {}, 1e6);
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
const process = OuroProcess.open({ prog: mode === "serve" ? name || "flow_peer" : "client" });
if (mode === "serve") await serve(process);
else if (mode === "hold") hold(process);
else {
  churn(process);
  process.close();
}

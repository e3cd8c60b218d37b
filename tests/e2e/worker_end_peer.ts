// deno-lint-ignore-file no-console -- a program, which prints
/**
 * A process whose Workers end while it lives on, for worker_end_test.ts. Words: a role, then a name or a way to end.
 *
 *     flows NAME WAY   a Worker allocates two flows, waits for an answer on the first and ends by `terminate`, `throw` or
 *                      `close`; prints `ended` and stays
 *     accept           a Worker accepts and is terminated while it waits, then the main thread accepts and echoes once
 *     opener NAME      a Worker announces the process and fails; a second one does the same; prints `done`
 */

import { Flow, type OuroError, OuroProcess, type SharedProcess } from "../../lib/mod.ts";

/** What a Worker is told. */
interface Task {
  readonly shared: SharedProcess | undefined;
  readonly does: "flows" | "accept" | "one";
  readonly name: string;
  readonly way: string;
}

async function work({ shared, does, name, way }: Task): Promise<void> {
  const process = shared === undefined
    ? OuroProcess.open({ prog: "opener" })
    : OuroProcess.join(shared);
  const say = (text: string) => (globalThis as unknown as Worker).postMessage(text);
  if (does === "accept") {
    Flow.accept(process).then(() => say("accepted"), (e: OuroError) => say(`failed ${e.code}`));
    return say("ready");
  }
  const flows = [await Flow.alloc(process, name)];
  if (does === "flows") flows.push(await Flow.alloc(process, name));
  await flows[0]!.write(Uint8Array.of(1));
  await flows[0]!.read();
  // It goes on to wait when it ends.
  flows.at(-1)!.read().catch(() => {});
  say("ready");
  if (way === "throw") setTimeout(() => reportError(new Error("as asked")), 0);
  if (way === "close") self.close();
}

/** Starts a Worker and ends it once it is ready; resolves when it was told to end or has failed. */
async function run(task: Task): Promise<void> {
  const worker = new Worker(new URL(import.meta.url), { type: "module" });
  const failed = new Promise<void>((done) => {
    worker.onerror = (e) => {
      e.preventDefault();
      done();
    };
  });
  const ready = new Promise<void>((done) => {
    worker.onmessage = () => done();
  });
  worker.postMessage(task);
  await ready;
  if (task.way === "throw") await failed;
  if (task.way === "terminate") worker.terminate();
}

async function main(): Promise<void> {
  const [role, name = "", way = "terminate"] = Deno.args;
  const alive = setInterval(() => {}, 1 << 30);
  if (role === "opener") {
    for (let k = 0; k < 2; k++) await run({ shared: undefined, does: "one", name, way: "throw" });
    console.log("done");
    return;
  }
  const process = OuroProcess.open({ prog: "workers" });
  const shared = process.share();
  switch (role) {
    case "flows":
      await run({ shared, does: "flows", name, way });
      console.log("ended");
      return;
    case "accept": {
      await run({ shared, does: "accept", name, way });
      console.log("ended");
      await using flow = await Flow.accept(process);
      await flow.write(await flow.read());
      break;
    }
    default:
      throw new Error(`no such role: ${role}`);
  }
  clearInterval(alive);
  process.close();
  Deno.exit(0);
}

if ((Deno.mainModule as string | undefined) === undefined) {
  addEventListener("message", (e) => work((e as MessageEvent<Task>).data));
} else await main();

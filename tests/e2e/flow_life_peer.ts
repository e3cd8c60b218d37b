// deno-lint-ignore-file no-console -- a program, which prints
/**
 * A process with one flow for flow_life_test.ts. Words: a role and, for clients, a name.
 *
 *     blocked   accepts, reads without time-out, prints what the read said; the same awaited: `awaiting`
 *     echo      accepts one flow and answers until it is down
 *     hold      allocates and stays; SIGTERM deallocates and ends
 *     talk      allocates and exchanges a message every 20 ms, printing `answer <n>`
 *     worker    a Worker of it allocates, exchanges 50 messages and deallocates; prints `worker done`
 */

import { Worker } from "node:worker_threads";
import { Flow, type OuroError, OuroProcess, type SharedProcess } from "../../lib/mod.ts";
import { isMainThread, parentPort, workerData } from "node:worker_threads";

const [role, name] = Deno.args;

async function exchange(flow: Flow, messages: number): Promise<void> {
  for (let k = 0; k < messages; k++) {
    await flow.write(Uint8Array.of(k));
    const answer = await flow.read({ timeoutMs: 60_000 });
    if (answer[0] !== k) throw new Error(`answer ${answer[0]} to ${k}`);
  }
}

async function main(): Promise<void> {
  const process = OuroProcess.open({ prog: "life" });
  if (role === "blocked" || role === "awaiting" || role === "echo") console.log("ready");
  switch (role) {
    case "blocked": {
      const flow = Flow.acceptSync(process);
      console.log("accepted");
      console.log(`read ${flow.readSync(new Uint8Array(100))}`);
      console.log(`dealloc ${flow.deallocSync()}`);
      break;
    }
    case "awaiting": {
      const flow = await Flow.accept(process);
      console.log("accepted");
      console.log(await flow.read().catch((e: OuroError) => `read ${e.code}`));
      await flow.dealloc();
      console.log("dealloc 0");
      break;
    }
    case "echo": {
      const flow = await Flow.accept(process);
      for await (const message of flow.readable) await flow.write(message);
      await flow.dealloc();
      break;
    }
    case "hold": {
      const flow = Flow.allocSync(process, name!);
      console.log("allocated");
      const alive = setInterval(() => {}, 1 << 30);
      await new Promise<void>((done) => Deno.addSignalListener("SIGTERM", done));
      clearInterval(alive);
      await flow.dealloc();
      process.close();
      Deno.exit(0);
      break;
    }
    case "talk": {
      const flow = await Flow.alloc(process, name!);
      for (let k = 0;; k++) {
        await exchange(flow, 1);
        console.log(`answer ${k}`);
        await new Promise((done) => setTimeout(done, 20));
      }
    }
    /* falls through */
    case "worker": {
      const worker = new Worker(new URL(import.meta.url), { workerData: process.share() });
      await new Promise((done, failed) => worker.once("message", done).once("error", failed));
      console.log("worker done");
      await worker.terminate();
      break;
    }
    default:
      throw new Error(`no such role: ${role}`);
  }
  process.close();
}

async function inWorker(): Promise<void> {
  const process = OuroProcess.join(workerData as SharedProcess);
  const flow = await Flow.alloc(process, name!);
  await exchange(flow, 50);
  await flow.dealloc();
  process.close();
  parentPort!.postMessage("done");
}

await (isMainThread ? main() : inWorker());

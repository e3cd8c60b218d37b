// deno-lint-ignore-file no-console -- a program, which prints
/**
 * Decides on requests for flows by the name that is asked for, for flow_request_test.ts: `open` is taken and echoed, `shut`
 * refused with a code and a reason, `bare` without either; `later` is kept until somebody asks for `release`. With the word
 * `guard` it serves the name `guarded` instead, for reliable flows alone; with `full` the name `small`, and has no
 * descriptor for the first flow.
 */

import { Errno, Flow, type FlowRequest, OuroError, OuroProcess } from "../../lib/mod.ts";
import { partsOfProcess } from "../../lib/flow/process.ts";

const EACCES = 13;
const process = OuroProcess.open({ prog: "decider" });
const kept: FlowRequest[] = [];
console.log("ready");

async function echo(flow: Flow): Promise<void> {
  await using f = flow;
  for await (const message of f.readable) await f.write(message);
}

async function decide(request: FlowRequest): Promise<void> {
  switch (request.name) {
    case "open":
      return void echo(await request.accept()).catch(() => {});
    case "shut":
      return await request.refuse({ code: -EACCES, reason: "closed\nfor today" });
    case "later":
      return void kept.push(request);
    case "release":
      for (const one of kept.splice(0)) {
        try {
          echo(await one.accept()).catch(() => {});
        } catch (e) {
          if (!(e instanceof OuroError)) throw e;
          console.log(`gone ${e.code}`);
        }
      }
  }
  await using _undecided = request;
}

if (Deno.args[0] === "full") {
  // As if 4032 flows were open when the first request comes.
  const { table } = partsOfProcess(process);
  const freeFd = table.freeFd.bind(table);
  let looks = 0;
  table.freeFd = () => ++looks <= 2 ? -Errno.EMFILE : freeFd();
  await Flow.serve("small", echo, { process, layers: [], lingerMs: 0 });
  console.log("serving");
  await new Promise(() => {});
}
if (Deno.args[0] === "guard") {
  const admit = ({ qos }: FlowRequest) => qos.inOrder === 1 || "reliable flows only";
  await Flow.serve("guarded", echo, { process, layers: [], lingerMs: 0, admit });
  console.log("serving");
  await new Promise(() => {});
}
for await (const request of Flow.requests({ process, lingerMs: 0 })) {
  // What a log would show of it.
  const { name, layer = "direct", qos, peer } = JSON.parse(JSON.stringify(request));
  console.log(`request ${name} ${layer} ${qos.inOrder} ${peer?.name ?? "anonymous"}`);
  await decide(request);
}

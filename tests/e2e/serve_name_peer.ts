// deno-lint-ignore-file no-console -- a program, which prints
// Serves the names of the command line: echoes, or fails on "fail"; prints what it hears. Ends with SIGTERM.

import { Flow, type OuroError } from "../../lib/mod.ts";

const decoder = new TextDecoder();
const servers = [];
for (const name of Deno.args) {
  servers.push(
    await Flow.serve(name, async (flow) => {
      console.log(
        `flow ${flow.localName} ${flow.layer ?? "direct"} ${flow.remoteName ?? "anonymous"}`,
      );
      for await (const message of flow.readable) {
        if (decoder.decode(message) === "fail") throw new Error("as asked");
        await flow.write(message);
      }
    }, { onError: (e) => console.log(`error ${(e as Error).message}`) }),
  );
}
try {
  await Flow.serve("nowhere", () => {}, { layers: ["no.such.layer"] });
} catch (e) {
  console.log(`refused ${(e as OuroError).code} ${(e as OuroError).detail?.stage}`);
}
const end = new Promise<void>((done) => Deno.addSignalListener("SIGTERM", done));
console.log("ready");
await end;
for (const server of servers) await server.shutdown();
console.log("ended");
Deno.exit(0);

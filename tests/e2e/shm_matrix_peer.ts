// deno-lint-ignore-file no-console -- a program, which prints
/**
 * One end of a flow for shm_matrix_test.ts: `accept` waits for a flow and leaves what arrives in the
 * ring; `alloc NAME` allocates one and writes 100 bytes. Both stay until SIGTERM and then close.
 */

import { Flow, OuroProcess } from "../../lib/mod.ts";

const process = OuroProcess.open({ prog: "matrix" });
Deno.addSignalListener("SIGTERM", () => {
  process.close();
  Deno.exit(0);
});
if (Deno.args[0] === "accept") {
  console.log(`ready ${process.pid}`);
  const flow = await Flow.accept(process);
  console.log(`accepted ${flow.id}`);
} else {
  const flow = await Flow.alloc(process, Deno.args[1]!);
  await flow.write(new Uint8Array(100).fill(0x5a));
  console.log(`sent ${flow.id} ${process.pid}`);
}
setInterval(() => {}, 1 << 30);

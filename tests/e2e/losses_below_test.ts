// A flow tells what the IPCP below it dropped: of what was written, and of what was for it.

import { assert, assertEquals, assertRejects } from "@std/assert";
import { Errno, Flow, OuroError, OuroProcess } from "../../lib/mod.ts";
import {
  AdminClient,
  bootstrapConfig,
  defaultBootstrapOptions,
  IpcpType,
} from "../../lib/irm/mod.ts";
import { until } from "../support/deadline.ts";
import { TestNode } from "../support/node.ts";

const MS = 60_000;
/** More than the ring of a reader that does not read takes. */
const MESSAGES = 1500;

Deno.test("the local IPCP's losses are those of both ends, of this flow alone", async () => {
  await using node = await TestNode.start();
  const irm = new AdminClient(node.instance);
  await irm.createIpcp("loop", IpcpType.LOCAL);
  const { pid } = (await irm.listIpcps())[0]!;
  const conf = bootstrapConfig(IpcpType.LOCAL, "home", defaultBootstrapOptions())!;
  await irm.bootstrapIpcp(pid, conf);
  using process = OuroProcess.open({ instance: node.instance, prog: "losses" });
  const served: Flow[] = [];
  const open = Promise.withResolvers<void>();
  await using server = await Flow.serve("sink", async (flow) => {
    served.push(flow);
    await open.promise;
  }, { process, layers: ["home"], lingerMs: 0 });
  const options = { timeoutMs: MS, lingerMs: 0 };
  // A process that serves the name itself is reached over the layer.
  await using full = await Flow.alloc(process, "sink", options);
  await using quiet = await Flow.alloc(process, "sink", options);
  assertEquals(full.layer, "home");
  assertEquals(await full.lossesBelow({ timeoutMs: MS }), { sent: 0, received: 0 });
  for (let k = 0; k < MESSAGES; k++) await full.write(new Uint8Array(16), { timeoutMs: MS });
  await until("both flows served", () => served.length === 2);
  const far = served[0]!;
  const sum = async () => (await far.lossesBelow())!.received + far.rxQueued;
  await until("every message kept or lost", async () => await sum() === MESSAGES);
  const { received } = (await far.lossesBelow())!;
  assert(received > 0 && received < MESSAGES, `${received}`);
  assertEquals(await full.lossesBelow(), { sent: received, received: 0 });
  assertEquals(await quiet.lossesBelow(), { sent: 0, received: 0 });
  const gone = await assertRejects(() => full.lossesBelow({ signal: AbortSignal.abort("no") }));
  assertEquals(gone as unknown, "no");
  open.resolve();
  await full.dealloc();
  const closed = await assertRejects(() => full.lossesBelow(), OuroError);
  assertEquals(closed.code, -Errno.ENOTALLOC);
  await server.shutdown();
});

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
import { canMakeNetns } from "../support/netns.ts";
import { TestNode } from "../support/node.ts";
import { twoNodes } from "../support/two_nodes.ts";
import { first, joins, Loopback } from "../support/unicast_layer.ts";

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

/** What a reader that does not read loses on the way from node `a` to node `b` is counted there, for its flow alone. */
async function countedFar(a: TestNode, b: TestNode, layer: string): Promise<void> {
  using far = OuroProcess.open({ instance: b.instance, prog: "losses" });
  using near = OuroProcess.open({ instance: a.instance, prog: "losses" });
  const served: Flow[] = [];
  const open = Promise.withResolvers<void>();
  await using server = await Flow.serve("sink", async (flow) => {
    served.push(flow);
    await open.promise;
  }, { process: far, layers: [layer], lingerMs: 0 });
  const options = { timeoutMs: MS, lingerMs: 0 };
  let made: Flow | undefined;
  await until("a flow, once the name is known there", async () => {
    made = await Flow.alloc(near, "sink", options).catch(() => undefined);
    return made !== undefined;
  });
  await using full = made!;
  await using quiet = await Flow.alloc(near, "sink", options);
  assertEquals([full.layer, await full.lossesBelow()], [layer, { sent: 0, received: 0 }]);
  const lossy = async () => {
    const all = await Promise.all(served.map((flow) => flow.lossesBelow()));
    return all.filter((losses) => losses!.received > 0).length;
  };
  await until("a loss is told", async () => {
    for (let k = 0; k < 100; k++) await full.write(new Uint8Array(16), { timeoutMs: MS });
    return await lossy() > 0;
  });
  assertEquals([served.length >= 2, await lossy()], [true, 1]);
  assertEquals((await full.lossesBelow())!.received, 0);
  assertEquals(await quiet.lossesBelow(), { sent: 0, received: 0 });
  open.resolve();
  await server.shutdown();
}

Deno.test("a unicast layer's losses are told at the end where they were", async () => {
  await using lab = await Loopback.make([["net.a"], ["net.b"]]);
  const [a, b] = lab.nodes;
  await first(a!, "net.a", "net", "wire");
  await joins(b!, "net.b", "net", "wire", "net.a");
  await countedFar(a!, b!, "net");
});

Deno.test({
  name: "an Ethernet layer's losses are told at the end where they were",
  ignore: !canMakeNetns(),
  fn: () => twoNodes("eth-dix", { srv: "sink", back: "-" }, (a, b) => countedFar(a, b, "lay")),
});

// What programs see that outlive their IRMd, and what the next one finds (docs/operations.md): no call hangs, each
// failure has its number and reason, flows between living processes go on, and nothing is left behind.

import { assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { Errno, OuroError } from "../../lib/errno.ts";
import { Flow } from "../../lib/flow/flow.ts";
import { FlowSet } from "../../lib/flow/flow_set.ts";
import { OuroProcess } from "../../lib/flow/process.ts";
import { instanceOf } from "../../lib/instance.ts";
import { AdminClient } from "../../lib/irm/admin.ts";
import { FlowEvent } from "../../lib/shm/layout.ts";
import { pidAlive } from "../../lib/sys/process.ts";
import { encode, LENGTH, TYPE_REQUEST } from "../../lib/wire/oping_msg.ts";
import { DEADLINE_MS, until } from "../support/deadline.ts";
import { type RunningProcess, TestNode } from "../support/node.ts";

const GONE = /the IRMd ended, or closed the connection|IRMd is not running/;
const STRANGER = /process \d+ is unknown to this IRMd \(if the IRMd was restarted, start/;

/** A node with an oping server, a local layer, and this test as a process bound to the name "t". */
async function scene() {
  const node = await TestNode.start();
  try {
    await node.bindProgram("oping", "op");
    await node.must("irm", "ipcp", "bootstrap", "type", "local", "name", "l1", "layer", "lay");
    const server = node.spawn(["oping", "-l"]);
    await server.waitForLine(/server started/);
    const instance = instanceOf(node.prefix);
    const admin = new AdminClient(instance, { timeoutMs: DEADLINE_MS });
    const process = OuroProcess.open({ instance, prog: "tester" });
    await admin.bindProcess(process.pid, "t");
    const ipcp = (await admin.listIpcps())[0]!.pid;
    return { node, server, process, ipcp, instance };
  } catch (e) {
    await node[Symbol.asyncDispose]();
    throw e;
  }
}

async function fails(call: Promise<unknown>, code: number, reason: RegExp): Promise<void> {
  const e = await assertRejects(() => call, OuroError);
  assertEquals(e.code, code, e.message);
  assertMatch(e.message, reason);
}

function failsSync(call: () => unknown, code: number, reason: RegExp): void {
  const e = assertThrows(call, OuroError);
  assertEquals(e.code, code, e.message);
  assertMatch(e.message, reason);
}

/** One ping over a flow. */
async function ping(flow: Flow, id: number): Promise<void> {
  const packet = new Uint8Array(64);
  encode(packet, 0, { type: TYPE_REQUEST, id, stampNs: 0 });
  await flow.write(packet);
  assertEquals((await flow.read({ timeoutMs: DEADLINE_MS })).length >= LENGTH, true);
}

async function killIrmd(node: TestNode, signal: Deno.Signal): Promise<RunningProcess> {
  const irmd = node.irmd!;
  irmd.kill(signal);
  await irmd.wait();
  return irmd;
}

Deno.test("an IRMd that is killed: waits end with -1002, flows go on, its IPCPs leave", async () => {
  const { node, server, process, ipcp, instance } = await scene();
  await using _node = node;
  using _process = process;
  const flow = await Flow.alloc(process, "op", { timeoutMs: DEADLINE_MS });
  const accepting = Flow.accept(process);
  const failed = fails(accepting, -Errno.EIRMD, GONE);
  await ping(flow, 1);
  await killIrmd(node, "SIGKILL");
  await failed;
  await ping(flow, 2);
  await fails(Flow.alloc(process, "op", {}), -Errno.EIRMD, GONE);
  failsSync(() => Flow.allocSync(process, "op", {}), -Errno.EIRMD, GONE);
  await until("IPCP gone", () => !pidAlive(ipcp));

  await node.startIrmd();
  assertEquals(
    node.sharedMemory().map((n) => n.replace(/^.*?\./, "")).sort(),
    ["gspp", "lockfile"],
    "nothing of the earlier run is left",
  );
  assertEquals((await Array.fromAsync(Deno.readDir(instance.socketDir))).map((e) => e.name), [
    "irm.sock",
  ]);
  // The new one does not know us.
  await node.must("irm", "name", "create", "op");
  await fails(Flow.alloc(process, "op", {}), -Errno.EINVAL, STRANGER);
  failsSync(() => Flow.allocSync(process, "op", {}), -Errno.EINVAL, STRANGER);
  await fails(Flow.accept(process), -Errno.EINVAL, STRANGER);
  failsSync(() => Flow.acceptSync(process), -Errno.EINVAL, STRANGER);
  await fails(Flow.join("lay", { process }), -Errno.EINVAL, STRANGER);
  await ping(flow, 3);

  // A server gives up after a while, with both reasons (the first only, if the new IRMd came too late for it), and its
  // flows end with it.
  const ended = await server.wait();
  assertEquals(ended.code, 1, ended.err);
  assertMatch(
    ended.out,
    /\nFailed to accept flow: -1002 \n((.*\n)*Failed to accept flow: -22 \n)?/,
  );
  assertMatch(
    ended.err,
    /^Failed to accept flow: -1002: .+\n((.*\n)?Failed to accept flow: -22: .+\n)?$/,
  );
  await fails(flow.read({ timeoutMs: DEADLINE_MS }), -Errno.EFLOWDOWN, /flow is down/);

  // Opened anew we are known again.
  process.close();
  using again = OuroProcess.open({ instance, prog: "tester" });
  await fails(Flow.alloc(again, "op", {}), -Errno.EIPCP, /nothing is bound to "op" here/);
});

Deno.test("an IRMd that ends in order: flows go down, readers and flow sets hear of it", async () => {
  const { node, server, process } = await scene();
  await using _node = node;
  using _process = process;
  const [read, watched, blocked] = [
    await Flow.alloc(process, "op", { timeoutMs: DEADLINE_MS }),
    await Flow.alloc(process, "op", { timeoutMs: DEADLINE_MS }),
    await Flow.alloc(process, "op", { timeoutMs: DEADLINE_MS }),
  ];
  using set = new FlowSet(process);
  set.add(watched);
  const reading = fails(read.read(), -Errno.EFLOWDOWN, /flow is down/);
  const event = set.next();
  const accepting = fails(Flow.accept(process), -Errno.EIRMD, GONE);
  await killIrmd(node, "SIGTERM");
  await Promise.all([reading, accepting]);
  const down = FlowEvent.DEALLOC | FlowEvent.DOWN;
  assertEquals((await event).some((e) => e.flow === watched && (e.events & down) !== 0), true);
  assertEquals(blocked.readSync(new Uint8Array(100)), -Errno.EFLOWDOWN);
  await fails(blocked.write(new Uint8Array(64)), -Errno.EFLOWDOWN, /flow is down/);
  assertEquals((await server.wait()).code, 1);
  assertEquals(node.sharedMemory(), []);
});

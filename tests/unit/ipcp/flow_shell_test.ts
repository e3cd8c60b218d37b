// The shell of flows: each thing that a machine asks for is done, its answer comes back, and the commands of the IRMd
// reach the machine only with their memory.

import { assert, assertEquals } from "@std/assert";
import { DataPlane } from "../../../ipcp/data/plane.ts";
import { FlowShell } from "../../../ipcp/flow_shell.ts";
import type { FlowEffect, FlowMachine } from "../../../ipcp/machine.ts";
import { Errno } from "../../../lib/errno.ts";
import { NO_SDU_LIMITS } from "../../../lib/irm/messages.ts";
import { QOS } from "../../../lib/qos.ts";
import { Acl, FlowEvent } from "../../../lib/shm/layout.ts";
import { aTurn } from "../../support/data_workers.ts";
import { type MemoryIpcp, shellTest } from "../../support/memory_ipcp.ts";
import { order, SRV } from "../../support/machines.ts";
import { ownerUid } from "../../support/shm.ts";

const PUP = ownerUid(1234);
const DATA = Uint8Array.of(1, 2, 3);
const MPL_MS = 77;
const LIMITS = { sduBytesMax: 1000, sduBytesWhole: 900 };

type Own = { readonly kind: "own thing"; readonly what: number };

/** Wants what the test puts into it, and says what it is told. */
class Script implements FlowMachine<string, Own> {
  readonly out: (FlowEffect<string> | Own)[] = [];
  readonly told: unknown[][] = [];
  deallocResult = 0;
  poll(): FlowEffect<string> | Own | undefined {
    return this.out.shift();
  }
  onTimer(): void {}
  deadlineUs(): number {
    return Infinity;
  }
  query(...args: Parameters<FlowMachine<string>["query"]>): void {
    this.told.push(["query", ...args]);
  }
  alloc(...args: Parameters<FlowMachine<string>["alloc"]>): void {
    this.told.push(["alloc", ...args]);
  }
  allocResp(...args: Parameters<FlowMachine<string>["allocResp"]>): void {
    this.told.push(["allocResp", ...args]);
  }
  dealloc(...args: Parameters<FlowMachine<string>["dealloc"]>): number {
    this.told.push(["dealloc", ...args]);
    return this.deallocResult;
  }
  asked(...args: Parameters<FlowMachine<string>["asked"]>): void {
    this.told.push(["asked", ...args]);
  }
  owned(...args: Parameters<FlowMachine<string>["owned"]>): void {
    this.told.push(["owned", ...args]);
  }
  replied(...args: Parameters<FlowMachine<string>["replied"]>): void {
    this.told.push(["replied", ...args]);
  }
  dropped(...args: Parameters<FlowMachine<string>["dropped"]>): void {
    this.told.push(["dropped", ...args]);
  }
  close(...args: Parameters<FlowMachine<string>["close"]>): void {
    this.told.push(["close", ...args]);
  }
}

function shellIn(world: MemoryIpcp) {
  const plane = new DataPlane(world.context, { mgmt() {}, tooLong() {}, failed() {} });
  const machine = new Script();
  const own: Own[] = [];
  const asked: string[] = [];
  const shell = new FlowShell<string, Own>({
    context: world.context,
    plane,
    machine,
    mplMs: MPL_MS,
    limits: (peer) => (asked.push(peer), LIMITS),
    perform: (e) => void own.push(e),
  });
  /** Lets the machine want something; what it was told then. */
  const wants = async (...effects: (FlowEffect<string> | Own)[]) => {
    machine.told.length = 0;
    shell.feed(() => machine.out.push(...effects));
    await aTurn();
    return machine.told;
  };
  return { plane, machine, shell, own, asked, wants };
}

shellTest("commands are passed on with the time, and answered by their token", async (w) => {
  const { plane, machine, shell, wants } = shellIn(w);
  w.app(4003).flow(3, w.defer);
  const results = [
    shell.query(SRV),
    shell.flowAlloc(order(3), SRV, QOS.raw, DATA),
    shell.flowAllocResp(order(4), { response: -5, data: DATA }),
  ];
  const us = w.nowUs;
  assertEquals(machine.told, [
    ["query", us, SRV, 1],
    ["alloc", us, order(3), SRV, QOS.raw, DATA, 2],
    ["allocResp", us, order(4), { response: -5, data: DATA }, 3],
  ]);
  assertEquals(plane.size, 1);
  await wants(
    { kind: "answer", token: 2, result: 0 },
    { kind: "answer", token: 1, result: -7, cause: "why" },
    { kind: "answer", token: 3, result: -8 },
  );
  assertEquals(await Promise.all(results), [{ code: -7, cause: "why" }, 0, -8]);
  machine.told.length = 0;
  machine.deallocResult = -1;
  assertEquals(shell.flowDealloc(3, 9), -1);
  assertEquals(machine.told, [["dealloc", us, 3, 9]]);
  shell.stop();
  await plane.stop();
});

shellTest("an allocation whose memory is not there never reaches the machine", async (w) => {
  const { plane, machine, shell } = shellIn(w);
  assertEquals(await shell.flowAlloc(order(3), SRV, QOS.raw, DATA), -Errno.EFLOWDOWN);
  w.app(4003).flow(3, w.defer);
  assertEquals(await shell.flowAlloc(order(3, PUP + 1), SRV, QOS.raw, DATA), -Errno.ENOMEM);
  assertEquals(machine.told, []);
  shell.stop();
  await plane.stop();
});

shellTest("a request goes to the IRMd, and the flow that it gives is held", async (w) => {
  const { plane, shell, asked, wants } = shellIn(w);
  w.app(4003).flow(3, w.defer);
  const ask = {
    kind: "ask_irmd",
    ask: 5,
    peer: "far",
    hash: SRV,
    qos: QOS.raw,
    data: DATA,
  } as const;
  const us = w.nowUs;
  w.irm.onRequest = () => ({ result: 0, flowId: 3, pid: 4003, uid: 0 });
  assertEquals(await wants(ask), [
    ["asked", us, 5, { result: 0, flowId: 3, pid: 4003, cause: undefined }],
  ]);
  assertEquals(w.irm.said("flowReqArr"), [[SRV, QOS.raw, MPL_MS, DATA, LIMITS]]);
  assertEquals([asked, plane.size], [["far"], 1]);
  // Memory that is not there.
  w.irm.onRequest = () => ({ result: 0, flowId: 8, pid: 4003, uid: 0 });
  assertEquals(await wants(ask), [
    ["asked", us, 5, { result: -Errno.EFLOWDOWN, flowId: 8, pid: 4003, cause: undefined }],
  ]);
  // A refusal holds nothing, whatever else it says.
  w.app(4004).flow(4, w.defer);
  w.irm.onRequest = () => ({ result: -9, cause: "no", flowId: 4, pid: 4004, uid: 0 });
  assertEquals(await wants(ask), [
    ["asked", us, 5, { result: -9, flowId: 4, pid: 4004, cause: "no" }],
  ]);
  assertEquals(plane.size, 1);
  assert(w.lines.some((line) => line.startsWith("EE Failed to get fd for flow")));
  shell.stop();
  await plane.stop();
});

shellTest(
  "the IRMd is told how an allocation ended, with limits only where there is a far end",
  async (w) => {
    const { plane, shell, wants } = shellIn(w);
    const reply = { kind: "alloc_reply", flowId: 3, data: DATA } as const;
    w.irm.replyResult = -4;
    const told = await wants(
      { ...reply, response: 0, peer: "far" },
      { ...reply, response: -6, cause: "closed", peer: undefined },
    );
    assertEquals(told, [["replied", w.nowUs, 3, -4], ["replied", w.nowUs, 3, -4]]);
    assertEquals(w.irm.said("flowAllocReply"), [
      [3, { response: 0, data: DATA }, MPL_MS, LIMITS],
      [3, { response: -6, data: DATA, cause: "closed" }, MPL_MS, NO_SDU_LIMITS],
    ]);
    shell.stop();
    await plane.stop();
  },
);

shellTest("a flow is its process's, down, up, ended, and gone", async (w) => {
  const { plane, shell, wants } = shellIn(w);
  const app = w.app(4003);
  const flow = app.flow(3, w.defer);
  plane.hold(3, 4003, 0);
  const pool = plane.poolOf(3);
  assertEquals(await wants({ kind: "own", flowId: 3, uid: PUP + 1 }), [
    ["owned", w.nowUs, 3, -Errno.ENOMEM],
  ]);
  assertEquals(await wants({ kind: "own", flowId: 3, uid: PUP }), [["owned", w.nowUs, 3, 0]]);
  assert(plane.poolOf(3) !== pool);
  await wants({ kind: "usable", flowId: 3, usable: false });
  assertEquals([app.events(), flow.rx.acl() & Acl.FLOWDOWN], [[[3, FlowEvent.DOWN]], Acl.FLOWDOWN]);
  await wants({ kind: "usable", flowId: 3, usable: true });
  assertEquals([app.events(), flow.rx.acl() & Acl.FLOWDOWN], [[[3, FlowEvent.UP]], 0]);
  await wants({ kind: "ended", flowId: 3 });
  assertEquals(app.events(), [[3, FlowEvent.DEALLOC]]);
  assertEquals(await wants({ kind: "drop", flowId: 3 }), [["dropped", w.nowUs, 3]]);
  assertEquals(plane.size, 0);
  plane.hold(3, 4003, 0);
  assertEquals(await wants({ kind: "release", flowId: 3 }), []);
  assertEquals(plane.size, 0);
  await wants({ kind: "freed", flowId: 3, pid: 4003 });
  assertEquals(w.irm.said("flowDealloc"), [[3, 4003]]);
  assertEquals(w.irm.rest, []);
  shell.stop();
  await plane.stop();
}, [PUP]);

shellTest("what only the type knows is the type's to do", async (w) => {
  const { plane, shell, own, wants } = shellIn(w);
  await wants({ kind: "own thing", what: 1 });
  assertEquals(own, [{ kind: "own thing", what: 1 }]);
  shell.stop();
  await plane.stop();
});

shellTest(
  "at the end the machine closes once, what waits is answered, and nothing reaches it any more",
  async (w) => {
    const { plane, machine, shell } = shellIn(w);
    const late = Promise.withResolvers<number>();
    w.irm.onRequest = async () => {
      await late.promise;
      return { result: -1, flowId: -1, pid: -1, uid: 0 };
    };
    shell.feed(() =>
      machine.out.push(
        { kind: "ask_irmd", ask: 1, peer: "far", hash: SRV, qos: QOS.raw, data: DATA },
        { kind: "alloc_reply", flowId: 3, response: 0, data: DATA, peer: "far" },
        { kind: "drop", flowId: 3 },
      )
    );
    const waiting = shell.query(SRV);
    machine.told.length = 0;
    shell.stop();
    shell.stop();
    assertEquals(machine.told, [["close", w.nowUs]]);
    assertEquals(await waiting, -Errno.EIPCPSTATE);
    assertEquals(await shell.query(SRV), -Errno.EIPCPSTATE);
    late.resolve(0);
    await aTurn();
    assertEquals(machine.told.length, 1);
    await plane.stop();
  },
);

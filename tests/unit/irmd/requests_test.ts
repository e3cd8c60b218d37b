/** What is proved here: who may make which request and what must be in it; that a registry call settles itself. */

import { assert, assertEquals } from "@std/assert";
import { QOS } from "../../../lib/qos.ts";
import { Errno } from "../../../lib/errno.ts";
import { flowInfoOf, IrmCode, type IrmMsg } from "../../../lib/irm/messages.ts";
import type { Client } from "../../../irmd/client.ts";
import type { Daemon } from "../../../irmd/daemon.ts";
import { refusal } from "../../../irmd/dispatch.ts";
import { type Effect, Registry } from "../../../irmd/registry/mod.ts";
import { REQUESTS } from "../../../irmd/requests.ts";

const STRANGER = 4_000_000;
const registry = new Registry({ securityDir: "/s" });
const daemon = { ownUid: 0, registry } as unknown as Daemon;
const client = (pid: number, uid: number, startTicks = 1, present = true) =>
  ({ cred: { pid, uid, gid: uid, startTicks }, present }) as Client;
const codeOf = (code: number, uid: number, fields: Partial<IrmMsg> = {}, pid = 77) =>
  refusal(daemon, client(pid, uid), REQUESTS.get(code)!, { code, ...fields })?.msg.result ?? 0;

Deno.test("REQUESTS has a line for every code but the reply", () => {
  for (const [name, code] of Object.entries(IrmCode)) {
    assertEquals(REQUESTS.has(code), name !== "IRM_REPLY", name);
  }
});

Deno.test("refusal() of administration: a stranger, whatever is in the message", () => {
  const mine = new Set<number>([
    IrmCode.IRM_PROC_ANNOUNCE,
    IrmCode.IRM_PROC_EXIT,
    IrmCode.IRM_THREAD,
    IrmCode.IRM_LIST_IPCPS,
    IrmCode.IRM_LIST_NAMES,
    IrmCode.IRM_QUERY_NAME,
    IrmCode.IRM_COUNT_MEMBERS,
    IrmCode.IRM_FLOW_ALLOC,
    IrmCode.IRM_FLOW_ACCEPT,
    IrmCode.IRM_FLOW_JOIN,
    IrmCode.IRM_FLOW_DEALLOC,
    IrmCode.IRM_FLOW_LOSSES,
    IrmCode.IPCP_CREATE_R,
    IrmCode.IPCP_STATUS,
    IrmCode.IPCP_MOVED,
    IrmCode.IPCP_FLOW_REQ_ARR,
    IrmCode.IPCP_FLOW_ALLOC_REPLY,
    IrmCode.IPCP_FLOW_DEALLOC,
    IrmCode.IRM_QUERY_NAME,
    IrmCode.IRM_COUNT_MEMBERS,
  ]);
  for (const code of REQUESTS.keys()) {
    const admin = !mine.has(code);
    assertEquals(codeOf(code, STRANGER) === -Errno.EPERM, admin, `code ${code}`);
    if (admin) assert(codeOf(code, 0) !== -Errno.EPERM, `root, code ${code}`);
  }
});

Deno.test("refusal() of a message that lacks what its request needs names the field", () => {
  for (const [code, request] of REQUESTS) {
    if (request.needs.length === 0) continue;
    const answer = refusal(daemon, client(77, 0), request, { code });
    assertEquals(answer?.msg.result, -Errno.EINVAL, request.stage);
    assert(answer?.msg.error?.cause.startsWith("no "), request.stage);
  }
});

Deno.test("refusal() of a process that speaks for another", () => {
  const ends = (nPid: number, n1Pid: number) => ({
    flowInfo: flowInfoOf({ nPid, n1Pid }),
    dst: "x",
    hash: new Uint8Array(4),
    prog: "p",
  });
  const cases: [number, (pid: number) => Partial<IrmMsg>][] = [
    [IrmCode.IRM_PROC_ANNOUNCE, (pid) => ({ pid, prog: "p" })],
    [IrmCode.IRM_PROC_EXIT, (pid) => ({ pid })],
    [IrmCode.IRM_FLOW_ALLOC, (pid) => ends(pid, 0)],
    [IrmCode.IRM_FLOW_ACCEPT, (pid) => ends(pid, 0)],
    [IrmCode.IRM_FLOW_JOIN, (pid) => ends(pid, 0)],
    [IrmCode.IRM_FLOW_DEALLOC, (pid) => ends(pid, 0)],
    [IrmCode.IPCP_FLOW_REQ_ARR, (pid) => ends(1, pid)],
    [IrmCode.IPCP_CREATE_R, (pid) => ({ ipcpInfo: { type: 0, name: "i", pid, state: 2 } })],
  ];
  for (const [code, fields] of cases) {
    assertEquals(codeOf(code, STRANGER, fields(77)), 0, `code ${code}`);
    assertEquals(codeOf(code, 0, fields(78)), -Errno.EPERM, `code ${code}, root for another`);
  }
});

Deno.test("refusal() of what only IPCPs say", () => {
  registry.createIpcp(90, 0, "i");
  const flowInfo = flowInfoOf({ id: 1 });
  for (const code of [IrmCode.IPCP_FLOW_ALLOC_REPLY, IrmCode.IPCP_FLOW_DEALLOC]) {
    assertEquals(codeOf(code, 0, { flowInfo, response: 0 }, 90), 0);
    assertEquals(codeOf(code, 0, { flowInfo, response: 0 }, 91), -Errno.EBADF);
  }
});

Deno.test("refusal() of a pid that another user's process has got since", () => {
  registry.announce({ pid: 95, prog: "p", uid: 0, gid: 0, flowUid: 0 });
  const flowInfo = flowInfoOf({ nPid: 95 });
  assertEquals(codeOf(IrmCode.IRM_FLOW_ACCEPT, 0, { flowInfo }, 95), 0);
  assertEquals(codeOf(IrmCode.IRM_FLOW_ACCEPT, STRANGER, { flowInfo }, 95), -Errno.EPERM);
  assertEquals(codeOf(IrmCode.IRM_PROC_EXIT, STRANGER, { pid: 95 }, 95), -Errno.EPERM);
});

Deno.test("refusal() of a process that has ended, of a pid that has come back, of one in another PID namespace", () => {
  const accept = REQUESTS.get(IrmCode.IRM_FLOW_ACCEPT)!;
  const msg = (nPid: number) => ({ code: IrmCode.IRM_FLOW_ACCEPT, flowInfo: flowInfoOf({ nPid }) });
  const ask = (c: Client, pid: number) => refusal(daemon, c, accept, msg(pid))?.msg.error?.cause;
  registry.announce({ pid: 96, prog: "p", uid: 7, gid: 7, flowUid: 7, startTicks: 100 });
  assertEquals(ask(client(96, 7, 100), 96), undefined);
  // Handed on by a process that has died since.
  assert(ask(client(96, 7, 100, false), 96)!.includes("has ended"));
  // The same user, another process.
  assert(ask(client(96, 7, 101), 96)!.includes("is not the one"));
  // The kernel has no number for it here.
  assert(ask(client(0, 7), 96)!.includes("PID namespace"));
});

Deno.test("Registry does what a call leaves to do before the call returns, and once", () => {
  const done: string[] = [];
  const r: Registry = new Registry({ securityDir: "/s" }, (effects: readonly Effect[]) => {
    for (const e of effects) {
      done.push(e.kind);
      // What a call from here leaves to do comes after, not in between.
      if (e.kind === "flow-set-destroy") r.processGone(11, 0);
    }
  });
  for (const pid of [10, 11]) r.announce({ pid, prog: "p", uid: 5, gid: 5, flowUid: 5 });
  r.alloc(10, QOS.raw);
  r.processGone(10, 0);
  assertEquals(done, ["flow-set-destroy", "flow-set-destroy", "pool-destroy"]);
  assertEquals(r.takeEffects(), []);
});

// vectors irmd.json script/: the prototype's answers to lists of requests, replayed in order on one daemon. Each pid of
// a script is a puppet, since the daemon believes the kernel about who is calling: $A and $B are processes, $X one that
// never announces itself (the prototype's did not exist), $L1 and $U1 IPCPs.

import { assert, assertEquals } from "@std/assert";
import type { AdminClient } from "../../lib/irm/admin.ts";
import { decodeIpcpMsg, IpcpCode, IrmCode, type IrmMsg } from "../../lib/irm/messages.ts";
import { Puppet } from "../support/puppet.ts";
import { irmdVectors, valueOf } from "../unit/lib/irm/vectors.ts";
import { TestNode } from "../support/node.ts";

interface Step {
  note: string;
  request: Record<string, unknown>;
  reply: Record<string, unknown> | null;
}

/** What an IPCP of type local answers to what the scripts make it do. */
const LOCAL = {
  IPCP_ENROLL: { result: -95 },
  IPCP_FLOW_JOIN: { result: -95 },
  IPCP_QUERY: { result: -1 },
};
const BOOTSTRAPPED = { ...LOCAL, IPCP_BOOTSTRAP: { result: -1004 } };
const UNICAST = { IPCP_ENROLL: { result: -1 } };

class Replay {
  readonly puppets = new Map<string, Puppet>();
  readonly admin: AdminClient;
  /** An accept that is answered by a later step. */
  pending: { step: Step; reply: Promise<IrmMsg | undefined> } | undefined;

  constructor(readonly node: TestNode) {
    this.admin = node.admin();
  }

  async start(): Promise<void> {
    for (const name of ["$A", "$B", "$X"]) this.puppets.set(name, await Puppet.start(this.node));
  }

  withPids(json: unknown): unknown {
    let text = JSON.stringify(json);
    for (const [name, p] of this.puppets) text = text.replaceAll(`"${name}"`, String(p.pid));
    assert(!text.includes('"$'), `a pid without process in ${text}`);
    return JSON.parse(text);
  }

  /** Who has to send this. */
  sender(m: IrmMsg): Puppet {
    const pid = m.code === IrmCode.IPCP_FLOW_REQ_ARR
      ? m.flowInfo!.n1Pid
      : m.code === IrmCode.IPCP_CREATE_R
      ? m.ipcpInfo!.pid
      : m.code === IrmCode.IRM_PROC_ANNOUNCE || m.code === IrmCode.IRM_PROC_EXIT
      ? m.pid
      : m.flowInfo?.nPid;
    for (const p of this.puppets.values()) if (p.pid === pid) return p;
    return this.puppets.get(m.code === IrmCode.IPCP_FLOW_ALLOC_REPLY ? "$L1" : "$X")!;
  }

  async run(step: Step): Promise<void> {
    const request = valueOf("irm_msg", this.withPids(step.request) as never) as IrmMsg;
    const sender = this.sender(request);
    if (step.note.startsWith("bootstrap l1 again")) await this.behave("$L1", BOOTSTRAPPED);
    if (step.note.startsWith("accept (concurrent")) {
      this.pending = { step, reply: sender.irm(request) };
      await sender.tell({ op: "hold", count: 0 }); // the accept is on its way before what follows
      return;
    }
    this.check(step, await sender.irm(request));
    if (request.code === IrmCode.IRM_CREATE_IPCP && step.reply?.result === 0) {
      await this.adopt(request.ipcpInfo!.name);
    }
    if (this.pending !== undefined) {
      const { step, reply } = this.pending;
      this.pending = undefined;
      this.check(step, await reply);
    }
  }

  /** The new IPCP becomes $L1 or $U1. */
  async adopt(name: string): Promise<void> {
    const entry = (await this.admin.listIpcps()).find((i) => i.name === name)!;
    const key = `$${name.toUpperCase()}`;
    this.puppets.set(key, await Puppet.ipcp(this.node, entry.pid));
    await this.behave(key, key === "$L1" ? LOCAL : UNICAST);
  }

  async behave(name: string, how: Record<string, { result: number }>): Promise<void> {
    await this.puppets.get(name)!.tell({ op: "behave", how });
  }

  check(step: Step, reply: IrmMsg | undefined): void {
    if (step.reply === null) {
      assertEquals(reply, undefined);
      return;
    }
    const want = valueOf("irm_msg", this.withPids(step.reply) as never) as IrmMsg;
    if (reply === undefined) throw new Error("closed without reply");
    const { error, ...fields } = reply;
    assertEquals(fields, want, error?.cause);
    assertEquals(
      error !== undefined,
      want.result! < 0,
      "a failure, and only that, gives its cause",
    );
  }
}

Deno.test("vectors irmd.json script/: every step is answered as by the prototype", async (t) => {
  const scripts = irmdVectors("script");
  const node = await TestNode.start({ idle: true });
  await using _node = node;
  await node.startIrmd("--ipcp-dir", Puppet.ipcpDir(node.prefix));
  const replay = new Replay(node);
  await replay.start();
  for (const script of scripts) {
    await t.step(script.name, async (t) => {
      for (const step of script.input.steps as Step[]) {
        await t.step(step.note, () => replay.run(step));
      }
    });
  }
  const asked = await replay.puppets.get("$L1")!.tell<{ asked: string[] }>({ op: "asked" });
  const codes = asked.asked.map((hex) => {
    const m = decodeIpcpMsg(Uint8Array.fromHex(hex));
    return "code" in m ? m.code : 0;
  });
  for (const code of [IpcpCode.IPCP_BOOTSTRAP, IpcpCode.IPCP_REG, IpcpCode.IPCP_UNREG]) {
    assert(codes.includes(code), `the IPCP was never asked ${code}`);
  }
});

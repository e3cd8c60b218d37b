// What nobody may do to a running IRMd (spec 20 §2.1, §19): malformed, oversized and half-open messages, many idle
// connections, peers that die in the middle, requests in another's name or without privilege. After each of these the
// daemon must answer others as before.

import { assert, assertEquals } from "@std/assert";
import type { AdminClient } from "../../lib/irm/admin.ts";
import {
  encodeIrmMsg,
  flowInfoOf,
  IpcpState,
  IrmCode,
  irmCodeName,
  type IrmMsg,
  PolLb,
} from "../../lib/irm/messages.ts";
import { QOS } from "../../lib/qos.ts";
import { pidAlive } from "../../lib/sys/process.ts";
import { Puppet } from "../support/puppet.ts";
import { until, within } from "../support/deadline.ts";
import { TestNode } from "../support/node.ts";
import { nameInfo } from "../support/names.ts";
import { descriptors } from "../support/process.ts";

const ROOT = Deno.uid() === 0;
/** A user without any privilege. */
const NOBODY = 65534;

/** A node, its administrator and one plain process of root. */
async function setUp(): Promise<{ node: TestNode; admin: AdminClient; p: Puppet }> {
  const node = await TestNode.start();
  const admin = node.admin();
  return { node, admin, p: await Puppet.start(node) };
}

/** The daemon still serves, and says nothing it should not. */
async function stillWell(node: TestNode, admin: AdminClient): Promise<void> {
  await within("list of names", admin.listNames());
  const { out, err } = node.irmd!;
  assertEquals(node.irmd!.ended, undefined);
  for (const text of [out, err]) {
    assert(!/\bat (file|async|Object|new )|Uncaught|panicked/.test(text), text);
    assert(!text.includes("Request failed"), text);
  }
}

const names = (n: number) => "n".repeat(n);
const announce = (p: Puppet, pid: number = p.pid): IrmMsg => ({
  code: IrmCode.IRM_PROC_ANNOUNCE,
  pid,
  prog: "puppet",
});

Deno.test("irmd closes without reply what is no message, and lives on", async () => {
  const { node, admin, p } = await setUp();
  await using _node = node;
  const noise = new Uint8Array(2000);
  crypto.getRandomValues(noise);
  noise[0] = 0xff;
  const good = encodeIrmMsg({
    code: IrmCode.IRM_FLOW_ALLOC,
    dst: "n",
    flowInfo: flowInfoOf({ nPid: p.pid }),
  });
  const packets = [
    Uint8Array.fromHex("120161"), // no code
    Uint8Array.fromHex("ffffffff"),
    Uint8Array.fromHex("080f3a050a03616263"), // name_info without its required fields
    Uint8Array.fromHex("08142a0a0800100118002000280038005a0178"), // flow_info without qos
    good.subarray(0, good.length - 1),
    noise,
    new Uint8Array(10240).fill(0xff),
    new Uint8Array(10241),
    new Uint8Array(60_000).fill(0x0a),
    new Uint8Array(0),
  ];
  for (const b of packets) {
    assertEquals(await p.raw(b), { closed: true }, `${b.length} bytes`);
  }
  await stillWell(node, admin);
});

Deno.test("irmd takes a packet of exactly 10240 bytes", async () => {
  const { node, admin, p } = await setUp();
  await using _node = node;
  const m: IrmMsg = { code: IrmCode.IRM_LIST_NAMES, pk: new Uint8Array(10240 - 2 - 4) };
  const bytes = encodeIrmMsg(m);
  assertEquals(bytes.length, 10240);
  assertEquals((await p.raw(bytes)).hex?.slice(0, 4), "081b");
  await stillWell(node, admin);
});

Deno.test("irmd answers unknown codes with -1 and ignores unknown fields", async () => {
  const { node, admin, p } = await setUp();
  await using _node = node;
  for (const code of [0, 27, 28, 99, -1, 0x7fffffff]) {
    assertEquals((await p.irm({ code }))?.result, -1, `${code}`);
  }
  const extra = Uint8Array.fromHex(encodeIrmMsg({ code: 17 }).toHex() + "e8078101ea0703aabbcc");
  assertEquals((await p.raw(extra)).hex, "081bc80100");
  await stillWell(node, admin);
});

Deno.test("irmd answers -22 when a request lacks what it needs", async (t) => {
  const { node, admin, p } = await setUp();
  await using _node = node;
  assertEquals((await p.irm(announce(p)))?.result, 0);
  const lacking: [IrmMsg, number[]][] = [
    [{ code: IrmCode.IRM_CREATE_IPCP }, [-22]],
    [{ code: IrmCode.IPCP_CREATE_R }, [-22, -1003, -1]],
    [{ code: IrmCode.IRM_DESTROY_IPCP }, [-22]],
    [{ code: IrmCode.IRM_BOOTSTRAP_IPCP }, [-22]],
    [{ code: IrmCode.IRM_BOOTSTRAP_IPCP, pid: p.pid }, [-22]],
    [{ code: IrmCode.IRM_ENROLL_IPCP }, [-22, -1]],
    [{ code: IrmCode.IRM_CONNECT_IPCP }, [-22]],
    [{ code: IrmCode.IRM_CONNECT_IPCP, pid: p.pid, dst: "d" }, [-22, -1003]],
    [{ code: IrmCode.IRM_DISCONNECT_IPCP }, [-22]],
    [{ code: IrmCode.IRM_BIND_PROGRAM }, [-22]],
    [{ code: IrmCode.IRM_BIND_PROGRAM, name: "n" }, [-22]],
    [{ code: IrmCode.IRM_BIND_PROGRAM, name: "n", exec: [""] }, [-22]],
    [{ code: IrmCode.IRM_UNBIND_PROGRAM }, [-22]],
    [{ code: IrmCode.IRM_BIND_PROCESS }, [-22]],
    [{ code: IrmCode.IRM_BIND_PROCESS, pid: p.pid }, [-22]],
    [{ code: IrmCode.IRM_UNBIND_PROCESS }, [-22]],
    [{ code: IrmCode.IRM_CREATE_NAME }, [-22]],
    [{ code: IrmCode.IRM_DESTROY_NAME }, [-22]],
    [{ code: IrmCode.IRM_REG_NAME }, [-22]],
    [{ code: IrmCode.IRM_REG_NAME, name: "n" }, [-22]],
    [{ code: IrmCode.IRM_UNREG_NAME }, [-22]],
    [{ code: IrmCode.IRM_PROC_ANNOUNCE }, [-22]],
    [{ code: IrmCode.IRM_FLOW_ALLOC }, [-22]],
    [{ code: IrmCode.IRM_FLOW_ALLOC, dst: "n" }, [-22]],
    [{ code: IrmCode.IRM_FLOW_ALLOC, flowInfo: flowInfoOf({ nPid: p.pid }) }, [-22]],
    [{ code: IrmCode.IRM_FLOW_ACCEPT }, [-22]],
    [{ code: IrmCode.IRM_FLOW_JOIN }, [-22]],
    [{ code: IrmCode.IRM_FLOW_JOIN, flowInfo: flowInfoOf({ nPid: p.pid }) }, [-22]],
    [{ code: IrmCode.IRM_FLOW_DEALLOC }, [-22]],
    // From a process that is no IPCP.
    [{ code: IrmCode.IPCP_FLOW_DEALLOC }, [-22, -9]],
    [{ code: IrmCode.IPCP_FLOW_REQ_ARR }, [-22, -1003]],
    [{ code: IrmCode.IPCP_FLOW_ALLOC_REPLY }, [-22, -9]],
  ];
  for (const [m, codes] of lacking) {
    const { code, ...fields } = m;
    await t.step(
      `${irmCodeName(code)} with ${Object.keys(fields).join(", ") || "nothing"}`,
      async () => {
        const reply = await p.irm(m);
        assert(codes.includes(reply!.result!), `${reply?.result}, wanted one of ${codes}`);
      },
    );
  }
  // A farewell without pid can only mean the sender.
  assert([0, -22].includes((await p.irm({ code: IrmCode.IRM_PROC_EXIT }))!.result!));
  await stillWell(node, admin);
});

Deno.test("irmd refuses bad values with -22 and one line of cause", async (t) => {
  const { node, admin, p } = await setUp();
  await using _node = node;
  const layerInfo = { name: "l", dirHashAlgo: 1 };
  const bad: Record<string, IrmMsg> = {
    "name of 256 bytes": { code: IrmCode.IRM_CREATE_NAME, nameInfo: nameInfo(names(256)) },
    "destroy of 256 bytes": { code: IrmCode.IRM_DESTROY_NAME, name: names(256) },
    "security path of 512 bytes": {
      code: IrmCode.IRM_CREATE_NAME,
      nameInfo: { ...nameInfo("n"), scrt: names(512) },
    },
    "NUL in a name": { code: IrmCode.IRM_CREATE_NAME, nameInfo: nameInfo("a\0b") },
    "layer of 256 bytes": {
      code: IrmCode.IRM_BOOTSTRAP_IPCP,
      pid: p.pid,
      conf: { layerInfo: { ...layerInfo, name: names(256) }, ipcpType: 0 },
    },
    "configuration without its part": {
      code: IrmCode.IRM_BOOTSTRAP_IPCP,
      pid: p.pid,
      conf: { layerInfo, ipcpType: 5 } as never,
    },
    "nanoseconds above a second": {
      code: IrmCode.IRM_FLOW_ACCEPT,
      flowInfo: flowInfoOf({ nPid: p.pid }),
      timeo: { sec: 0, nsec: 1_000_000_000 },
    },
    "program path of 300 bytes": {
      code: IrmCode.IRM_BIND_PROGRAM,
      name: "n",
      exec: [`/${names(300)}`, ""],
    },
    "name with line breaks, too long": {
      code: IrmCode.IRM_DESTROY_NAME,
      name: "a\n".repeat(200),
    },
  };
  for (const [what, m] of Object.entries(bad)) {
    await t.step(what, async () => {
      const reply = await p.irm(m);
      assertEquals(reply?.result, -22);
      assert(!/[\n\r]/.test(reply?.error?.cause ?? ""), reply?.error?.cause);
    });
  }
  await t.step("bytes that are not UTF-8", async () => {
    const r = await p.raw(Uint8Array.fromHex("08102202c328"));
    assertEquals(r.hex?.startsWith("081bc8012b"), true, r.hex); // -22, zigzag
  });
  assertEquals(await admin.listNames(), []);
  await stillWell(node, admin);
});

Deno.test("irmd serves others beside 1000 idle connections and half-open requests", async () => {
  const { node, admin, p } = await setUp();
  await using _node = node;
  const before = descriptors(node.irmd!.pid);
  assertEquals(await p.tell({ op: "hold", count: 1000 }), { held: 1000 });
  await stillWell(node, admin);
  await admin.createName(nameInfo("n", PolLb.SPILLOVER));
  // Requests whose client never reads the reply.
  await p.tell({ op: "hold", hex: encodeIrmMsg({ code: 17 }).toHex(), count: 50 });
  await stillWell(node, admin);
  await p.tell({ op: "release" });
  await until("descriptors closed", () => descriptors(node.irmd!.pid) <= before + 2);
  await stillWell(node, admin);
});

Deno.test("irmd drops the accept of a client that hangs up or dies, and gives the flow to another", async () => {
  const { node, admin } = await setUp();
  await using _node = node;
  await admin.createName(nameInfo("n"));
  const servers = [await Puppet.announced(node), await Puppet.announced(node)];
  const [dying, living] = servers as [Puppet, Puppet];
  const client = await Puppet.announced(node);
  for (const s of servers) await admin.bindProcess(s.pid, "n");
  const accept = (s: Puppet): IrmMsg => ({
    code: IrmCode.IRM_FLOW_ACCEPT,
    flowInfo: flowInfoOf({ nPid: s.pid, qos: QOS.raw }),
  });
  const alloc: IrmMsg = {
    code: IrmCode.IRM_FLOW_ALLOC,
    dst: "n",
    flowInfo: flowInfoOf({ nPid: client.pid, qos: QOS.raw }),
  };
  // First in the queue: an accept whose connection is closed, then one whose process is killed.
  await dying.tell({ op: "hold", hex: encodeIrmMsg(accept(dying)).toHex() });
  await dying.tell({ op: "release" });
  await dying.tell({ op: "hold", hex: encodeIrmMsg(accept(dying)).toHex() });
  await stillWell(node, admin);
  const accepted = living.irm(accept(living));
  await dying.kill();
  const got = await client.irm(alloc);
  assertEquals(got?.result, 0, got?.error?.cause);
  assertEquals(got?.flowInfo?.n1Pid, living.pid);
  const theirs = await accepted;
  assertEquals(theirs?.flowInfo?.id, got?.flowInfo?.id);
  assertEquals([theirs?.flowInfo?.nPid, theirs?.flowInfo?.n1Pid], [living.pid, client.pid]);
  await stillWell(node, admin);
});

Deno.test("irmd ends an allocation whose client dies while it waits", async () => {
  const { node, admin } = await setUp();
  await using _node = node;
  await admin.createName(nameInfo("n", PolLb.SPILLOVER));
  const server = await Puppet.announced(node);
  await admin.bindProcess(server.pid, "n");
  const client = await Puppet.announced(node);
  const alloc: IrmMsg = {
    code: IrmCode.IRM_FLOW_ALLOC,
    dst: "n",
    flowInfo: flowInfoOf({ nPid: client.pid, qos: QOS.raw }),
  };
  await client.tell({ op: "hold", hex: encodeIrmMsg(alloc).toHex(), count: 5 });
  await client.kill();
  await until("sanitized", () => node.irmd!.out.includes(`${client.pid}`) || undefined);
  // Nobody got the server's accept: it times out.
  const reply = await server.irm({
    code: IrmCode.IRM_FLOW_ACCEPT,
    flowInfo: flowInfoOf({ nPid: server.pid }),
    timeo: { sec: 0, nsec: 50_000_000 },
  });
  assertEquals(reply?.result, -110);
  await stillWell(node, admin);
});

Deno.test("irmd believes the kernel, not the message, about who is calling", async (t) => {
  const { node, admin, p } = await setUp();
  await using _node = node;
  const victim = await Puppet.announced(node, "victim");
  const peer = await Puppet.announced(node, "peer");
  await admin.createName(nameInfo("n", PolLb.SPILLOVER));
  await admin.bindProcess(victim.pid, "n");
  const refused = (m: IrmMsg | undefined) => {
    assert(m?.result !== undefined && m.result < 0, `accepted: ${JSON.stringify(m?.result)}`);
  };
  await t.step("announce for another pid", async () => {
    for (const pid of [1, victim.pid, Deno.pid, 0, -1, 4_000_000]) {
      refused(await p.irm(announce(p, pid)));
    }
  });
  await t.step("exit of another pid", async () => {
    await p.irm({ code: IrmCode.IRM_PROC_EXIT, pid: victim.pid });
    await admin.unbindProcess(victim.pid, "n"); // still there, still bound
    await admin.bindProcess(victim.pid, "n");
  });
  const as = (pid: number) => flowInfoOf({ nPid: pid, qos: QOS.raw });
  const code = IrmCode.IRM_FLOW_ACCEPT;
  await t.step("accept, alloc and join for another pid", async () => {
    const timeo = { sec: 0, nsec: 1000 };
    refused(await p.irm({ code, flowInfo: as(victim.pid), timeo }));
    for (const code of [IrmCode.IRM_FLOW_ALLOC, IrmCode.IRM_FLOW_JOIN]) {
      refused(await p.irm({ code, dst: "n", flowInfo: as(victim.pid), timeo }));
    }
  });
  await t.step("accept, alloc and join without announcement", async () => {
    assertEquals((await p.irm({ code, flowInfo: as(p.pid) }))?.result, -22);
    for (const code of [IrmCode.IRM_FLOW_ALLOC, IrmCode.IRM_FLOW_JOIN]) {
      assertEquals((await p.irm({ code, dst: "n", flowInfo: as(p.pid) }))?.result, -22);
    }
  });
  await t.step("dealloc of another's flow", async () => {
    const accepted = victim.irm({ code, flowInfo: as(victim.pid) });
    const got = await peer.irm({
      code: IrmCode.IRM_FLOW_ALLOC,
      dst: "n",
      flowInfo: as(peer.pid),
    });
    assertEquals(got?.result, 0, got?.error?.cause);
    const { id } = (await accepted)!.flowInfo!;
    const dealloc = (nPid: number): IrmMsg => ({
      code: IrmCode.IRM_FLOW_DEALLOC,
      flowInfo: flowInfoOf({ id, nPid }),
      timeo: { sec: 0, nsec: 0 },
    });
    refused(await p.irm(dealloc(victim.pid)));
    refused(await p.irm(dealloc(p.pid)));
    // Both ends still have it.
    assertEquals((await victim.irm(dealloc(victim.pid)))?.result, 0);
    assertEquals((await victim.irm(dealloc(victim.pid)))?.result, 0); // again: no effect
    assertEquals((await peer.irm(dealloc(peer.pid)))?.result, 0);
    refused(await peer.irm(dealloc(peer.pid))); // gone
  });
  await t.step("what only an IPCP may say", async () => {
    const ipcpInfo = { type: 0, name: "evil", pid: p.pid, state: IpcpState.BOOT };
    refused(await p.irm({ code: IrmCode.IPCP_CREATE_R, ipcpInfo }));
    const flowInfo = flowInfoOf({ id: 1, n1Pid: p.pid });
    const pk = new Uint8Array(36);
    refused(await p.irm({ code: IrmCode.IPCP_FLOW_ALLOC_REPLY, flowInfo, response: 0, pk }));
    refused(await p.irm({ code: IrmCode.IPCP_FLOW_DEALLOC, flowInfo }));
    const hash = new Uint8Array(32);
    refused(await p.irm({ code: IrmCode.IPCP_FLOW_REQ_ARR, flowInfo, hash, pk }));
  });
  await stillWell(node, admin);
});

Deno.test("irmd signals nothing but its own IPCPs on destroy", async () => {
  const { node, admin, p } = await setUp();
  await using _node = node;
  const victim = await Puppet.announced(node, "victim");
  for (const pid of [victim.pid, 0, -1, -p.pid, 1, node.irmd!.pid, 4_000_000]) {
    const r = await p.irm({ code: IrmCode.IRM_DESTROY_IPCP, pid });
    assert(r!.result! < 0, `${pid}: ${r?.result}`);
  }
  assert(pidAlive(victim.pid) && pidAlive(p.pid));
  await stillWell(node, admin);
});

Deno.test({
  name: "irmd refuses administration by an unprivileged user, and lets the user use flows",
  ignore: !ROOT,
  fn: async (t) => {
    const { node, admin } = await setUp();
    await using _node = node;
    await Deno.chmod(node.prefix, 0o755);
    await admin.createName(nameInfo("n", PolLb.SPILLOVER));
    const user = await Puppet.announced(node, "user", NOBODY);
    const qos = QOS.raw;
    const conf = { layerInfo: { name: "l", dirHashAlgo: 1 }, ipcpType: 0 } as const;
    const ipcpInfo = { type: 0, name: "l", pid: 0, state: 0 };
    const pid = user.pid;
    const requests: IrmMsg[] = [
      { code: IrmCode.IRM_CREATE_IPCP, ipcpInfo },
      { code: IrmCode.IRM_DESTROY_IPCP, pid },
      { code: IrmCode.IRM_BOOTSTRAP_IPCP, pid, conf },
      { code: IrmCode.IRM_ENROLL_IPCP, pid, dst: "d" },
      { code: IrmCode.IRM_CONNECT_IPCP, pid, dst: "d", comp: "Management", qos },
      { code: IrmCode.IRM_DISCONNECT_IPCP, pid, dst: "d", comp: "Management" },
      { code: IrmCode.IRM_BIND_PROGRAM, name: "n", exec: ["/bin/true", ""], opts: 1 },
      { code: IrmCode.IRM_UNBIND_PROGRAM, name: "n", prog: "true" },
      { code: IrmCode.IRM_BIND_PROCESS, name: "n", pid },
      { code: IrmCode.IRM_UNBIND_PROCESS, name: "n", pid },
      { code: IrmCode.IRM_CREATE_NAME, nameInfo: nameInfo("mine") },
      { code: IrmCode.IRM_DESTROY_NAME, name: "n" },
      { code: IrmCode.IRM_REG_NAME, name: "n", pid },
      { code: IrmCode.IRM_UNREG_NAME, name: "n", pid },
    ];
    for (const m of requests) {
      await t.step(irmCodeName(m.code), async () => {
        const r = await user.irm(m);
        assertEquals(r?.result, -1);
        assert(r?.error !== undefined && r.error.cause.length > 0, "no cause given");
      });
    }
    await t.step("nothing has changed", async () => {
      assertEquals((await admin.listNames()).map((x) => x.name), ["n"]);
      assertEquals(await admin.listIpcps(), []);
    });
    await t.step("lists, and flows of its own", async () => {
      assertEquals((await user.irm({ code: IrmCode.IRM_LIST_NAMES }))?.result, 0);
      assertEquals((await user.irm({ code: IrmCode.IRM_LIST_IPCPS }))?.result, 0);
      await admin.bindProcess(pid, "n");
      const other = await Puppet.announced(node, "user", NOBODY);
      const flowInfo = flowInfoOf({ nPid: pid, qos });
      const accepted = user.irm({ code: IrmCode.IRM_FLOW_ACCEPT, flowInfo });
      const got = await other.irm({
        code: IrmCode.IRM_FLOW_ALLOC,
        dst: "n",
        flowInfo: flowInfoOf({ nPid: other.pid, qos }),
      });
      assertEquals(got?.result, 0, got?.error?.cause);
      assertEquals(got?.flowInfo?.uid, NOBODY);
      assertEquals((await accepted)?.flowInfo?.uid, NOBODY);
    });
    await t.step("no direct flow between users", async () => {
      const root = await Puppet.announced(node, "root");
      const flowInfo = flowInfoOf({ nPid: pid, qos });
      const timeo = { sec: 2, nsec: 0 };
      const accepted = user.irm({ code: IrmCode.IRM_FLOW_ACCEPT, flowInfo, timeo });
      const got = await root.irm({
        code: IrmCode.IRM_FLOW_ALLOC,
        dst: "n",
        flowInfo: flowInfoOf({ nPid: root.pid, qos }),
      });
      assertEquals(got?.result, -1003); // there is no IPCP to carry it
      assertEquals((await accepted)?.result, -110);
    });
    await stillWell(node, admin);
  },
});

Deno.test("irmd stops cleanly with requests pending", async () => {
  const { node, admin } = await setUp();
  await using _node = node;
  await admin.createName(nameInfo("n", PolLb.SPILLOVER));
  const server = await Puppet.announced(node);
  await admin.bindProcess(server.pid, "n");
  const accept: IrmMsg = {
    code: IrmCode.IRM_FLOW_ACCEPT,
    flowInfo: flowInfoOf({ nPid: server.pid }),
  };
  const pending = [1, 2, 3].map(() => server.irm(accept));
  // Sent after them by the same process, so they are pending when it is answered.
  await server.irm({ code: IrmCode.IRM_LIST_NAMES });
  await stillWell(node, admin);
  const end = await node.stopIrmd();
  assertEquals(end?.code, 0);
  assertEquals(await Promise.all(pending), [undefined, undefined, undefined]);
  assertEquals(node.sharedMemory(), []);
});

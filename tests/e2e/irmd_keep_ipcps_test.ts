// IPCPs that crash are made again as they were, names wait for a layer, and layers are
// asked for names that are not known here. IPCPs are puppets.

import { assertEquals, assertMatch } from "@std/assert";
import { nameHash } from "../../lib/hash.ts";
import {
  COMP_DATA_TRANSFER,
  COMP_MANAGEMENT,
  HashAlgo,
  IpcpCode,
  IpcpType,
} from "../../lib/irm/messages.ts";
import { QOS } from "../../lib/qos.ts";
import { Puppet } from "../support/puppet.ts";
import {
  allocRequest,
  local,
  nextAsked,
  puppetNode,
  startIpcp,
} from "../support/irmd_with_puppets.ts";
import { until } from "../support/deadline.ts";
import { nameInfo } from "../support/names.ts";

const hash = (name: string) => nameHash(HashAlgo.SHA3_256, name) as Uint8Array;

Deno.test("an IPCP that is killed runs again as it was: layer, connections, names, bindings", async () => {
  const { node, admin } = await puppetNode();
  await using _node = node;
  await admin.createName(nameInfo("n"));
  const ipcp = await startIpcp(node, admin, "u1", IpcpType.UNICAST);
  await admin.enrollIpcp(ipcp.pid, "net");
  for (const comp of [COMP_MANAGEMENT, COMP_DATA_TRANSFER]) {
    await admin.connectIpcp(ipcp.pid, "net.a", comp, QOS.raw);
  }
  await admin.regName("n", ipcp.pid);
  await admin.bindProcess(ipcp.pid, "net.b");
  await ipcp.kill();
  const again = await until("it runs again", async () => {
    const e = (await admin.listIpcps()).find((i) => i.name === "u1");
    // It is listed all the time.
    return e!.pid !== 0 && e!.pid !== ipcp.pid && e!.layer === "net" ? e! : undefined;
  });
  assertEquals(again.restarts, 1);
  const next = await Puppet.ipcp(node, again.pid);
  const codes: number[] = [];
  await until("all is asked again", async () => {
    for (const m of await next.asked()) {
      codes.push(m.code);
      if (m.code === IpcpCode.IPCP_REG) assertEquals(m.hash, hash("n"));
    }
    return codes.length >= 4;
  });
  assertEquals(codes, [
    IpcpCode.IPCP_ENROLL,
    IpcpCode.IPCP_REG,
    IpcpCode.IPCP_CONNECT,
    IpcpCode.IPCP_CONNECT,
  ]);
  // Bound already: that is refused.
  await until("bound", () => admin.bindProcess(again.pid, "net.b").then(() => false, () => true));
  // One that is destroyed stays away.
  await admin.destroyIpcp(again.pid);
  assertEquals(await admin.listIpcps(), []);
});

Deno.test("two IPCPs of one name are refused", async () => {
  const { node, admin } = await puppetNode();
  await using _node = node;
  await startIpcp(node, admin, "l1", IpcpType.LOCAL);
  const e = await admin.createIpcp("l1", IpcpType.UDP4).then(() => "created", String);
  assertMatch(e, /there is an IPCP "l1" already/);
});

Deno.test("a name registered before bootstrap is registered with the layer's own hash", async () => {
  const { node, admin } = await puppetNode();
  await using _node = node;
  await admin.createName(nameInfo("n"));
  const ipcp = await startIpcp(node, admin, "l1", IpcpType.LOCAL);
  await admin.regName("n", ipcp.pid);
  assertEquals(await ipcp.asked(), []);
  await admin.bootstrapIpcp(ipcp.pid, local("lay"));
  assertEquals((await nextAsked(ipcp, IpcpCode.IPCP_REG)).hash, hash("n"));
});

Deno.test("a name that is not known here is asked for in the layers, not of the asking IPCP itself", async () => {
  const { node, admin } = await puppetNode();
  await using _node = node;
  const p = await Puppet.announced(node, "p");
  assertEquals((await p.irm(allocRequest(p, "far")))?.result, -1007, "no layer: at once");
  const ipcp = await startIpcp(node, admin, "l1", IpcpType.LOCAL, local("lay"));
  assertEquals((await ipcp.irm(allocRequest(ipcp, "far")))?.result, -1007, "itself only");
  assertEquals(await ipcp.asked(), []);
  await ipcp.tell({ op: "behave", how: { IPCP_QUERY: { result: -1 } } });
  const unknown = await p.irm(allocRequest(p, "far"));
  assertEquals(unknown?.result, -1007);
  assertMatch(unknown!.error!.cause, /not known here nor by an IPCP/);
  await ipcp.tell({ op: "behave", how: { IPCP_FLOW_ALLOC: { result: -1 } } });
  await p.irm(allocRequest(p, "far"));
  assertEquals((await nextAsked(ipcp, IpcpCode.IPCP_FLOW_ALLOC)).hash, hash("far"));
});

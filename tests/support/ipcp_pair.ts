// Flows between two IPCPs under a FakeIrmd.

import { createHash } from "node:crypto";
import { assertEquals } from "@std/assert";
import { IpcpCode, type IpcpMsg, IrmCode } from "../../lib/irm/messages.ts";
import { QOS } from "../../lib/qos.ts";
import type { FakeFlow, FakeIpcp, FakeIrmd } from "./scripted_irmd.ts";
import { until } from "./deadline.ts";

/** Stands for OAP data, which an IPCP does not look at. */
export const OAP = Uint8Array.of(1, 2, 3, 4, 5);

/**
 * Asks A for a name that B has until it is found: an IPCP answers a query before the IRMd's patience of 200 ms ends,
 * with no if it does not know by then (spec 20 §9).
 */
export async function findName(irmd: FakeIrmd, a: FakeIpcp, hash: Uint8Array): Promise<void> {
  await until("the name", async () => {
    return await irmd.result(a, { code: IpcpCode.IPCP_QUERY, hash }) === 0;
  });
}

/** Allocate a flow from A to B; its two ends. */
export async function connect(
  irmd: FakeIrmd,
  a: FakeIpcp,
  b: FakeIpcp,
  hash: Uint8Array,
): Promise<[FakeFlow, FakeFlow]> {
  const client = irmd.flow(a);
  const server = irmd.flow(b);
  irmd.onRequest = () => server;
  await findName(irmd, a, hash);
  const { id: flowId, pid } = client;
  const alloc: IpcpMsg = { code: IpcpCode.IPCP_FLOW_ALLOC, flowId, pid, uid: 0, hash, pk: OAP };
  const asked = irmd.said.length;
  assertEquals(await irmd.result(a, { ...alloc, qos: QOS.video }), 0);
  const question = await until("question", () => {
    return irmd.said.slice(asked).find((m) => m.code === IrmCode.IPCP_FLOW_REQ_ARR);
  });
  assertEquals([question.hash, question.pk, question.flowInfo?.qos], [
    hash,
    OAP,
    { ...QOS.video },
  ]);
  const resp = { code: IpcpCode.IPCP_FLOW_ALLOC_RESP, flowId: server.id, pid: server.pid, uid: 0 };
  assertEquals(await irmd.result(b, { ...resp, response: 0, pk: OAP }), 0);
  const reply = await until("reply", () => {
    return irmd.said.slice(asked).find((m) => m.code === IrmCode.IPCP_FLOW_ALLOC_REPLY);
  });
  assertEquals([reply.flowInfo?.id, reply.response, reply.pk], [client.id, 0, OAP]);
  return [client, server];
}

/** Deallocate one end of a flow and wait until the IPCP is done with it. */
export async function disconnect(irmd: FakeIrmd, ipcp: FakeIpcp, flow: FakeFlow): Promise<void> {
  const dealloc = { code: IpcpCode.IPCP_FLOW_DEALLOC, flowId: flow.id, timeoSec: 0 };
  assertEquals(await irmd.result(ipcp, dealloc), 0);
  await irmd.heard(`dealloc of ${flow.id}`, (m) => {
    return m.code === IrmCode.IPCP_FLOW_DEALLOC && m.flowInfo?.id === flow.id;
  });
}

/** Send a packet and see that it arrives. */
export async function ping(from: FakeFlow, to: FakeFlow, bytes: Uint8Array): Promise<void> {
  assertEquals(from.write(bytes), 0);
  assertEquals(await to.read(), bytes);
}

/** The MD5 of a name in hex, which a UDP layer looks up. */
export function md5Hex(name: string): string {
  return createHash("md5").update(name).digest("hex");
}

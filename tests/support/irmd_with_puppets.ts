// Nodes whose IPCPs are puppets, and the requests of their processes.

import type { AdminClient } from "../../lib/irm/admin.ts";
import {
  flowInfoOf,
  HashAlgo,
  ipcpCodeName,
  type IpcpConfig,
  type IpcpMsg,
  IpcpType,
  IrmCode,
  type IrmMsg,
  timeoOfMs,
} from "../../lib/irm/messages.ts";
import { Logger, nullSink } from "../../lib/log.ts";
import { QOS } from "../../lib/qos.ts";
import { isOapFailure, OapService } from "../../security/oap/mod.ts";
import { Puppet } from "./puppet.ts";
import { until } from "./deadline.ts";
import { PATIENCE, TestNode } from "./node.ts";

/** A node whose IPCPs are puppets. Direct flows are off, so that every flow needs one. */
export async function puppetNode(
  patience = PATIENCE,
): Promise<{ node: TestNode; admin: AdminClient }> {
  const node = await TestNode.start({ idle: true, patience });
  try {
    await node.startIrmd("--no-direct", "--ipcp-dir", Puppet.ipcpDir(node.prefix));
  } catch (e) {
    await node[Symbol.asyncDispose]();
    throw e;
  }
  return { node, admin: node.admin(60_000) };
}

export const udp6 = (layer: string): IpcpConfig => ({
  layerInfo: { name: layer, dirHashAlgo: HashAlgo.SHA3_256 },
  ipcpType: IpcpType.UDP6,
  udp6: { ipAddr: new Uint8Array(16), port: 3435, dnsAddr: new Uint8Array(16) },
});

/** Starts a puppet IPCP; with a layer it is bootstrapped too. */
export async function startIpcp(
  node: TestNode,
  admin: AdminClient,
  name: string,
  type: number,
  conf?: IpcpConfig,
): Promise<Puppet> {
  await admin.createIpcp(name, type);
  const entry = (await admin.listIpcps()).find((i) => i.name === name)!;
  const ipcp = await Puppet.ipcp(node, entry.pid);
  if (conf !== undefined) await admin.bootstrapIpcp(entry.pid, conf);
  await ipcp.asked();
  return ipcp;
}

export const local = (layer: string): IpcpConfig => ({
  layerInfo: { name: layer, dirHashAlgo: HashAlgo.SHA3_256 },
  ipcpType: IpcpType.LOCAL,
});

export function acceptRequest(p: Puppet, timeoutMs?: number): IrmMsg {
  return {
    code: IrmCode.IRM_FLOW_ACCEPT,
    flowInfo: flowInfoOf({ nPid: p.pid, qos: QOS.raw }),
    timeo: timeoutMs === undefined ? undefined : timeoOfMs(timeoutMs),
  };
}

export function allocRequest(p: Puppet, dst: string, timeoutMs?: number): IrmMsg {
  return {
    code: IrmCode.IRM_FLOW_ALLOC,
    dst,
    flowInfo: flowInfoOf({ nPid: p.pid, qos: QOS.raw }),
    timeo: timeoutMs === undefined ? undefined : timeoOfMs(timeoutMs),
  };
}

export function deallocRequest(p: Puppet, id: number): IrmMsg {
  return {
    code: IrmCode.IRM_FLOW_DEALLOC,
    flowInfo: flowInfoOf({ id, nPid: p.pid }),
    timeo: { sec: 0, nsec: 0 },
  };
}

export function arrival(ipcp: Puppet, hash: Uint8Array, pk: Uint8Array): IrmMsg {
  const flowInfo = flowInfoOf({ n1Pid: ipcp.pid, mpl: 100, qos: QOS.raw });
  return { code: IrmCode.IPCP_FLOW_REQ_ARR, flowInfo, hash, pk };
}

/** Waits for the next request of a kind at an IPCP; what comes before it is dropped. */
export async function nextAsked(ipcp: Puppet, code: number): Promise<IpcpMsg> {
  return await until(ipcpCodeName(code), async () => {
    return (await ipcp.asked()).find((m) => m.code === code);
  });
}

/** An OAP request that a client would send now. */
export async function oapRequest(node: TestNode, dst: string): Promise<Uint8Array> {
  const log = new Logger(nullSink, "oap");
  const oap = new OapService({ securityDir: node.instance.securityDir, log });
  const none = { enc: "", crt: "", key: "" };
  const s = await oap.prepare({ server: none, client: none, serverDir: "", clientDir: "" }, dst);
  if (isOapFailure(s)) throw new Error(s.reason);
  return s.request;
}

/** Ring buffers that exist, of a flow or of all. */
export function rings(node: TestNode, id?: number): string[] {
  const all = node.sharedMemory().filter((n) => n.includes(".rbuff."));
  return id === undefined ? all : all.filter((n) => n.endsWith(`.${id}`));
}

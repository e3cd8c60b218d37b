/** What IPCPs know: IRM_QUERY_NAME, IRM_COUNT_MEMBERS and IRM_FLOW_LOSSES, which are ours. */

import { Errno } from "../lib/errno.ts";
import { IpcpCode } from "../lib/irm/messages.ts";
import { failed, ok, type Outcome } from "./answer.ts";
import type { Daemon } from "./daemon.ts";
import { query } from "./flow_alloc.ts";
import { resultOf } from "./ipcp_client.ts";
import type { Having } from "./requests.ts";

/** The reply names the IPCP whose layer knows the name. */
export async function queryName(d: Daemon, { dst }: Having<"dst">): Promise<Outcome> {
  const ipcp = await query(d, dst, Infinity);
  if (typeof ipcp !== "string") return ok({ pid: ipcp.pid, layer: ipcp.layer });
  return failed(-Errno.EIPCP, "query", `no IPCP of this node knows "${dst}"${ipcp}`);
}

/** The reply has the count of the IPCP of that layer that reaches most. */
export async function countMembers(d: Daemon, { layer }: Having<"layer">): Promise<Outcome> {
  const stage = "members";
  const of = d.registry.ipcps.list().filter((ipcp) => ipcp.layer === layer);
  if (of.length === 0) return failed(-Errno.EIPCP, stage, `no IPCP here is in layer "${layer}"`);
  let most = -1;
  for (const ipcp of of) {
    const reply = await d.ipcpClient.call(ipcp.pid, "query", {
      code: IpcpCode.IPCP_COUNT_MEMBERS,
    });
    if (reply.kind === "reply" && resultOf(reply) >= 0) {
      most = Math.max(most, reply.msg.response ?? 0);
    }
  }
  if (most >= 0) return ok({ response: most });
  return failed(-Errno.ENOTSUP, stage, `the IPCP of layer "${layer}" does not count its members`);
}

/**
 * What the IPCP below a flow of the process dropped of it; without `losses` it does not say, as one of the prototype. Below
 * a direct flow is nobody who drops.
 */
export async function flowLosses(
  d: Daemon,
  { flowInfo: { id, nPid } }: Having<"flowInfo">,
): Promise<Outcome> {
  const stage = "flow losses";
  const flow = d.registry.flows.get(id);
  if (flow === undefined || (flow.nPid !== nPid && flow.n1Pid !== nPid)) {
    return failed(-Errno.ENOTALLOC, stage, `process ${nPid} has no flow ${id}`);
  }
  if (!d.registry.ipcps.has(flow.n1Pid)) return ok({ losses: { sent: 0, received: 0 } });
  const reply = await d.ipcpClient.call(flow.n1Pid, "losses", {
    code: IpcpCode.IPCP_FLOW_LOSSES,
    flowId: id,
  });
  const losses = reply.kind === "reply" && reply.result === 0 ? reply.msg.losses : undefined;
  return ok(losses === undefined ? {} : { losses });
}

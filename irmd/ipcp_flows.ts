/** Flow requests of IPCPs (spec 20 §8): a request arrived, an answer arrived, a flow was torn down. */

import { Errno } from "../lib/errno.ts";
import { hashBytes } from "../lib/hash.ts";
import { MESSAGE_BYTES_MAX } from "../lib/limits.ts";
import { findAcceptor } from "./acceptors.ts";
import { failed, invalid, ok, type Outcome } from "./answer.ts";
import type { Client } from "./client.ts";
import type { Daemon } from "./daemon.ts";
import type { Having } from "./requests.ts";

const NONE = new Uint8Array(0);
/** How long an IPCP waits for the acceptor of a request at most, ms. */
const ARRIVED_MS = 10_000;

/** IPCP_FLOW_REQ_ARR from the IPCP `pid`. */
export async function requestArrived(
  d: Daemon,
  pid: number,
  client: Client,
  msg: Having<"flowInfo" | "hash">,
): Promise<Outcome> {
  const stage = "flow request";
  const { flowInfo: info, hash } = msg;
  const ipcp = d.registry.ipcps.get(pid);
  if (ipcp === undefined) return failed(-Errno.EIPCP, stage, `no IPCP ${pid}`);
  if (hash.length !== hashBytes(ipcp.hashAlgo)) return invalid(stage, "wrong length of hash");
  const record = d.registry.names.byHash(ipcp.hashAlgo, hash);
  if (record === undefined) return failed(-Errno.ENAME, stage, "no name has this hash");
  const { name } = record;
  d.log.dbg(`Flow request arrived for ${name}.`);
  const request = msg.pk ?? NONE;
  // An IPCP of the prototype tells nobody of a refusal that comes before there is a flow.
  if (ipcp.messageBytesMax > MESSAGE_BYTES_MAX) {
    const refused = d.oap.refusedOnArrival(request);
    if (refused !== undefined) return failed(refused.code, "oap", refused.reason);
  }
  const endMs = d.nowMs() + ARRIVED_MS;
  for (;;) {
    const found = await findAcceptor(d, name, client, endMs);
    if (found.kind === "hang-up") return undefined;
    if (found.kind === "failed" && found.code === -Errno.ENAME) {
      return failed(-Errno.ENAME, stage, `the name "${name}" was destroyed meanwhile`);
    }
    if (found.kind !== "reserved") {
      const why = found.kind === "failed" ? found.why : undefined;
      return failed(-Errno.EPERM, stage, why ?? `nobody accepts flows for "${name}"`);
    }
    const { reservation } = found;
    const { flow } = reservation;
    using rings = d.objects.makeRings(flow.id, flow.nPid, pid, flow.uid);
    if (rings.code < 0) {
      d.registry.release(reservation);
      return failed(-Errno.EBADF, "ring buffers", "cannot make the ring buffers");
    }
    const arrived = d.registry.arrive(reservation, {
      ipcpPid: pid,
      mpl: info.mpl,
      qos: info.qos,
      request,
      sdu: info,
    });
    if (typeof arrived !== "number") {
      rings.handOver();
      return ok({ flowInfo: arrived }, () => d.registry.ipcpDealloc(pid, flow.id));
    }
    if (!d.registry.ipcps.has(pid)) return failed(arrived, stage, `no IPCP ${pid}`);
  }
}

/** IPCP_FLOW_ALLOC_REPLY from the IPCP `pid`; of flow_info only id, mpl and the layer's limits count. */
export function allocReplied(
  d: Daemon,
  pid: number,
  msg: Having<"flowInfo" | "response">,
): Outcome {
  const stage = "flow reply";
  const { flowInfo: info, response } = msg;
  const code = d.registry.allocReply(pid, info.id, {
    response,
    mpl: info.mpl,
    data: msg.pk ?? NONE,
    cause: msg.error?.cause,
    sdu: info,
  });
  return code < 0 ? failed(code, stage, `no allocation ${info.id} waits at IPCP ${pid}`) : ok();
}

/** IPCP_FLOW_DEALLOC from the IPCP `pid`; of flow_info only id counts. */
export function deallocConfirmed(d: Daemon, pid: number, msg: Having<"flowInfo">): Outcome {
  const stage = "flow dealloc";
  const info = msg.flowInfo;
  const flow = d.registry.flows.get(info.id);
  const process = flow?.nPid ?? 0;
  const code = d.registry.ipcpDealloc(pid, info.id);
  if (code < 0) return failed(code, stage, `IPCP ${pid} carries no flow ${info.id}`);
  d.log.dbg(`Completed deallocation of flow_id ${info.id} by process ${process}.`);
  return ok();
}

/**
 * From packet to handler: decode, who may ask this, which handler (spec 20 §2.1, §6 – §8, §19.1 – 5).
 *
 * The kernel says who is calling. Administration needs root, the owner of the node or group `ouroboros`; a
 * process speaks for itself only; what IPCPs say is believed of the IPCP that says it.
 */

import { Errno } from "../lib/errno.ts";
import {
  decodeIrmMsg,
  IrmCode,
  irmCodeName,
  type IrmMsg,
  WireValueError,
} from "../lib/irm/messages.ts";
import { isPrivileged } from "../lib/sys/users.ts";
import { isWireError } from "../lib/wire/mod.ts";
import { type Answer, failed, invalid, type Outcome } from "./answer.ts";
import type { Client } from "./client.ts";
import type { Daemon } from "./daemon.ts";
import { accept } from "./flow_accept.ts";
import { alloc } from "./flow_alloc.ts";
import { dealloc, join } from "./flow_end.ts";
import { allocReplied, deallocConfirmed, requestArrived } from "./ipcp_flows.ts";
import type { Ipcps } from "./ipcps.ts";
import * as names from "./names.ts";

/** Requests that only administrators may make (spec 20 §19.1). */
const ADMINISTRATION: ReadonlySet<number> = new Set([
  IrmCode.IRM_CREATE_IPCP,
  IrmCode.IRM_DESTROY_IPCP,
  IrmCode.IRM_BOOTSTRAP_IPCP,
  IrmCode.IRM_ENROLL_IPCP,
  IrmCode.IRM_CONNECT_IPCP,
  IrmCode.IRM_DISCONNECT_IPCP,
  IrmCode.IRM_BIND_PROGRAM,
  IrmCode.IRM_UNBIND_PROGRAM,
  IrmCode.IRM_BIND_PROCESS,
  IrmCode.IRM_UNBIND_PROCESS,
  IrmCode.IRM_CREATE_NAME,
  IrmCode.IRM_DESTROY_NAME,
  IrmCode.IRM_REG_NAME,
  IrmCode.IRM_UNREG_NAME,
]);

/** Why this client may not make this request, or undefined when it may. */
export function refusal(d: Daemon, client: Client, msg: IrmMsg): Answer | undefined {
  const { pid, uid } = client.cred;
  const no = (cause: string): Answer => failed(-Errno.EPERM, "permission", cause);
  if (ADMINISTRATION.has(msg.code)) {
    return isPrivileged(uid, d.ownUid)
      ? undefined
      : no(`uid ${uid} may not administer this node (root or group ouroboros may)`);
  }
  switch (msg.code) {
    case IrmCode.IRM_PROC_ANNOUNCE:
    case IrmCode.IRM_PROC_EXIT:
      if (msg.pid === undefined) return invalid(irmCodeName(msg.code), "no pid");
      return msg.pid === pid ? undefined : no(`process ${pid} cannot speak for ${msg.pid}`);
    case IrmCode.IRM_FLOW_ALLOC:
    case IrmCode.IRM_FLOW_ACCEPT:
    case IrmCode.IRM_FLOW_JOIN:
    case IrmCode.IRM_FLOW_DEALLOC: {
      if (msg.flowInfo === undefined) return invalid(irmCodeName(msg.code), "no flow_info");
      const { nPid } = msg.flowInfo;
      return nPid === pid ? undefined : no(`process ${pid} cannot speak for ${nPid}`);
    }
    case IrmCode.IPCP_CREATE_R: {
      if (msg.ipcpInfo === undefined) return invalid(irmCodeName(msg.code), "no ipcp_info");
      const claimed = msg.ipcpInfo.pid;
      return claimed === pid ? undefined : no(`process ${pid} cannot speak for ${claimed}`);
    }
    case IrmCode.IPCP_FLOW_REQ_ARR:
      if (msg.flowInfo === undefined) return invalid(irmCodeName(msg.code), "no flow_info");
      if (msg.flowInfo.n1Pid !== pid) {
        return no(`process ${pid} cannot speak for ${msg.flowInfo.n1Pid}`);
      }
      return undefined;
    case IrmCode.IPCP_FLOW_ALLOC_REPLY:
    case IrmCode.IPCP_FLOW_DEALLOC:
      if (msg.flowInfo === undefined) return invalid(irmCodeName(msg.code), "no flow_info");
      return d.registry.ipcps.has(pid)
        ? undefined
        : failed(-Errno.EBADF, "permission", `process ${pid} is not an IPCP of this node`);
    default:
      return undefined;
  }
}

/** Serves one packet. */
export function dispatch(
  d: Daemon,
  ipcps: Ipcps,
  client: Client,
  packet: Uint8Array,
): Outcome | Promise<Outcome> {
  const msg = decodeIrmMsg(packet);
  if (msg instanceof WireValueError) return invalid("request", String(msg));
  if (isWireError(msg)) {
    d.log.error("Failed to unpack command message.");
    return undefined;
  }
  return refusal(d, client, msg) ?? serve(d, ipcps, client, msg);
}

function serve(
  d: Daemon,
  ipcps: Ipcps,
  client: Client,
  msg: IrmMsg,
): Outcome | Promise<Outcome> {
  switch (msg.code) {
    case IrmCode.IRM_CREATE_IPCP:
      return ipcps.create(msg);
    case IrmCode.IPCP_CREATE_R:
      return ipcps.ready(msg);
    case IrmCode.IRM_DESTROY_IPCP:
      return ipcps.destroy(msg);
    case IrmCode.IRM_LIST_IPCPS:
      return names.listIpcps(d, msg);
    case IrmCode.IRM_BOOTSTRAP_IPCP:
      return ipcps.bootstrap(msg);
    case IrmCode.IRM_ENROLL_IPCP:
      return ipcps.enroll(msg);
    case IrmCode.IRM_CONNECT_IPCP:
      return ipcps.connect(msg, true);
    case IrmCode.IRM_DISCONNECT_IPCP:
      return ipcps.connect(msg, false);
    case IrmCode.IRM_BIND_PROGRAM:
      return names.bindProgram(d, msg);
    case IrmCode.IRM_UNBIND_PROGRAM:
      return names.unbindProgram(d, msg);
    case IrmCode.IRM_PROC_ANNOUNCE:
      return names.announce(d, client, msg);
    case IrmCode.IRM_PROC_EXIT:
      return names.processExit(d, client.cred.pid);
    case IrmCode.IRM_BIND_PROCESS:
      return names.bindProcess(d, client, msg);
    case IrmCode.IRM_UNBIND_PROCESS:
      return names.unbindProcess(d, msg);
    case IrmCode.IRM_CREATE_NAME:
      return names.createName(d, client, msg);
    case IrmCode.IRM_DESTROY_NAME:
      return names.destroyName(d, msg);
    case IrmCode.IRM_LIST_NAMES:
      return names.listNames(d, msg);
    case IrmCode.IRM_REG_NAME:
      return ipcps.register(msg, true);
    case IrmCode.IRM_UNREG_NAME:
      return ipcps.register(msg, false);
    case IrmCode.IRM_FLOW_ALLOC:
      return alloc(d, client, msg);
    case IrmCode.IRM_FLOW_ACCEPT:
      return accept(d, client, msg);
    case IrmCode.IRM_FLOW_JOIN:
      return join(d, client, msg);
    case IrmCode.IRM_FLOW_DEALLOC:
      return dealloc(d, msg);
    case IrmCode.IPCP_FLOW_DEALLOC:
      return deallocConfirmed(d, client.cred.pid, msg);
    case IrmCode.IPCP_FLOW_REQ_ARR:
      return requestArrived(d, client.cred.pid, client, msg);
    case IrmCode.IPCP_FLOW_ALLOC_REPLY:
      return allocReplied(d, client.cred.pid, msg);
    default:
      d.log.error("Don't know that message code.");
      return failed(-Errno.EPERM, "request", `unknown message code ${msg.code}`);
  }
}

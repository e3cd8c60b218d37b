/**
 * From packet to handler: decode, look up the request, see who may and what is there (spec 20 §2.1); the requests
 * are in `requests.ts`.
 */

import { FLOW_KEEP } from "../lib/codes.ts";
import { Errno } from "../lib/errno.ts";
import { decodeIrmMsg, type IrmMsg, WireValueError } from "../lib/irm/messages.ts";
import { nsPids } from "../lib/sys/process.ts";
import { isPrivileged } from "../lib/sys/users.ts";
import { isWireError } from "../lib/wire/mod.ts";
import { type Answer, failed, invalid, type Outcome } from "./answer.ts";
import type { Client, Peer } from "./client.ts";
import type { Daemon } from "./daemon.ts";
import type { Ipcps } from "./ipcps.ts";
import type { ProcRecord } from "./registry/mod.ts";
import { type Request, REQUESTS } from "./requests.ts";

/** Why this client may not make this request, or undefined when it may. */
export function refusal(
  d: Daemon,
  client: Client,
  request: Request,
  msg: IrmMsg,
): Answer | undefined {
  const { pid, uid } = client.cred;
  const no = (cause: string): Answer => failed(-Errno.EPERM, "permission", cause);
  const { who } = request;
  if (who === "administrator" && !isPrivileged(uid, d.ownUid)) {
    return no(`uid ${uid} may not administer this node (root or group ouroboros may)`);
  }
  for (const field of request.needs) {
    if (msg[field] === undefined) return invalid(request.stage, `no ${FIELDS[field] ?? field}`);
  }
  if (who === "anyone" || who === "administrator") return undefined;
  if (pid === 0) return no("the process is in a PID namespace that this IRMd does not see into");
  // A socket outlives its process, and a pid comes back.
  if (!client.present) return no(`the process that connected as ${pid} has ended`);
  const known = d.registry.procs.get(pid);
  if (known !== undefined && !isSame(known, client.cred)) {
    return no(`process ${pid} is not the one that uid ${uid} speaks for`);
  }
  if (who === "ipcp") {
    return d.registry.ipcps.has(pid)
      ? undefined
      : failed(-Errno.EBADF, "permission", `process ${pid} is not an IPCP of this node`);
  }
  const claimed = spokenFor(who, msg);
  if (claimed === undefined || claimed === pid) return undefined;
  const pids = nsPids(pid);
  return no(
    pids.length > 1 && pids.at(-1) === claimed
      ? `process ${claimed} is in a PID namespace of its own, where numbers mean others than here (here it is ${pid}); ` +
        "run it in the namespace of the IRMd"
      : `process ${pid} cannot speak for ${claimed}`,
  );
}

/** Whether an announced process is the one that connected. */
function isSame(known: ProcRecord, peer: Peer): boolean {
  if (known.uid !== peer.uid) return false;
  return known.startTicks === undefined || known.startTicks === peer.startTicks;
}

/** Names of the fields in the message, where ours differ. */
const FIELDS: Partial<Record<keyof IrmMsg, string>> = {
  flowInfo: "flow_info",
  ipcpInfo: "ipcp_info",
  nameInfo: "name_info",
  qos: "qosspec",
};

/** The process for which the message speaks, when only that one may. */
function spokenFor(who: Request["who"], msg: IrmMsg): number | undefined {
  switch (who) {
    case "pid":
      return msg.pid;
    case "upper":
      return msg.flowInfo?.nPid;
    case "lower":
      return msg.flowInfo?.n1Pid;
    case "ipcp-info":
      return msg.ipcpInfo?.pid;
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
  const request = REQUESTS.get(msg.code);
  if (request === undefined) {
    d.log.error("Don't know that message code.");
    return failed(-Errno.EPERM, "request", `unknown message code ${msg.code}`);
  }
  client.keep = request.mayKeep === true && ((msg.opts ?? 0) & FLOW_KEEP) !== 0;
  return refusal(d, client, request, msg) ?? request.serve({ d, ipcps, client }, msg);
}

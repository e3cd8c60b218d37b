/**
 * What an IPCP is asked once it has started: to join a layer, to connect, to register names (spec 20 §6, §9). Each
 * step takes the record and says how it went; what is asked is kept in the IPCP's plan by who calls.
 */

import { Errno } from "../lib/errno.ts";
import { hashPrefix, nameHash } from "../lib/hash.ts";
import {
  HashAlgo,
  IPCP_TYPE_WORDS,
  IpcpCode,
  type IpcpMsg,
  IpcpType,
  NOT_ENROLLED,
  POLICY_STAGE,
  POLICY_WORDS,
  type PolicyRef,
} from "../lib/irm/messages.ts";
import { type Answer, failed, ok } from "./answer.ts";
import type { Daemon } from "./daemon.ts";
import { causeOf, type IpcpCall, processOf, resultOf } from "./ipcp_client.ts";
import type { IpcpPlan, IpcpRecord, PlannedConnection, PlannedJoin } from "./registry/mod.ts";

/** Name of an IPCP in messages. */
export function describe(ipcp: { readonly type: number; readonly name: string }): string {
  return `ipcpd-${IPCP_TYPE_WORDS[ipcp.type]} ${ipcp.name}`;
}

/** Bootstraps or enrolls an IPCP and registers the names that wait for that. */
export async function joinLayer(
  d: Daemon,
  ipcp: IpcpRecord,
  join: Exclude<PlannedJoin, { kind: "none" }>,
): Promise<Answer> {
  if (join.kind === "enroll") {
    const { dst, policies } = join;
    const msg = {
      code: IpcpCode.IPCP_ENROLL,
      dst,
      ...(policies.length === 0 ? {} : { policies: [...policies] }),
    };
    const answer = await enter(d, ipcp, "enroll", "enroll", "enrolled", msg);
    if (answer.msg.result === 0) d.log.info(`Enrolled IPCP ${ipcp.pid} in layer ${ipcp.layer}.`);
    return answer;
  }
  const { conf } = join;
  const udp = ipcp.type === IpcpType.UDP4 || ipcp.type === IpcpType.UDP6;
  const layerInfo = udp ? { ...conf.layerInfo, dirHashAlgo: HashAlgo.MD5 } : conf.layerInfo;
  const answer = await enter(d, ipcp, "bootstrap", "bootstrap", "bootstrapped", {
    code: IpcpCode.IPCP_BOOTSTRAP,
    conf: { ...conf, layerInfo },
  });
  if (answer.msg.result === 0) d.log.info(`Bootstrapped IPCP ${ipcp.pid}.`);
  return answer;
}

/** A policy from a file, for a person. */
function policyText({ kind, file, sha256 }: PolicyRef): string {
  return `${POLICY_WORDS[kind] ?? kind} ${file}${
    sha256 === undefined ? "" : ` (sha256 ${sha256.toHex().slice(0, 12)}…)`
  }`;
}

async function enter(
  d: Daemon,
  ipcp: IpcpRecord,
  stage: string,
  call: IpcpCall,
  how: "bootstrapped" | "enrolled",
  msg: IpcpMsg,
): Promise<Answer> {
  const reply = await d.ipcpClient.call(ipcp.pid, call, msg);
  const who = describe(ipcp);
  if (reply.kind !== "reply" || reply.result !== 0) {
    const already = ipcp.layer !== NOT_ENROLLED && resultOf(reply) === -Errno.EIPCPSTATE;
    const cause = already ? `it is in layer "${ipcp.layer}" already` : causeOf(reply);
    // Whoever tries again and again need not: the files of policies do not change by themselves.
    const said = reply.kind === "reply" ? reply.msg.error?.stage : undefined;
    const step = said === POLICY_STAGE ? said : stage;
    return failed(-Errno.EPERM, step, cause, processOf(reply, who));
  }
  const layer = reply.msg.layerInfo;
  if (layer === undefined) return failed(-Errno.EPERM, stage, "it did not name its layer", who);
  ipcp.plan.policies = (reply.msg.policies ?? []).map(policyText).join(", ");
  const code = d.registry.setLayer(ipcp.pid, layer.name, layer.dirHashAlgo, how);
  if (code < 0) return failed(-Errno.EPERM, stage, "it is in a layer already", who);
  await registerAll(d, ipcp);
  return ok();
}

/** Registers all names of the plan that exist; what fails is said in the list and in the log. */
async function registerAll(d: Daemon, ipcp: IpcpRecord): Promise<void> {
  for (const name of ipcp.plan.registered) {
    if (!d.registry.names.has(name)) continue;
    const answer = await registerAt(d, ipcp, name, true);
    if (answer.msg.result === 0) continue;
    const cause = answer.msg.error?.cause ?? "";
    ipcp.plan.note = `name "${name}" is not registered: ${cause}`;
    d.log.warn(`Failed to register ${name} with IPCP ${ipcp.pid}: ${cause}.`);
  }
}

/** Registers a name with an IPCP that is in a layer, or takes that back. */
export async function registerAt(
  d: Daemon,
  ipcp: IpcpRecord,
  name: string,
  on: boolean,
): Promise<Answer> {
  const stage = on ? "register" : "unregister";
  const hash = nameHash(ipcp.hashAlgo, name);
  if (typeof hash === "number") return failed(-Errno.EIPCP, stage, "unknown hash algorithm");
  const reply = await d.ipcpClient.call(ipcp.pid, on ? "reg" : "unreg", {
    code: on ? IpcpCode.IPCP_REG : IpcpCode.IPCP_UNREG,
    hash,
  });
  if (resultOf(reply) !== 0) {
    return failed(-Errno.EPERM, stage, causeOf(reply), processOf(reply, describe(ipcp)));
  }
  d.log.info(
    on
      ? `Registered ${name} with IPCP ${ipcp.pid} as ${hashPrefix(hash)}.`
      : `Unregistered ${name} from ${ipcp.pid}.`,
  );
  return ok();
}

/** Connects a component of an IPCP. */
export async function connectTo(
  d: Daemon,
  ipcp: IpcpRecord,
  c: PlannedConnection,
): Promise<Answer> {
  const { pid } = ipcp;
  const { dst, comp, qos } = c;
  const reply = await d.ipcpClient.call(pid, "connect", {
    code: IpcpCode.IPCP_CONNECT,
    dst,
    comp,
    pid,
    qos,
  });
  if (resultOf(reply) !== 0) {
    return failed(-Errno.EPERM, "connect", causeOf(reply), processOf(reply, describe(ipcp)));
  }
  d.log.info(`Established ${comp} connection between IPCP ${pid} and ${dst}.`);
  return ok();
}

/** Binds the process of an IPCP to the names that its plan says. */
export function bindAgain(d: Daemon, plan: IpcpPlan, pid: number): void {
  for (const name of plan.bound) d.registry.bindProcess(pid, name);
}

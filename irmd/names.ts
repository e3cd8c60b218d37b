/** Names, programs and processes (spec 20 §6): the requests that only touch the registry, and announcing. */

import { Errno } from "../lib/errno.ts";
import {
  BIND_AUTO,
  encodeIrmMsg,
  type IpcpListEntry,
  IpcpState,
  IrmCode,
  type IrmMsg,
  LIST_LONG,
  type NameInfo,
  NOT_ENROLLED,
} from "../lib/irm/messages.ts";
import { FLOW_IDS_MAX, MESSAGE_BYTES_MAX } from "../lib/limits.ts";
import { SysError } from "../lib/sys/ffi.ts";
import { isPrivileged } from "../lib/sys/users.ts";
import { checkPathsReadableBy } from "../security/oap/mod.ts";
import { failed, invalid, ok, type Outcome } from "./answer.ts";
import type { Client } from "./client.ts";
import type { Daemon } from "./daemon.ts";
import type { Ipcps } from "./ipcps.ts";
import { EDQUOT } from "./objects.ts";
import { bindingOf, userOf, whoseIs } from "./binding_user.ts";
import { baseName, type IpcpPlan, isFor, type User } from "./registry/mod.ts";
import type { Having } from "./requests.ts";
import { settled } from "./waits.ts";

/** How long a bind waits for the process to announce itself, ms (spec 20 §1). */
const BIND_PROCESS_MS = 10;
/** Longest list reply to a client that says it reads long ones, bytes. */
const LONG_LIST_BYTES_MAX = 1_000_000;
/** Users in one list. */
const USERS_LISTED_MAX = 10_000;
/** Words of an autostart command line. */
const EXEC_WORDS_MAX = 256;

/** IRM_PROC_ANNOUNCE; the kernel says who it is. */
export function announce(d: Daemon, client: Client, msg: Having<"prog">): Outcome {
  const stage = "announce";
  const { prog } = msg;
  if (prog === "") return invalid(stage, "no program name");
  const { pid, uid, gid } = client.cred;
  const flowUid = isPrivileged(uid, d.ownUid) ? 0 : uid;
  if (flowUid !== 0 && d.ownUid !== 0) {
    return failed(-Errno.EPERM, stage, `this node belongs to uid ${d.ownUid} alone`);
  }
  if (d.registry.procs.has(pid)) {
    return failed(-Errno.EPERM, stage, `process ${pid} is announced already`);
  }
  const { processes } = d.shares;
  if (!processes.take(flowUid)) {
    const cause = `uid ${uid} has its share of the processes (${processes.heldBy(flowUid)})`;
    return failed(-Errno.EPERM, stage, cause);
  }
  try {
    if (flowUid === 0) d.objects.healGspp();
    d.objects.ensurePup(flowUid, gid);
    d.objects.createFlowSet(pid, flowUid, gid, d.registry.ipcps.has(pid));
  } catch (e) {
    processes.give(flowUid);
    if (!(e instanceof SysError)) throw e;
    if (e.errno === EDQUOT) {
      if (!d.registry.pools.has(flowUid)) d.objects.removePup(flowUid);
      return failed(-Errno.EPERM, stage, `uid ${uid} has its share of /dev/shm`);
    }
    const what = e.object.includes(".pup.") ? `PUP for uid ${uid}` : `flow set for ${pid}`;
    d.log.error(`Failed to create ${what}: ${e.message}.`);
    if (!d.registry.pools.has(flowUid)) d.objects.removePup(flowUid);
    return failed(-Errno.EPERM, stage, `cannot create the ${what}: ${e.message}`);
  }
  const { gids } = client;
  const { startTicks } = client.cred;
  d.registry.announce({ pid, prog: baseName(prog), uid, gid, gids, startTicks, flowUid });
  if (!d.registry.ipcps.has(pid)) d.rib.programs?.announced(pid, uid, gid);
  d.children.watch(pid);
  d.log.info(`Process added: ${pid} (${prog}).`);
  return ok();
}

/** IRM_PROC_EXIT, and IRM_UNBIND_PROCESS without a name. */
export function processExit(d: Daemon, pid: number): Outcome {
  const proc = d.registry.procs.get(pid);
  d.registry.processGone(pid, d.nowMs());
  // A user's pool is that user's own trouble, and ends with its last process.
  if (proc?.flowUid === 0) d.leaving.add(pid);
  else d.children.unwatch(pid);
  if (proc !== undefined) d.log.info(`Process removed: ${pid}.`);
  return ok();
}

/** IRM_CREATE_NAME. Paths of security files must be readable by who asks. */
export function createName(d: Daemon, client: Client, msg: Having<"nameInfo">): Outcome {
  const stage = "create name";
  const info = msg.nameInfo;
  const paths = [info.skey, info.scrt, info.ckey, info.ccrt, info.senc ?? "", info.cenc ?? ""];
  const { uid } = client.cred;
  const trusted = uid === d.ownUid || uid === 0;
  const gids = trusted ? [] : client.gids;
  const refusal = trusted ? undefined : checkPathsReadableBy(paths, uid, gids);
  if (refusal !== undefined) return failed(-Errno.EPERM, stage, refusal);
  if (d.registry.createName(info, trusted ? undefined : { uid, gids })) {
    d.log.info(`Created new name: ${info.name}.`);
  } else d.log.info(`Name ${info.name} already exists.`);
  return ok();
}

/** IRM_DESTROY_NAME. */
export function destroyName(d: Daemon, msg: Having<"name">): Outcome {
  const stage = "destroy name";
  const { name } = msg;
  const code = d.registry.destroyName(name);
  if (code < 0) return failed(code, stage, `name "${name}" is not known`);
  d.log.info(`Destroyed name: ${name}.`);
  return ok();
}

/** IRM_BIND_PROGRAM. The last element of exec is dropped, as the prototype's client appends one. */
export function bindProgram(d: Daemon, by: User, msg: Having<"name">): Outcome {
  const stage = "bind program";
  const { name, exec, opts } = msg;
  if (name === "") return invalid(stage, "no name");
  const argv = exec?.slice(0, -1) ?? [];
  if (argv.length === 0 || argv[0] === "") return invalid(stage, "no program");
  if (argv.length > EXEC_WORDS_MAX) return invalid(stage, `more than ${EXEC_WORDS_MAX} words`);
  if (new TextEncoder().encode(argv[0]).length > 255) return invalid(stage, "path over 255 bytes");
  const auto = ((opts ?? 0) & BIND_AUTO) !== 0;
  const whom = bindingOf(d, by, msg.boundFor);
  if (typeof whom === "string") return invalid(stage, whom);
  if (auto && whom.as === undefined) {
    return invalid(stage, "the user is not in the user database, so nothing can be started as it");
  }
  const code = d.registry.bindProgram(argv, name, { auto, ...whom, by: by.uid });
  if (code < 0) {
    return failed(code, stage, `program "${baseName(argv[0]!)}" is bound to "${name}" already`);
  }
  d.log.info(`Bound program ${argv[0]} to name ${name}, for ${whoseIs(whom.to)}.`);
  return ok();
}

/**
 * IRM_UNBIND_PROGRAM by base name. A path is unknown here, as in the prototype; `AdminClient` sends the base
 * name of one, so that commands accept both (spec 20 §19.17).
 */
export function unbindProgram(d: Daemon, msg: Having<"prog">): Outcome {
  const stage = "unbind program";
  if (msg.prog === "") return invalid(stage, "no program");
  const { prog, name } = msg;
  const code = d.registry.unbindProgram(prog, name);
  if (code < 0) {
    const cause = name === undefined
      ? `program "${prog}" is not bound to any name`
      : d.registry.names.has(name)
      ? `program "${prog}" is not bound to name "${name}"`
      : `name "${name}" is not known`;
    return failed(code, stage, cause);
  }
  d.log.info(
    name === undefined ? `Program ${prog} unbound.` : `Name ${name} unbound for ${prog}.`,
  );
  return ok();
}

/** IRM_BIND_PROCESS. */
export async function bindProcess(
  d: Daemon,
  client: Client,
  msg: Having<"pid" | "name">,
): Promise<Outcome> {
  const stage = "bind process";
  const { pid, name } = msg;
  if (name === "") return invalid(stage, "no name");
  const waiter = d.registry.awaitProcess(pid);
  const there = await settled(
    waiter,
    client,
    BIND_PROCESS_MS,
    () => d.registry.endProcessWait(pid, waiter),
  );
  if (there < 0) {
    const cause =
      `process ${pid} is no Ouroboros program of this node (it has not announced itself)`;
    return failed(-Errno.EPERM, stage, cause);
  }
  const whom = msg.boundFor === undefined ? undefined : bindingOf(d, userOf(client), msg.boundFor);
  if (typeof whom === "string") return invalid(stage, whom);
  const proc = d.registry.procs.get(pid);
  if (whom !== undefined && proc !== undefined && !isFor(whom.to, proc)) {
    return failed(-Errno.EPERM, stage, `process ${pid} is not of ${whoseIs(whom.to)}`);
  }
  const trusted = whom !== undefined && whom.trusted && whom.to.kind !== "any";
  const code = d.registry.bindProcess(pid, name, trusted);
  if (code < 0) return failed(code, stage, `process ${pid} is bound to "${name}" already`);
  d.log.info(`Bound process ${pid} to name ${name}.`);
  return ok();
}

/** IRM_UNBIND_PROCESS. */
export function unbindProcess(d: Daemon, msg: Having<"pid">): Outcome {
  const stage = "unbind process";
  const { pid, name } = msg;
  if (pid < 1) return invalid(stage, "no pid");
  if (name === undefined) {
    const outcome = processExit(d, pid);
    d.log.info(`Process ${pid} unbound.`);
    return outcome;
  }
  const code = d.registry.unbindProcess(pid, name);
  if (code < 0) {
    const cause = !d.registry.names.has(name)
      ? `name "${name}" is not known`
      : !d.registry.procs.has(pid)
      ? `process ${pid} is no Ouroboros program of this node`
      : `process ${pid} is not bound to "${name}"`;
    return failed(code, stage, cause);
  }
  d.log.info(`Name ${name} unbound for process ${pid}.`);
  return ok();
}

/** IRM_LIST_NAMES. */
export function listNames(d: Daemon, msg: IrmMsg): Outcome {
  const all = d.registry.names.list().map((n): NameInfo => ({
    name: n.name,
    polLb: n.polLb,
    skey: "",
    scrt: "",
    ckey: "",
    ccrt: "",
  }));
  const fit = fitting(all, msg, (names) => ({ names }));
  if (fit.length < all.length) d.log.warn(cut("names", fit.length, all.length));
  return ok({ names: fit });
}

/** IRM_LIST_IPCPS. */
export function listIpcps(d: Daemon, ipcps: Ipcps, msg: IrmMsg): Outcome {
  const all = d.registry.ipcps.list().map((i): IpcpListEntry => ({
    pid: i.pid,
    type: i.type,
    name: i.name,
    layer: i.layer,
    hashAlgo: i.hashAlgo,
    ...more(msg, i.state, i.plan),
  }));
  // The prototype's client would take one without process for one with it.
  if (((msg.opts ?? 0) & LIST_LONG) !== 0) {
    for (const p of ipcps.waiting()) {
      all.push({
        pid: 0,
        type: p.type,
        name: p.name,
        layer: NOT_ENROLLED,
        hashAlgo: 0,
        ...more(msg, IpcpState.NULL, p),
      });
    }
  }
  const fit = fitting(all, msg, (ipcps) => ({ ipcps }));
  if (fit.length < all.length) d.log.warn(cut("IPCPs", fit.length, all.length));
  return ok({ ipcps: fit });
}

/** What only our clients ask for. */
function more(msg: IrmMsg, state: number, plan: IpcpPlan): Partial<IpcpListEntry> {
  if (((msg.opts ?? 0) & LIST_LONG) === 0) return {};
  const note = plan.note === "" ? plan.standing : plan.note;
  return {
    state,
    ...(note === "" ? {} : { note }),
    ...(plan.restarts === 0 ? {} : { restarts: plan.restarts }),
    ...(plan.policies === "" ? {} : { policies: plan.policies }),
  };
}

/** IRM_LIST_USERS. */
export function listUsers(d: Daemon): Outcome {
  const { connections, processes, memory, exchanges } = d.shares;
  const { flows } = d.registry;
  const uids = new Set<number>();
  for (const share of [connections, processes, memory, exchanges]) {
    for (const uid of share.users().keys()) uids.add(uid);
  }
  for (const flow of flows.all()) uids.add(flow.uid);
  const users = [...uids].sort((a, b) => a - b).map((uid) => ({
    uid,
    connections: connections.heldBy(uid),
    processes: processes.heldBy(uid),
    flows: flows.countOfUser(uid),
    memoryKib: Math.ceil(memory.heldBy(uid) / 1024),
    exchanges: exchanges.heldBy(uid),
  }));
  const totals = {
    uid: 0,
    connections: connections.total,
    processes: processes.total,
    flows: FLOW_IDS_MAX - 1,
    memoryKib: Math.floor(memory.total / 1024),
    exchanges: exchanges.total,
  };
  return ok({ users: users.slice(0, USERS_LISTED_MAX), totals });
}

function cut(what: string, n: number, all: number): string {
  return `List of ${what} cut to ${n} of ${all}: the client cannot read more.`;
}

/** As many entries as the client can read in one packet (spec 20 §19.18). */
function fitting<T>(all: T[], msg: IrmMsg, fields: (part: T[]) => Partial<IrmMsg>): T[] {
  const long = ((msg.opts ?? 0) & LIST_LONG) !== 0;
  const room = long ? LONG_LIST_BYTES_MAX : MESSAGE_BYTES_MAX;
  const size = (n: number) =>
    encodeIrmMsg({ code: IrmCode.IRM_REPLY, ...fields(all.slice(0, n)), result: 0 }).length;
  if (size(all.length) <= room) return all;
  let lo = 0;
  let hi = all.length;
  while (lo < hi) {
    const mid = (lo + hi + 1) >>> 1;
    if (size(mid) <= room) lo = mid;
    else hi = mid - 1;
  }
  return all.slice(0, lo);
}

/**
 * What the flow requests of processes share (spec 20 §7): how they end well or badly. The requests themselves are
 * in `flow_accept.ts`, `flow_alloc.ts` and `flow_end.ts`, those of IPCPs in `ipcp_flows.ts`.
 *
 * Every wait ends at its deadline or when the client hangs up, and every way out leaves a record that is
 * either held by its two ends or gone.
 */

import { Errno, errnoText } from "../lib/errno.ts";
import { shellWord } from "../lib/cli/shell_word.ts";
import { FLOW_ABOUT, type FlowPeer, FlowState } from "../lib/irm/messages.ts";
import { MESSAGE_BYTES_MAX, NAME_BYTES_MAX } from "../lib/limits.ts";
import { isAbsent } from "../lib/sys/access.ts";
import {
  checkPathsReadableBy,
  nameRefusal,
  type NameSecurity,
  type OapAccepted,
  type PeerIdentity,
} from "../security/oap/mod.ts";
import { type Answer, failed, ok } from "./answer.ts";
import type { Daemon } from "./daemon.ts";
import { EDQUOT, FILE_LIMIT } from "./objects.ts";
import type { FlowRecord, NameRecord, ProcRecord } from "./registry/mod.ts";

/** Time for an allocation or join that names none, ms (spec 20 §1). */
export const ALLOC_MS = 20_000;
/** User data of an allocation or accept, bytes: it travels in the OAP header. */
export const DATA_BYTES_MAX = 4096;
/** No data. */
export const NO_BYTES = new Uint8Array(0);

/** The successful end of accept and alloc. */
export function granted(
  d: Daemon,
  flow: FlowRecord,
  pid: number,
  oap: Pick<OapAccepted, "cipherNid" | "key" | "data" | "peer">,
  asked: { readonly opts?: number | undefined; readonly name: string },
): Answer {
  if (flow.qos.inOrder !== 0) d.rib.programs?.granted(pid);
  const layer = d.registry.ipcps.get(pid === flow.nPid ? flow.n1Pid : flow.nPid)?.layer;
  return ok(
    {
      flowInfo: { ...flow.info(pid), state: FlowState.ALLOCATED },
      // The replies to programs of the prototype are the prototype's.
      ...(((asked.opts ?? 0) & FLOW_ABOUT) === 0
        ? {}
        : { name: asked.name, ...(layer === undefined ? {} : { layer }) }),
      ...(oap.data.length > 0 ? { pk: oap.data } : {}),
      ...(oap.key === null ? {} : { symKey: oap.key }),
      cipherNid: oap.cipherNid,
      ...(oap.peer === undefined ? {} : { peer: peerOf(oap.peer) }),
    },
    () => giveUp(d, flow, pid),
  );
}

/** The one line about a flow that came about: how, who is at the other end, what was agreed. */
export function logFlow(
  d: Daemon,
  flow: FlowRecord,
  how: string,
  said: readonly string[],
): void {
  d.log.info([`Flow ${flow.id} ${how}.`, ...new Set(said)].join(" "));
}

/** A name that a reply cannot hold is left out; the fingerprint says who it is. */
export function peerOf(peer: PeerIdentity): FlowPeer {
  const { name } = peer;
  const fits = new TextEncoder().encode(name).length <= NAME_BYTES_MAX && !name.includes("\0");
  return { ...peer, name: fits ? name : "" };
}

/** Bytes of a message to an IPCP beside OAP, at most. */
const CALL_BYTES = 512;

/** Whether an IPCP reads a message with these OAP bytes: one of the prototype reads 10240. */
export function fitsIpcp(d: Daemon, pid: number, oap: Uint8Array): boolean {
  const room = d.registry.ipcps.get(pid)?.messageBytesMax ?? MESSAGE_BYTES_MAX;
  return oap.length + CALL_BYTES <= room;
}

/** An end will not use the flow. */
export function giveUp(d: Daemon, flow: FlowRecord, pid: number): void {
  d.registry.giveUp(flow, pid, d.nowMs());
}

/** The deadline has passed. */
export function timedOut(dst: string): Answer {
  return failed(-Errno.ETIMEDOUT, "flow alloc", `no answer from "${dst}" in time`);
}

/** Why a process that this daemon does not know gets no flow; as a rule it is older than the daemon. */
export function notAnnounced(pid: number): string {
  return `process ${pid} is unknown to this IRMd (if the IRMd was restarted, start the program again)`;
}

/** Why there is no flow id: the user has its share, or all are given. */
export function noFlowId(d: Daemon, pid: number): string {
  const uid = d.registry.procs.get(pid)?.flowUid ?? 0;
  const all = `${d.registry.flows.count} are in use`;
  if (uid === 0) return `no flow id is free (${all})`;
  return `uid ${uid} has its share of the flow ids (${d.registry.flows.countOfUser(uid)}; ${all})`;
}

/** The ring buffers could not be made. */
export function noRings(code: number): Answer {
  const full = code === -Errno.ENOMEM;
  return failed(
    -Errno.EBADF,
    "ring buffers",
    code === -EDQUOT
      ? "the user has its share of /dev/shm"
      : full
      ? "/dev/shm is full"
      : code === -Errno.EFBIG
      ? FILE_LIMIT
      : `cannot make the ring buffers: ${errnoText(code)}`,
  );
}

/**
 * Why a process may not use the keys of one side of a name, or undefined when it may or there are none: they are for
 * root, the owner of the node, users that a binding of theirs names, and whoever can read the files anyway.
 */
export function keysRefused(
  d: Daemon,
  record: Pick<NameRecord, "name" | "paths">,
  proc: ProcRecord,
  side: "server" | "client",
): string | undefined {
  if (proc.uid === 0 || proc.uid === d.ownUid) return undefined;
  if (side === "server" && d.registry.mayUseKeys(proc, record.name)) return undefined;
  const { skey, senc, ckey, cenc } = record.paths;
  const [key, conf] = side === "server" ? [skey, senc] : [ckey, cenc];
  // The static keys lie beside the configuration (spec 40 §13).
  const dir = conf.slice(0, conf.lastIndexOf("/"));
  const secret = [key, `${dir}/kex.key.pem`, `${dir}/kex.key.raw`].filter((p) => !isAbsent(p));
  const why = checkPathsReadableBy(secret, proc.uid, [proc.gid, ...proc.gids]);
  if (why === undefined) return undefined;
  return `uid ${proc.uid} may not use the keys of "${record.name}" (as root: irm bind program PROG name ${
    shellWord(record.name)
  } user ${proc.uid})`;
}

/**
 * What OAP needs of a name: a path that is the default may be absent, another may not (spec 40 §13). A name of another
 * host need not have a record here, and may have keys all the same.
 */
export function securityOf(
  d: Daemon,
  record: NameRecord | undefined,
  name: string,
  client?: ProcRecord,
): NameSecurity {
  const defaults = d.registry.defaultPaths(name);
  const paths = record?.paths ?? defaults;
  const given = (key: keyof typeof paths) => paths[key] === defaults[key] ? "" : paths[key];
  const owner = record?.asker;
  const isAnonymous = client !== undefined && nameRefusal(name) === undefined &&
    keysRefused(d, { name, paths }, client, "client") !== undefined;
  return {
    server: { enc: given("senc"), crt: given("scrt"), key: given("skey") },
    client: { enc: given("cenc"), crt: given("ccrt"), key: given("ckey") },
    serverDir: "",
    clientDir: "",
    ...(owner ? { owner } : {}),
    // Who may not speak with its key speaks without.
    ...(isAnonymous ? { anonymousClient: true } : {}),
  };
}

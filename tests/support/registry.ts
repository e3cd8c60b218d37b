// Builders of a registry in a given state, and the invariants every state must keep.

import { FlowState, IpcpState, IpcpType } from "../../lib/irm/messages.ts";
import { QOS } from "../../lib/qos.ts";
import { type FlowRecord, Registry, type Reservation } from "../../irmd/registry/mod.ts";

export const SECURITY = "/etc/ouroboros/security";
export const REQUEST = Uint8Array.of(1, 2, 3);
export const RESPONSE = Uint8Array.of(4, 5);

/** An empty registry. */
export function registry(): Registry {
  return new Registry({ securityDir: SECURITY });
}

/** Announces a process, root's unless another uid is given. */
export function proc(r: Registry, pid: number, prog = "tester", uid = 0): number {
  return r.announce({ pid, prog, uid, gid: uid, flowUid: uid });
}

/** A name of the policy, round-robin unless said otherwise. */
export function name(r: Registry, n: string, polLb = 0): void {
  r.createName({ name: n, polLb, skey: "", scrt: "", ckey: "", ccrt: "" });
}

/** A booted IPCP with a layer. */
export function ipcp(r: Registry, pid: number, type: number = IpcpType.LOCAL, layer = "lay"): void {
  r.createIpcp(pid, type, `i${pid}`);
  r.ipcpReady(pid, type, `i${pid}`, IpcpState.BOOT);
  r.setLayer(pid, layer, 1, "bootstrapped");
}

/** A result that is not a negative error number; throws when it is one. */
export function must<T>(x: T | number): T {
  if (typeof x === "number") throw new Error(`refused: ${x}`);
  return x;
}

/** A pending accept; throws when it is refused. */
export function accept(r: Registry, pid: number) {
  const a = r.accept(pid, QOS.raw);
  if (typeof a === "number") throw new Error(`accept: ${a}`);
  return a;
}

/** The reserved acceptor of a name; throws when there is none. */
export function reserve(
  r: Registry,
  n: string,
  direct?: { pid: number; uid: number },
): Reservation {
  const w = r.awaitAcceptor(n, direct).result;
  if (w?.kind !== "reserved") throw new Error(`no acceptor for ${n}: ${JSON.stringify(w)}`);
  return w.reservation;
}

/** A flow that waits for the answer over an IPCP. */
export function pendingAlloc(r: Registry, pid: number, ipcpPid: number) {
  const flow = r.alloc(pid, QOS.raw);
  if (typeof flow === "number") throw new Error(`alloc: ${flow}`);
  const waiter = r.allocOver(flow, ipcpPid);
  if (typeof waiter === "number") throw new Error(`allocOver: ${waiter}`);
  return { flow, waiter };
}

/** A direct flow from `client` to an accept of `server` for the name; OAP done unless `open`. */
export function directFlow(
  r: Registry,
  server: number,
  client: number,
  n: string,
  open = false,
): FlowRecord {
  accept(r, server);
  const uid = r.procs.get(client)!.flowUid;
  const reservation = reserve(r, n, { pid: client, uid });
  const w = r.direct(reservation, { clientPid: client, qos: QOS.data, request: REQUEST });
  if (typeof w === "number") throw new Error(`direct: ${w}`);
  if (!open) r.directRespond(reservation.flow, RESPONSE);
  return reservation.flow;
}

/** What is wrong with the registry; an empty list when all holds. */
export function violations(r: Registry): string[] {
  const bad: string[] = [];
  const check = (holds: boolean, what: string) => {
    if (!holds) bad.push(what);
  };

  for (const p of r.procs.values()) {
    for (const n of p.names) {
      check(r.names.get(n)?.procs.has(p.pid) ?? false, `proc ${p.pid} has ${n}, not the reverse`);
    }
    check(new Set(p.accepts).size === p.accepts.length, `proc ${p.pid} lists an accept twice`);
    for (const id of p.accepts) {
      const f = r.flows.get(id);
      check(
        f?.nPid === p.pid && f.wait.kind === "accept" && !f.wait.reserved,
        `proc ${p.pid} lists ${id}, which is no free accept of it`,
      );
    }
  }

  for (const n of r.names.list()) {
    check(r.names.get(n.name) === n, `name ${n.name} is not found`);
    for (const pid of n.procs) {
      check(r.procs.get(pid)?.names.has(n.name) ?? false, `${n.name} has ${pid}, not the reverse`);
    }
    const pids = n.active.pids();
    check(pids.length === n.active.length, `${n.name}: length ${n.active.length} of ${pids}`);
    for (const pid of new Set(pids)) check(n.procs.has(pid), `${n.name}: ${pid} active, not bound`);
    for (const pid of n.procs) {
      const want = n.usable ? r.procs.get(pid)?.accepts.length : 0;
      check(n.active.countOf(pid) === want, `${n.name}: ${pid} has not ${want} entries`);
      check(pids.filter((p) => p === pid).length === want, `${n.name}: queue disagrees on ${pid}`);
    }
    check(n.waits.length === 0 || pids.length === 0, `${n.name}: somebody waits, somebody accepts`);
    for (const w of n.waits) check(!w.waiter.settled, `${n.name}: a settled wait is kept`);
  }

  for (const p of r.progs.values()) {
    for (const n of p.names.keys()) {
      check(r.names.has(n), `program ${p.prog} has ${n}, which is unknown`);
    }
  }

  const seen = new Set<number>();
  for (const f of r.flows.all()) {
    check(!seen.has(f.id) && f.id > 0, `flow id ${f.id} twice`);
    seen.add(f.id);
    check(r.flows.of(f.nPid).includes(f), `flow ${f.id} is not found by pid ${f.nPid}`);
    if (f.n1Pid !== 0) check(r.flows.of(f.n1Pid).includes(f), `flow ${f.id} not at ${f.n1Pid}`);
    check(f.state !== FlowState.DEALLOCATED, `flow ${f.id} is DEALLOCATED and still there`);
    if (f.wait.kind !== "nothing") check(!f.wait.waiter.settled, `flow ${f.id}: settled wait`);
    const below = f.below.kind !== "nothing";
    switch (f.state) {
      case FlowState.INIT:
        check(!below && !f.rings && f.wait.kind === "nothing", `flow ${f.id}: INIT with more`);
        break;
      case FlowState.ACCEPT_PENDING:
        check(f.wait.kind === "accept" && !below && !f.rings, `flow ${f.id}: accept with more`);
        break;
      case FlowState.ALLOC_PENDING:
        check(
          f.wait.kind === "response" && f.below.kind === "ipcp" && f.rings,
          `flow ${f.id}: ALLOC_PENDING`,
        );
        check(r.ipcps.has(f.n1Pid), `flow ${f.id} waits for IPCP ${f.n1Pid}, which is gone`);
        break;
      default:
        check(below && f.rings, `flow ${f.id}: allocated over nothing`);
    }
    if (f.below.kind !== "nothing") {
      const { upperGone, lowerGone } = f.below;
      check(!(upperGone && lowerGone), `flow ${f.id}: both ends left`);
      const pending = f.state === FlowState.DEALLOC_PENDING;
      check(pending === (upperGone || lowerGone), `flow ${f.id}: state and ends disagree`);
      check(upperGone || r.procs.has(f.nPid), `flow ${f.id}: process ${f.nPid} is gone unnoticed`);
      const lower = f.below.kind === "ipcp" ? r.ipcps.has(f.n1Pid) : r.procs.has(f.n1Pid);
      check(lowerGone || lower, `flow ${f.id}: lower end ${f.n1Pid} is gone unnoticed`);
      const expires = f.below.kind === "ipcp" && upperGone;
      check((f.expiresMs < Infinity) === expires, `flow ${f.id}: expires ${f.expiresMs}`);
    } else check(r.procs.has(f.nPid), `flow ${f.id}: process ${f.nPid} is gone unnoticed`);
  }
  check(seen.size === r.flows.count, "flow count");

  const users = new Map<number, number>();
  for (const p of r.procs.values()) users.set(p.flowUid, (users.get(p.flowUid) ?? 0) + 1);
  for (const p of r.pools.all()) {
    check(p.refs === users.get(p.uid), `pool ${p.uid}: ${p.refs} users counted`);
  }
  check(r.pools.count === users.size, "pool count");

  const ipcps = r.ipcps.list();
  for (let i = 1; i < ipcps.length; i++) {
    const [a, b] = [ipcps[i - 1]!, ipcps[i]!];
    check(a.type < b.type || (a.type === b.type && a.pid < b.pid), `IPCPs out of order at ${i}`);
  }
  for (const pid of r.ipcps.boots.keys()) check(r.ipcps.has(pid), `boot of ${pid} outlives it`);
  return bad;
}

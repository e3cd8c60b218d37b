/**
 * The registry of the IRMd (spec 20 §5 – §8): names, programs, processes, IPCPs, flows, pools, children.
 *
 * Pure: no socket, process, shared memory, clock or timer. Requests come in as method calls with the time in
 * milliseconds where it matters; results are values (0 or a negative error number, a record, a waiter); what
 * must be done outside as a consequence is queued as {@linkcode Effect}s, which the shell takes after every call.
 *
 * A wait (for a request, an answer, an acceptor, a boot) is a {@linkcode Waiter}. The shell adds the deadline and watches
 * the client, and ends the wait with the method named beside it, never by settling it itself.
 *
 * How the shell serves the flow requests:
 *
 *     accept     r = accept(pid, qos); r.waiter → request: run OAP, then directRespond / send ALLOC_RESP;
 *                deadline or hang-up: acceptEnd(flow, code); OAP failed: drop(flow, code)
 *     alloc      acceptor = awaitAcceptor(dst, {pid, uid}); reserved: make the OAP request and the rings, then
 *                direct(reservation, …) → waiter → OAP completion; foreign or none: alloc(pid, qos) → ask IPCPs
 *                → rings → allocOver(flow, ipcp) → IPCP_FLOW_ALLOC → waiter → OAP completion;
 *                refused by the IPCP: drop(flow, code); deadline, hang-up, OAP failed: giveUp(flow, pid, now)
 *     req arr    awaitAcceptor(name) → rings → arrive(reservation, …) → reply; ALLOC_RESP follows from accept
 *     dealloc    dealloc(pid, id, …) → IPCP_FLOW_DEALLOC when it names an IPCP
 *
 * Rings are made by the shell before the call that needs them (it can fail) and destroyed on `rings-destroy`.
 */

import { Errno } from "../../lib/errno.ts";
import {
  type FlowInfo,
  FlowState,
  IpcpState,
  IpcpType,
  type NameInfo,
  NOT_ENROLLED,
  PolLb,
} from "../../lib/irm/messages.ts";
import type { QosSpec } from "../../lib/qos.ts";
import {
  type AcceptOutcome,
  type AllocOutcome,
  type FlowBelow,
  FlowRecord,
  FlowTable,
  NOTHING_AWAITED,
  Reservation,
} from "./flow.ts";
import { type AcceptorOutcome, type NamePaths, NameRecord, NameTable } from "./name.ts";
import {
  type IpcpRecord,
  IpcpTable,
  PoolTable,
  type ProcRecord,
  type ProgRecord,
  type SpawnedRecord,
} from "./tables.ts";
import { Waiter } from "./waiter.ts";

export * from "./flow.ts";
export * from "./name.ts";
export * from "./tables.ts";
export * from "./waiter.ts";

/** MPL of a direct flow, ms (spec 20 §1). */
export const DIRECT_MPL_MS = 1;
/** A flow that was let go is given up when the IPCP has not confirmed this long after its time-out, ms. */
export const LINGER_MS = 30_000;

/** What the shell must do after a call. */
export type Effect =
  /** Unlink ring buffers (pid, id) of both pids. */
  | { kind: "rings-destroy"; flowId: number; pids: [number, number] }
  /** The other end is gone for good: mark the rings of the flow as down and wake `pid`. */
  | { kind: "flow-down"; flowId: number; pid: number; otherPid: number }
  /** Send IPCP_FLOW_DEALLOC for a flow nobody uses any more. */
  | { kind: "ipcp-dealloc"; flowId: number; ipcpPid: number; timeoSec: number }
  /** Unlink the flow set of a process that left. */
  | { kind: "flow-set-destroy"; pid: number }
  /** Unlink the pool of a user without processes. */
  | { kind: "pool-destroy"; uid: number };

/** A process that announces itself; uid and gid as the kernel says. */
export interface Announcement {
  pid: number;
  /** Base name of its program. */
  prog: string;
  uid: number;
  gid: number;
  /** 0 when privileged, else uid. */
  flowUid: number;
}

/** Whether a process may inherit the names of a program of its base name (spec 20 §19.4). */
export type MayInherit = (proc: ProcRecord, prog: ProgRecord) => boolean;

/** What left with a pid. */
export interface Gone {
  proc: ProcRecord | undefined;
  ipcp: IpcpRecord | undefined;
  spawned: SpawnedRecord | undefined;
}

/** Settings of a registry. */
export interface RegistryOptions {
  /** Directory with `server/` and `client/`, for the default paths of names. */
  securityDir: string;
  /** Default: always. */
  mayInherit?: MayInherit;
}

/** See the file's comment. */
export class Registry {
  readonly names = new NameTable();
  readonly progs = new Map<string, ProgRecord>();
  readonly procs = new Map<number, ProcRecord>();
  readonly ipcps = new IpcpTable();
  readonly flows = new FlowTable();
  readonly pools = new PoolTable();
  readonly spawned = new Map<number, SpawnedRecord>();

  readonly #securityDir: string;
  readonly #mayInherit: MayInherit;
  readonly #procWaits = new Map<number, Waiter<number>[]>();
  #effects: Effect[] = [];

  constructor(options: RegistryOptions) {
    this.#securityDir = options.securityDir;
    this.#mayInherit = options.mayInherit ?? (() => true);
  }

  /** What there is to do, in order; the queue is empty afterwards. */
  takeEffects(): Effect[] {
    const out = this.#effects;
    if (out.length > 0) this.#effects = [];
    return out;
  }

  // Processes.

  /**
   * A process is there; it inherits the names of its program and whoever waited for it goes on.
   * 0, or -EPERM when the pid is announced already. The pool of its flowUid gains a user.
   */
  announce(a: Announcement): number {
    if (this.procs.has(a.pid)) return -Errno.EPERM;
    const proc: ProcRecord = { ...a, names: new Set(), accepts: [] };
    this.procs.set(a.pid, proc);
    this.pools.ref(a.flowUid, a.flowUid === 0 ? 0 : a.gid);
    const prog = this.progs.get(a.prog);
    if (prog !== undefined && this.#mayInherit(proc, prog)) {
      for (const n of prog.names) this.#bind(proc, this.names.get(n));
    }
    const waits = this.#procWaits.get(a.pid);
    this.#procWaits.delete(a.pid);
    for (const w of waits ?? []) w.settle(0);
    return 0;
  }

  /** Settled with 0 when the process is announced. End with {@linkcode endProcessWait}. */
  awaitProcess(pid: number): Waiter<number> {
    const w = new Waiter<number>();
    if (this.procs.has(pid)) w.settle(0);
    else this.#procWaits.set(pid, [...this.#procWaits.get(pid) ?? [], w]);
    return w;
  }

  /** Ends a wait for a process: -ETIMEDOUT at a deadline. */
  endProcessWait(pid: number, w: Waiter<number>, code: number = -Errno.ETIMEDOUT): void {
    const rest = this.#procWaits.get(pid)?.filter((x) => x !== w) ?? [];
    if (rest.length > 0) this.#procWaits.set(pid, rest);
    else this.#procWaits.delete(pid);
    w.settle(code);
  }

  /**
   * A process, IPCP or child is gone (it said so, or it died): its bindings, waits and flows end, IPCPs that
   * carry its flows are told, other ends see their flows go down. Undefined when nothing was known of it.
   */
  processGone(pid: number, nowMs: number): Gone | undefined {
    const proc = this.procs.get(pid);
    const ipcp = this.ipcps.get(pid);
    const spawned = this.spawned.get(pid);
    for (const flow of this.flows.of(pid)) {
      if (flow.isUser(pid)) this.giveUp(flow, pid, nowMs);
      if (flow.below.kind === "ipcp" && flow.n1Pid === pid) this.#lowerGone(flow);
    }
    if (proc !== undefined) {
      for (const n of proc.names) this.#unbind(proc, this.names.get(n));
      this.procs.delete(pid);
      this.#effects.push({ kind: "flow-set-destroy", pid });
      if (this.pools.unref(proc.flowUid) === 0) {
        this.#effects.push({ kind: "pool-destroy", uid: proc.flowUid });
      }
    }
    if (ipcp !== undefined) {
      this.ipcps.delete(pid);
      this.endBoot(pid, -Errno.EIPCP);
    }
    this.spawned.delete(pid);
    if (proc === undefined && ipcp === undefined && spawned === undefined) return undefined;
    return { proc, ipcp, spawned };
  }

  // Names and bindings.

  /** The prototype's default paths for a name (spec 20 §6). */
  defaultPaths(name: string): NamePaths {
    const server = `${this.#securityDir}/server/${name}`;
    const client = `${this.#securityDir}/client/${name}`;
    return {
      senc: `${server}/enc.conf`,
      scrt: `${server}/crt.pem`,
      skey: `${server}/key.pem`,
      cenc: `${client}/enc.conf`,
      ccrt: `${client}/crt.pem`,
      ckey: `${client}/key.pem`,
    };
  }

  /** Creates a name; true when it is new, false when it exists (it stays as it is). */
  createName(info: NameInfo): boolean {
    if (this.names.has(info.name)) return false;
    const d = this.defaultPaths(info.name);
    this.names.add(
      new NameRecord(info.name, info.polLb, {
        senc: info.senc || d.senc,
        scrt: info.scrt || d.scrt,
        skey: info.skey || d.skey,
        cenc: info.cenc || d.cenc,
        ccrt: info.ccrt || d.ccrt,
        ckey: info.ckey || d.ckey,
      }),
    );
    return true;
  }

  /** Removes a name from everywhere; who waits for its acceptors fails with -ENAME. 0, or -EPERM: unknown. */
  destroyName(name: string): number {
    const record = this.names.get(name);
    if (record === undefined) return -Errno.EPERM;
    for (const pid of [...record.procs]) this.#unbind(this.procs.get(pid)!, record);
    for (const prog of this.progs.values()) prog.names.delete(name);
    this.names.delete(name);
    for (const w of record.waits.splice(0)) {
      w.waiter.settle({ kind: "failed", code: -Errno.ENAME });
    }
    return 0;
  }

  /**
   * Binds a program to a name, which is created (spillover) when missing; running processes of the program get
   * the name too. `argv[0]` is the path, `argv` the command line to start when `auto`. 0, -EINVAL without name or program, -EPERM when bound already.
   */
  bindProgram(argv: readonly string[], name: string, auto: boolean): number {
    const path = argv[0] ?? "";
    const prog = baseName(path);
    if (name === "" || prog === "") return -Errno.EINVAL;
    const bound = this.progs.get(prog)?.names.has(name) ?? false;
    if (bound || this.names.get(name)?.hasProgram(path)) return -Errno.EPERM;
    this.#spilloverName(name);
    const record = this.names.get(name)!;
    let p = this.progs.get(prog);
    if (p === undefined) this.progs.set(prog, p = { prog, path, names: new Set() });
    p.names.add(name);
    if (auto) record.addProgram(argv);
    for (const proc of this.procs.values()) {
      if (proc.prog === prog && this.#mayInherit(proc, p)) this.#bind(proc, record);
    }
    return 0;
  }

  /**
   * Takes a name, or without `name` all of them, from the program of a base name; it is not started for them any
   * more, but processes that inherited keep what they have. 0, or -EPERM: unknown or not bound.
   */
  unbindProgram(prog: string, name?: string): number {
    const p = this.progs.get(prog);
    if (p === undefined) return -Errno.EPERM;
    const same = (path: string) => baseName(path) === prog;
    if (name === undefined) {
      for (const record of this.names.list()) record.removePrograms(same);
      this.progs.delete(prog);
      return 0;
    }
    const record = this.names.get(name);
    if (record === undefined || !p.names.delete(name)) return -Errno.EPERM;
    record.removePrograms(same);
    return 0;
  }

  /** Binds an announced process to a name, which is created (spillover) when missing. 0, or -EPERM: unknown process, or bound already. */
  bindProcess(pid: number, name: string): number {
    const proc = this.procs.get(pid);
    if (proc === undefined) return -Errno.EPERM;
    this.#spilloverName(name);
    return this.#bind(proc, this.names.get(name)) ? 0 : -Errno.EPERM;
  }

  /** Takes a name from a process. 0, or -EPERM: unknown or not bound. */
  unbindProcess(pid: number, name: string): number {
    const proc = this.procs.get(pid);
    const record = this.names.get(name);
    if (proc === undefined || record === undefined || !proc.names.has(name)) return -Errno.EPERM;
    this.#unbind(proc, record);
    return 0;
  }

  // IPCPs.

  /** An IPCP was started: in state INIT, entered as child too. False when the pid has an entry. */
  createIpcp(pid: number, type: number, name: string): boolean {
    if (!this.ipcps.create(pid, type, name)) return false;
    this.spawned.set(pid, { pid, kind: "ipcp", what: name });
    return true;
  }

  /** Settled with 0 when the IPCP has booted, negative when it failed or went. End with {@linkcode endBoot}. */
  awaitBoot(pid: number): Waiter<number> {
    const w = new Waiter<number>();
    if (!this.ipcps.has(pid)) w.settle(-Errno.EIPCP);
    else {
      this.ipcps.boots.get(pid)?.settle(-Errno.EIPCP);
      this.ipcps.boots.set(pid, w);
    }
    return w;
  }

  /** Ends the wait for a boot: -ETIMEDOUT at a deadline. */
  endBoot(pid: number, code: number = -Errno.ETIMEDOUT): void {
    const w = this.ipcps.boots.get(pid);
    this.ipcps.boots.delete(pid);
    w?.settle(code);
  }

  /** CREATE_R: the IPCP says what it is. 0, or -EIPCP: no IPCP of that pid. */
  ipcpReady(pid: number, type: number, name: string, state: number): number {
    const ipcp = this.ipcps.get(pid);
    if (ipcp === undefined) return -Errno.EIPCP;
    this.ipcps.update(ipcp, type, name, state);
    this.endBoot(pid, state === IpcpState.NULL ? -Errno.EIPCP : 0);
    return 0;
  }

  /** The IPCP got a layer, by bootstrap or enrollment. 0, -EIPCP: unknown, -EIPCPSTATE: not booted. */
  setLayer(
    pid: number,
    layer: string,
    hashAlgo: number,
    how: "bootstrapped" | "enrolled",
  ): number {
    const ipcp = this.ipcps.get(pid);
    if (ipcp === undefined) return -Errno.EIPCP;
    if (ipcp.state < IpcpState.BOOT || ipcp.state > IpcpState.ENROLLED) return -Errno.EIPCPSTATE;
    ipcp.layer = layer;
    ipcp.hashAlgo = hashAlgo;
    ipcp.state = how === "bootstrapped" ? IpcpState.BOOTSTRAPPED : IpcpState.ENROLLED;
    return 0;
  }

  /** IPCPs to ask for a destination, in order of preference. */
  candidates(): IpcpRecord[] {
    return this.ipcps.list().filter((i) =>
      i.type !== IpcpType.BROADCAST && i.layer !== NOT_ENROLLED
    );
  }

  // Flows: acceptors.

  /**
   * A process accepts. The waiter is settled with the request, or with a failure. -EINVAL: not announced, or
   * all its names have an unknown policy; -EBADF: no flow id. End with {@linkcode acceptEnd}.
   */
  accept(
    pid: number,
    qos: QosSpec,
  ): { flow: FlowRecord; waiter: Waiter<AcceptOutcome> } | number {
    const proc = this.procs.get(pid);
    if (proc === undefined) return -Errno.EINVAL;
    const names = [...proc.names].map((n) => this.names.get(n)!);
    if (names.length > 0 && !names.some((n) => n.usable)) return -Errno.EINVAL;
    const flow = this.flows.create(pid, proc.flowUid, qos);
    if (typeof flow === "number") return flow;
    const waiter = new Waiter<AcceptOutcome>();
    flow.state = FlowState.ACCEPT_PENDING;
    flow.wait = { kind: "accept", waiter, reserved: false };
    proc.accepts.push(flow.id);
    for (const n of names) if (n.usable) n.active.add(pid);
    for (const n of names) this.#serve(n);
    return { flow, waiter };
  }

  /** Ends a pending accept with a failure (deadline, hang-up) and removes it; false when it is over already. */
  acceptEnd(flow: FlowRecord, code: number): boolean {
    if (!this.flows.holds(flow) || flow.wait.kind !== "accept") return false;
    this.drop(flow, code);
    return true;
  }

  /**
   * Waits for an acceptor of a name, first come first served. With `direct`, the acceptor must be another process
   * of that uid, else `foreign`. End with {@linkcode endAcceptorWait}.
   */
  awaitAcceptor(
    name: string,
    direct?: { readonly pid: number; readonly uid: number },
  ): Waiter<AcceptorOutcome> {
    const waiter = new Waiter<AcceptorOutcome>();
    const record = this.names.get(name);
    if (record === undefined) waiter.settle({ kind: "failed", code: -Errno.ENAME });
    else {
      record.waits.push({ waiter, direct });
      this.#serve(record);
    }
    return waiter;
  }

  /** Ends a wait for an acceptor: -ETIMEDOUT at a deadline. */
  endAcceptorWait(
    name: string,
    waiter: Waiter<AcceptorOutcome>,
    code: number = -Errno.ETIMEDOUT,
  ): void {
    const waits = this.names.get(name)?.waits;
    const at = waits?.findIndex((w) => w.waiter === waiter) ?? -1;
    if (at >= 0) waits!.splice(at, 1);
    waiter.settle({ kind: "failed", code });
  }

  /** Whether the reserved accept still waits; it may have ended by deadline, hang-up or death. */
  stillReserved(r: Reservation): boolean {
    return this.flows.holds(r.flow) && r.flow.wait.kind === "accept" && r.flow.wait.reserved;
  }

  /** Gives a reserved accept back; it is the next to be chosen. */
  release(r: Reservation): void {
    const { flow } = r;
    if (!this.stillReserved(r) || flow.wait.kind !== "accept") return;
    flow.wait.reserved = false;
    const proc = this.procs.get(flow.nPid)!;
    proc.accepts.push(flow.id);
    const names = [...proc.names].map((n) => this.names.get(n)!).filter((n) => n.usable);
    for (const n of names) n.active.add(proc.pid, true);
    for (const n of names) this.#serve(n);
  }

  /**
   * A request that arrived at an IPCP goes to the reserved acceptor. The flow as the IPCP is told it,
   * or -EIPCP: unknown IPCP, or the acceptor is gone. Rings (n_pid, id) and (IPCP, id) exist.
   */
  arrive(
    r: Reservation,
    q: { ipcpPid: number; mpl: number; qos: QosSpec; request: Uint8Array },
  ): FlowInfo | number {
    if (!this.stillReserved(r) || !this.ipcps.has(q.ipcpPid)) return -Errno.EIPCP;
    this.#take(r, "ipcp", q.ipcpPid, q.mpl, q.qos, q.request);
    return r.flow.info(r.flow.nPid);
  }

  /**
   * A process of this host gets the reserved acceptor directly. The waiter is settled with the OAP response;
   * end with {@linkcode giveUp}. -EBADF: the acceptor is gone; -EPERM: not its user, or itself. Rings exist.
   */
  direct(
    r: Reservation,
    q: { clientPid: number; qos: QosSpec; request: Uint8Array },
  ): Waiter<AllocOutcome> | number {
    const client = this.procs.get(q.clientPid);
    if (client === undefined || !this.stillReserved(r)) return -Errno.EBADF;
    if (client.flowUid !== r.flow.uid || client.pid === r.flow.nPid) return -Errno.EPERM;
    const waiter = new Waiter<AllocOutcome>();
    this.#take(r, "direct", q.clientPid, DIRECT_MPL_MS, q.qos, q.request, waiter);
    return waiter;
  }

  /** The server's OAP response of a direct flow. 0, or -EBADF: the client does not wait any more. */
  directRespond(flow: FlowRecord, response: Uint8Array): number {
    if (!this.flows.holds(flow) || flow.wait.kind !== "response") return -Errno.EBADF;
    const { waiter } = flow.wait;
    flow.wait = NOTHING_AWAITED;
    waiter.settle({ kind: "response", response });
    return 0;
  }

  // Flows: requesters.

  /** A new flow in INIT for an allocation or join. -EINVAL: not announced; -EBADF: no flow id. */
  alloc(pid: number, qos: QosSpec): FlowRecord | number {
    const proc = this.procs.get(pid);
    if (proc === undefined) return -Errno.EINVAL;
    return this.flows.create(pid, proc.flowUid, qos);
  }

  /**
   * The flow goes over an IPCP; to be called before IPCP_FLOW_ALLOC or IPCP_FLOW_JOIN is sent. The waiter is settled by
   * {@linkcode allocReply}; end with {@linkcode giveUp}, or {@linkcode drop} when the IPCP refused.
   * -EIPCP: no such IPCP; -EBADF: the flow is gone (its process left). Rings (n_pid, id), (IPCP, id) exist.
   */
  allocOver(flow: FlowRecord, ipcpPid: number): Waiter<AllocOutcome> | number {
    if (!this.flows.holds(flow) || flow.state !== FlowState.INIT) return -Errno.EBADF;
    if (!this.ipcps.has(ipcpPid)) return -Errno.EIPCP;
    const waiter = new Waiter<AllocOutcome>();
    this.flows.attach(flow, ipcpPid);
    flow.below = { kind: "ipcp", upperGone: false, lowerGone: false };
    flow.rings = true;
    flow.state = FlowState.ALLOC_PENDING;
    flow.wait = { kind: "response", waiter };
    return waiter;
  }

  /** IPCP_FLOW_ALLOC_REPLY. 0, or -EBADF: no allocation of that id waits at that IPCP. */
  allocReply(
    ipcpPid: number,
    id: number,
    q: { response: number; mpl: number; data: Uint8Array },
  ): number {
    const flow = this.flows.get(id);
    if (flow === undefined || flow.below.kind !== "ipcp" || flow.n1Pid !== ipcpPid) {
      return -Errno.EBADF;
    }
    if (flow.state !== FlowState.ALLOC_PENDING || flow.wait.kind !== "response") {
      // Given up meanwhile; a refusal also says that the IPCP holds nothing any more.
      if (q.response !== 0 && flow.state === FlowState.DEALLOC_PENDING && flow.below.upperGone) {
        this.#remove(flow);
      }
      return -Errno.EBADF;
    }
    if (q.response !== 0) {
      this.drop(flow, q.response < 0 ? q.response : -Errno.ECRYPT);
      return 0;
    }
    const { waiter } = flow.wait;
    flow.state = FlowState.ALLOCATED;
    flow.mpl = q.mpl;
    flow.wait = NOTHING_AWAITED;
    waiter.settle({ kind: "response", response: q.data });
    return 0;
  }

  // Flows: ends.

  /** Removes a flow at once; its waiter fails with `code`. Nothing happens when it is gone already. */
  drop(flow: FlowRecord, code: number): void {
    if (!this.flows.holds(flow)) return;
    const { wait } = flow;
    this.#remove(flow);
    if (wait.kind !== "nothing") wait.waiter.settle({ kind: "failed", code });
  }

  /**
   * The process `pid` at an end of the flow will not use it (any more): dead, hung up, too late, or OAP failed.
   * The other end is told: an IPCP by dealloc, a process by its flow going down.
   */
  giveUp(flow: FlowRecord, pid: number, nowMs: number): void {
    if (!this.flows.holds(flow) || !flow.isUser(pid)) return;
    const { below, wait } = flow;
    if (below.kind === "nothing") return this.drop(flow, -Errno.EPIPE);
    const server = pid === flow.nPid;
    const gone = server ? below.upperGone : below.lowerGone;
    if (gone) return;
    if (below.kind === "direct" && wait.kind === "response" && server) {
      return this.drop(flow, -Errno.EPIPE); // The client never got it, so nothing is left.
    }
    flow.wait = NOTHING_AWAITED;
    if (server) below.upperGone = true;
    else below.lowerGone = true;
    flow.name = "";
    if (below.upperGone && below.lowerGone) this.#remove(flow);
    else {
      flow.state = FlowState.DEALLOC_PENDING;
      if (below.kind === "ipcp") {
        flow.expiresMs = nowMs + LINGER_MS;
        this.#effects.push({
          kind: "ipcp-dealloc",
          flowId: flow.id,
          ipcpPid: flow.n1Pid,
          timeoSec: 0,
        });
      } else this.#down(flow, server ? flow.n1Pid : flow.nPid, pid);
    }
    if (wait.kind !== "nothing") wait.waiter.settle({ kind: "failed", code: -Errno.EPIPE });
  }

  /**
   * IRM_FLOW_DEALLOC. `code` is 0; -ENOTALLOC for a flow that is unknown or not allocated yet, -EPERM for another's.
   * `ipcpPid` is the IPCP to send IPCP_FLOW_DEALLOC to, if any.
   */
  dealloc(
    pid: number,
    id: number,
    timeoSec: number,
    nowMs: number,
  ): { code: number; ipcpPid: number | undefined } {
    const flow = this.flows.get(id);
    const none = { code: 0, ipcpPid: undefined };
    if (flow === undefined) return { ...none, code: -Errno.ENOTALLOC };
    if (!flow.isUser(pid)) return { ...none, code: -Errno.EPERM };
    const { below } = flow;
    const held = flow.state === FlowState.ALLOCATED || flow.state === FlowState.DEALLOC_PENDING;
    if (!held || below.kind === "nothing") return { ...none, code: -Errno.ENOTALLOC };
    if (pid === flow.nPid) below.upperGone = true;
    else below.lowerGone = true;
    if (below.upperGone && below.lowerGone) {
      this.#remove(flow);
      return none;
    }
    flow.state = FlowState.DEALLOC_PENDING;
    flow.name = "";
    if (below.kind === "direct") return none;
    flow.expiresMs = nowMs + timeoSec * 1000 + LINGER_MS;
    return { code: 0, ipcpPid: flow.n1Pid };
  }

  /** IPCP_FLOW_DEALLOC: the IPCP has torn the flow down. 0, or -EBADF: it carries no flow of that id. */
  ipcpDealloc(ipcpPid: number, id: number): number {
    const flow = this.flows.get(id);
    if (flow === undefined || flow.below.kind !== "ipcp" || flow.n1Pid !== ipcpPid) {
      return -Errno.EBADF;
    }
    this.#lowerGone(flow);
    return 0;
  }

  /** Removes flows whose IPCP should have confirmed long ago. Returns how many. */
  expire(nowMs: number): number {
    let n = 0;
    for (const flow of [...this.flows.all()]) {
      if (flow.expiresMs > nowMs) continue;
      this.#remove(flow);
      n++;
    }
    return n;
  }

  // Below: steps shared by the methods above.

  #spilloverName(name: string): void {
    if (this.names.has(name)) return;
    this.createName({ name, polLb: PolLb.SPILLOVER, skey: "", scrt: "", ckey: "", ccrt: "" });
  }

  /** True when the binding is new. Pending accepts become active for the name. */
  #bind(proc: ProcRecord, record: NameRecord | undefined): boolean {
    if (record === undefined || proc.names.has(record.name)) return false;
    proc.names.add(record.name);
    record.procs.add(proc.pid);
    if (record.usable) {
      for (let i = proc.accepts.length; i > 0; i--) record.active.add(proc.pid);
      this.#serve(record);
    }
    return true;
  }

  #unbind(proc: ProcRecord, record: NameRecord | undefined): void {
    if (record === undefined) return;
    proc.names.delete(record.name);
    record.procs.delete(proc.pid);
    record.active.removeAll(proc.pid);
  }

  /** Gives acceptors of a name to who waits for one. */
  #serve(record: NameRecord): void {
    while (record.waits.length > 0 && record.active.length > 0) {
      const { waiter, direct } = record.waits.shift()!;
      const proc = this.procs.get(record.active.head())!;
      if (direct !== undefined && (proc.flowUid !== direct.uid || proc.pid === direct.pid)) {
        waiter.settle({ kind: "foreign" });
        continue;
      }
      const flow = this.flows.get(proc.accepts.at(-1)!)!;
      this.#deactivate(proc, flow);
      if (flow.wait.kind === "accept") flow.wait.reserved = true;
      flow.name = record.name;
      waiter.settle({ kind: "reserved", reservation: new Reservation(flow, record.name) });
    }
  }

  /** Takes a pending accept out of its process's list and of the queues of the names. */
  #deactivate(proc: ProcRecord, flow: FlowRecord): void {
    const at = proc.accepts.lastIndexOf(flow.id);
    if (at < 0) return;
    proc.accepts.splice(at, 1);
    for (const n of proc.names) this.names.get(n)!.active.remove(proc.pid);
  }

  #take(
    r: Reservation,
    kind: "direct" | "ipcp",
    n1Pid: number,
    mpl: number,
    qos: QosSpec,
    request: Uint8Array,
    waiter?: Waiter<AllocOutcome>,
  ): void {
    const { flow } = r;
    const { wait } = flow;
    this.flows.attach(flow, n1Pid);
    const below: FlowBelow = { kind, upperGone: false, lowerGone: false };
    flow.below = below;
    flow.rings = true;
    flow.mpl = mpl;
    flow.qos = qos;
    flow.state = FlowState.ALLOCATED;
    flow.wait = waiter === undefined ? NOTHING_AWAITED : { kind: "response", waiter };
    if (wait.kind === "accept") {
      wait.waiter.settle({ kind: "request", request, name: r.name, direct: kind === "direct" });
    }
  }

  /** The IPCP below has left the flow. */
  #lowerGone(flow: FlowRecord): void {
    const { below, wait } = flow;
    if (below.kind !== "ipcp" || below.lowerGone) return;
    below.lowerGone = true;
    if (below.upperGone || wait.kind === "response") {
      this.drop(flow, -Errno.EIPCP);
      return;
    }
    flow.state = FlowState.DEALLOC_PENDING;
    flow.expiresMs = Infinity;
    this.#down(flow, flow.nPid, flow.n1Pid);
  }

  #down(flow: FlowRecord, pid: number, otherPid: number): void {
    this.#effects.push({ kind: "flow-down", flowId: flow.id, pid, otherPid });
  }

  /** Takes a record out of everything; its state is DEALLOCATED then. */
  #remove(flow: FlowRecord): void {
    const proc = this.procs.get(flow.nPid);
    if (proc !== undefined) this.#deactivate(proc, flow);
    this.flows.delete(flow);
    if (flow.rings) {
      flow.rings = false;
      this.#effects.push({
        kind: "rings-destroy",
        flowId: flow.id,
        pids: [flow.nPid, flow.n1Pid],
      });
    }
    flow.state = FlowState.DEALLOCATED;
    flow.wait = NOTHING_AWAITED;
    flow.expiresMs = Infinity;
  }
}

/** The last part of a path. */
export function baseName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

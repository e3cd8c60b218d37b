/**
 * The part of the registry that says who is there and what is bound to what: processes, names, programs, IPCPs
 * (spec 20 §5, §6). Flows build on it in `flows.ts`.
 *
 * Pure.
 */

import { Errno } from "../../lib/errno.ts";
import { IpcpState, IpcpType, type NameInfo, NOT_ENROLLED, PolLb } from "../../lib/irm/messages.ts";
import { type FlowRecord, Reservation } from "./flow.ts";
import { type Asker, type NamePaths, NameRecord, type User } from "./name.ts";
import type { IpcpPlan } from "./plan.ts";
import type { Records } from "./records.ts";
import { ANYBODY, type BoundTo, type IpcpRecord, isFor, type ProcRecord } from "./tables.ts";
import { Waiter } from "./waiter.ts";

/** A process that announces itself; uid and gid as the kernel says. */
export interface Announcement {
  pid: number;
  /** Base name of its program. */
  prog: string;
  uid: number;
  gid: number;
  /** 0 when privileged, else uid. */
  flowUid: number;
  /** Supplementary groups; absent: none. */
  gids?: readonly number[];
  /** When it was started, ticks; absent: unknown. */
  startTicks?: number | undefined;
}

/** How a program is bound. */
export interface BindProgram {
  /** Whether it is started on a request. */
  readonly auto: boolean;
  /** Whose processes get the name; absent: everybody's. */
  readonly to?: BoundTo;
  /** Whether those may use the keys of the name. */
  readonly trusted?: boolean;
  /** As whom it is started; absent: as the daemon. */
  readonly as?: User | undefined;
  /** Who makes it, a uid; absent: the owner of the node. */
  readonly by?: number | undefined;
}

/** Settings of a registry. */
export interface RegistryOptions {
  /** Directory with `server/` and `client/`, for the default paths of names. */
  securityDir: string;
}

/** See the file's comment. */
export class Bindings {
  readonly #s: Records;
  readonly #securityDir: string;
  readonly #procWaits = new Map<number, Waiter<number>[]>();

  constructor(records: Records, options: RegistryOptions) {
    this.#s = records;
    this.#securityDir = options.securityDir;
  }

  // Processes.

  /**
   * A process is there; it inherits the names of its program and whoever waited for it goes on.
   * 0, or -EPERM when the pid is announced already. The pool of its flowUid gains a user.
   */
  announce(a: Announcement): number {
    if (this.#s.procs.has(a.pid)) return -Errno.EPERM;
    const proc: ProcRecord = {
      ...a,
      gids: a.gids ?? [],
      startTicks: a.startTicks,
      names: new Set(),
      trusted: new Set(),
      accepts: [],
      hadFlow: false,
    };
    this.#s.procs.set(a.pid, proc);
    this.#s.pools.ref(a.flowUid, a.flowUid === 0 ? 0 : a.gid);
    for (const [n, { to }] of this.#s.progs.get(a.prog)?.names ?? []) {
      if (isFor(to, proc)) this.bind(proc, this.#s.names.get(n));
    }
    const waits = this.#procWaits.get(a.pid);
    this.#procWaits.delete(a.pid);
    for (const w of waits ?? []) w.settle(0);
    return 0;
  }

  /** Settled with 0 when the process is announced. End with {@linkcode endProcessWait}. */
  awaitProcess(pid: number): Waiter<number> {
    const w = new Waiter<number>();
    if (this.#s.procs.has(pid)) w.settle(0);
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
  createName(info: NameInfo, asker?: Asker): boolean {
    if (this.#s.names.has(info.name)) return false;
    const d = this.defaultPaths(info.name);
    const record = new NameRecord(info.name, info.polLb, {
      senc: info.senc || d.senc,
      scrt: info.scrt || d.scrt,
      skey: info.skey || d.skey,
      cenc: info.cenc || d.cenc,
      ccrt: info.ccrt || d.ccrt,
      ckey: info.ckey || d.ckey,
    });
    record.asker = asker;
    this.#s.names.add(record);
    return true;
  }

  /** Removes a name from everywhere; who waits for its acceptors fails with -ENAME. 0, or -EPERM: unknown. */
  destroyName(name: string): number {
    const record = this.#s.names.get(name);
    if (record === undefined) return -Errno.EPERM;
    for (const pid of [...record.procs]) this.unbind(this.#s.procs.get(pid)!, record);
    for (const prog of this.#s.progs.values()) prog.names.delete(name);
    this.#s.names.delete(name);
    for (const w of record.waits.splice(0)) {
      w.waiter.settle({ kind: "failed", code: -Errno.ENAME });
    }
    return 0;
  }

  /**
   * Binds a program to a name, which is created (spillover) when missing; running processes of the program that it is
   * for get the name too. `argv[0]` is the path, `argv` the command line to start when `auto`. 0, -EINVAL without
   * name or program, -EPERM when bound already.
   */
  bindProgram(argv: readonly string[], name: string, how: BindProgram): number {
    const path = argv[0] ?? "";
    const prog = baseName(path);
    if (name === "" || prog === "") return -Errno.EINVAL;
    const bound = this.#s.progs.get(prog)?.names.has(name) ?? false;
    if (bound || this.#s.names.get(name)?.hasProgram(path)) return -Errno.EPERM;
    this.#spilloverName(name);
    const record = this.#s.names.get(name)!;
    let p = this.#s.progs.get(prog);
    if (p === undefined) this.#s.progs.set(prog, p = { prog, names: new Map() });
    const to = how.to ?? ANYBODY;
    p.names.set(name, { to, trusted: how.trusted ?? false, by: how.by });
    if (how.auto) record.addProgram(argv, how.as);
    for (const proc of this.#s.procs.values()) {
      if (proc.prog === prog && isFor(to, proc)) this.bind(proc, record);
    }
    return 0;
  }

  /**
   * Takes a name, or without `name` all of them, from the program of a base name; it is not started for them any
   * more, but processes that inherited keep what they have. 0, or -EPERM: unknown or not bound.
   */
  unbindProgram(prog: string, name?: string): number {
    const p = this.#s.progs.get(prog);
    if (p === undefined) return -Errno.EPERM;
    const same = (path: string) => baseName(path) === prog;
    if (name === undefined) {
      for (const record of this.#s.names.list()) record.removePrograms(same);
      this.#s.progs.delete(prog);
      return 0;
    }
    const record = this.#s.names.get(name);
    if (record === undefined || !p.names.delete(name)) return -Errno.EPERM;
    record.removePrograms(same);
    return 0;
  }

  /**
   * Binds an announced process to a name, which is created (spillover) when missing; `trusted`: it may use its keys.
   * 0, or -EPERM: unknown process, or bound already.
   */
  bindProcess(pid: number, name: string, trusted = false): number {
    const proc = this.#s.procs.get(pid);
    if (proc === undefined) return -Errno.EPERM;
    this.#spilloverName(name);
    if (!this.bind(proc, this.#s.names.get(name))) return -Errno.EPERM;
    if (trusted) proc.trusted.add(name);
    return 0;
  }

  /** Whether who administers the keys of a name let a process use them, by a binding that names its user. */
  mayUseKeys(proc: ProcRecord, name: string): boolean {
    if (proc.trusted.has(name)) return true;
    for (const prog of this.#s.progs.values()) {
      const b = prog.names.get(name);
      if (b?.trusted && b.to.kind !== "any" && isFor(b.to, proc)) return true;
    }
    return false;
  }

  /** Takes a name from a process. 0, or -EPERM: unknown or not bound. */
  unbindProcess(pid: number, name: string): number {
    const proc = this.#s.procs.get(pid);
    const record = this.#s.names.get(name);
    if (proc === undefined || record === undefined || !proc.names.has(name)) return -Errno.EPERM;
    this.unbind(proc, record);
    return 0;
  }

  // IPCPs.

  /** An IPCP was started: in state INIT, entered as child too. False when the pid has an entry. */
  createIpcp(pid: number, type: number, name: string, plan?: IpcpPlan): boolean {
    if (!this.#s.ipcps.create(pid, type, name, plan)) return false;
    this.#s.spawned.set(pid, { pid, kind: "ipcp", what: name });
    return true;
  }

  /** Settled with 0 when the IPCP has booted, negative when it failed or went. End with {@linkcode endBoot}. */
  awaitBoot(pid: number): Waiter<number> {
    const w = new Waiter<number>();
    if (!this.#s.ipcps.has(pid)) w.settle(-Errno.EIPCP);
    else {
      this.#s.ipcps.boots.get(pid)?.settle(-Errno.EIPCP);
      this.#s.ipcps.boots.set(pid, w);
    }
    return w;
  }

  /** Ends the wait for a boot: -ETIMEDOUT at a deadline. */
  endBoot(pid: number, code: number = -Errno.ETIMEDOUT): void {
    const w = this.#s.ipcps.boots.get(pid);
    this.#s.ipcps.boots.delete(pid);
    w?.settle(code);
  }

  /** CREATE_R: the IPCP says what it is. 0, or -EIPCP: no IPCP of that pid. */
  ipcpReady(pid: number, type: number, name: string, state: number): number {
    const ipcp = this.#s.ipcps.get(pid);
    if (ipcp === undefined) return -Errno.EIPCP;
    this.#s.ipcps.update(ipcp, type, name, state);
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
    const ipcp = this.#s.ipcps.get(pid);
    if (ipcp === undefined) return -Errno.EIPCP;
    if (ipcp.state < IpcpState.BOOT || ipcp.state > IpcpState.ENROLLED) return -Errno.EIPCPSTATE;
    ipcp.layer = layer;
    ipcp.hashAlgo = hashAlgo;
    ipcp.state = how === "bootstrapped" ? IpcpState.BOOTSTRAPPED : IpcpState.ENROLLED;
    return 0;
  }

  /**
   * IPCPs to ask for a destination, in order of preference.
   * @param forPid who wants the flow: an IPCP is not carried by itself
   */
  candidates(forPid = 0): IpcpRecord[] {
    return this.#s.ipcps.list().filter((i) =>
      i.type !== IpcpType.BROADCAST && i.layer !== NOT_ENROLLED && i.pid !== forPid
    );
  }

  // Steps shared with the flows.

  #spilloverName(name: string): void {
    if (this.#s.names.has(name)) return;
    this.createName({ name, polLb: PolLb.SPILLOVER, skey: "", scrt: "", ckey: "", ccrt: "" });
  }

  /** True when the binding is new. Pending accepts become active for the name. */
  bind(proc: ProcRecord, record: NameRecord | undefined): boolean {
    if (record === undefined || proc.names.has(record.name)) return false;
    proc.names.add(record.name);
    record.procs.add(proc.pid);
    if (record.usable) {
      for (let i = proc.accepts.length; i > 0; i--) record.active.add(proc.pid);
      this.serve(record);
    }
    return true;
  }

  /** Takes a name from a process that has it. */
  unbind(proc: ProcRecord, record: NameRecord | undefined): void {
    if (record === undefined) return;
    proc.names.delete(record.name);
    proc.trusted.delete(record.name);
    record.procs.delete(proc.pid);
    record.active.removeAll(proc.pid);
  }

  /** Gives acceptors of a name to who waits for one. */
  serve(record: NameRecord): void {
    while (record.waits.length > 0 && record.active.length > 0) {
      const { waiter, direct } = record.waits.shift()!;
      const proc = this.#s.procs.get(record.active.head())!;
      if (direct !== undefined && (proc.flowUid !== direct.uid || proc.pid === direct.pid)) {
        waiter.settle({ kind: "foreign" });
        continue;
      }
      const flow = this.#s.flows.get(proc.accepts.at(-1)!)!;
      this.deactivate(proc, flow);
      if (flow.wait.kind === "accept") flow.wait.reserved = true;
      flow.name = record.name;
      record.served += 1;
      waiter.settle({ kind: "reserved", reservation: new Reservation(flow, record.name) });
    }
  }

  /** Takes a pending accept out of its process's list and of the queues of the names. */
  deactivate(proc: ProcRecord, flow: FlowRecord): void {
    const at = proc.accepts.lastIndexOf(flow.id);
    if (at < 0) return;
    proc.accepts.splice(at, 1);
    for (const n of proc.names) this.#s.names.get(n)!.active.remove(proc.pid);
  }
}

/** The last part of a path. */
export function baseName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

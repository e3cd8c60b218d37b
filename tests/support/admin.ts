// deno-lint-ignore-file require-await -- it answers at once where the real one asks
/**
 * A daemon in memory for the commands of `irm`: IPCPs, names, bindings and layers, with the results
 * that the real one gives. It moves no packets.
 */

import type { Admin, NameEntry, NewName } from "../../irm/admin.ts";
import { OuroError } from "../../lib/errno.ts";
import {
  HashAlgo,
  type IpcpConfig,
  type IpcpListEntry,
  IpcpType,
  NOT_ENROLLED,
  OTHER_HOSTS,
} from "../../lib/irm/messages.ts";
import type { QosSpec } from "../../lib/qos.ts";

interface Program {
  readonly path: string;
  readonly args: readonly string[];
  readonly auto: boolean;
  readonly names: Set<string>;
}

/** The registry of a fresh daemon. */
export class FakeAdmin implements Admin {
  /** Whether the daemon answers; false makes every request fail with -1002. */
  running = true;
  /** It ends at the first request that begins so. */
  endsAt: string | undefined;
  /** A layer that no IPCP can be bootstrapped in. */
  refusedLayer: string | undefined;
  readonly ipcps: IpcpListEntry[] = [];
  readonly names: (NameEntry & { info: NewName })[] = [];
  /** Programs by base name. */
  readonly programs = new Map<string, Program>();
  /** `pid name` pairs. */
  readonly bindings = new Set<string>();
  /** Every request in order, as `verb arguments`. */
  readonly log: string[] = [];
  readonly #connections = new Set<string>();
  #nextPid = 4001;

  #request(text: string): void {
    this.log.push(text);
    if (this.endsAt !== undefined && text.startsWith(this.endsAt)) this.running = false;
    if (!this.running) throw new OuroError(-1002, "request");
  }

  #ipcp(pid: number): IpcpListEntry {
    const found = this.ipcps.find((ipcp) => ipcp.pid === pid);
    if (!found) throw fail(-1003, `there is no IPCP with pid ${pid}`);
    return found;
  }

  #name(name: string, polLb = 1): void {
    if (this.names.some((known) => known.name === name)) return;
    const info = { name, polLb, skey: "", scrt: "", senc: "", ckey: "", ccrt: "", cenc: "" };
    this.#addName(info);
  }

  /** A new name stands right behind the first that is greater, or at the front. */
  #addName(info: NewName): void {
    const greater = this.names.findIndex((known) => known.name > info.name);
    this.names.splice(greater + 1, 0, { name: info.name, polLb: info.polLb, info });
  }

  #join(pid: number, layer: string, hashAlgo: number): void {
    const at = this.ipcps.findIndex((ipcp) => ipcp.pid === pid);
    this.ipcps[at] = { ...this.ipcps[at]!, layer, hashAlgo };
  }

  async createIpcp(name: string, type: number): Promise<void> {
    this.#request(`create ipcp ${name} ${type}`);
    this.ipcps.push({ pid: this.#nextPid++, type, name, layer: NOT_ENROLLED, hashAlgo: 0 });
    this.ipcps.sort((a, b) => a.type - b.type || a.pid - b.pid);
  }

  async destroyIpcp(pid: number): Promise<void> {
    this.#request(`destroy ipcp ${pid}`);
    this.ipcps.splice(this.ipcps.indexOf(this.#ipcp(pid)), 1);
    for (const bound of [...this.bindings]) {
      if (bound.startsWith(`${pid} `)) this.bindings.delete(bound);
    }
  }

  async bootstrapIpcp(pid: number, conf: IpcpConfig): Promise<void> {
    this.#request(`bootstrap ${pid} ${conf.layerInfo.name}`);
    const ipcp = this.#ipcp(pid);
    if (ipcp.layer !== NOT_ENROLLED) throw fail(-1, "IPCP is bootstrapped already");
    if (conf.layerInfo.name === this.refusedLayer) throw fail(-22, "it is refused");
    const udp = ipcp.type === IpcpType.UDP4 || ipcp.type === IpcpType.UDP6;
    this.#join(pid, conf.layerInfo.name, udp ? HashAlgo.MD5 : conf.layerInfo.dirHashAlgo);
  }

  async enrollIpcp(pid: number, dst: string): Promise<void> {
    this.#request(`enroll ${pid} ${dst}`);
    this.#ipcp(pid);
    const member = this.ipcps.find((ipcp) => this.bindings.has(`${ipcp.pid} ${dst}`));
    if (!member) throw fail(-1, `name "${dst}" is not known here`, "ipcpd-unicast");
    this.#join(pid, member.layer, member.hashAlgo);
  }

  async connectIpcp(pid: number, dst: string, component: string, qos: QosSpec): Promise<void> {
    this.#request(`connect ${pid} ${dst} ${component} ${qos.delay}`);
    this.#neighbour(pid);
    if (!this.names.some(({ name }) => name === dst)) throw fail(-1, `no such name: ${dst}`);
    this.#connections.add(`${pid} ${dst} ${component}`);
  }

  async disconnectIpcp(pid: number, dst: string, component: string): Promise<void> {
    this.#request(`disconnect ${pid} ${dst} ${component}`);
    this.#neighbour(pid);
    if (!this.#connections.delete(`${pid} ${dst} ${component}`)) {
      throw fail(-2, `it is not connected to "${dst}"`);
    }
  }

  #neighbour(pid: number): void {
    const { type } = this.#ipcp(pid);
    if (type !== IpcpType.UNICAST && type !== IpcpType.BROADCAST) {
      throw fail(-1003, "IPCPs of this type have no neighbours");
    }
  }

  async listIpcps(): Promise<IpcpListEntry[]> {
    this.#request("list ipcps");
    return [...this.ipcps];
  }

  async listNames(): Promise<NameEntry[]> {
    this.#request("list names");
    return this.names.map(({ name, polLb }) => ({ name, polLb }));
  }

  async listUsers() {
    this.#request("list users");
    const use = { connections: 1, processes: 2, flows: 3, memoryKib: 4, exchanges: 5 };
    const totals = {
      uid: 0,
      connections: 16,
      processes: 32,
      flows: 64,
      memoryKib: 128,
      exchanges: 256,
    };
    return {
      users: [{ uid: 0, ...use }, { uid: 1000, ...use }, { uid: OTHER_HOSTS, ...use }],
      totals,
    };
  }

  async saveConfig() {
    this.#request("save");
    return { config: "[irmd]\nretry = true\n", unsaved: ["process 7 (\u001bx)"] };
  }

  async bindProgram(exec: readonly string[], name: string, auto: boolean): Promise<void> {
    this.#request(`bind program ${exec.join(" ")} to ${name}${auto ? " auto" : ""}`);
    const [path, ...args] = exec;
    const base = baseName(path!);
    const program = this.programs.get(base) ?? { path: path!, args, auto, names: new Set() };
    if (program.names.has(name)) throw fail(-1, `"${base}" is bound to "${name}" already`);
    program.names.add(name);
    this.programs.set(base, program);
    this.#name(name);
  }

  async unbindProgram(prog: string, name: string | undefined): Promise<void> {
    this.#request(`unbind program ${prog} ${name ?? "*"}`);
    const program = this.programs.get(prog);
    if (!program) throw fail(-1, `no program "${prog}" is bound`);
    if (name === undefined) this.programs.delete(prog);
    else if (!program.names.delete(name)) throw fail(-1, `"${prog}" is not bound to "${name}"`);
  }

  async bindProcess(pid: number, name: string): Promise<void> {
    this.#request(`bind process ${pid} to ${name}`);
    if (!this.ipcps.some((ipcp) => ipcp.pid === pid)) throw fail(-1, "no such process");
    if (this.bindings.has(`${pid} ${name}`)) throw fail(-1, "bound already");
    this.bindings.add(`${pid} ${name}`);
    this.#name(name);
  }

  async unbindProcess(pid: number, name: string): Promise<void> {
    this.#request(`unbind process ${pid} from ${name}`);
    if (!this.bindings.delete(`${pid} ${name}`)) throw fail(-1, "not bound");
  }

  async createName(info: NewName): Promise<void> {
    this.#request(`create name ${info.name}`);
    if (!this.names.some((known) => known.name === info.name)) this.#addName(info);
  }

  async destroyName(name: string): Promise<void> {
    this.#request(`destroy name ${name}`);
    const at = this.names.findIndex((known) => known.name === name);
    if (at < 0) throw fail(-1, `name "${name}" is not known here`);
    this.names.splice(at, 1);
  }

  async regName(name: string, pid: number): Promise<void> {
    this.#request(`register ${name} ${pid}`);
    this.#known(name, pid);
  }

  async unregName(name: string, pid: number): Promise<void> {
    this.#request(`unregister ${name} ${pid}`);
    this.#known(name, pid);
  }

  /** Names that a layer knows, and how many members a layer has. */
  readonly reachable = new Map<string, string>();
  readonly members = new Map<string, number>();

  async queryName(name: string): Promise<string> {
    this.#request(`query ${name}`);
    const layer = this.reachable.get(name);
    if (layer === undefined) throw fail(-1003, `no IPCP of this node knows "${name}"`);
    return layer;
  }

  async countMembers(layer: string): Promise<number> {
    this.#request(`count ${layer}`);
    const n = this.members.get(layer);
    if (n === undefined) throw fail(-1003, `no IPCP here is in layer "${layer}"`);
    return n;
  }

  #known(name: string, pid: number): void {
    if (!this.names.some((known) => known.name === name)) throw fail(-1007, "unknown name");
    this.#ipcp(pid);
  }
}

function fail(code: number, cause: string, process = "irmd"): OuroError {
  return new OuroError(code, "request", { stage: "test", process, cause });
}

function baseName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

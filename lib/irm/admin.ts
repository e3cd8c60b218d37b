/**
 * Administration of a node (spec 21 A6): the typed form of the administrative requests, as libouroboros-irm has
 * them in C, used by `irm` and tests.
 *
 * Every method rejects with an `OuroError`: the daemon's negative number with stage, process and cause where it sent
 * them; -22 for an argument that is refused before anything is sent; -1002 when the IRMd cannot be reached.
 */

import { Errno, OuroError } from "../errno.ts";
import { currentInstance, type Instance } from "../instance.ts";
import { NAME_BYTES_MAX, SECURITY_PATH_BYTES_MAX } from "../limits.ts";
import type { QosSpec } from "../qos.ts";
import { irmRequest, type RequestOptions } from "./client.ts";
import {
  BIND_AUTO,
  type BoundFor,
  type IpcpConfig,
  type IpcpListEntry,
  IrmCode,
  type IrmMsg,
  LIST_LONG,
  type NameInfo,
  type PolicyRef,
  PolLb,
  type UserUse,
} from "./messages.ts";

const encoder = new TextEncoder();

/** When to give up. */
export interface AdminOptions extends RequestOptions {
  /** Milliseconds for a request of that code, where `timeoutMs` does not say it for all. */
  limitMs?: ((code: number) => number) | undefined;
}

/** Requests to the IRMd of one instance. */
export class AdminClient {
  readonly #instance: Instance;
  readonly #options: AdminOptions;

  /** Requests to the IRMd of `instance`; of the one that `OURO_PREFIX` selects when absent. */
  constructor(instance: Instance = currentInstance(), options: AdminOptions = {}) {
    this.#instance = instance;
    this.#options = options;
  }

  /** Starts an IPCP; its pid is found with {@linkcode listIpcps}. */
  async createIpcp(name: string, type: number): Promise<void> {
    const action = `Cannot create IPCP ${quoted(name)}`;
    checkName(action, "IPCP name", name);
    await this.#do(action, {
      code: IrmCode.IRM_CREATE_IPCP,
      ipcpInfo: { type, name, pid: 0, state: 0 },
    });
  }

  /** Stops an IPCP; pid 0 and a name: gives up making one again that has crashed. */
  async destroyIpcp(pid: number, name?: string): Promise<void> {
    const action = `Cannot destroy IPCP ${pid}`;
    checkPid(action, pid);
    const which = pid === 0 && name !== undefined ? { pid, name } : { pid };
    await this.#do(action, { code: IrmCode.IRM_DESTROY_IPCP, ...which });
  }

  /** Makes an IPCP the first of a layer. */
  async bootstrapIpcp(pid: number, conf: IpcpConfig): Promise<void> {
    const action = `Cannot bootstrap IPCP ${pid}`;
    checkPid(action, pid);
    checkName(action, "layer name", conf.layerInfo.name);
    if ("eth" in conf) checkName(action, "device name", conf.eth.dev);
    await this.#do(action, { code: IrmCode.IRM_BOOTSTRAP_IPCP, pid, conf });
  }

  /** Makes an IPCP a member of the layer of `dst`; `policies` are files with full paths, those of the layer. */
  async enrollIpcp(pid: number, dst: string, policies: readonly PolicyRef[] = []): Promise<void> {
    const action = `Cannot enroll IPCP ${pid} with ${quoted(dst)}`;
    checkPid(action, pid);
    checkName(action, "destination", dst);
    await this.#do(action, {
      code: IrmCode.IRM_ENROLL_IPCP,
      pid,
      dst,
      ...(policies.length === 0 ? {} : { policies: [...policies] }),
    });
  }

  /** Connects a component (`Management`, `Data Transfer`) of an IPCP to that of `dst`. */
  async connectIpcp(pid: number, dst: string, comp: string, qos: QosSpec): Promise<void> {
    const action = `Cannot connect ${comp} of IPCP ${pid} to ${quoted(dst)}`;
    checkPid(action, pid);
    checkName(action, "destination", dst);
    await this.#do(action, { code: IrmCode.IRM_CONNECT_IPCP, pid, dst, comp, qos });
  }

  /** Takes such a connection down. */
  async disconnectIpcp(pid: number, dst: string, comp: string): Promise<void> {
    const action = `Cannot disconnect ${comp} of IPCP ${pid} from ${quoted(dst)}`;
    checkPid(action, pid);
    checkName(action, "destination", dst);
    await this.#do(action, { code: IrmCode.IRM_DISCONNECT_IPCP, pid, dst, comp });
  }

  /** IPCPs in the daemon's order. */
  async listIpcps(): Promise<IpcpListEntry[]> {
    return (await this.#do("Cannot list IPCPs", { code: IrmCode.IRM_LIST_IPCPS, opts: LIST_LONG }))
      .ipcps ?? [];
  }

  /** Names in the daemon's order; their paths are not told. */
  async listNames(): Promise<NameInfo[]> {
    return (await this.#do("Cannot list names", { code: IrmCode.IRM_LIST_NAMES, opts: LIST_LONG }))
      .names ?? [];
  }

  /** What each user holds of what users share, and what there is. */
  async listUsers(): Promise<{ users: UserUse[]; totals: UserUse }> {
    const msg = { code: IrmCode.IRM_LIST_USERS, opts: LIST_LONG };
    const { users, totals } = await this.#do("Cannot list users", msg);
    const none = { uid: 0, connections: 0, processes: 0, flows: 0, memoryKib: 0 };
    return { users: users ?? [], totals: totals ?? none };
  }

  /** The state of the node as a configuration file, and what of it that does not hold. */
  async saveConfig(): Promise<{ config: string; unsaved: string[] }> {
    const msg = { code: IrmCode.IRM_SAVE, opts: LIST_LONG };
    const { config, unsaved } = await this.#do("Cannot save the configuration", msg);
    return { config: config ?? "", unsaved: unsaved ?? [] };
  }

  /**
   * Binds a program; `exec` is its path and the arguments to start it with, used when `auto`.
   * @param boundFor whose processes get the name; absent: those of the user who asks
   */
  async bindProgram(
    exec: readonly string[],
    name: string,
    auto: boolean,
    boundFor?: BoundFor,
  ): Promise<void> {
    const action = `Cannot bind program ${quoted(exec[0] ?? "")} to name ${quoted(name)}`;
    checkName(action, "name", name);
    checkName(action, "program path", exec[0] ?? "");
    await this.#do(action, {
      code: IrmCode.IRM_BIND_PROGRAM,
      name,
      exec: [...exec, ""], // The daemon drops the last element (spec 20 §6).
      opts: auto ? BIND_AUTO : 0,
      boundFor,
    });
  }

  /** Unbinds a program, given by path or base name, from a name or from all. */
  async unbindProgram(prog: string, name?: string): Promise<void> {
    const action = `Cannot unbind program ${quoted(prog)}`;
    const base = prog.slice(prog.lastIndexOf("/") + 1);
    checkName(action, "program name", base);
    if (name !== undefined) checkName(action, "name", name);
    await this.#do(action, { code: IrmCode.IRM_UNBIND_PROGRAM, prog: base, name });
  }

  /** Binds an announced process; of that user, when `boundFor` names one. */
  async bindProcess(pid: number, name: string, boundFor?: BoundFor): Promise<void> {
    const action = `Cannot bind process ${pid} to name ${quoted(name)}`;
    checkPid(action, pid);
    checkName(action, "name", name);
    await this.#do(action, { code: IrmCode.IRM_BIND_PROCESS, pid, name, boundFor });
  }

  /** Unbinds a process from a name. */
  async unbindProcess(pid: number, name: string): Promise<void> {
    const action = `Cannot unbind process ${pid} from name ${quoted(name)}`;
    checkPid(action, pid);
    checkName(action, "name", name);
    await this.#do(action, { code: IrmCode.IRM_UNBIND_PROCESS, pid, name });
  }

  /** Creates a name; one that exists stays as it is. Paths that are empty or absent mean the defaults. */
  async createName(name: string | Readonly<NameInfo>): Promise<void> {
    const info = typeof name === "string" ? plainName(name) : name;
    const action = `Cannot create name ${quoted(info.name)}`;
    checkName(action, "name", info.name);
    const { skey, scrt, ckey, ccrt, senc, cenc } = info;
    for (const path of [skey, scrt, ckey, ccrt, senc ?? "", cenc ?? ""]) {
      if (encoder.encode(path).length > SECURITY_PATH_BYTES_MAX) {
        throw refused(action, `path is longer than ${SECURITY_PATH_BYTES_MAX} bytes`);
      }
    }
    await this.#do(action, {
      code: IrmCode.IRM_CREATE_NAME,
      nameInfo: { ...info, senc: senc || undefined, cenc: cenc || undefined },
    });
  }

  /** Removes a name. */
  async destroyName(name: string): Promise<void> {
    const action = `Cannot destroy name ${quoted(name)}`;
    checkName(action, "name", name);
    await this.#do(action, { code: IrmCode.IRM_DESTROY_NAME, name });
  }

  /** Registers a name with an IPCP. */
  async regName(name: string, pid: number): Promise<void> {
    const action = `Cannot register name ${quoted(name)} with IPCP ${pid}`;
    checkName(action, "name", name);
    checkPid(action, pid);
    await this.#do(action, { code: IrmCode.IRM_REG_NAME, name, pid });
  }

  /** Takes that back. */
  async unregName(name: string, pid: number): Promise<void> {
    const action = `Cannot unregister name ${quoted(name)} from IPCP ${pid}`;
    checkName(action, "name", name);
    checkPid(action, pid);
    await this.#do(action, { code: IrmCode.IRM_UNREG_NAME, name, pid });
  }

  /** The layer in which a name is known now. */
  async queryName(name: string): Promise<string> {
    const action = `Cannot find name ${quoted(name)}`;
    checkName(action, "name", name);
    const reply = await this.#do(action, { code: IrmCode.IRM_QUERY_NAME, dst: name });
    return reply.layer ?? "";
  }

  /** How many members of a layer can be reached from here, the one here included. */
  async countMembers(layer: string): Promise<number> {
    const action = `Cannot count the members of layer ${quoted(layer)}`;
    checkName(action, "layer", layer);
    const reply = await this.#do(action, { code: IrmCode.IRM_COUNT_MEMBERS, layer });
    return reply.response ?? 0;
  }

  async #do(action: string, msg: IrmMsg): Promise<IrmMsg> {
    const { signal, limitMs } = this.#options;
    const timeoutMs = this.#options.timeoutMs ?? limitMs?.(msg.code);
    let reply: IrmMsg;
    try {
      reply = await irmRequest(this.#instance, msg, { signal, timeoutMs });
    } catch (error) {
      if (!(error instanceof OuroError) || error.code !== -Errno.ETIMEDOUT) throw error;
      const cause = `no answer within ${(timeoutMs ?? 0) / 1000} s; it may be stopped or busy`;
      throw new OuroError(error.code, action, { stage: "answer", process: "irmd", cause });
    }
    const result = reply.result ?? -Errno.EIRMD;
    if (result < 0) throw new OuroError(result, action, reply.error);
    return reply;
  }
}

/** A name with everything at its default. */
function plainName(name: string): NameInfo {
  return { name, polLb: PolLb.ROUND_ROBIN, skey: "", scrt: "", ckey: "", ccrt: "" };
}

function quoted(s: string): string {
  return JSON.stringify(s);
}

function refused(action: string, cause: string): OuroError {
  return new OuroError(-Errno.EINVAL, action, { stage: "request", process: "irm", cause });
}

function checkPid(action: string, pid: number): void {
  if (!Number.isInteger(pid) || pid < 0 || pid > 0x7fffffff) {
    throw refused(action, `${pid} is not a process id`);
  }
}

function checkName(action: string, what: string, name: string): void {
  if (name.includes("\0") || !name.isWellFormed()) throw refused(action, `bad ${what}`);
  const bytes = encoder.encode(name).length;
  if (bytes === 0) throw refused(action, `the ${what} is empty`);
  if (bytes > NAME_BYTES_MAX) {
    throw refused(action, `${what} is ${bytes} bytes long, at most ${NAME_BYTES_MAX} are possible`);
  }
}

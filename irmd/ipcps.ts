/** Administration of IPCPs (spec 20 §6, §10): create, destroy, bootstrap, enroll, connect, register. */

import { Errno } from "../lib/errno.ts";
import { Exit } from "../lib/exit.ts";
import { hashPrefix, nameHash } from "../lib/hash.ts";
import {
  HashAlgo,
  IPCP_TYPE_WORDS,
  IpcpCode,
  type IpcpMsg,
  IpcpType,
  NOT_ENROLLED,
} from "../lib/irm/messages.ts";
import { kill } from "../lib/sys/process.ts";
import { Signal } from "../lib/sys/signals.ts";
import { type Answer, failed, invalid, ok, type Outcome } from "./answer.ts";
import type { Daemon } from "./daemon.ts";
import { causeOf, type IpcpCall, processOf, resultOf } from "./ipcp_client.ts";
import type { IpcpRecord } from "./registry/mod.ts";
import type { Having } from "./requests.ts";
import { settled } from "./waits.ts";

/** Time for an IPCP from its start to IPCP_CREATE_R, ms: 500 in the prototype, ours start slower. */
const BOOT_MS = 15_000;
/** Time for an IPCP to end after SIGTERM before it is killed, ms. */
const STOP_MS = 10_000;

/** Serves the requests about IPCPs. */
export class Ipcps {
  /** Who waits for the end of an IPCP. */
  readonly #endWaits = new Map<number, (() => void)[]>();
  /** Exit codes of IPCPs that ended while they started; -1 for those that have not. */
  readonly #starting = new Map<number, number>();

  constructor(readonly d: Daemon) {}

  /** IRM_CREATE_IPCP. */
  async create(msg: Having<"ipcpInfo">): Promise<Outcome> {
    const info = msg.ipcpInfo;
    const r = await this.start(info.type, info.name);
    return r.pid === undefined ? r.answer : ok();
  }

  /** Starts an IPCP and waits until it has booted. */
  async start(
    type: number,
    name: string,
  ): Promise<{ pid: number } | { pid: undefined; answer: Answer }> {
    const { d } = this;
    const stage = "create ipcp";
    const refuse = (cause: string, code: number = -Errno.EPERM, process = "irmd") => ({
      pid: undefined,
      answer: failed(code, stage, cause, process),
    });
    if (name === "") return refuse("an IPCP needs a name", -Errno.EINVAL);
    const pid = d.children.startIpcp(type, name);
    if (typeof pid === "string") {
      d.ipcpLog.error(`Failed to create IPCP: ${pid}.`);
      return refuse(pid);
    }
    // Before anything else runs: the entry must be there when the IPCP reports.
    d.registry.createIpcp(pid, type, name);
    const waiter = d.registry.awaitBoot(pid);
    this.#starting.set(pid, -1);
    let late = false;
    const code = await settled(waiter, undefined, BOOT_MS, () => {
      late = true;
      d.registry.endBoot(pid);
    });
    const status = this.#starting.get(pid)!;
    this.#starting.delete(pid);
    if (code < 0) {
      if (d.registry.ipcps.has(pid)) {
        kill(pid, Signal.KILL);
        await this.ended(pid);
      }
      d.log.error(`IPCP ${pid} failed to boot.`);
      const what = `ipcpd-${IPCP_TYPE_WORDS[type]} ${name}`;
      return refuse(
        late ? `no report within ${BOOT_MS} ms` : whyEnded(status, IPCP_TYPE_WORDS[type]!),
        -Errno.EPERM,
        what,
      );
    }
    d.log.info(`Created IPCP ${pid}.`);
    return { pid };
  }

  /** IPCP_CREATE_R from the IPCP itself. */
  ready(msg: Having<"ipcpInfo">): Outcome {
    const info = msg.ipcpInfo;
    const code = this.d.registry.ipcpReady(info.pid, info.type, info.name, info.state);
    return code < 0 ? failed(code, "create ipcp", `no IPCP ${info.pid} was started here`) : ok();
  }

  /** IRM_DESTROY_IPCP. */
  async destroy(msg: Having<"pid">): Promise<Outcome> {
    const stage = "destroy ipcp";
    if (!this.d.registry.ipcps.has(msg.pid)) return unknownIpcp(stage, msg.pid, -Errno.EPERM);
    await this.stop(msg.pid);
    this.d.log.info(`Destroyed IPCP ${msg.pid}.`);
    return ok();
  }

  /** Stops an IPCP and waits for its end. */
  async stop(pid: number): Promise<void> {
    this.d.children.stop(pid, STOP_MS);
    await this.ended(pid);
  }

  /** A child has ended: whoever waited for that goes on. */
  onEnded(pid: number, code: number): void {
    if (this.#starting.has(pid)) this.#starting.set(pid, code);
    const waits = this.#endWaits.get(pid) ?? [];
    this.#endWaits.delete(pid);
    for (const w of waits) w();
  }

  /** Resolves when a child has ended. */
  ended(pid: number): Promise<void> {
    if (!this.d.children.isRunning(pid)) return Promise.resolve();
    return new Promise((resolve) => {
      this.#endWaits.set(pid, [...this.#endWaits.get(pid) ?? [], resolve]);
    });
  }

  /** IRM_BOOTSTRAP_IPCP. */
  async bootstrap(msg: Having<"pid" | "conf">): Promise<Outcome> {
    const stage = "bootstrap";
    const { pid, conf } = msg;
    const ipcp = this.d.registry.ipcps.get(pid);
    if (ipcp === undefined) return unknownIpcp(stage, pid, -Errno.EPERM);
    if (conf.ipcpType !== ipcp.type) return invalid(stage, "configuration of another IPCP type");
    const udp = ipcp.type === IpcpType.UDP4 || ipcp.type === IpcpType.UDP6;
    const layerInfo = udp ? { ...conf.layerInfo, dirHashAlgo: HashAlgo.MD5 } : conf.layerInfo;
    const answer = await this.#join(ipcp, stage, "bootstrap", "bootstrapped", {
      code: IpcpCode.IPCP_BOOTSTRAP,
      conf: { ...conf, layerInfo },
    });
    if (answer.msg.result === 0) this.d.log.info(`Bootstrapped IPCP ${pid}.`);
    return answer;
  }

  /** IRM_ENROLL_IPCP. */
  async enroll(msg: Having<"pid">): Promise<Outcome> {
    const stage = "enroll";
    const { pid, dst } = msg;
    if (dst === undefined) return failed(-Errno.EPERM, stage, "no dst");
    const ipcp = this.d.registry.ipcps.get(pid);
    if (ipcp === undefined) return unknownIpcp(stage, pid, -Errno.EPERM);
    const answer = await this.#join(ipcp, stage, "enroll", "enrolled", {
      code: IpcpCode.IPCP_ENROLL,
      dst,
    });
    if (answer.msg.result === 0) this.d.log.info(`Enrolled IPCP ${pid} in layer ${ipcp.layer}.`);
    return answer;
  }

  async #join(
    ipcp: IpcpRecord,
    stage: string,
    call: IpcpCall,
    how: "bootstrapped" | "enrolled",
    msg: IpcpMsg,
  ): Promise<Answer> {
    const reply = await this.d.ipcpClient.call(ipcp.pid, call, msg);
    const who = describe(ipcp);
    if (reply.kind !== "reply" || reply.result !== 0) {
      const already = ipcp.layer !== NOT_ENROLLED && resultOf(reply) === -Errno.EIPCPSTATE;
      const cause = already ? `it is in layer "${ipcp.layer}" already` : causeOf(reply);
      return failed(-Errno.EPERM, stage, cause, processOf(reply, who));
    }
    const layer = reply.msg.layerInfo;
    if (layer === undefined) return failed(-Errno.EPERM, stage, "it did not name its layer", who);
    const code = this.d.registry.setLayer(ipcp.pid, layer.name, layer.dirHashAlgo, how);
    return code < 0 ? failed(-Errno.EPERM, stage, "it is in a layer already", who) : ok();
  }

  /** IRM_CONNECT_IPCP and IRM_DISCONNECT_IPCP. */
  async connect(msg: Having<"pid" | "dst" | "comp">, on: boolean): Promise<Outcome> {
    const stage = on ? "connect" : "disconnect";
    const { pid, dst, comp, qos } = msg;
    const ipcp = this.d.registry.ipcps.get(pid);
    if (ipcp === undefined) return unknownIpcp(stage, pid);
    if (ipcp.type !== IpcpType.UNICAST && ipcp.type !== IpcpType.BROADCAST) {
      return failed(-Errno.EIPCP, stage, "only unicast and broadcast IPCPs have connections");
    }
    const reply = await this.d.ipcpClient.call(
      pid,
      on ? "connect" : "disconnect",
      on
        ? { code: IpcpCode.IPCP_CONNECT, dst, comp, pid, qos }
        : { code: IpcpCode.IPCP_DISCONNECT, dst, comp, pid },
    );
    if (resultOf(reply) !== 0) {
      return failed(-Errno.EPERM, stage, causeOf(reply), processOf(reply, describe(ipcp)));
    }
    this.d.log.info(
      on
        ? `Established ${comp} connection between IPCP ${pid} and ${dst}.`
        : `${comp} connection between IPCP ${pid} and ${dst} torn down.`,
    );
    return ok();
  }

  /** IRM_REG_NAME and IRM_UNREG_NAME. */
  async register(msg: Having<"name" | "pid">, on: boolean): Promise<Outcome> {
    const stage = on ? "register" : "unregister";
    const { name, pid } = msg;
    if (!this.d.registry.names.has(name)) {
      return failed(-Errno.ENAME, stage, `name "${name}" is not known (irm name create ${name})`);
    }
    const ipcp = this.d.registry.ipcps.get(pid);
    if (ipcp === undefined) return unknownIpcp(stage, pid);
    const hash = nameHash(ipcp.hashAlgo, name);
    if (typeof hash === "number") return failed(-Errno.EIPCP, stage, "unknown hash algorithm");
    const reply = await this.d.ipcpClient.call(pid, on ? "reg" : "unreg", {
      code: on ? IpcpCode.IPCP_REG : IpcpCode.IPCP_UNREG,
      hash,
    });
    if (resultOf(reply) !== 0) {
      return failed(-Errno.EPERM, stage, causeOf(reply), processOf(reply, describe(ipcp)));
    }
    this.d.log.info(
      on
        ? `Registered ${name} with IPCP ${pid} as ${hashPrefix(hash)}.`
        : `Unregistered ${name} from ${pid}.`,
    );
    return ok();
  }
}

function describe(ipcp: IpcpRecord): string {
  return `ipcpd-${IPCP_TYPE_WORDS[ipcp.type]} ${ipcp.name}`;
}

function unknownIpcp(stage: string, pid: number, code: number = -Errno.EIPCP): Answer {
  return failed(code, stage, `process ${pid} is not an IPCP of this node (irm ipcp list)`);
}

/** Why an IPCP ended before it reported. */
function whyEnded(status: number, type: string): string {
  if (status === Exit.UNAVAILABLE) return `this version has no IPCP of type ${type}`;
  return `it ended with status ${status} while it started (see its log)`;
}

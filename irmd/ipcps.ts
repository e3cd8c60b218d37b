/** Administration of IPCPs (spec 20 §6, §10): create, destroy, bootstrap, enroll, connect, register. */

import { Errno } from "../lib/errno.ts";
import { shellWord } from "../lib/cli/shell_word.ts";
import { Exit } from "../lib/exit.ts";
import { withAddress } from "../lib/irm/bootstrap_options.ts";
import {
  IPCP_TYPE_WORDS,
  IpcpCode,
  type IpcpConfig,
  IpcpState,
  IpcpType,
  NOT_ENROLLED,
} from "../lib/irm/messages.ts";
import { MESSAGE_BYTES_MAX } from "../lib/limits.ts";
import { QOS } from "../lib/qos.ts";
import { kill } from "../lib/sys/process.ts";
import { Signal } from "../lib/sys/signals.ts";
import { type Answer, failed, invalid, ok, type Outcome } from "./answer.ts";
import type { Daemon } from "./daemon.ts";
import { deviceTaken } from "./devices.ts";
import { causeOf, processOf, resultOf } from "./ipcp_client.ts";
import { bindAgain, connectTo, describe, joinLayer, registerAt } from "./joining.ts";
import {
  IpcpPlan,
  type IpcpRecord,
  type PlannedConnection,
  RESTART_MOST_MS,
  Restarts,
  WAIT_MOST_MS,
} from "./registry/mod.ts";
import type { Having } from "./requests.ts";
import { settled } from "./waits.ts";

/** Time for an IPCP from its start to IPCP_CREATE_R on a host with time for it, ms: 500 in the prototype, ours start slower. */
const BOOT_MS = 15_000;
/** Time for an IPCP to end after SIGTERM before it is killed, ms. */
const STOP_MS = 10_000;

/** What became of a start. */
type Started = { readonly pid: number } | { readonly pid: undefined; readonly answer: Answer };

/** Serves the requests about IPCPs. */
export class Ipcps {
  /** Who waits for the end of an IPCP. */
  readonly #endWaits = new Map<number, (() => void)[]>();
  /** Exit codes of IPCPs that ended while they started; -1 for those that have not. */
  readonly #starting = new Map<number, number>();
  /** Configurations of IPCPs whose bootstrap is under way. */
  readonly #joining = new Map<number, IpcpConfig>();
  /** Those that were told to end. */
  readonly #unwanted = new Set<number>();
  readonly #restarts = new Restarts();
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** How many were told to get into a layer. */
  #joins = 0;

  constructor(readonly d: Daemon) {}

  /** IRM_CREATE_IPCP. */
  async create(msg: Having<"ipcpInfo">): Promise<Outcome> {
    const info = msg.ipcpInfo;
    const r = await this.start(info.type, info.name);
    return r.pid === undefined ? r.answer : ok();
  }

  /** Starts an IPCP and waits until it has booted. */
  async start(type: number, name: string): Promise<Started> {
    const cause = this.#taken(name);
    if (cause !== undefined) {
      return { pid: undefined, answer: failed(-Errno.EPERM, "create ipcp", cause) };
    }
    return await this.#start(new IpcpPlan(type, name));
  }

  /** Whether there is an IPCP of that name, or one is to be made again. */
  has(name: string): boolean {
    return this.#taken(name) !== undefined;
  }

  #taken(name: string): string | undefined {
    const there = this.d.registry.ipcps.byName(name);
    if (there === undefined && this.#restarts.named(name) === undefined) return undefined;
    const as = there === undefined ? "it is being restarted" : `process ${there.pid}`;
    return `there is an IPCP "${name}" already (${as})`;
  }

  /**
   * What an IPCP that is there could not do of its plan is tried again until it is done; `why` stands in the list.
   * @param done connections that are made already
   */
  goOn(plan: IpcpPlan, why: string, done: readonly PlannedConnection[]): void {
    if (plan.join.kind !== "none" && plan.order === 0) plan.order = ++this.#joins;
    plan.missing = plan.connections.filter((c) =>
      !done.some((other) => other.dst === c.dst && other.comp === c.comp)
    );
    this.#again(plan, why);
  }

  /** Makes what a plan says; what fails is tried again later. Gives the cause when it can never be made. */
  async keep(plan: IpcpPlan): Promise<string | undefined> {
    const { name, join } = plan;
    const taken = this.#taken(name) ??
      (join.kind === "bootstrap" ? deviceTaken(join.conf, this.#configurations(-1)) : undefined);
    if (taken !== undefined) return taken;
    if (join.kind !== "none") plan.order = ++this.#joins;
    plan.missing = [...plan.connections];
    const started = await this.#start(plan);
    if (started.pid === undefined) this.#again(plan, causeOfAnswer(started.answer));
    else await this.#restore(plan);
    return undefined;
  }

  async #start(plan: IpcpPlan): Promise<Started> {
    const { d } = this;
    const { type, name } = plan;
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
    d.registry.createIpcp(pid, type, name, plan);
    const waiter = d.registry.awaitBoot(pid);
    this.#starting.set(pid, -1);
    let late = false;
    const bootMs = BOOT_MS * d.options.patience;
    const code = await settled(waiter, undefined, bootMs, () => {
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
        late ? `no report within ${bootMs} ms` : whyEnded(status, IPCP_TYPE_WORDS[type]!),
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
    const ipcp = this.d.registry.ipcps.get(info.pid);
    if (ipcp !== undefined) {
      ipcp.messageBytesMax = Math.max(MESSAGE_BYTES_MAX, msg.messageBytesMax ?? 0);
    }
    const code = this.d.registry.ipcpReady(info.pid, info.type, info.name, info.state);
    return code < 0 ? failed(code, "create ipcp", `no IPCP ${info.pid} was started here`) : ok();
  }

  /** IPCP_STATUS from the IPCP itself: it stands in the list. */
  status({ ipcpInfo, error }: Having<"ipcpInfo">): Outcome {
    const ipcp = this.d.registry.ipcps.get(ipcpInfo.pid);
    if (ipcp === undefined) return unknownIpcp("status", ipcpInfo.pid);
    ipcp.plan.standing = error?.cause ?? "";
    return ok();
  }

  /** IPCP_MOVED from the IPCP itself: made again after a crash, it is to be where it is now. */
  moved({ ipcpInfo, hash }: Having<"ipcpInfo" | "hash">): Outcome {
    const ipcp = this.d.registry.ipcps.get(ipcpInfo.pid);
    if (ipcp === undefined) return unknownIpcp("moved", ipcpInfo.pid);
    const { plan } = ipcp;
    const conf = plan.join.kind === "bootstrap" ? withAddress(plan.join.conf, hash) : undefined;
    if (conf === undefined) return failed(-Errno.EINVAL, "moved", "it has no such address");
    plan.join = { kind: "bootstrap", conf };
    return ok();
  }

  /** IRM_DESTROY_IPCP. Pid 0 with a name: one that waits to be made again. */
  async destroy(msg: Having<"pid">): Promise<Outcome> {
    const stage = "destroy ipcp";
    const waits = msg.name === undefined ? undefined : this.#restarts.named(msg.name);
    let { pid } = msg;
    if (pid === 0 && waits !== undefined) {
      this.#forget(waits);
      // It may have been started since its name was listed without a process.
      const started = this.d.registry.ipcps.byName(waits.name);
      if (started === undefined) return ok();
      pid = started.pid;
    }
    if (!this.d.registry.ipcps.has(pid)) return unknownIpcp(stage, pid, -Errno.EPERM);
    await this.stop(pid);
    this.d.log.info(`Destroyed IPCP ${pid}.`);
    return ok();
  }

  /** Stops an IPCP and waits for its end. */
  async stop(pid: number): Promise<void> {
    this.#unwanted.add(pid);
    const plan = this.d.registry.ipcps.get(pid)?.plan;
    if (plan !== undefined) this.#forget(plan);
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
    const taken = deviceTaken(conf, this.#configurations(pid));
    if (taken !== undefined) return failed(-Errno.EEXIST, stage, taken);
    const join = { kind: "bootstrap", conf } as const;
    this.#joining.set(pid, conf);
    try {
      const answer = await joinLayer(this.d, ipcp, join);
      if (answer.msg.result === 0) this.#joined(ipcp.plan, join);
      return answer;
    } finally {
      this.#joining.delete(pid);
    }
  }

  #joined(plan: IpcpPlan, join: IpcpPlan["join"]): void {
    plan.join = join;
    plan.order = ++this.#joins;
  }

  /** Configurations of the other IPCPs, by name; also of those whose bootstrap is under way. */
  *#configurations(but: number): Generator<readonly [string, IpcpConfig]> {
    for (const { pid, name, plan } of this.d.registry.ipcps.list()) {
      if (pid === but) continue;
      const conf = this.#joining.get(pid) ??
        (plan.join.kind === "bootstrap" ? plan.join.conf : undefined);
      if (conf !== undefined) yield [name, conf];
    }
  }

  /** IRM_ENROLL_IPCP. */
  async enroll(msg: Having<"pid">): Promise<Outcome> {
    const stage = "enroll";
    const { pid, dst } = msg;
    if (dst === undefined) return failed(-Errno.EPERM, stage, "no dst");
    const ipcp = this.d.registry.ipcps.get(pid);
    if (ipcp === undefined) return unknownIpcp(stage, pid, -Errno.EPERM);
    const join = { kind: "enroll", dst, policies: msg.policies ?? [] } as const;
    const answer = await joinLayer(this.d, ipcp, join);
    if (answer.msg.result === 0) this.#joined(ipcp.plan, join);
    return answer;
  }

  async #connect(ipcp: IpcpRecord, c: PlannedConnection): Promise<Answer> {
    const answer = await connectTo(this.d, ipcp, c);
    if (answer.msg.result === 0) ipcp.plan.connected(c);
    return answer;
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
    if (on) return await this.#connect(ipcp, { dst, comp, qos: qos ?? QOS.raw });
    const wanted = ipcp.plan.disconnected(dst, comp);
    const reply = await this.d.ipcpClient.call(pid, "disconnect", {
      code: IpcpCode.IPCP_DISCONNECT,
      dst,
      comp,
      pid,
    });
    const result = resultOf(reply);
    // One that was to be made again is not there yet, and will not be.
    if (result !== 0 && !(result === -Errno.ENOENT && wanted)) {
      const code = result === -Errno.ENOENT ? result : -Errno.EPERM;
      return failed(code, stage, causeOf(reply), processOf(reply, describe(ipcp)));
    }
    this.d.log.info(`${comp} connection between IPCP ${pid} and ${dst} torn down.`);
    return ok();
  }

  /** IRM_REG_NAME and IRM_UNREG_NAME. A name is registered when its IPCP gets into a layer, if it is in none yet. */
  async register(msg: Having<"name" | "pid">, on: boolean): Promise<Outcome> {
    const { d } = this;
    const stage = on ? "register" : "unregister";
    const { name, pid } = msg;
    if (!d.registry.names.has(name)) {
      return failed(
        -Errno.ENAME,
        stage,
        `name "${name}" is not known (irm name create ${shellWord(name)})`,
      );
    }
    const ipcp = d.registry.ipcps.get(pid);
    if (ipcp === undefined) return unknownIpcp(stage, pid);
    const { registered } = ipcp.plan;
    if (ipcp.layer === NOT_ENROLLED) {
      if (on) {
        registered.add(name);
        d.log.info(`${name} will be registered when IPCP ${pid} is in a layer.`);
        return ok();
      }
      return registered.delete(name)
        ? ok()
        : failed(-Errno.EPERM, stage, `"${name}" is not registered there`);
    }
    const answer = await registerAt(d, ipcp, name, on);
    if (answer.msg.result === 0) {
      if (on) registered.add(name);
      else registered.delete(name);
    }
    return answer;
  }

  // Crashes.

  /** An IPCP that had booted is gone: unless somebody wanted that, it is made again. */
  lost(ipcp: IpcpRecord, boundTo: Iterable<string>, code: number): void {
    // One that ends well was told to, by whoever may signal it.
    if (this.#unwanted.delete(ipcp.pid) || code === 0 || ipcp.state < IpcpState.BOOT) return;
    const { plan } = ipcp;
    plan.standing = "";
    plan.bound = [...boundTo];
    plan.missing = [...plan.connections];
    this.#again(plan, code > 128 ? `killed by signal ${code - 128}` : `ended with status ${code}`);
  }

  #forget(plan: IpcpPlan): void {
    plan.wanted = false;
    this.#restarts.forget(plan);
  }

  /** Tries it later, if it is still wanted; `why` stands in the list. */
  #again(plan: IpcpPlan, why: string): void {
    if (!plan.wanted) return;
    const runs = this.d.registry.ipcps.byName(plan.name) !== undefined;
    const mostMs = runs ? WAIT_MOST_MS : RESTART_MOST_MS;
    const pauseMs = this.#restarts.failed(plan, this.d.nowMs(), mostMs);
    const line = `IPCP ${plan.name}: ${why}; trying again in ${(pauseMs / 1000).toFixed(2)} s.`;
    // Who waits for a neighbour says it once.
    if (runs && plan.note === why) this.d.ipcpLog.dbg(line);
    else this.d.ipcpLog.warn(line);
    plan.note = why;
    this.#arm();
  }

  #arm(): void {
    clearTimeout(this.#timer);
    const at = this.#restarts.deadlineMs();
    if (at === Infinity) return;
    this.#timer = setTimeout(() => {
      for (const plan of this.#restarts.due(this.d.nowMs())) {
        this.#restore(plan).catch((e) => this.#again(plan, String(e)));
      }
      this.#arm();
    }, Math.max(0, at - this.d.nowMs()));
  }

  /** Does the next steps of a plan, as far as they succeed. */
  async #restore(plan: IpcpPlan): Promise<void> {
    const { d } = this;
    let ipcp = d.registry.ipcps.byName(plan.name);
    if (ipcp === undefined) {
      plan.restarts += 1;
      const started = await this.#start(plan);
      if (started.pid === undefined) return this.#again(plan, causeOfAnswer(started.answer));
      ipcp = d.registry.ipcps.get(started.pid);
      if (ipcp === undefined) return; // It is gone again, and that was noticed.
    }
    const step = (answer: Answer): boolean => {
      const good = answer.msg.result === 0;
      // An IPCP that has crashed meanwhile has been noted already.
      if (!good && d.registry.ipcps.has(ipcp.pid)) this.#again(plan, causeOfAnswer(answer));
      return good;
    };
    bindAgain(d, plan, ipcp.pid);
    if (ipcp.layer === NOT_ENROLLED && plan.join.kind !== "none") {
      if (!step(await joinLayer(d, ipcp, plan.join))) return;
    }
    if (plan.autobind && ipcp.layer !== NOT_ENROLLED) d.registry.bindProcess(ipcp.pid, ipcp.layer);
    while (plan.missing.length > 0) {
      if (!step(await connectTo(d, ipcp, plan.missing[0]!))) return;
      plan.missing.shift();
    }
    plan.note = "";
    const again = plan.restarts > 0 ? " again" : "";
    d.log.info(`IPCP ${plan.name} runs${again} as ${ipcp.pid}.`);
  }

  /** IPCPs that wait to be made again: they have no process now. */
  waiting(): IpcpPlan[] {
    return this.#restarts.plans().filter((p) => this.d.registry.ipcps.byName(p.name) === undefined);
  }

  /** Nothing is made again from now on. */
  close(): void {
    clearTimeout(this.#timer);
    for (const plan of this.#restarts.plans()) this.#forget(plan);
  }
}

function causeOfAnswer(answer: Answer): string {
  return answer.msg.error?.cause ?? `error ${answer.msg.result}`;
}

function unknownIpcp(stage: string, pid: number, code: number = -Errno.EIPCP): Answer {
  return failed(code, stage, `process ${pid} is not an IPCP of this node (irm ipcp list)`);
}

/** Why an IPCP ended before it reported. */
function whyEnded(status: number, type: string): string {
  if (status === Exit.UNAVAILABLE) return `this version has no IPCP of type ${type}`;
  return `it ended with status ${status} while it started (see its log)`;
}

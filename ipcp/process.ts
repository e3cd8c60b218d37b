/**
 * The common part of every IPCP: its life, its command socket, its signals.
 *
 * Source: spec 50 §2–§4. Runs in the main thread; the type's threads run the data path. Order at start:
 * announce, socket, BOOT, IPCP_CREATE_R, because the IRMd waits 500 ms and the commands may follow at once.
 * One connection is one command; commands run concurrently, each to its end, and a caller that has gone does
 * not stop them. Signals count only if the IRMd sent them, where the kernel says who did (spec 50 §3).
 */

import { reasonOf } from "../lib/cli/reason.ts";
import { Errno, OuroError } from "../lib/errno.ts";
import { type Instance, ipcpSocketPath } from "../lib/instance.ts";
import {
  decodeIpcpMsg,
  encodeIpcpMsg,
  HASH_BYTES,
  IpcpCode,
  type IpcpMsg,
  type LayerInfo,
  WireValueError,
} from "../lib/irm/messages.ts";
import {
  FLOW_IDS_MAX,
  LONG_MESSAGE_BYTES_MAX,
  LONG_MESSAGES_ENV,
  MESSAGE_BYTES_MAX,
} from "../lib/limits.ts";
import type { Logger } from "../lib/log.ts";
import { QOS_NP1 } from "../lib/qos.ts";
import { isWireError } from "../lib/wire/mod.ts";
import { ribIsOn, RibServer } from "../lib/rib/mount.ts";
import { Rib } from "../lib/rib/tree.ts";
import { onSignals, Signal } from "../lib/sys/signals.ts";
import { SeqListener, type SeqSocket } from "../lib/sys/socket.ts";
import {
  DATA_CAPABILITIES,
  keepCapabilities,
  keepCapabilitiesEverywhere,
  UNMOUNTING,
} from "../lib/sys/caps.ts";
import { openPidfd } from "../lib/sys/process.ts";
import { EventSource } from "../lib/sys/epoll.ts";
import { IrmCalls } from "./irm_calls.ts";
import { infoComponent } from "./rib.ts";
import { Standing } from "./standing.ts";
import { admit, Lifecycle, type TypeName, typeNumber } from "./state.ts";
import { type Failure, type IpcpContext, type IpcpType, isFailure } from "./type.ts";

/** Connections that may wait; the prototype's 0 makes concurrent callers block in connect. */
const BACKLOG = 64;
/** Commands under way at once; more are refused. */
const COMMANDS_MAX = 512;
/** A client that connects and says nothing is dropped after this, ms. */
const REQUEST_MS = 5000;
/** How long to wait at the end for commands under way, ms. */
const DRAIN_MS = 500;

const HASH_NAMES = ["SHA3-224", "SHA3-256", "SHA3-384", "SHA3-512", "CRC32", "MD5"];

const EMPTY = new Uint8Array(0);

/** The first four bytes of a hash, as they are logged. */
function short(hash: Uint8Array): string {
  return hash.subarray(0, 4).toHex();
}

/** How a process gives up what it does not need any more. */
export interface Confinement {
  /** This thread, and those that it starts from now on. */
  thread(): void;
  /** Every thread there is; whether all of them did. */
  everywhere(): Promise<boolean>;
}

const CAPABILITIES: Confinement = {
  thread: () => void keepCapabilities(DATA_CAPABILITIES),
  everywhere: () => keepCapabilitiesEverywhere(DATA_CAPABILITIES, UNMOUNTING),
};

export class IpcpProcess {
  readonly #instance: Instance;
  readonly #typeName: TypeName;
  readonly #name: string;
  readonly #irmdPid: number;
  readonly #log: Logger;
  readonly #confinement: Confinement;
  readonly #life = new Lifecycle();
  readonly #irm: IrmCalls;
  readonly #type: IpcpType;
  readonly #stop = Promise.withResolvers<number>();
  readonly #running = new Set<Promise<void>>();
  readonly #rib = new Rib();
  #files: RibServer | undefined;
  /** Name of the layer, once it is in one. */
  #layer: string | undefined;

  constructor(
    instance: Instance,
    typeName: TypeName,
    name: string,
    irmdPid: number,
    log: Logger,
    make: (context: IpcpContext) => IpcpType,
    confinement = CAPABILITIES,
  ) {
    this.#confinement = confinement;
    this.#instance = instance;
    this.#typeName = typeName;
    this.#name = name;
    this.#irmdPid = irmdPid;
    this.#log = log.child("ipcpd/ipcp");
    const long = Number(Deno.env.get(LONG_MESSAGES_ENV) ?? 0) >= LONG_MESSAGE_BYTES_MAX;
    const room = long ? LONG_MESSAGE_BYTES_MAX : MESSAGE_BYTES_MAX;
    this.#irm = new IrmCalls(instance, Deno.pid, room);
    const words = new Uint32Array(1);
    const standing = new Standing((line) =>
      void this.#irm.status(typeNumber(typeName), name, line)
    );
    this.#type = make({
      instance,
      pid: Deno.pid,
      name,
      log,
      irm: this.#irm,
      life: this.#life,
      standing,
      nowUs: () => performance.now() * 1000,
      random: () => crypto.getRandomValues(words)[0]!,
      confine: () => confinement.thread(),
      fatal: (why) => {
        log.error(`Cannot go on: ${why}`);
        this.#stop.resolve(1);
      },
    });
    this.#rib.add(() => [
      infoComponent(() => ({ type: typeName, state: this.#life.state, layer: this.#layer })),
      ...standing.rib(),
      ...(this.#type.rib?.() ?? []),
    ]);
  }

  /** Live until the IRMd ends it; the exit code. */
  async run(prog: string): Promise<number> {
    try {
      this.#irm.announce(prog);
    } catch (e) {
      if (!(e instanceof OuroError)) throw e;
      // deno-lint-ignore no-console -- the process ends, and has no log yet
      console.log("FATAL: Could not announce to IRMd.");
      // deno-lint-ignore no-console -- the process ends, and has no log yet
      console.error(`Failed to start: ${reasonOf(e)}`);
      return 1;
    }
    const path = ipcpSocketPath(this.#instance, Deno.pid);
    using signals = this.#onSignals();
    void signals;
    const listener = SeqListener.listen(path, 0o700, BACKLOG);
    this.#life.init();
    this.#log.info(`IPCP ${this.#typeName} ${Deno.pid} initialized.`);
    this.#life.start();
    const accepting = listener.onConnection(
      (s) => this.#onConnection(s),
      (e) => this.#log.error(`Cannot accept a command: ${e instanceof Error ? e.message : e}`),
    );
    this.#mountRib();
    let code = 0;
    const refused = await this.#irm.createR(typeNumber(this.#typeName), this.#name);
    if (refused !== undefined) {
      this.#log.error("Failed to notify IRMd we are initialized.");
      // deno-lint-ignore no-console -- the process ends, and has no log yet
      console.error(`Failed to start: ${refused}`);
      code = 1;
    } else {
      using parent = this.#watchParent();
      void parent;
      code = await this.#stop.promise;
    }
    await this.#shutdown(() => {
      accepting.close();
      listener.close();
      try {
        Deno.removeSync(path);
      } catch {
        // The IRMd has removed it already.
      }
    });
    return code;
  }

  /** Before any capability is given up. */
  #mountRib(): void {
    if (!ribIsOn(this.#instance)) return;
    const files = new RibServer(this.#instance);
    const mounted = files.open(this.#name, this.#rib);
    if (typeof mounted === "string") this.#log.warn(`The RIB is not mounted: ${mounted}.`);
    else this.#files = files;
  }

  /** Devices and sockets are open: what the runtime's threads had for that goes, as in the data plane's. */
  async #giveUpCapabilities(): Promise<void> {
    await this.#files?.serving;
    if (await this.#confinement.everywhere()) return;
    this.#log.warn("Some threads of the runtime keep their capabilities.");
  }

  #onSignals(): Disposable {
    const obeyed = [Signal.HUP, Signal.INT, Signal.QUIT, Signal.TERM];
    return onSignals([...obeyed, Signal.PIPE], ({ signal, pid }) => {
      if (signal === Signal.PIPE) return;
      // Pid 0: not known, because the runtime took the signal.
      if (pid !== 0 && pid !== this.#irmdPid) {
        this.#log.dbg(`Signal ${signal} of process ${pid} ignored.`);
        return;
      }
      this.#stop.resolve(0);
    });
  }

  /** An IRMd that was killed will never tell us to stop, so its end does. */
  #watchParent(): Disposable {
    try {
      const pidfd = openPidfd(this.#irmdPid);
      const watch = EventSource.get().watch(pidfd.raw, { read: true }, () => {
        watch.close();
        this.#log.warn(`IRMd ${this.#irmdPid} is gone.`);
        this.#stop.resolve(0);
      });
      return {
        [Symbol.dispose]() {
          watch.close();
          pidfd.close();
        },
      };
    } catch {
      this.#stop.resolve(0); // It has gone before we could look.
      return { [Symbol.dispose]() {} };
    }
  }

  async #shutdown(unlisten: () => void): Promise<void> {
    const wasOperational = this.#life.state === "operational";
    this.#life.signal();
    await this.#type.stop();
    this.#log.info(`IPCP ${Deno.pid} shutting down.`);
    unlisten();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<void>((resolve) => timer = setTimeout(resolve, DRAIN_MS));
    await Promise.race([Promise.allSettled([...this.#running]), late]);
    clearTimeout(timer);
    if (wasOperational) this.#life.stopped();
    this.#life.fini();
    await this.#files?.close();
    this.#log.info(`IPCP ${Deno.pid} out.`);
    this.#irm.exit();
  }

  #onConnection(socket: SeqSocket): void {
    if (this.#running.size >= COMMANDS_MAX) return socket.close();
    const done = this.#serve(socket).catch((e) => {
      this.#log.error(`Command failed: ${e instanceof Error ? e.message : e}`);
    }).finally(() => {
      socket.close();
      this.#running.delete(done);
    });
    this.#running.add(done);
  }

  async #serve(socket: SeqSocket): Promise<void> {
    const wait = { timeoutMs: REQUEST_MS, maxBytes: LONG_MESSAGE_BYTES_MAX };
    const bytes = await socket.recv(wait).catch(() => null);
    if (bytes === null || bytes.length === 0) return;
    const m = decodeIpcpMsg(bytes);
    if (m instanceof WireValueError) {
      return this.#reply(socket, { code: IpcpCode.IPCP_REPLY, result: -Errno.EINVAL });
    }
    if (isWireError(m)) return; // Closed without reply.
    let reply: IpcpMsg = { code: IpcpCode.IPCP_REPLY, result: -Errno.EPERM };
    try {
      reply = await this.#command(m);
    } finally {
      this.#reply(socket, reply);
    }
  }

  #reply(socket: SeqSocket, m: IpcpMsg): void {
    // The caller may have given up; then nobody hears.
    socket.trySend(encodeIpcpMsg(m));
  }

  /** Serve one command; the whole reply. */
  async #command(m: IpcpMsg): Promise<IpcpMsg> {
    const refused = admit(this.#typeName, this.#life.state, m.code);
    if (refused !== 0) {
      this.#logRefusal(m.code, refused);
      return this.#refusal(m.code, refused, this.#notNow(m.code, refused));
    }
    if (m.code === IpcpCode.IPCP_BOOTSTRAP || m.code === IpcpCode.IPCP_ENROLL) {
      return await this.#join(m);
    }
    if (m.code === IpcpCode.IPCP_COUNT_MEMBERS) {
      const response = this.#type.countMembers!();
      return { code: IpcpCode.IPCP_REPLY, result: 0, response };
    }
    if (m.code === IpcpCode.IPCP_FLOW_LOSSES) {
      if (m.flowId === undefined || m.flowId < 1 || m.flowId >= FLOW_IDS_MAX) {
        return this.#refusal(m.code, -Errno.EINVAL);
      }
      return { code: IpcpCode.IPCP_REPLY, result: 0, losses: this.#type.flowLosses(m.flowId) };
    }
    const r = await this.#operate(m);
    if (typeof r === "number") return { code: IpcpCode.IPCP_REPLY, result: r };
    return this.#refusal(m.code, r.code, r.cause, r.stage);
  }

  /** The reply to a command that failed, with the cause where there is one. */
  #refusal(code: number, result: number, cause?: string, step?: string): IpcpMsg {
    if (cause === undefined) return { code: IpcpCode.IPCP_REPLY, result };
    const process = `ipcpd-${this.#typeName} ${this.#name}`;
    const stage = step ?? OPERATIONS[code]?.toLowerCase() ?? "command";
    return { code: IpcpCode.IPCP_REPLY, result, error: { stage, process, cause } };
  }

  /** Why a command is not taken, for a person. */
  #notNow(code: number, result: number): string | undefined {
    if (result === -Errno.ENOTSUP) {
      return code === IpcpCode.IPCP_FLOW_JOIN
        ? `a layer of type ${this.#typeName} is no broadcast layer`
        : `an IPCP of type ${this.#typeName} cannot ${OPERATIONS[code] ?? "do that"}`;
    }
    if (result !== -Errno.EIPCPSTATE) return undefined;
    const { state } = this.#life;
    if (state === "boot") return "it is in no layer yet (bootstrap or enroll it first)";
    return state === "operational" ? "it is in a layer already" : `it is in state <${state}>`;
  }

  #logRefusal(code: number, result: number): void {
    if (result === -Errno.EPERM) this.#log.error(`Unknown message code: ${code}.`);
    else if (result === -Errno.ENOTSUP) {
      this.#log.error(`Failed to ${OPERATIONS[code] ?? "serve"}: operation unsupported.`);
    } else if (code === IpcpCode.IPCP_BOOTSTRAP || code === IpcpCode.IPCP_ENROLL) {
      const what = code === IpcpCode.IPCP_BOOTSTRAP ? "bootstrap" : "enroll";
      const state = this.#life.state;
      this.#log.error(`Failed to ${what}: IPCP in state <${state}>, need <boot>.`);
    }
  }

  async #join(m: IpcpMsg): Promise<IpcpMsg> {
    const refuse = (result: number, cause?: string, stage?: string): IpcpMsg => {
      if (cause !== undefined) this.#log.error(cause);
      this.#log.error("Failed to bootstrap IPCP.");
      return this.#refusal(m.code, result, cause?.replace(/\.$/, ""), stage);
    };
    if (m.code === IpcpCode.IPCP_ENROLL) {
      if (m.dst === undefined) return refuse(-Errno.EINVAL);
      this.#log.info(`Enrolling with ${m.dst}...`);
    } else {
      if (m.conf === undefined) return refuse(-Errno.EINVAL);
      this.#log.info("Bootstrapping...");
      if (m.conf.ipcpType !== typeNumber(this.#typeName)) {
        return refuse(-Errno.EIPCPTYPE, `Configuration is not for ${this.#typeName}.`);
      }
      if (HASH_BYTES[m.conf.layerInfo.dirHashAlgo] === undefined) return refuse(-Errno.EINVAL);
    }
    const layer = await this.#enter(m);
    if (isFailure(layer)) return refuse(layer.code, layer.cause, layer.stage);
    if (!this.#life.operational()) {
      await this.#type.stop(); // A second bootstrap or a stop came in between.
      return refuse(-Errno.EIPCPSTATE);
    }
    this.#layer = layer.name;
    void this.#giveUpCapabilities();
    if (m.code === IpcpCode.IPCP_ENROLL) {
      this.#log.info(`Finished enrolling with ${m.dst} in layer ${layer.name}.`);
    } else {
      this.#log.info(`Finished bootstrapping in ${layer.name}.`);
    }
    this.#log.info(`  type: ${this.#typeName}`);
    const algo = layer.dirHashAlgo;
    this.#log.info(`  hash: ${HASH_NAMES[algo]} [${HASH_BYTES[algo]} bytes]`);
    const policies = this.#type.policies?.() ?? [];
    return {
      code: IpcpCode.IPCP_REPLY,
      layerInfo: layer,
      result: 0,
      ...(policies.length === 0 ? {} : { policies: [...policies] }),
    };
  }

  /** Bootstrap or enroll. What the type did not expect to fail leaves nothing open either. */
  async #enter(m: IpcpMsg): Promise<LayerInfo | Failure> {
    try {
      return m.code === IpcpCode.IPCP_ENROLL
        ? await this.#type.enroll!(m.dst!, m.policies ?? [])
        : await this.#type.bootstrap(m.conf!);
    } catch (e) {
      await this.#type.stop();
      return { code: -Errno.EPERM, cause: e instanceof Error ? e.message : String(e) };
    }
  }

  async #operate(m: IpcpMsg): Promise<number | Failure> {
    const t = this.#type;
    const log = this.#log;
    const hash = m.hash ?? EMPTY;
    switch (m.code) {
      case IpcpCode.IPCP_REG: {
        log.info(`Registering ${short(hash)}...`);
        const result = t.register!(hash);
        if (result === 0) log.info(`Finished registering ${short(hash)}.`);
        return result;
      }
      case IpcpCode.IPCP_UNREG: {
        log.info(`Unregistering ${short(hash)}...`);
        const result = t.unregister!(hash);
        if (result === 0) log.info(`Finished unregistering ${short(hash)}.`);
        return result;
      }
      case IpcpCode.IPCP_QUERY:
        return await t.query!(hash);
      case IpcpCode.IPCP_FLOW_ALLOC:
      case IpcpCode.IPCP_FLOW_JOIN:
      case IpcpCode.IPCP_FLOW_ALLOC_RESP:
        return await this.#flowCommand(m, hash);
      case IpcpCode.IPCP_FLOW_DEALLOC: {
        if (m.flowId === undefined) return -Errno.EINVAL;
        log.dbg(`Deallocating flow ${m.flowId}.`);
        const result = t.flowDealloc(m.flowId, m.timeoSec ?? 0);
        if (result < 0) log.warn(`Could not deallocate flow_id ${m.flowId}.`);
        return result;
      }
      case IpcpCode.IPCP_CONNECT:
        if (m.dst === undefined || m.comp === undefined) return -Errno.EINVAL;
        log.info(`Connecting ${m.comp} to ${m.dst}...`);
        return await t.connect!(m.dst, m.comp, m.qos ?? QOS_NP1);
      case IpcpCode.IPCP_DISCONNECT:
        if (m.dst === undefined || m.comp === undefined) return -Errno.EINVAL;
        log.info(`Disconnecting ${m.comp} from ${m.dst}...`);
        return await t.disconnect!(m.dst, m.comp);
      default:
        return -Errno.EPERM;
    }
  }

  async #flowCommand(m: IpcpMsg, hash: Uint8Array): Promise<number | Failure> {
    const t = this.#type;
    const log = this.#log;
    if (m.flowId === undefined || m.flowId < 1 || m.flowId >= FLOW_IDS_MAX) return -Errno.EINVAL;
    const flow = { flowId: m.flowId, pid: m.pid ?? -1, uid: m.uid ?? 0 };
    if (m.code === IpcpCode.IPCP_FLOW_ALLOC_RESP) {
      const response = m.response ?? -Errno.EPERM;
      log.dbg(`Responding ${response} to alloc on flow_id ${flow.flowId}.`);
      const verdict = { response, data: m.pk ?? EMPTY, cause: m.error?.cause };
      const result = await t.flowAllocResp!(flow, verdict);
      const code = typeof result === "number" ? result : result.code;
      if (code === -Errno.EPERM) log.warn(`Flow_id ${flow.flowId} is not known.`);
      log.dbg(`Finished responding ${code} to allocation request.`);
      return result;
    }
    if (m.pid === undefined) return -Errno.EINVAL;
    if (m.code === IpcpCode.IPCP_FLOW_JOIN) {
      log.dbg(`Joining layer ${short(hash)}.`);
      const result = await t.flowJoin!(flow, hash);
      if (result === 0) log.dbg(`Finished joining layer ${short(hash)}.`);
      return result;
    }
    if (m.qos === undefined) return -Errno.EINVAL;
    log.dbg(`Allocating flow ${flow.flowId} for ${flow.pid} to ${short(hash)}.`);
    const result = await t.flowAlloc!(flow, hash, m.qos, m.pk ?? EMPTY);
    if (result === -Errno.EFLOWDOWN || result === -Errno.ENOMEM) {
      log.error(`Failed allocating n + 1 fd on flow_id ${flow.flowId}: ${result}`);
    }
    if (result === 0) log.dbg(`Finished allocating flow ${flow.flowId} to ${short(hash)}.`);
    return result;
  }
}

/** Operations as the log names them. */
const OPERATIONS: Record<number, string> = {
  [IpcpCode.IPCP_BOOTSTRAP]: "Bootstrap",
  [IpcpCode.IPCP_ENROLL]: "enroll",
  [IpcpCode.IPCP_REG]: "register",
  [IpcpCode.IPCP_UNREG]: "unregister",
  [IpcpCode.IPCP_QUERY]: "query",
  [IpcpCode.IPCP_FLOW_ALLOC]: "allocate a flow",
  [IpcpCode.IPCP_FLOW_JOIN]: "join",
  [IpcpCode.IPCP_FLOW_ALLOC_RESP]: "respond on a flow",
  [IpcpCode.IPCP_FLOW_DEALLOC]: "dealloc",
  [IpcpCode.IPCP_CONNECT]: "connect",
  [IpcpCode.IPCP_DISCONNECT]: "disconnect",
};

/**
 * An IRMd in the test's own process, for IPCPs that run as real processes: it answers announcements, makes the
 * shared memory that the real one makes, records what the IPCP says, and lets the test decide the rest (who
 * accepts, when, whether at all). Applications are numbers; their ends of flows are read and written here.
 */

import { type Instance, instanceOf, ipcpSocketPath, irmSocketPath } from "../../lib/instance.ts";
import {
  decodeIpcpMsg,
  decodeIrmMsg,
  encodeIpcpMsg,
  encodeIrmMsg,
  flowInfoOf,
  IpcpCode,
  type IpcpConfig,
  type IpcpMsg,
  IrmCode,
  type IrmMsg,
} from "../../lib/irm/messages.ts";
import { FlowEvent } from "../../lib/shm/layout.ts";
import { EVENTS_MAX, FlowSetShm } from "../../lib/shm/flow_set.ts";
import { Pool } from "../../lib/shm/pool.ts";
import { Rbuff } from "../../lib/shm/rbuff.ts";
import { kill, onExit, spawn } from "../../lib/sys/process.ts";
import { IPCP_BLOCKED_SIGNALS } from "../../lib/sys/signals.ts";
import { SeqListener, SeqSocket } from "../../lib/sys/socket.ts";
import { isWireError } from "../../lib/wire/mod.ts";
import { type TypeName, typeNumber } from "../../ipcp/state.ts";
import { DEADLINE_MS, until, within } from "./deadline.ts";
import { ouro } from "./node.ts";

/** Pids of applications: beyond what the kernel gives to processes here. */
const APP_PIDS_FROM = 5_000_000;

/** One end of a flow, as an application has it. */
export class FakeFlow {
  constructor(
    readonly irmd: FakeIrmd,
    readonly id: number,
    readonly pid: number,
    readonly ipcpPid: number,
    readonly rx: Rbuff,
    readonly tx: Rbuff,
  ) {}

  /** Write one packet; 0 or a negative errno. */
  write(bytes: Uint8Array): number {
    const { pool } = this.irmd;
    const off = pool.alloc(bytes.length);
    if (off < 0 || pool.inspect(off) !== bytes.length) return off;
    pool.u8.set(bytes, pool.at);
    const result = this.tx.write(off);
    if (result < 0) pool.remove(off);
    else this.irmd.setOf(this.ipcpPid).notify(this.id, FlowEvent.PKT);
    return result;
  }

  /** Read one packet if there is one. */
  tryRead(): Uint8Array | undefined {
    const off = this.rx.read();
    if (off < 0) return undefined;
    const { pool } = this.irmd;
    const n = pool.inspect(off);
    const bytes = n < 0 ? undefined : pool.u8.slice(pool.at, pool.at + n);
    pool.remove(off);
    return bytes;
  }

  /** The next packet. */
  async read(): Promise<Uint8Array> {
    return await until(`packet of flow ${this.id}`, () => this.tryRead());
  }
}

/** An IPCP process and what it said. */
export interface FakeIpcp {
  readonly pid: number;
  readonly name: string;
  readonly type: TypeName;
  readonly exit: Promise<number>;
}

/** How the test answers FLOW_REQ_ARR: the flow that accepts, or a negative number. */
export type OnRequest = (m: IrmMsg) => Promise<FakeFlow | number> | FakeFlow | number;

export class FakeIrmd implements AsyncDisposable {
  readonly instance: Instance;
  readonly prefix: string;
  readonly pool: Pool;
  /** Everything the IPCPs said, in order. */
  readonly said: IrmMsg[] = [];
  onRequest: OnRequest = () => -1;
  /** How FLOW_ALLOC_REPLY is answered. */
  replyResult = 0;
  readonly #listener: SeqListener;
  readonly #watch: { close(): void };
  readonly #sets = new Map<number, FlowSetShm>();
  readonly #flows = new Map<number, FakeFlow>();
  readonly #children: FakeIpcp[] = [];
  readonly #ended = Promise.withResolvers<void>();
  #nextFlow = 1;
  #nextPid = APP_PIDS_FROM;
  readonly #env: Record<string, string>;

  constructor(env: Record<string, string> = {}) {
    this.prefix = Deno.makeTempDirSync({ prefix: "ouro-fake-" });
    this.instance = instanceOf(this.prefix);
    this.#env = env;
    Deno.mkdirSync(this.instance.socketDir, { recursive: true });
    Deno.mkdirSync(this.instance.configDir, { recursive: true });
    this.pool = Pool.create(this.instance, 0);
    this.#listener = SeqListener.listen(irmSocketPath(this.instance), 0o666, 64);
    this.#watch = this.#listener.onConnection((s) => void this.#serve(s), () => {});
  }

  async #serve(s: SeqSocket): Promise<void> {
    try {
      const bytes = await s.recv({ timeoutMs: DEADLINE_MS });
      const m = bytes === null ? undefined : decodeIrmMsg(bytes);
      if (m === undefined || isWireError(m)) return;
      this.said.push(m);
      s.trySend(encodeIrmMsg(await this.#answer(m)));
    } catch {
      // The IPCP went away.
    } finally {
      s.close();
    }
  }

  async #answer(m: IrmMsg): Promise<IrmMsg> {
    const ok: IrmMsg = { code: IrmCode.IRM_REPLY, result: 0 };
    switch (m.code) {
      case IrmCode.IRM_PROC_ANNOUNCE:
        this.setOf(m.pid!);
        return ok;
      case IrmCode.IRM_FLOW_ACCEPT:
        // A member waits for flows of layers below; none come here.
        await this.#ended.promise;
        return ok;
      case IrmCode.IPCP_FLOW_REQ_ARR: {
        const taken = await this.onRequest(m);
        if (typeof taken === "number") return { ...ok, result: taken };
        const { id, pid, ipcpPid } = taken;
        return { ...ok, flowInfo: flowInfoOf({ id, nPid: pid, n1Pid: ipcpPid, state: 3 }) };
      }
      case IrmCode.IPCP_FLOW_ALLOC_REPLY:
        return { ...ok, result: this.replyResult };
      case IrmCode.IPCP_FLOW_DEALLOC:
        this.#forget(m.flowInfo!.id);
        return ok;
      default:
        return ok;
    }
  }

  /** The flow set of a process, made at first use. */
  setOf(pid: number): FlowSetShm {
    let set = this.#sets.get(pid);
    if (set === undefined) this.#sets.set(pid, set = FlowSetShm.create(this.instance, pid));
    return set;
  }

  /** A flow of a new application over an IPCP, its rings made as the real IRMd does. */
  flow(ipcp: FakeIpcp, pid = this.#nextPid++): FakeFlow {
    return this.flowOf(this.#nextFlow++, ipcp, pid);
  }

  /** As {@linkcode flow}, with an id that the test chooses and that is free. */
  flowOf(id: number, ipcp: FakeIpcp, pid = this.#nextPid++): FakeFlow {
    const set = this.setOf(pid);
    const rx = Rbuff.create(this.instance, pid, id);
    const tx = Rbuff.create(this.instance, ipcp.pid, id);
    set.add(0, id);
    const flow = new FakeFlow(this, id, pid, ipcp.pid, rx, tx);
    this.#flows.set(id, flow);
    return flow;
  }

  /** Drop the events of an application, which nobody else reads here. */
  clearEvents(pid: number): [number, number][] {
    const out = new Int32Array(EVENTS_MAX * 2);
    const n = Math.max(0, this.setOf(pid).wait(0, out, 0));
    return Array.from({ length: n }, (_, i) => [out[2 * i]!, out[2 * i + 1]!]);
  }

  /** A flow that was refused, asked for again: the same id with rings of its own. */
  again(flow: FakeFlow): FakeFlow {
    this.#forget(flow.id);
    flow.rx.close();
    flow.tx.close();
    const { id, pid, ipcpPid } = flow;
    return this.flowOf(id, this.#children.find((c) => c.pid === ipcpPid)!, pid);
  }

  #forget(id: number): void {
    const flow = this.#flows.get(id);
    if (flow === undefined) return;
    this.#flows.delete(id);
    Rbuff.unlink(this.instance, flow.pid, id);
    Rbuff.unlink(this.instance, flow.ipcpPid, id);
  }

  /** Wait until an IPCP has said something. */
  async heard(what: string, test: (m: IrmMsg) => boolean): Promise<IrmMsg> {
    return await until(what, () => this.said.find(test));
  }

  /** Start an IPCP, in a network namespace if named, and wait until it takes commands. */
  async start(type: TypeName, name: string, ns?: string): Promise<FakeIpcp> {
    const words = ouro(`ipcpd-${type}`, String(Deno.pid), name);
    // `ip netns exec` becomes the program, so the pid stays.
    const argv = ns === undefined ? words : ["/sbin/ip", "netns", "exec", ns, ...words];
    const env = { ...Deno.env.toObject(), ...this.#env, OURO_PREFIX: this.prefix };
    const log = `${this.prefix}/${name}.log`;
    const { pid, pidfd } = spawn(argv, {
      env,
      blockSignals: IPCP_BLOCKED_SIGNALS,
      fds: [undefined, log, log],
    });
    const ipcp: FakeIpcp = { pid, name, type, exit: onExit(pid, pidfd) };
    this.#children.push(ipcp);
    const created = (m: IrmMsg) => m.code === IrmCode.IPCP_CREATE_R && m.ipcpInfo?.pid === pid;
    try {
      await this.heard(`CREATE_R of ${name}`, created);
    } catch (e) {
      throw new Error(`${e instanceof Error ? e.message : e}\n${this.log(ipcp)}`);
    }
    return ipcp;
  }

  /** What an IPCP logged. */
  log(ipcp: FakeIpcp): string {
    try {
      return Deno.readTextFileSync(`${this.prefix}/${ipcp.name}.log`);
    } catch {
      return "";
    }
  }

  /** Send one command and wait for the reply; null if the IPCP closed without one. */
  async command(ipcp: FakeIpcp, m: IpcpMsg): Promise<IpcpMsg | null> {
    using s = await SeqSocket.connectAsync(ipcpSocketPath(this.instance, ipcp.pid));
    s.sendSync(encodeIpcpMsg(m));
    const bytes = await within(`reply to ${m.code}`, s.recv({}));
    if (bytes === null || bytes.length === 0) return null;
    const reply = decodeIpcpMsg(bytes);
    if (isWireError(reply)) throw new Error(reply.toString());
    return reply;
  }

  /** A command's result. */
  async result(ipcp: FakeIpcp, m: IpcpMsg): Promise<number | undefined> {
    return (await this.command(ipcp, m))?.result;
  }

  /** Start an IPCP and bootstrap it; throws its log if that fails. */
  async bootstrapped(
    type: TypeName,
    name: string,
    conf: object,
    algo = 1,
    ns?: string,
  ): Promise<FakeIpcp> {
    const ipcp = await this.start(type, name, ns);
    const reply = await this.bootstrap(ipcp, conf, algo);
    if (reply?.result !== 0) throw new Error(`bootstrap: ${reply?.result}\n${this.log(ipcp)}`);
    return ipcp;
  }

  bootstrap(ipcp: FakeIpcp, conf: object, algo = 1): Promise<IpcpMsg | null> {
    const layerInfo = { name: `layer-${ipcp.name}`, dirHashAlgo: algo };
    const whole = { layerInfo, ipcpType: typeNumber(ipcp.type), ...conf } as IpcpConfig;
    return this.command(ipcp, { code: IpcpCode.IPCP_BOOTSTRAP, conf: whole });
  }

  /** Ask an IPCP to end as the real IRMd does; its exit code. */
  async stop(ipcp: FakeIpcp): Promise<number> {
    kill(ipcp.pid, 15);
    return await within(`end of ${ipcp.name}`, ipcp.exit);
  }

  /** Shared-memory objects that are left. */
  sharedMemory(): string[] {
    const base = `${this.instance.shmBase.slice(1)}.`;
    return [...Deno.readDirSync("/dev/shm")].map((e) => e.name).filter((n) => n.startsWith(base));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const ipcp of this.#children) kill(ipcp.pid, 9);
    await Promise.all(this.#children.map((i) => within(`end of ${i.name}`, i.exit)));
    this.#ended.resolve();
    this.#watch.close();
    this.#listener.close();
    for (const set of this.#sets.values()) set.close();
    for (const flow of this.#flows.values()) {
      flow.rx.close();
      flow.tx.close();
    }
    this.pool.close();
    for (const name of this.sharedMemory()) Deno.removeSync(`/dev/shm/${name}`);
    await Deno.remove(this.prefix, { recursive: true });
  }
}

/**
 * An IRMd in memory for tests of the flow library: it knows announced processes, names with one
 * acceptor each, and direct flows between them. It makes the shared-memory objects as the real one
 * does, and keeps nothing else of its rules.
 *
 * Blocking accepts can't wait for an allocation of the same thread, so `pair` makes both ends at once.
 */

import { Flow, type FlowOptions, type Instance, type OuroProcess } from "../../lib/mod.ts";
import { openProcess } from "../../lib/flow/process.ts";
import { Errno } from "../../lib/errno.ts";
import { type FlowInfo, IrmCode, type IrmMsg } from "../../lib/irm/messages.ts";
import type { QosSpec } from "../../lib/qos.ts";
import { FlowSetShm } from "../../lib/shm/flow_set.ts";
import { Pool } from "../../lib/shm/pool.ts";
import { Rbuff } from "../../lib/shm/rbuff.ts";

/** What is waiting to become a flow. */
interface Waiting {
  pid: number;
  settle(reply: IrmMsg): void;
}

/** See the head of this file. */
export class FakeIrmd implements Disposable {
  /** Requests seen, newest last. */
  readonly log: IrmMsg[] = [];
  /** Flows that were deallocated, by id: how often. */
  readonly deallocs = new Map<number, number>();
  /** Changes replies before they are given out. */
  tamper: (reply: IrmMsg) => IrmMsg = (r) => r;
  cipherNid = 0;
  key = new Uint8Array(32).fill(7);

  readonly #pool: Pool;
  readonly #pids = new Set<number>();
  readonly #acceptors: Waiting[] = [];
  readonly #grants: { pid: number; reply: IrmMsg }[] = [];
  readonly #flows = new Map<number, [number, number]>();
  #nextPid = 4000001;

  constructor(readonly instance: Instance) {
    this.#pool = Pool.create(instance, 0);
  }

  /** A process that talks to this double. */
  open(): OuroProcess {
    const pid = this.#nextPid++;
    return openProcess({
      instance: this.instance,
      pid,
      prog: "test",
      link: {
        requestSync: (m) => this.#serve(m) ?? { code: IrmCode.IRM_REPLY, result: -Errno.EAGAIN },
        request: (m, signal) => this.#serveAsync(m, signal),
      },
    });
  }

  /** Both ends of a new direct flow. */
  pair(a: OuroProcess, b: OuroProcess, qos: QosSpec, options: FlowOptions = {}): [Flow, Flow] {
    const id = this.#freeId();
    this.#makeFlow(id, a.pid, b.pid);
    const info = (n: number, n1: number): FlowInfo => ({
      id,
      nPid: n,
      n1Pid: n1,
      mpl: 1,
      state: 3,
      qos,
      uid: 0,
    });
    this.#grants.push({ pid: a.pid, reply: this.#reply(info(a.pid, b.pid)) });
    const left = Flow.allocSync(a, "peer", { ...options, qos });
    this.#grants.push({ pid: b.pid, reply: this.#reply(info(b.pid, a.pid)) });
    return [left, Flow.acceptSync(b, options)];
  }

  /** Lowest free flow id, as the real one gives them. */
  #freeId(): number {
    let id = 1;
    while (this.#flows.has(id)) id += 1;
    return id;
  }

  #reply(flowInfo: FlowInfo): IrmMsg {
    return this.tamper({
      code: IrmCode.IRM_REPLY,
      result: 0,
      flowInfo,
      cipherNid: this.cipherNid,
      symKey: this.cipherNid === 0 ? undefined : this.key.slice(),
    });
  }

  #makeFlow(id: number, a: number, b: number): void {
    Rbuff.create(this.instance, a, id).close();
    Rbuff.create(this.instance, b, id).close();
    this.#flows.set(id, [a, b]);
  }

  #serve(m: IrmMsg): IrmMsg | undefined {
    this.log.push(m);
    const ok: IrmMsg = { code: IrmCode.IRM_REPLY, result: 0 };
    switch (m.code) {
      case IrmCode.IRM_PROC_ANNOUNCE:
        FlowSetShm.create(this.instance, m.pid!).close();
        this.#pids.add(m.pid!);
        return ok;
      case IrmCode.IRM_PROC_EXIT:
        FlowSetShm.unlink(this.instance, m.pid!);
        this.#pids.delete(m.pid!);
        return ok;
      case IrmCode.IRM_FLOW_DEALLOC:
        this.#dealloc(m.flowInfo!.id);
        return ok;
      default: {
        const at = this.#grants.findIndex((g) => g.pid === m.flowInfo?.nPid);
        return at < 0 ? undefined : this.#grants.splice(at, 1)[0]!.reply;
      }
    }
  }

  #serveAsync(m: IrmMsg, signal?: AbortSignal): Promise<IrmMsg> {
    const now = this.#serve(m);
    if (now !== undefined) return Promise.resolve(now);
    const pid = m.flowInfo!.nPid;
    if (m.code === IrmCode.IRM_FLOW_ACCEPT) {
      return new Promise((settle, reject) => {
        const acceptor = { pid, settle };
        this.#acceptors.push(acceptor);
        signal?.addEventListener("abort", () => {
          const at = this.#acceptors.indexOf(acceptor);
          if (at < 0) return;
          this.#acceptors.splice(at, 1);
          reject(signal.reason);
        });
      });
    }
    const acceptor = this.#acceptors.shift();
    if (acceptor === undefined) {
      return Promise.resolve({ code: IrmCode.IRM_REPLY, result: -Errno.ENAME });
    }
    const id = this.#freeId();
    this.#makeFlow(id, pid, acceptor.pid);
    const info = { id, mpl: 1, state: 3, qos: m.flowInfo!.qos, uid: 0 };
    acceptor.settle(this.#reply({ ...info, nPid: acceptor.pid, n1Pid: pid }));
    return Promise.resolve(this.#reply({ ...info, nPid: pid, n1Pid: acceptor.pid }));
  }

  #dealloc(id: number): void {
    const times = (this.deallocs.get(id) ?? 0) % 2 + 1;
    this.deallocs.set(id, times);
    const pids = this.#flows.get(id);
    if (times < 2 || pids === undefined) return;
    for (const pid of pids) Rbuff.unlink(this.instance, pid, id);
    this.#flows.delete(id);
  }

  /** Blocks of the pool with a reference. */
  blocksInUse(): number {
    return this.#pool.stats().classes.reduce((sum, c) => sum + c.used, 0);
  }

  get pool(): Pool {
    return this.#pool;
  }

  [Symbol.dispose](): void {
    this.#pool.close();
    for (const [id, pids] of this.#flows) {
      for (const pid of pids) Rbuff.unlink(this.instance, pid, id);
    }
    for (const pid of this.#pids) FlowSetShm.unlink(this.instance, pid);
    Pool.unlink(this.instance, 0);
  }
}

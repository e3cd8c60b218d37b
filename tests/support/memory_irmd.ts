/**
 * An IRMd in memory for tests of the flow library: it knows announced processes, names with one
 * acceptor each, and direct flows between them. It makes the shared-memory objects as the real one
 * does, and keeps nothing else of its rules.
 *
 * Processes of `open` ask it directly; others of this thread at its socket, once it listens.
 *
 * Blocking accepts can't wait for an allocation of the same thread, so `pair` makes both ends at once.
 */

import { Flow, type FlowOptions, type Instance, type OuroProcess } from "../../lib/mod.ts";
import { openProcess } from "../../lib/flow/process.ts";
import { Errno } from "../../lib/errno.ts";
import { irmSocketPath } from "../../lib/instance.ts";
import {
  decodeIrmMsg,
  encodeIrmMsg,
  type FlowInfo,
  IrmCode,
  type IrmMsg,
} from "../../lib/irm/messages.ts";
import type { QosSpec } from "../../lib/qos.ts";
import { FlowSetShm } from "../../lib/shm/flow_set.ts";
import { Pool } from "../../lib/shm/pool.ts";
import { Rbuff } from "../../lib/shm/rbuff.ts";
import { SeqListener, type SeqSocket } from "../../lib/sys/socket.ts";
import { isWireError } from "../../lib/wire/mod.ts";

/** What is waiting to become a flow. */
interface Waiting {
  pid: number;
  settle(reply: IrmMsg): void;
  /** Whether it has hung up. */
  isGone(): boolean;
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
  /** Names and who accepts for them, waited for if need be, or nobody. Other names are of whoever accepts. */
  readonly names = new Map<string, number | "nobody">();
  /** What is said beside -ENAME where nobody accepts. */
  refusal: Pick<IrmMsg, "error"> = {};

  readonly #pool: Pool;
  readonly #pids = new Set<number>();
  readonly #acceptors: Waiting[] = [];
  readonly #grants: { pid: number; reply: IrmMsg }[] = [];
  readonly #flows = new Map<number, [number, number]>();
  #nextPid = 4000001;
  /** Allocations to names whose process does not accept just now. */
  readonly #requests: { readonly owner: number; go(): void }[] = [];
  readonly #undo: (() => void)[] = [];

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

  /** Answers at its socket too, for processes that this thread joins. */
  listen(): void {
    Deno.mkdirSync(this.instance.socketDir, { recursive: true });
    const listener = SeqListener.listen(irmSocketPath(this.instance), 0o666, 64);
    const watch = listener.onConnection((s) => void this.#answer(s), () => {});
    this.#undo.push(() => watch.close(), () => listener.close());
  }

  async #answer(socket: SeqSocket): Promise<void> {
    const gone = new AbortController();
    try {
      const bytes = await socket.recv({});
      const m = bytes === null ? undefined : decodeIrmMsg(bytes);
      if (m === undefined || isWireError(m)) return;
      socket.onHangup(() => gone.abort());
      // A thread says that it is there, as long as it is.
      if (m.code === IrmCode.IRM_THREAD) {
        return await new Promise((resolve) =>
          gone.signal.addEventListener("abort", () => resolve())
        );
      }
      socket.trySend(encodeIrmMsg(await this.#serveAsync(m, gone.signal, () => socket.hungUp)));
    } catch {
      // Nobody waits for the answer any more.
    } finally {
      socket.close();
    }
  }

  /** A process announces itself, as far as memory goes. */
  announce(pid: number): void {
    this.#serve({ code: IrmCode.IRM_PROC_ANNOUNCE, pid });
  }

  /** Processes that wait for flows. */
  get accepting(): number[] {
    return this.#acceptors.map(({ pid }) => pid);
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

  #serveAsync(m: IrmMsg, signal?: AbortSignal, isGone = () => false): Promise<IrmMsg> {
    const now = this.#serve(m);
    if (now !== undefined) return Promise.resolve(now);
    const pid = m.flowInfo!.nPid;
    if (m.code === IrmCode.IRM_FLOW_ACCEPT) {
      return new Promise((settle, reject) => {
        const acceptor = { pid, settle, isGone };
        this.#acceptors.push(acceptor);
        const at = this.#requests.findIndex(({ owner }) => owner === pid);
        if (at >= 0) this.#requests.splice(at, 1)[0]!.go();
        signal?.addEventListener("abort", () => {
          const at = this.#acceptors.indexOf(acceptor);
          if (at < 0) return;
          this.#acceptors.splice(at, 1);
          reject(signal.reason);
        });
      });
    }
    const owner = this.names.get(m.dst ?? "");
    const at = this.#acceptors.findIndex((a) =>
      (owner === undefined || a.pid === owner) && !a.isGone()
    );
    if (at < 0 && typeof owner === "number") {
      return new Promise((resolve) => {
        this.#requests.push({ owner, go: () => resolve(this.#serveAsync(m, signal, isGone)) });
      });
    }
    if (at < 0) {
      return Promise.resolve({ code: IrmCode.IRM_REPLY, result: -Errno.ENAME, ...this.refusal });
    }
    const acceptor = this.#acceptors.splice(at, 1)[0]!;
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
    for (const f of this.#undo) f();
    this.#pool.close();
    for (const [id, pids] of this.#flows) {
      for (const pid of pids) Rbuff.unlink(this.instance, pid, id);
    }
    for (const pid of this.#pids) FlowSetShm.unlink(this.instance, pid);
    Pool.unlink(this.instance, 0);
  }
}

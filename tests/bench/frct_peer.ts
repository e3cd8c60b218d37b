/**
 * Two threads with a process each on a node without an IRMd: shared memory as the IRMd makes it, grants made up here.
 * The benches measure flows, not allocation.
 */
import { Flow, type Instance, instanceOf, OuroProcess, type QosSpec } from "../../lib/mod.ts";
import { IrmCode, type IrmMsg } from "../../lib/irm/messages.ts";
import { FlowSetShm } from "../../lib/shm/flow_set.ts";
import { Pool } from "../../lib/shm/pool.ts";
import { Rbuff } from "../../lib/shm/rbuff.ts";

/** Made-up pids: above every pid of Linux. */
export const PIDS = [4_200_001, 4_200_002] as const;

/** Memory of a node with two processes and `flows` flows between them; removes it when disposed. */
export class BenchNode implements Disposable {
  readonly instance: Instance;
  readonly #pool: Pool;

  constructor(readonly prefix: string, readonly flows: number) {
    this.instance = instanceOf(prefix);
    this.#pool = Pool.create(this.instance, 0);
    for (const pid of PIDS) {
      FlowSetShm.create(this.instance, pid).close();
      for (let id = 1; id <= flows; id++) Rbuff.create(this.instance, pid, id).close();
    }
  }

  [Symbol.dispose](): void {
    this.#pool.close();
    for (const pid of PIDS) {
      FlowSetShm.unlink(this.instance, pid);
      for (let id = 1; id <= this.flows; id++) Rbuff.unlink(this.instance, pid, id);
    }
    Pool.unlink(this.instance, 0);
  }
}

/** Opens process 0 or 1 of the node in this thread. */
export function openProcess(prefix: string, which: 0 | 1): OuroProcess {
  const serve = (m: IrmMsg): IrmMsg => {
    const ok: IrmMsg = { code: IrmCode.IRM_REPLY, result: 0 };
    if (m.flowInfo === undefined || m.code === IrmCode.IRM_FLOW_DEALLOC) return ok;
    // The name asked for is the flow id.
    const id = Number(m.dst);
    const { qos } = m.flowInfo;
    return {
      ...ok,
      flowInfo: { id, nPid: PIDS[which], n1Pid: PIDS[1 - which]!, mpl: 1, state: 3, uid: 0, qos },
      cipherNid: 0,
    };
  };
  return OuroProcess.open({
    instance: instanceOf(prefix),
    pid: PIDS[which],
    prog: "bench",
    link: { requestSync: serve, request: (m) => Promise.resolve(serve(m)) },
  });
}

/** This thread's end of flow `id`. */
export function openFlow(process: OuroProcess, id: number, qos: QosSpec): Flow {
  return Flow.allocSync(process, String(id), { qos });
}

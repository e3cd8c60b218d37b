/**
 * Two threads with a process each on a node without an IRMd: shared memory as the IRMd makes it, grants made up here.
 * The benches measure flows, not allocation.
 */
import { Flow, type Instance, instanceOf, type OuroProcess, type QosSpec } from "../../lib/mod.ts";
import { openProcess as open } from "../../lib/flow/process.ts";
import { IrmCode, type IrmMsg } from "../../lib/irm/messages.ts";
import { FlowSetShm } from "../../lib/shm/flow_set.ts";
import { Pool } from "../../lib/shm/pool.ts";
import { Rbuff } from "../../lib/shm/rbuff.ts";

/** Flows of one process: descriptors are 64..4095. */
export const TABLE_FLOWS = 4000;

/** Made-up pid, above every pid of Linux: end 0 or 1 of a table of flows. */
export function benchPid(which: 0 | 1, table = 0): number {
  return 4_200_000 + 2 * table + which;
}

/** Memory of a node with flows 1..`flows` between pairs of processes; removes it when disposed. */
export class BenchNode implements Disposable {
  readonly instance: Instance;
  readonly #pool: Pool;

  constructor(readonly prefix: string, readonly flows: number) {
    this.instance = instanceOf(prefix);
    this.#pool = Pool.create(this.instance, 0);
    for (let t = 0; t < this.tables; t++) {
      for (const which of [0, 1] as const) {
        FlowSetShm.create(this.instance, benchPid(which, t)).close();
      }
    }
    for (let id = 1; id <= flows; id++) {
      for (const which of [0, 1] as const) {
        Rbuff.create(this.instance, pidOf(which, id), id).close();
      }
    }
  }

  /** Pairs of processes needed. */
  get tables(): number {
    return Math.ceil(this.flows / TABLE_FLOWS);
  }

  [Symbol.dispose](): void {
    this.#pool.close();
    for (const which of [0, 1] as const) {
      for (let t = 0; t < this.tables; t++) FlowSetShm.unlink(this.instance, benchPid(which, t));
      for (let id = 1; id <= this.flows; id++) Rbuff.unlink(this.instance, pidOf(which, id), id);
    }
    Pool.unlink(this.instance, 0);
  }
}

function pidOf(which: 0 | 1, id: number): number {
  return benchPid(which, tableOf(id));
}

/** Table of a flow id. */
export function tableOf(id: number): number {
  return Math.floor((id - 1) / TABLE_FLOWS);
}

/** Opens process 0 or 1 of a table in this thread. */
export function openProcess(prefix: string, which: 0 | 1, table = 0): OuroProcess {
  const pid = benchPid(which, table);
  const peer = benchPid(which === 0 ? 1 : 0, table);
  const serve = (m: IrmMsg): IrmMsg => {
    const ok: IrmMsg = { code: IrmCode.IRM_REPLY, result: 0 };
    if (m.flowInfo === undefined || m.code === IrmCode.IRM_FLOW_DEALLOC) return ok;
    // The name asked for is the flow id.
    const id = Number(m.dst);
    const { qos } = m.flowInfo;
    return {
      ...ok,
      flowInfo: { id, nPid: pid, n1Pid: peer, mpl: 1, state: 3, uid: 0, qos },
      cipherNid: 0,
    };
  };
  return open({
    instance: instanceOf(prefix),
    pid,
    prog: "bench",
    link: { requestSync: serve, request: (m) => Promise.resolve(serve(m)) },
  });
}

/** This thread's end of flow `id`. */
export function openFlow(process: OuroProcess, id: number, qos: QosSpec): Flow {
  return Flow.allocSync(process, String(id), { qos });
}

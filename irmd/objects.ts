/**
 * The shared-memory objects that the IRMd makes and removes: pools, flow sets, ring buffers (spec 10 §1,
 * §2). Owners and modes are tighter than the prototype's: what an unprivileged process uses belongs to its
 * user alone, the rest to root and the `ouroboros` group (spec 10 §11.1, 2).
 */

import { Errno } from "../lib/errno.ts";
import type { Instance } from "../lib/instance.ts";
import type { Logger } from "../lib/log.ts";
import { FlowSetShm } from "../lib/shm/flow_set.ts";
import { Acl, FlowEvent, MODE_PRIVATE, MODE_SHARED } from "../lib/shm/layout.ts";
import { type Owner, Pool } from "../lib/shm/pool.ts";
import { Rbuff } from "../lib/shm/rbuff.ts";
import { reclaim } from "../lib/shm/reclaim.ts";
import { SysError } from "../lib/sys/ffi.ts";

/** The flow set of an IPCP that serves several users. */
const MODE_EVERYBODY = 0o666;

/** See the file's comment. */
export class Objects {
  readonly #instance: Instance;
  readonly #log: Logger;
  /** Owner of what privileged processes share; undefined when the daemon is not root: its own. */
  readonly #shared: Owner | undefined;
  #gspp: Pool | undefined;
  /** Gid of each user with a pool. */
  readonly #gids = new Map<number, number>();

  constructor(instance: Instance, log: Logger, shared: Owner | undefined) {
    this.#instance = instance;
    this.#log = log;
    this.#shared = shared;
  }

  /** Makes the global pool. Throws `SysError` (ENOSPC when the file system is too small). */
  createGspp(): void {
    this.#gspp = Pool.create(this.#instance, 0, this.#shared);
  }

  /** The global pool; for accounting and reclaim. */
  get gspp(): Pool | undefined {
    return this.#gspp;
  }

  /** Makes the pool of a user if it has none. Throws `SysError`. */
  ensurePup(uid: number, gid: number): void {
    if (uid === 0 || this.#gids.has(uid)) return;
    // A file that is there now is from an earlier run: the registry knows of none.
    Pool.unlink(this.#instance, uid);
    // The daemon does not keep memory mapped that the user can truncate.
    Pool.create(this.#instance, uid, { uid, gid }).close();
    this.#gids.set(uid, gid);
  }

  removePup(uid: number): void {
    if (uid === 0) return;
    this.#gids.delete(uid);
    Pool.unlink(this.#instance, uid);
  }

  /**
   * Makes the flow set of a process. That of an IPCP is for everybody: whoever has a flow over it opens it
   * to announce packets (spec 10 §2.3). Throws `SysError`.
   */
  createFlowSet(pid: number, flowUid: number, gid: number, isIpcp: boolean): void {
    const owner = flowUid === 0 ? this.#shared : { uid: flowUid, gid };
    const mode = flowUid !== 0 ? MODE_PRIVATE : isIpcp ? MODE_EVERYBODY : MODE_SHARED;
    FlowSetShm.create(this.#instance, pid, mode, owner).close();
  }

  removeFlowSet(pid: number): void {
    FlowSetShm.unlink(this.#instance, pid);
  }

  /**
   * Makes both ring buffers of a flow, the upper process's first. Returns 0 or a negative errno; then
   * neither is left.
   */
  createRings(flowId: number, nPid: number, n1Pid: number, flowUid: number): number {
    const owner = flowUid === 0
      ? this.#shared
      : { uid: flowUid, gid: this.#gids.get(flowUid) ?? flowUid };
    const mode = flowUid === 0 ? MODE_SHARED : MODE_PRIVATE;
    let made = 0;
    try {
      for (const pid of [nPid, n1Pid]) {
        // A left-over of the same pid and id belongs to nobody: the id was free.
        Rbuff.unlink(this.#instance, pid, flowId);
        Rbuff.create(this.#instance, pid, flowId, mode, owner).close();
        made += 1;
      }
      return 0;
    } catch (e) {
      if (!(e instanceof SysError)) throw e;
      this.#log.error(`Failed to create rbuffs of flow ${flowId}: ${e.message}.`);
      if (made === 1) Rbuff.unlink(this.#instance, nPid, flowId);
      return e.errno === Errno.ENOSPC ? -Errno.ENOMEM : -e.errno;
    }
  }

  removeRings(flowId: number, pids: readonly number[]): void {
    for (const pid of pids) Rbuff.unlink(this.#instance, pid, flowId);
  }

  /**
   * Marks a flow as down for whoever is left, frees what the gone end had not read, and wakes `pid`
   * (spec 10 §11.11).
   * @param gonePid the end that is gone; 0: both stay (the daemon ends)
   */
  flowDown(flowId: number, pid: number, gonePid: number, flowUid: number): void {
    this.#onRing(gonePid, flowId, (ring) => {
      ring.setAcl(Acl.FLOWDOWN);
      const pool = flowUid === 0 ? this.#gspp : undefined;
      if (pool !== undefined) ring.drain((off) => pool.remove(off));
    });
    this.#onRing(pid, flowId, (ring) => ring.setAcl(Acl.FLOWDOWN));
    try {
      using set = FlowSetShm.open(this.#instance, pid, true);
      set.notify(flowId, FlowEvent.DEALLOC);
    } catch (e) {
      if (!(e instanceof SysError)) throw e; // Its owner has left too.
    }
  }

  #onRing(pid: number, flowId: number, use: (ring: Rbuff) => void): void {
    try {
      using ring = Rbuff.open(this.#instance, pid, flowId);
      use(ring);
    } catch (e) {
      if (!(e instanceof SysError)) throw e; // Removed meanwhile.
    }
  }

  /**
   * Takes back the blocks of the global pool that a dead process allocated and nobody holds.
   * @param rings (pid, flow id) of every ring that is alive
   */
  reclaim(pid: number, rings: Iterable<readonly [pid: number, flowId: number]>): number {
    const pool = this.#gspp;
    if (pool === undefined) return 0;
    const held = new Set<number>();
    for (const [owner, flowId] of rings) {
      this.#onRing(owner, flowId, (ring) => ring.collect(held));
    }
    return reclaim(pool, pid, held);
  }

  /** Unlinks the global pool and forgets it. */
  removeGspp(): void {
    if (this.#gspp === undefined) return;
    this.#gspp.close();
    this.#gspp = undefined;
    Pool.unlink(this.#instance, 0);
  }
}

/**
 * The shared-memory objects that the IRMd makes and removes: pools, flow sets, ring buffers (spec 10 §1,
 * §2). Owners and modes are tighter than the prototype's: what an unprivileged process uses belongs to its
 * user alone, the rest to root and the `ouroboros` group (spec 10 §11.1, 2).
 *
 * A user can truncate what is theirs, and a mapping of it then kills whoever touches it. So such objects are given
 * away only when they are complete and unmapped, and later work on them is left to `upkeep.ts` (spec 10 §11.3).
 */

import { Errno } from "../lib/errno.ts";
import type { Instance } from "../lib/instance.ts";
import type { Logger } from "../lib/log.ts";
import { flowSetName, FlowSetShm } from "../lib/shm/flow_set.ts";
import {
  Acl,
  FlowEvent,
  FlowSetLayout,
  MODE_PRIVATE,
  MODE_SHARED,
  PUP,
  RbuffLayout,
} from "../lib/shm/layout.ts";
import { type Owner, Pool, poolName } from "../lib/shm/pool.ts";
import { Rbuff, rbuffName } from "../lib/shm/rbuff.ts";
import { reclaim } from "../lib/shm/reclaim.ts";
import { SysError } from "../lib/sys/ffi.ts";
import { ShmObject } from "../lib/sys/mman.ts";
import { pidAlive } from "../lib/sys/process.ts";
import type { Share } from "./shares.ts";
import { holds, LIVING_RINGS_MAX, LivingRing, takeAll, type UnreadPackets } from "./unread.ts";

/** `<asm-generic/errno.h>`: the user has its share. */
export const EDQUOT = 122;

/** The flow set of an IPCP that serves several users. */
const MODE_EVERYBODY = 0o666;

/** What helps where no object of that length may be made. */
export const FILE_LIMIT = "files may not be so long here (ulimit -f unlimited)";

/** See the file's comment. */
export class Objects {
  readonly #instance: Instance;
  readonly #log: Logger;
  /** Owner of what privileged processes share; undefined when the daemon is not root: its own. */
  readonly #shared: Owner | undefined;
  #gspp: Pool | undefined;
  /** Gid of each user with a pool. */
  readonly #gids = new Map<number, number>();
  /** Whose pool the packets in the rings of a flow are in. */
  readonly #ringUids = new Map<number, number>();
  /** What each object in /dev/shm counts to its user's share. */
  readonly #charged = new Map<string, { readonly uid: number; readonly bytes: number }>();

  constructor(
    instance: Instance,
    log: Logger,
    shared: Owner | undefined,
    /** Bytes in /dev/shm, by user. */
    readonly memory: Share,
  ) {
    this.#instance = instance;
    this.#log = log;
    this.#shared = shared;
  }

  /** Counts an object to a user. Throws `SysError` (EDQUOT) when the user has its share. */
  #charge(name: string, uid: number, bytes: number): void {
    if (this.#charged.has(name)) return;
    if (!this.memory.take(uid, bytes)) throw new SysError(EDQUOT, "share", `of uid ${uid}`);
    this.#charged.set(name, { uid, bytes });
  }

  #discharge(name: string): void {
    const charged = this.#charged.get(name);
    if (charged === undefined) return;
    this.#charged.delete(name);
    this.memory.give(charged.uid, charged.bytes);
  }

  /** Counts, makes, and takes back what was counted if that fails. Throws what `make` throws, and EDQUOT. */
  #made(name: string, uid: number, bytes: number, make: () => void): void {
    this.#charge(name, uid, bytes);
    try {
      ShmObject.take(name, make);
    } catch (e) {
      this.#discharge(name);
      throw e;
    }
  }

  /** Makes the global pool. Throws `SysError` (ENOSPC when the file system is too small). */
  createGspp(): void {
    const make = () => Pool.create(this.#instance, 0, this.#shared);
    this.#gspp = ShmObject.take(poolName(this.#instance, 0), make);
  }

  /** The global pool; for accounting and reclaim. */
  get gspp(): Pool | undefined {
    return this.#gspp;
  }

  /**
   * Makes the global pool whole again after one who may write it has cut it short or wiped it, so that processes that come
   * can use flows; those that are there have lost what was in it. Throws `SysError`.
   */
  healGspp(): void {
    if (this.#gspp === undefined || !Pool.restore(this.#instance, 0)) return;
    this.#log.warn("The global pool was cut short or wiped: it is made anew.");
    const old = this.#gspp;
    this.#gspp = Pool.open(this.#instance, 0);
    old.close();
  }

  /** Makes the pool of a user if it has none. Throws `SysError`. */
  ensurePup(uid: number, gid: number): void {
    if (uid === 0 || this.#gids.has(uid)) return;
    // A file that is there now is from an earlier run: the registry knows of none.
    const name = poolName(this.#instance, uid);
    ShmObject.clear(name);
    this.#made(name, uid, PUP.fileBytes, () => {
      Pool.create(this.#instance, uid).close();
      give(name, uid, gid);
    });
    this.#gids.set(uid, gid);
  }

  removePup(uid: number): void {
    if (uid === 0) return;
    this.#gids.delete(uid);
    Pool.unlink(this.#instance, uid);
    this.#discharge(poolName(this.#instance, uid));
  }

  /**
   * Makes the flow set of a process. That of an IPCP is for everybody: whoever has a flow over it opens it
   * to announce packets (spec 10 §2.3). Throws `SysError`.
   */
  createFlowSet(pid: number, flowUid: number, gid: number, isIpcp: boolean): void {
    const name = flowSetName(this.#instance, pid);
    if (flowUid === 0) {
      const mode = isIpcp ? MODE_EVERYBODY : MODE_SHARED;
      const make = () => FlowSetShm.create(this.#instance, pid, mode, this.#shared).close();
      this.#made(name, 0, FlowSetLayout.BYTES, make);
    } else {
      this.#made(name, flowUid, FlowSetLayout.BYTES, () => {
        FlowSetShm.create(this.#instance, pid, MODE_PRIVATE).close();
        give(name, flowUid, gid);
      });
    }
  }

  removeFlowSet(pid: number): void {
    FlowSetShm.unlink(this.#instance, pid);
    this.#discharge(flowSetName(this.#instance, pid));
  }

  /**
   * Makes both ring buffers of a flow, the upper process's first. They go with the handle unless a flow takes them
   * over. With a negative `code` there are none.
   */
  makeRings(flowId: number, nPid: number, n1Pid: number, flowUid: number): Rings {
    const code = this.#createRings(flowId, nPid, n1Pid, flowUid);
    return new Rings(code, () => this.removeRings(flowId, [nPid, n1Pid]));
  }

  #createRings(flowId: number, nPid: number, n1Pid: number, flowUid: number): number {
    let made = 0;
    try {
      for (const pid of [nPid, n1Pid]) {
        // A left-over of the same pid and id belongs to nobody, and goes: the id was free.
        const name = rbuffName(this.#instance, pid, flowId);
        const [mode, owner] = flowUid === 0 ? [MODE_SHARED, this.#shared] : [MODE_PRIVATE];
        this.#made(name, flowUid, RbuffLayout.BYTES, () => {
          Rbuff.make(this.#instance, pid, flowId, mode, owner);
          if (flowUid !== 0) give(name, flowUid, this.gidOf(flowUid));
        });
        made += 1;
      }
      this.#ringUids.set(flowId, flowUid);
      return 0;
    } catch (e) {
      if (!(e instanceof SysError)) throw e;
      this.#log.error(`Failed to create rbuffs of flow ${flowId}: ${e.message}.`);
      if (made === 1) this.#removeRing(nPid, flowId);
      return e.errno === Errno.ENOSPC ? -Errno.ENOMEM : -e.errno;
    }
  }

  /**
   * Unlinks both rings. Packets of privileged processes that still wait in one go back to the pool: an end
   * that was killed in its dealloc has not freed what it was to read, and nobody finds them later.
   * @returns what processes of an unprivileged user have not read, for somebody to free as that user
   */
  removeRings(flowId: number, pids: readonly number[]): UnreadPackets | undefined {
    const pool = this.#gspp;
    const uid = this.#ringUids.get(flowId);
    const offsets: number[] = [];
    const living: LivingRing[] = [];
    for (const pid of pids) {
      if (uid === undefined || !this.#holds(pid, flowId)) {
        // Nothing waits there.
      } else if (uid !== 0) {
        // One that lives reads them itself, unless it is killed before it gets to that.
        const ring = pidAlive(pid) ? this.#livingRing(pid, flowId) : undefined;
        if (ring !== undefined) living.push(ring);
        else if (!pidAlive(pid)) offsets.push(...this.emptyRing(flowId, pid));
      } else if (pool !== undefined) {
        onRing(this.#instance, pid, flowId, (ring) => {
          ring.setAcl(Acl.FLOWDOWN);
          ring.drain((off) => pool.remove(off));
        });
      }
      this.#removeRing(pid, flowId);
    }
    this.#ringUids.delete(flowId);
    const none = offsets.length === 0 && living.length === 0;
    return uid === undefined || none ? undefined : { uid, offsets, living };
  }

  #removeRing(pid: number, flowId: number): void {
    Rbuff.unlink(this.#instance, pid, flowId);
    this.#discharge(rbuffName(this.#instance, pid, flowId));
  }

  /** A ring of a living process, while there are not too many; its user may have removed it meanwhile. */
  #livingRing(pid: number, flowId: number): LivingRing | undefined {
    if (LivingRing.live >= LIVING_RINGS_MAX) return undefined;
    try {
      return new LivingRing(pid, this.#open(pid, flowId));
    } catch (e) {
      if (!(e instanceof SysError)) throw e;
      return undefined;
    }
  }

  #open(pid: number, flowId: number): ShmObject {
    return ShmObject.open(rbuffName(this.#instance, pid, flowId));
  }

  /** Whether packets wait in a ring. */
  #holds(pid: number, flowId: number): boolean {
    try {
      using ring = ShmObject.open(rbuffName(this.#instance, pid, flowId));
      return holds(ring);
    } catch (e) {
      if (!(e instanceof SysError)) throw e;
      return false; // Removed meanwhile.
    }
  }

  /** Gid of a user with a pool. */
  gidOf(uid: number): number {
    return this.#gids.get(uid) ?? uid;
  }

  /**
   * Marks a flow of privileged processes as down for whoever is left, frees what the gone end had not read, and
   * wakes `pid` (spec 10 §11.11).
   * @param gonePid the end that is gone; 0: both stay (the daemon ends)
   */
  flowDown(flowId: number, pid: number, gonePid: number): void {
    const pool = this.#gspp;
    if (pool !== undefined) takeDown(this.#instance, pool, flowId, pid, gonePid);
  }

  /** Marks a ring of an unprivileged user as down, without mapping it. Nobody is woken. */
  markDown(flowId: number, pid: number): void {
    try {
      using ring = ShmObject.open(rbuffName(this.#instance, pid, flowId));
      const acl = new Uint8Array(1);
      if (ring.pread(acl, 1, RbuffLayout.ACL) !== 1) return;
      acl[0]! |= Acl.FLOWDOWN;
      ring.pwrite(acl, 1, RbuffLayout.ACL);
    } catch (e) {
      if (!(e instanceof SysError)) throw e; // Removed meanwhile.
    }
  }

  /**
   * Empties the ring that a gone process of an unprivileged user was to read, without mapping it.
   * @returns offsets of packets in that user's pool, as they are there: whoever frees them checks them
   */
  emptyRing(flowId: number, gonePid: number): number[] {
    try {
      using ring = this.#open(gonePid, flowId);
      return takeAll(ring);
    } catch (e) {
      if (!(e instanceof SysError)) throw e;
      return []; // Removed meanwhile.
    }
  }

  /**
   * Takes back the blocks of the global pool that a dead process allocated and nobody holds.
   * @param rings (pid, flow id) of every ring of privileged processes that is alive
   */
  reclaim(pid: number, rings: Iterable<RingId>): number {
    return this.#gspp === undefined ? 0 : reclaimFrom(this.#instance, this.#gspp, pid, rings);
  }

  /** Unlinks the global pool and forgets it. */
  removeGspp(): void {
    if (this.#gspp === undefined) return;
    this.#gspp.close();
    this.#gspp = undefined;
    Pool.unlink(this.#instance, 0);
  }
}

/** Both rings of a flow that does not have them yet; disposal removes them. */
export class Rings implements Disposable {
  #remove: (() => void) | undefined;

  /** @param code 0, or a negative errno when they could not be made */
  constructor(readonly code: number, remove: () => void) {
    if (code === 0) this.#remove = remove;
  }

  /** The registry's flow owns them from now on. */
  handOver(): void {
    this.#remove = undefined;
  }

  [Symbol.dispose](): void {
    this.#remove?.();
    this.#remove = undefined;
  }
}

/** A ring buffer: whose, of which flow. */
export type RingId = readonly [pid: number, flowId: number];

/** Hands a finished object to a user. */
function give(name: string, uid: number, gid: number): void {
  try {
    Deno.chownSync(`/dev/shm${name}`, uid, gid);
  } catch (e) {
    ShmObject.unlink(name);
    throw new SysError(
      e instanceof Deno.errors.NotFound ? Errno.ENOENT : Errno.EPERM,
      "chown",
      name,
    );
  }
}

function onRing(instance: Instance, pid: number, flowId: number, use: (ring: Rbuff) => void): void {
  try {
    using ring = Rbuff.open(instance, pid, flowId);
    use(ring);
  } catch (e) {
    if (!(e instanceof SysError)) throw e; // Removed meanwhile.
  }
}

/** What {@linkcode Objects.flowDown} does, on any pool that the caller may map. */
export function takeDown(
  instance: Instance,
  pool: Pool,
  flowId: number,
  pid: number,
  gonePid: number,
): void {
  onRing(instance, gonePid, flowId, (ring) => {
    ring.setAcl(Acl.FLOWDOWN);
    ring.drain((off) => pool.remove(off));
  });
  onRing(instance, pid, flowId, (ring) => ring.setAcl(Acl.FLOWDOWN));
  try {
    using set = FlowSetShm.open(instance, pid);
    set.notify(flowId, FlowEvent.DEALLOC);
  } catch (e) {
    if (!(e instanceof SysError)) throw e; // Its owner has left too.
  }
}

/** What {@linkcode Objects.reclaim} does, on any pool that the caller may map. */
export function reclaimFrom(
  instance: Instance,
  pool: Pool,
  pid: number,
  rings: Iterable<RingId>,
): number {
  const held = new Set<number>();
  for (const [owner, flowId] of rings) {
    onRing(instance, owner, flowId, (ring) => ring.collect(held));
  }
  return reclaim(pool, pid, held);
}

/**
 * The IPCP's side of flows to the processes above (spec 30 §14, spec 10 §8): blocks go to and from the
 * rings without any processing, and to and from the pool of the process's user with one copy.
 *
 * All blocks that an IPCP holds are in its own pool. Results: offsets or 0; negative errno on failure.
 * **A block given to {@linkcode Np1Flow.write} or to {@linkcode Np1Flow.transfer} is always consumed.**
 * Writing never waits: when the process above doesn't read, its packets are dropped, so that one stuck
 * reader can't stop the others (spec 10 §11.18).
 *
 * A user of another uid owns its pool, rings and set: offsets and bounds from there are checked, and
 * payload is copied by descriptor (`shm/transfer.ts`).
 */

import { Errno, OuroError } from "./errno.ts";
import { PeerSets, Rings } from "./flow/rings.ts";
import { resultOf } from "./flow/irmd.ts";
import type { OuroProcess } from "./flow/process.ts";
import { flowInfoOf, IrmCode, type IrmMsg } from "./irm/messages.ts";
import type { QosSpec } from "./qos.ts";
import { Acl, FlowEvent } from "./shm/layout.ts";
import { Pool } from "./shm/pool.ts";
import { transfer } from "./shm/transfer.ts";
import { monotonicNs } from "./sys/clock.ts";
import { pidAlive } from "./sys/process.ts";

export { resultOf as irmResultOf };

/** Longest wait for our own loop to take what the process wrote before it closed, ns. */
const DRAIN_MAX_NS = 1e9;

/** Pools of users, opened once a uid and closed with the last flow (spec 10 §11.19). */
export class UserPools {
  readonly #pools = new Map<number, { pool: Pool; users: number }>();

  constructor(private readonly process: OuroProcess) {}

  /** The pool of a flow uid; our own for the uid of ours. Throws `SysError`. */
  take(uid: number): Pool {
    if (uid === this.process.uid) return this.process.pool;
    let entry = this.#pools.get(uid);
    if (entry === undefined) {
      entry = { pool: Pool.open(this.process.instance, uid, true, this.process.pid), users: 0 };
      this.#pools.set(uid, entry);
    }
    entry.users += 1;
    return entry.pool;
  }

  give(uid: number): void {
    const entry = this.#pools.get(uid);
    if (entry === undefined || --entry.users > 0) return;
    this.#pools.delete(uid);
    entry.pool.close();
  }

  get size(): number {
    return this.#pools.size;
  }
}

/** What an IPCP's thread needs to have flows to processes above. */
export class Np1 {
  readonly pools: UserPools;
  readonly sets: PeerSets;

  constructor(readonly process: OuroProcess) {
    this.pools = new UserPools(process);
    this.sets = new PeerSets(process.instance);
  }

  /**
   * Opens the IPCP's end of a flow: `nPid` is the process above, `uid` its flow uid (0: global pool).
   * Throws `SysError` when an object is missing or isn't what it should be.
   */
  open(flowId: number, nPid: number, uid: number): Np1Flow {
    return new Np1Flow(this, flowId, nPid, uid);
  }

  /** Tells the IRMd that this IPCP is ready, or why not (`IPCP_CREATE_R`). */
  async created(info: NonNullable<IrmMsg["ipcpInfo"]>, result: number): Promise<void> {
    await this.process.request({
      code: IrmCode.IPCP_CREATE_R,
      ipcpInfo: info,
      pid: this.process.pid,
      result,
    });
  }

  /**
   * Tells the IRMd of a request for the name with `hash` (`IPCP_FLOW_REQ_ARR`). Takes as long as the
   * IRMd needs to start the server. Returns the reply: result, and with result 0 flow_info, pk.
   */
  requestArrived(
    hash: Uint8Array,
    qos: QosSpec,
    mplMs: number,
    data: Uint8Array,
    signal?: AbortSignal,
  ): Promise<IrmMsg> {
    return this.process.request({
      code: IrmCode.IPCP_FLOW_REQ_ARR,
      flowInfo: flowInfoOf({ n1Pid: this.process.pid, qos, mpl: mplMs }),
      hash,
      pk: data,
    }, signal);
  }

  /** Tells the IRMd how an allocation of ours went (`IPCP_FLOW_ALLOC_REPLY`). */
  allocReply(flowId: number, response: number, mplMs: number, data: Uint8Array): Promise<IrmMsg> {
    return this.process.request({
      code: IrmCode.IPCP_FLOW_ALLOC_REPLY,
      flowInfo: flowInfoOf({ id: flowId, n1Pid: this.process.pid, mpl: mplMs }),
      response,
      pk: data,
    });
  }

  /** Tells the IRMd that the flow has ended below (`IPCP_FLOW_DEALLOC`). */
  async deallocated(flowId: number): Promise<number> {
    try {
      return resultOf(
        await this.process.request({
          code: IrmCode.IPCP_FLOW_DEALLOC,
          flowInfo: flowInfoOf({ id: flowId, n1Pid: this.process.pid }),
        }),
      );
    } catch (e) {
      if (e instanceof OuroError) return e.code;
      throw e;
    }
  }
}

/** The IPCP's end of one flow. */
export class Np1Flow implements Disposable {
  /** Packets dropped because the process above didn't read or its pool had no block. */
  dropped = 0;
  readonly #np1: Np1;
  readonly #rings: Rings;
  readonly #pool: Pool;
  #closed = false;

  constructor(
    np1: Np1,
    readonly id: number,
    /** The process above. */
    readonly nPid: number,
    /** Its flow uid. */
    readonly uid: number,
  ) {
    this.#np1 = np1;
    const { process } = np1;
    // The pool first: the flow must not carry packets before it is known (spec 10 §11.19).
    this.#pool = np1.pools.take(uid);
    try {
      this.#rings = Rings.open(process.instance, np1.sets, process.pid, nPid, id);
    } catch (e) {
      np1.pools.give(uid);
      throw e;
    }
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** The process above uses another pool than we do: packets are copied. */
  get foreign(): boolean {
    return this.#pool !== this.#np1.process.pool;
  }

  /** Packets that the process above wrote and we did not take; and that it did not take yet. */
  get rxQueued(): number {
    return this.#closed ? 0 : this.#rings.rx.queued();
  }
  get txQueued(): number {
    return this.#closed ? 0 : this.#rings.tx.queued();
  }

  /**
   * The next packet as a block of our own pool; the caller frees it or passes it on. Empty packets are
   * keepalives and are forwarded like any other. -EAGAIN when there is none (or it was bad, or no
   * block of ours was free: then it is gone), -EFLOWDOWN, -EFLOWPEER, -ENOTALLOC when closed.
   */
  read(): number {
    if (this.#closed) return -Errno.ENOTALLOC;
    const off = this.#rings.rx.read();
    if (off < 0) return off;
    if (off === 0) return -Errno.EAGAIN;
    const own = transfer(this.#pool, off, this.#np1.process.pool);
    if (own >= 0) return own;
    this.dropped += 1;
    return -Errno.EAGAIN;
  }

  /**
   * Gives a block of our pool to the process above and notifies it. The block is consumed in every
   * case. 0, -EAGAIN (ring or pool of the process full: dropped), -EFLOWDOWN, -ENOTALLOC.
   */
  write(off: number): number {
    const own = this.#np1.process.pool;
    if (this.#closed) {
      own.remove(off);
      return -Errno.ENOTALLOC;
    }
    const theirs = transfer(own, off, this.#pool);
    if (theirs < 0) {
      this.dropped += 1;
      return theirs;
    }
    return this.#put(theirs);
  }

  /** Puts a block of the process's own pool in its ring. */
  #put(off: number): number {
    const result = this.#rings.tx.write(off);
    if (result < 0) {
      this.#pool.remove(off);
      this.dropped += 1;
      return result;
    }
    this.#rings.peerSet.notify(this.id, FlowEvent.PKT);
    return 0;
  }

  /**
   * Moves one packet from `this` to `to` (local IPCP): the block itself within one pool, else one
   * copy. 0 when a packet moved or was dropped at `to`; -EAGAIN when there was none; errors of reading.
   */
  transfer(to: Np1Flow): number {
    if (this.#closed) return -Errno.ENOTALLOC;
    const off = this.#rings.rx.read();
    if (off < 0) return off;
    if (off === 0) return -Errno.EAGAIN;
    if (to.#closed) {
      if (this.#pool.get(off) === 0) this.#pool.remove(off);
      return 0;
    }
    const theirs = transfer(this.#pool, off, to.#pool);
    if (theirs < 0) to.dropped += 1;
    else to.#put(theirs);
    return 0;
  }

  /** Puts the flow in queue `idx` of our flow set. 0 or -EPERM; look for packets after it. */
  watch(idx: number): number {
    return this.#np1.process.set.add(idx, this.id);
  }

  unwatch(idx: number): void {
    this.#np1.process.set.del(idx, this.id);
  }

  /** Marks the flow down in both directions and tells the process above, which may still read. */
  down(): void {
    if (this.#closed) return;
    this.#rings.rx.setAcl(Acl.FLOWDOWN);
    this.#rings.tx.setAcl(Acl.FLOWDOWN);
    this.#rings.peerSet.notify(this.id, FlowEvent.DEALLOC);
  }

  /** Whether packets that the process wrote before it closed still wait for our loop. */
  draining(untilNs: number = monotonicNs() + DRAIN_MAX_NS): boolean {
    return !this.#closed && this.#rings.rx.queued() > 0 && monotonicNs() < untilNs &&
      pidAlive(this.nPid);
  }

  /** Marks the flow down, frees what is left in our ring and unmaps. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.down();
    this.#closed = true;
    const pool = this.#pool;
    this.#rings.rx.drain((off) => {
      if (pool.get(off) === 0) pool.remove(off);
    });
    this.#rings.close();
    this.#np1.pools.give(this.uid);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

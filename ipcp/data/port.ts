/**
 * One thread's hold on an N+1 flow: the two rbuffs, the flow set of the process above, and its pool.
 *
 * Source: spec 50 §5, spec 10 §8 and §11.18–19. Blocks of a process without privileges live in its own
 * pool; each such pool is opened once a thread and shared by its flows. Nothing here blocks: a full rbuff
 * or an exhausted pool drops the packet and says so, so one process that does not read stops nobody.
 */

import { Errno } from "../../lib/errno.ts";
import type { Instance } from "../../lib/instance.ts";
import { RBUFF_SLOTS } from "../../lib/limits.ts";
import { Acl, FlowEvent } from "../../lib/shm/layout.ts";
import { FlowSetShm } from "../../lib/shm/flow_set.ts";
import { Pool } from "../../lib/shm/pool.ts";
import { Rbuff } from "../../lib/shm/rbuff.ts";
import { Patience } from "../../lib/sys/patience.ts";

/**
 * Packets that may wait in one rbuff. Below the 1023 that fit, because the smallest packets share a
 * class of 768 blocks in the global pool and one stuck reader must not hold them all.
 */
export const QUEUED_MAX = 384;

/** How long one user's lock may keep a thread that serves many, ns in a minute. */
const PATIENCE_NS = 20e6;

/** Counts the users of things by key, closes a thing with its last user. */
class Shared<T extends { close(): void }> {
  readonly #entries = new Map<number, { thing: T; users: number }>();

  get size(): number {
    return this.#entries.size;
  }
  acquire(key: number, open: () => T): T {
    let entry = this.#entries.get(key);
    if (entry === undefined) {
      entry = { thing: open(), users: 0 };
      this.#entries.set(key, entry);
    }
    entry.users++;
    return entry.thing;
  }
  release(key: number): void {
    const entry = this.#entries.get(key);
    if (entry === undefined || --entry.users > 0) return;
    this.#entries.delete(key);
    entry.thing.close();
  }
  close(): void {
    for (const { thing } of this.#entries.values()) thing.close();
    this.#entries.clear();
  }
}

/** What the ports of one thread share: the pools by flow uid, the flow sets by process. */
export class PortContext {
  readonly instance: Instance;
  readonly ownPid: number;
  /** The pool of the IPCP itself. */
  readonly pool: Pool;
  readonly #pools = new Shared<Pool>();
  readonly #sets = new Shared<FlowSetShm>();

  /** Opens the global pool; throws a SysError. */
  constructor(instance: Instance, ownPid: number) {
    Patience.limitNs = PATIENCE_NS;
    this.instance = instance;
    this.ownPid = ownPid;
    this.pool = Pool.open(instance, 0, false, ownPid);
  }

  /** User pools and flow sets that are open. */
  get size(): number {
    return this.#pools.size + this.#sets.size;
  }
  acquirePool(uid: number): Pool {
    if (uid === 0) return this.pool;
    return this.#pools.acquire(uid, () => Pool.open(this.instance, uid, true, this.ownPid));
  }
  releasePool(uid: number): void {
    if (uid !== 0) this.#pools.release(uid);
  }
  acquireSet(pid: number): FlowSetShm {
    return this.#sets.acquire(pid, () => FlowSetShm.open(this.instance, pid));
  }
  releaseSet(pid: number): void {
    this.#sets.release(pid);
  }
  close(): void {
    this.#pools.close();
    this.#sets.close();
    this.pool.close();
  }
}

export class Port {
  readonly flowId: number;
  readonly pid: number;
  readonly uid: number;
  readonly pool: Pool;
  /** What the process above wrote. */
  readonly rx: Rbuff;
  /** What it will read. */
  readonly tx: Rbuff;
  readonly #set: FlowSetShm;
  readonly #context: PortContext;
  /** Its event queue was full: no more packets until it has read what it has. */
  #deaf = false;
  /** Bytes of the packet that {@linkcode readInto} dropped last for its size. */
  tooLongBytes = 0;
  /** Packets in `tx` as far as we know, and the position up to which they were taken. */
  #waiting = 0;
  #tail = 0;

  private constructor(
    context: PortContext,
    flowId: number,
    pid: number,
    uid: number,
    rx: Rbuff,
    tx: Rbuff,
    set: FlowSetShm,
    pool: Pool,
  ) {
    this.#context = context;
    this.flowId = flowId;
    this.pid = pid;
    this.uid = uid;
    this.rx = rx;
    this.tx = tx;
    this.#set = set;
    this.pool = pool;
    this.#waiting = tx.queued();
    this.#tail = (tx.headPosition() - this.#waiting) & (RBUFF_SLOTS - 1);
  }

  /** Open flow `flowId` of process `pid`; throws a SysError and leaves nothing open. */
  static open(context: PortContext, flowId: number, pid: number, uid: number): Port {
    const undo: (() => void)[] = [];
    try {
      const rx = Rbuff.open(context.instance, context.ownPid, flowId);
      undo.push(() => rx.close());
      const tx = Rbuff.open(context.instance, pid, flowId);
      undo.push(() => tx.close());
      const set = context.acquireSet(pid);
      undo.push(() => context.releaseSet(pid));
      const pool = context.acquirePool(uid);
      return new Port(context, flowId, pid, uid, rx, tx, set, pool);
    } catch (e) {
      for (const f of undo) f();
      throw e;
    }
  }

  /**
   * The next packet of the process above, copied to the start of `into`: its length, -EAGAIN if there is
   * none, -EFLOWDOWN, or for one that was dropped -EINVAL (no packet) or -EMSGSIZE (too long, see
   * {@linkcode tooLongBytes}).
   */
  readInto(into: Uint8Array<ArrayBuffer>): number {
    const off = this.rx.read();
    if (off < 0) return off;
    const pool = this.pool;
    const n = pool.inspect(off);
    if (n < 0) {
      if (n === -Errno.EMSGSIZE) pool.remove(off); // Held, but with forged bounds.
      return -Errno.EINVAL;
    }
    if (n > into.length) {
      pool.remove(off);
      this.tooLongBytes = n;
      return -Errno.EMSGSIZE;
    }
    pool.copyOut(off, pool.at, n, into);
    pool.remove(off);
    return n;
  }

  /** Hand bytes `[start, end)` of `from` to the process above: 0, or why the packet was dropped. */
  write(from: Uint8Array<ArrayBuffer>, start: number, end: number): number {
    if (this.isFull()) return -Errno.EAGAIN;
    const pool = this.pool;
    const off = pool.alloc(end - start);
    if (off < 0) return off;
    const n = pool.inspect(off);
    if (n < 0) return n;
    const at = pool.at;
    if (pool.object !== null) {
      pool.object.pwrite(from.subarray(start, end), n, at);
    } else if (n <= 32) {
      for (let i = 0; i < n; i++) pool.u8[at + i] = from[start + i]!;
    } else {
      pool.u8.set(from.subarray(start, end), at);
    }
    return this.deliver(off);
  }

  /** Hand a block of this flow's pool to the process above: 0, or the block is freed and why. */
  deliver(off: number): number {
    const result = this.tx.write(off);
    if (result < 0) {
      this.pool.remove(off);
      return result;
    }
    this.#waiting++;
    if (this.#set.notify(this.flowId, FlowEvent.PKT) === -Errno.EAGAIN) this.#deaf = true;
    return 0;
  }

  /**
   * Whether a packet more would be too many for a process that does not read. Counted by what we wrote and what
   * was taken since: a C library that reads from two threads moves the tail beyond the head, and the ring then
   * looks nearly full for ever (spec 10 §5.2).
   */
  isFull(): boolean {
    const queued = this.tx.queued();
    const tail = (this.tx.headPosition() - queued) & (RBUFF_SLOTS - 1);
    const taken = (tail - this.#tail) & (RBUFF_SLOTS - 1);
    this.#tail = tail;
    this.#waiting = Math.max(0, Math.min(this.#waiting - taken, queued));
    if (this.#waiting === 0) this.#deaf = false;
    return this.#waiting >= QUEUED_MAX || this.#deaf;
  }

  /** Tell the process above what the layer carries of a packet from now on, bytes. */
  setPacketBytesMax(bytes: number): void {
    this.rx.setPacketBytesMax(bytes);
  }

  /** Tell the process above that the flow is down (or up again). */
  setDown(down: boolean): void {
    if (down) {
      this.tx.setAcl(Acl.FLOWDOWN);
      this.rx.setAcl(Acl.FLOWDOWN);
    } else {
      this.tx.clearAcl(Acl.FLOWDOWN);
      this.rx.clearAcl(Acl.FLOWDOWN);
    }
    this.#set.notify(this.flowId, down ? FlowEvent.DOWN : FlowEvent.UP);
  }

  /** Tell the process above that the other end has closed the flow. */
  end(): void {
    this.tx.setAcl(Acl.FLOWDOWN);
    this.rx.setAcl(Acl.FLOWDOWN);
    this.#set.notify(this.flowId, FlowEvent.DEALLOC);
  }

  /** Shut the flow down for good: both sides see it, what is unread is freed. */
  shut(): void {
    this.rx.setAcl(Acl.FLOWDOWN);
    this.tx.setAcl(Acl.FLOWDOWN);
    this.#set.notify(this.flowId, FlowEvent.DEALLOC);
    this.rx.drain((off) => this.pool.remove(off));
  }

  close(): void {
    this.rx.close();
    this.tx.close();
    this.#context.releaseSet(this.pid);
    this.#context.releasePool(this.uid);
  }
}

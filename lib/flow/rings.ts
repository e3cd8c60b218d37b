/**
 * The shared-memory side of one flow: the two rbuffs and the peer's flow set (spec 10 §2.3), opened in
 * the prototype's order, and the maps of peers' sets that flows of one thread share.
 */

import type { Instance } from "../instance.ts";
import { FlowSetShm } from "../shm/flow_set.ts";
import { Acl, FlowEvent } from "../shm/layout.ts";
import { Rbuff } from "../shm/rbuff.ts";
import { SysError } from "../sys/ffi.ts";

/** Sets of peers without a flow that stay mapped, for the next flow to the same peer. */
const IDLE_MAX = 4;

/** Flow sets of peers, one mapping a peer pid. */
export class PeerSets {
  readonly #sets = new Map<number, { set: FlowSetShm; users: number }>();
  /** Peers without a flow whose sets are mapped, oldest first. */
  readonly #idle = new Set<number>();

  constructor(private readonly instance: Instance) {}

  /** The set of a process. Throws `SysError` when it isn't there. */
  take(pid: number): FlowSetShm {
    let entry = this.#sets.get(pid);
    if (this.#idle.delete(pid) && !entry!.set.isOf(this.instance, pid)) {
      // Another process has got the pid.
      this.#close(pid);
      entry = undefined;
    }
    if (entry === undefined) {
      entry = { set: FlowSetShm.open(this.instance, pid), users: 0 };
      this.#sets.set(pid, entry);
    }
    entry.users += 1;
    return entry.set;
  }

  give(pid: number): void {
    const entry = this.#sets.get(pid);
    if (entry === undefined || --entry.users > 0) return;
    this.#idle.add(pid);
    if (this.#idle.size <= IDLE_MAX) return;
    const [oldest] = this.#idle;
    this.#idle.delete(oldest!);
    this.#close(oldest!);
  }

  #close(pid: number): void {
    this.#sets.get(pid)?.set.close();
    this.#sets.delete(pid);
  }

  /** Unmaps what no flow uses. */
  close(): void {
    for (const pid of this.#idle) this.#close(pid);
    this.#idle.clear();
  }
}

/** The objects of one end of a flow. */
export class Rings {
  private constructor(
    readonly rx: Rbuff,
    readonly tx: Rbuff,
    readonly peerSet: FlowSetShm,
    private readonly sets: PeerSets,
    private readonly peerPid: number,
  ) {}

  /** Opens rx (ours), tx (the peer's) and the peer's set. Throws `SysError` with nothing left open. */
  static open(
    instance: Instance,
    sets: PeerSets,
    ownPid: number,
    peerPid: number,
    flowId: number,
  ): Rings {
    const rx = Rbuff.open(instance, ownPid, flowId);
    try {
      const tx = Rbuff.open(instance, peerPid, flowId);
      try {
        return new Rings(rx, tx, sets.take(peerPid), sets, peerPid);
      } catch (e) {
        tx.close();
        throw e;
      }
    } catch (e) {
      rx.close();
      throw e;
    }
  }

  /** Tells the peer of a flow that is not used here that it is over; nothing where its memory is gone. */
  static tellEnd(
    instance: Instance,
    sets: PeerSets,
    ownPid: number,
    peerPid: number,
    flowId: number,
  ): void {
    let rings: Rings;
    try {
      rings = Rings.open(instance, sets, ownPid, peerPid, flowId);
    } catch (e) {
      if (!(e instanceof SysError)) throw e;
      return;
    }
    rings.rx.setAcl(Acl.FLOWDOWN);
    rings.tx.setAcl(Acl.FLOWDOWN);
    rings.peerSet.notify(flowId, FlowEvent.DEALLOC);
    rings.close();
  }

  /** Unmaps everything. */
  close(): void {
    this.rx.close();
    this.tx.close();
    this.sets.give(this.peerPid);
  }
}

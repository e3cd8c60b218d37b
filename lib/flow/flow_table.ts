/**
 * The flows of one thread, by descriptor and by flow id (spec 30 §3). Pure.
 */

import { Errno } from "../errno.ts";
import { FD_FIRST, FDS_MAX } from "../limits.ts";

/** A flow as the table knows it. */
export interface OwnedFlow {
  readonly core: { readonly fd: number; readonly id: number };
  readonly events: {
    /** Events for this flow arrived (bits); 0: look anyway. Whether its packets are left to those who were woken. */
    onEvents(events: number): boolean;
    repair(): boolean;
    /** Takes in what is left, if the peer expects answers. */
    service(): void;
  };
  /** The process ends: close without lingering. */
  abandon(limitMs?: number): void;
}

/** See the head of this file. */
export class FlowTable {
  readonly #flows: (OwnedFlow | undefined)[] = new Array(FDS_MAX);
  readonly #byId = new Map<number, OwnedFlow>();
  #firstFree = FD_FIRST;

  /** Flows in the table. */
  get size(): number {
    return this.#byId.size;
  }

  /** Lowest free descriptor, or -EMFILE. It is taken with {@linkcode enter}. */
  freeFd(): number {
    let fd = this.#firstFree;
    while (fd < FDS_MAX && this.#flows[fd] !== undefined) fd += 1;
    this.#firstFree = fd;
    return fd < FDS_MAX ? fd : -Errno.EMFILE;
  }

  enter(flow: OwnedFlow): void {
    this.#flows[flow.core.fd] = flow;
    this.#byId.set(flow.core.id, flow);
  }

  /** Takes a flow out; its descriptor is free again. False when it wasn't there. */
  leave(core: OwnedFlow["core"]): boolean {
    if (this.#flows[core.fd]?.core !== core) return false;
    this.#flows[core.fd] = undefined;
    // The IRMd gives an id anew as soon as it has heard of the end: the place may be the next flow's.
    if (this.#byId.get(core.id)?.core === core) this.#byId.delete(core.id);
    this.#firstFree = Math.min(this.#firstFree, core.fd);
    return true;
  }

  /** The flow with a descriptor. */
  byFd(fd: number): OwnedFlow | undefined {
    return this.#flows[fd];
  }

  /** The flow with a flow id; undefined for ids that aren't ours. */
  byId(id: number): OwnedFlow | undefined {
    return this.#byId.get(id);
  }

  [Symbol.iterator](): IterableIterator<OwnedFlow> {
    return this.#byId.values();
  }
}

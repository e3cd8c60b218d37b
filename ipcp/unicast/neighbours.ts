/**
 * The neighbours of a unicast node and the flows to each, as link-state routing uses them. Management and Data Transfer
 * flows are independent; a neighbour is there as long as it has one of either. Pure.
 */

interface TransferFlow {
  readonly fd: number;
  down: boolean;
}

/** One of them. */
export interface Neighbour {
  readonly addr: number;
  /** Its own among 32, or 0 when they are taken. */
  readonly bit: number;
  /** Descriptors of Management flows, the newest last: all are listened to, the newest is written to. */
  readonly mgmts: number[];
  /** Data Transfer flows, the newest last. The newest that is up is used; more than one is a spare. */
  readonly dts: TransferFlow[];
  /** When the Management flow was heard last, µs. */
  heardUs: number;
  silent: boolean;
}

/** The Data Transfer flow to use, or -1: none is up. */
export function usable(n: Neighbour): number {
  return n.dts.findLast((f) => !f.down)?.fd ?? -1;
}

/** The same, or one that is down when none is up: whoever forwards knows that it is. */
export function newest(n: Neighbour): number {
  const fd = usable(n);
  return fd >= 0 ? fd : n.dts.at(-1)?.fd ?? -1;
}

/** See the file's comment. */
export class Neighbours {
  readonly #all = new Map<number, Neighbour>();
  /** By descriptor of a Management flow. */
  readonly #byFd = new Map<number, Neighbour>();

  get(addr: number): Neighbour | undefined {
    return this.#all.get(addr);
  }
  has(addr: number): boolean {
    return this.#all.has(addr);
  }
  values(): MapIterator<Neighbour> {
    return this.#all.values();
  }
  /** The one with a Management flow of this descriptor. */
  byManagement(fd: number): Neighbour | undefined {
    return this.#byFd.get(fd);
  }

  #enter(nowUs: number, addr: number): Neighbour {
    let n = this.#all.get(addr);
    if (n === undefined) {
      let taken = 0;
      for (const { bit } of this.#all.values()) taken |= bit;
      const bit = (~taken & (taken + 1)) >>> 0;
      n = { addr, bit, mgmts: [], dts: [], heardUs: nowUs, silent: false };
      this.#all.set(addr, n);
    }
    return n;
  }

  #forgetEmpty(n: Neighbour): void {
    if (n.mgmts.length === 0 && n.dts.length === 0) this.#all.delete(n.addr);
  }

  /** A Management flow is there. */
  addManagement(nowUs: number, addr: number, fd: number): Neighbour {
    const n = this.#enter(nowUs, addr);
    if (!n.mgmts.includes(fd)) n.mgmts.push(fd);
    this.#byFd.set(fd, n);
    return n;
  }

  /** It is gone. */
  removeManagement(addr: number, fd: number): void {
    const n = this.#all.get(addr);
    const at = n?.mgmts.indexOf(fd) ?? -1;
    if (n === undefined || at < 0) return;
    n.mgmts.splice(at, 1);
    if (this.#byFd.get(fd) === n) this.#byFd.delete(fd);
    this.#forgetEmpty(n);
  }

  /** A Data Transfer flow is there, and up. Whether another one is used now. */
  addTransfer(nowUs: number, addr: number, fd: number): { n: Neighbour; changed: boolean } {
    const n = this.#enter(nowUs, addr);
    const known = n.dts.find((f) => f.fd === fd);
    const before = usable(n);
    if (known === undefined) n.dts.push({ fd, down: false });
    else known.down = false;
    return { n, changed: usable(n) !== before };
  }

  /** It is gone: whose it was, if it was there. */
  removeTransfer(addr: number, fd: number): Neighbour | undefined {
    const n = this.#all.get(addr);
    const at = n?.dts.findIndex((f) => f.fd === fd) ?? -1;
    if (n === undefined || at < 0) return undefined;
    n.dts.splice(at, 1);
    this.#forgetEmpty(n);
    return n;
  }

  /** Addresses of those with a Data Transfer flow that is up. */
  transferable(): number[] {
    return [...this.#all.values()].filter((n) => usable(n) >= 0).map((n) => n.addr);
  }

  /** For people and the RIB; a descriptor of -1 is none. */
  list(): { addr: number; mgmt: number; dt: number; up: boolean }[] {
    return [...this.#all.values()].map((n) => {
      const up = usable(n) >= 0 && !n.silent;
      return { addr: n.addr, mgmt: n.mgmts.at(-1) ?? -1, dt: newest(n), up };
    }).sort((a, b) => b.addr - a.addr);
  }
}

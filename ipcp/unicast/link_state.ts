/**
 * Link-state routing of a unicast node: neighbours, the database of links, flooding, and when to compute routes anew.
 * Source: spec 60 §11–§13, improvements §19 W1–W12. Pure.
 *
 * Management and Data Transfer neighbours are independent: updates are flooded over Management flows, Data Transfer
 * neighbours are announced and routed over. Rules beyond the prototype's, all compatible with it:
 *
 * - A link that goes is withdrawn at once (`lib/wire/link_state.ts`); its number is remembered, so that what still
 *   travels of it is not believed, and a link that returns has a higher one and is believed at once.
 * - Nobody else speaks for our links: what names us as source is answered with a higher number, or withdrawn.
 * - A neighbour whose Management flow is silent for {@linkcode SILENT_UPDATES} update periods is not routed over.
 * - Routes are computed once for all cubes, {@linkcode SETTLE_US} after the first change of a batch.
 * - The database is bounded, in all and for each source.
 */

import { encode, type LinkState as Update, parse } from "../../lib/wire/link_state.ts";
import { isWireError } from "../../lib/wire/mod.ts";
import { Graph, type Routes } from "./graph.ts";
import type { RoutingPolicy } from "./settings.ts";

/** How long a change waits for others of its batch, µs. */
export const SETTLE_US = 10_000;
/** Links in the database, in all and of one source. */
export const LINKS_MAX = 32_768;
export const LINKS_PER_SOURCE_MAX = 256;
/** Silence of a Management flow after which its neighbour counts as dead, update periods. */
export const SILENT_UPDATES = 2.25;
/** How often the ages of links are looked at, µs. */
const AGE_US = 1e6;
/** Shortest time between two answers to somebody who speaks for our links, µs. */
const DEFEND_US = 1e6;

/** What routing asks for. */
export type RoutingEffect =
  /** An update to a neighbour, on its Management flow. */
  | { readonly kind: "send_mgmt"; readonly fd: number; readonly bytes: Uint8Array }
  /** Next hops changed: descriptors of Data Transfer flows by destination, best first. */
  | { readonly kind: "routes"; readonly routes: ReadonlyMap<number, readonly number[]> }
  /** Somebody else uses our address or speaks for us. */
  | { readonly kind: "conflict"; readonly dst: number }
  /** A neighbour has not been heard for long; `alive` when it is heard again. */
  | { readonly kind: "neighbour"; readonly addr: number; readonly alive: boolean };

/** A link of the database, for people and the RIB. */
export interface LinkEntry {
  readonly src: number;
  readonly dst: number;
  readonly seqno: number;
  /** When the last update came, µs of the machine's clock. */
  readonly heardUs: number;
}

interface Link {
  readonly src: number;
  readonly dst: number;
  seqno: number;
  heardUs: number;
  /** Withdrawn links stay until they age out, for their numbers. */
  withdrawn: boolean;
}

interface Neighbour {
  readonly addr: number;
  /** Descriptors, -1 none. */
  mgmt: number;
  dt: number;
  /** The Data Transfer flow is down. */
  down: boolean;
  /** When the Management flow was heard last, µs. */
  heardUs: number;
  silent: boolean;
}

/** Times of routing, µs. */
export interface LinkStateTimes {
  readonly updateUs: number;
  readonly timeoutUs: number;
}

/** What was dropped, by reason. */
export interface LinkStateCounters {
  malformed: number;
  /** Not newer than what is known. */
  old: number;
  /** The database is full. */
  full: number;
  /** Named us as the source. */
  forged: number;
  received: number;
  sent: number;
  computed: number;
}

/** The database: links by source, then by destination. */
class Links {
  readonly #bySource = new Map<number, Map<number, Link>>();
  size = 0;

  get(src: number, dst: number): Link | undefined {
    return this.#bySource.get(src)?.get(dst);
  }
  countOf(src: number): number {
    return this.#bySource.get(src)?.size ?? 0;
  }
  add(link: Link): void {
    let of = this.#bySource.get(link.src);
    if (of === undefined) this.#bySource.set(link.src, of = new Map());
    of.set(link.dst, link);
    this.size += 1;
  }
  delete(link: Link): void {
    const of = this.#bySource.get(link.src);
    if (of?.delete(link.dst) !== true) return;
    this.size -= 1;
    if (of.size === 0) this.#bySource.delete(link.src);
  }
  *[Symbol.iterator](): Generator<Link> {
    for (const of of this.#bySource.values()) yield* of.values();
  }
}

export class LinkStateRouting {
  readonly self: number;
  readonly counters: LinkStateCounters = {
    malformed: 0,
    old: 0,
    full: 0,
    forged: 0,
    received: 0,
    sent: 0,
    computed: 0,
  };
  readonly #policy: RoutingPolicy;
  readonly #times: LinkStateTimes;
  readonly #graph = new Graph();
  readonly #links = new Links();
  readonly #neighbours = new Map<number, Neighbour>();
  /** The highest number of each link of ours, for the life of the process. */
  readonly #numbers = new Map<number, number>();
  readonly #out: RoutingEffect[] = [];
  #routes: Map<number, number[]> = new Map();
  #computeAtUs = Infinity;
  #updateAtUs: number;
  #ageAtUs = Infinity;
  #defendedUs = -Infinity;

  constructor(self: number, policy: RoutingPolicy, times: LinkStateTimes, nowUs: number) {
    this.self = self;
    this.#policy = policy;
    this.#times = times;
    this.#updateAtUs = nowUs + times.updateUs;
  }

  /** The next thing to do, oldest first. */
  poll(): RoutingEffect | undefined {
    return this.#out.shift();
  }

  // Neighbours.

  #neighbour(nowUs: number, addr: number): Neighbour {
    let n = this.#neighbours.get(addr);
    if (n === undefined) {
      n = { addr, mgmt: -1, dt: -1, down: false, heardUs: nowUs, silent: false };
      this.#neighbours.set(addr, n);
    }
    return n;
  }

  #forgetEmpty(n: Neighbour): void {
    if (n.mgmt < 0 && n.dt < 0) this.#neighbours.delete(n.addr);
  }

  /** A Management flow with a neighbour is there, in place of an older one: it gets the whole database. */
  managementUp(nowUs: number, addr: number, fd: number): void {
    const n = this.#neighbour(nowUs, addr);
    n.mgmt = fd;
    this.#heard(nowUs, n);
    for (const link of this.#inOrder()) if (!link.withdrawn) this.#send(n, link);
  }

  /** A Management flow is gone. One that was replaced already changes nothing. */
  managementDown(addr: number, fd: number): void {
    const n = this.#neighbours.get(addr);
    if (n === undefined || n.mgmt !== fd) return;
    n.mgmt = -1;
    this.#forgetEmpty(n);
  }

  /** A Data Transfer flow with a neighbour is there, in place of an older one. */
  transferUp(nowUs: number, addr: number, fd: number): void {
    const n = this.#neighbour(nowUs, addr);
    const before = n.dt;
    n.dt = fd;
    n.down = false;
    if (before !== fd) this.#changed(nowUs);
    if (!n.silent) this.#announce(nowUs, addr, false);
  }

  /** A Data Transfer flow is gone: its link is withdrawn. */
  transferGone(nowUs: number, addr: number, fd: number): void {
    const n = this.#neighbours.get(addr);
    if (n === undefined || n.dt !== fd) return;
    n.dt = -1;
    this.#changed(nowUs);
    this.#announce(nowUs, addr, true);
    this.#forgetEmpty(n);
  }

  /** A Data Transfer flow is down for now, or up again: the link is withdrawn, or announced. */
  transferState(nowUs: number, addr: number, fd: number, up: boolean): void {
    const n = this.#neighbours.get(addr);
    if (n === undefined || n.dt !== fd || n.down === !up) return;
    n.down = !up;
    this.#changed(nowUs);
    if (!n.silent) this.#announce(nowUs, addr, !up);
  }

  /** Something was heard from a neighbour on its Management flow. */
  #heard(nowUs: number, n: Neighbour): void {
    n.heardUs = nowUs;
    if (!n.silent) return;
    n.silent = false;
    this.#out.push({ kind: "neighbour", addr: n.addr, alive: true });
    if (n.dt >= 0 && !n.down) this.#announce(nowUs, n.addr, false);
  }

  // Links of our own.

  /** Tell everybody of a link of ours, or that it is gone. */
  #announce(nowUs: number, dst: number, withdrawn: boolean): void {
    const known = this.#links.get(this.self, dst);
    if (withdrawn && (known === undefined || known.withdrawn)) return;
    const seqno = (this.#numbers.get(dst) ?? -1) + 1;
    this.#numbers.set(dst, seqno);
    const update = { src: this.self, dst, seqno, withdrawn };
    this.#store(nowUs, update);
    this.#flood(update, -1);
  }

  /** Put a link in the database and in the graph. */
  #store(nowUs: number, u: Update): void {
    let link = this.#links.get(u.src, u.dst);
    const was = link !== undefined && !link.withdrawn;
    if (link === undefined) {
      link = { src: u.src, dst: u.dst, seqno: u.seqno, heardUs: nowUs, withdrawn: u.withdrawn };
      this.#links.add(link);
    }
    link.seqno = u.seqno;
    link.heardUs = nowUs;
    link.withdrawn = u.withdrawn;
    if (this.#ageAtUs === Infinity) this.#ageAtUs = nowUs + AGE_US;
    if (was === !u.withdrawn) return;
    if (u.withdrawn) this.#graph.remove(u.src, u.dst);
    else this.#graph.add(u.src, u.dst);
    this.#changed(nowUs);
  }

  #send(n: Neighbour, u: Update): void {
    if (n.mgmt < 0) return;
    const bytes = new Uint8Array(24);
    encode(u, bytes);
    this.counters.sent += 1;
    this.#out.push({ kind: "send_mgmt", fd: n.mgmt, bytes });
  }

  /** To all Management neighbours but the one on `except`. */
  #flood(u: Update, except: number): void {
    for (const n of this.#neighbours.values()) if (n.mgmt !== except) this.#send(n, u);
  }

  // Updates of others.

  /** A packet on a Management flow. */
  onPacket(nowUs: number, fd: number, bytes: Uint8Array): void {
    for (const n of this.#neighbours.values()) if (n.mgmt === fd) this.#heard(nowUs, n);
    const u = parse(bytes);
    if (isWireError(u)) {
      this.counters.malformed += 1;
      return;
    }
    this.counters.received += 1;
    if (u.src === this.self) return this.#defend(nowUs, u);
    const known = this.#links.get(u.src, u.dst);
    if (known === undefined) {
      const full = this.#links.size >= LINKS_MAX ||
        this.#links.countOf(u.src) >= LINKS_PER_SOURCE_MAX;
      // A withdrawal of what is not known has nothing to take away, but its number is worth keeping.
      if (full) {
        this.counters.full += 1;
        return;
      }
    } else if (u.seqno <= known.seqno) {
      this.counters.old += 1;
      return;
    }
    this.#store(nowUs, u);
    this.#flood(u, fd);
  }

  /**
   * An update that names us as its source: our own that comes back with a number of an earlier life of this address, or
   * a forged one. Ours has the last word, with a higher number; at most one a second, since two nodes of one address
   * would never end.
   */
  #defend(nowUs: number, u: Update): void {
    const ours = this.#links.get(this.self, u.dst);
    if (ours !== undefined && u.seqno <= ours.seqno) {
      this.counters.old += 1;
      return;
    }
    this.counters.forged += 1;
    const exists = ours !== undefined && !ours.withdrawn;
    if (exists === u.withdrawn || !exists) this.#out.push({ kind: "conflict", dst: u.dst });
    if (!exists && u.withdrawn) return;
    if (nowUs - this.#defendedUs < DEFEND_US) return;
    this.#defendedUs = nowUs;
    this.#numbers.set(u.dst, Math.max(u.seqno, this.#numbers.get(u.dst) ?? -1));
    if (exists) return this.#announce(nowUs, u.dst, false);
    const seqno = u.seqno + 1;
    this.#numbers.set(u.dst, seqno);
    this.#flood({ src: this.self, dst: u.dst, seqno, withdrawn: true }, -1);
  }

  // Time.

  /** Routes are computed soon. */
  #changed(nowUs: number): void {
    this.#computeAtUs = Math.min(this.#computeAtUs, nowUs + SETTLE_US);
  }

  /** Do what is due. */
  onTimer(nowUs: number): void {
    if (nowUs >= this.#ageAtUs) this.#age(nowUs);
    if (nowUs >= this.#updateAtUs) {
      this.#updateAtUs = nowUs + this.#times.updateUs;
      for (const n of this.#neighbours.values()) {
        if (n.dt >= 0 && !n.down && !n.silent) this.#announce(nowUs, n.addr, false);
      }
    }
    if (nowUs >= this.#computeAtUs) this.#compute();
  }

  /** Links that nobody renews and neighbours that say nothing leave. */
  #age(nowUs: number): void {
    for (const link of [...this.#links]) {
      if (nowUs - link.heardUs <= this.#times.timeoutUs) continue;
      this.#links.delete(link);
      if (link.withdrawn) continue;
      this.#graph.remove(link.src, link.dst);
      this.#changed(nowUs);
    }
    for (const n of this.#neighbours.values()) {
      if (n.silent || n.mgmt < 0) continue;
      if (nowUs - n.heardUs <= this.#times.updateUs * SILENT_UPDATES) continue;
      n.silent = true;
      this.#out.push({ kind: "neighbour", addr: n.addr, alive: false });
      if (n.dt >= 0 && !n.down) this.#announce(nowUs, n.addr, true);
    }
    const quiet = this.#links.size === 0 && this.#neighbours.size === 0;
    this.#ageAtUs = quiet ? Infinity : nowUs + AGE_US;
  }

  #compute(): void {
    this.#computeAtUs = Infinity;
    this.counters.computed += 1;
    const routes: Routes = this.#graph.routes(this.self, this.#policy);
    this.#routes = new Map();
    for (const [dst, hops] of routes) {
      const fds: number[] = [];
      for (const hop of hops) {
        const fd = this.#neighbours.get(hop)?.dt ?? -1;
        if (fd >= 0) fds.push(fd);
      }
      if (fds.length > 0) this.#routes.set(dst, fds);
    }
    this.#out.push({ kind: "routes", routes: this.#routes });
  }

  /** When {@linkcode onTimer} has something to do next, µs. */
  deadlineUs(): number {
    return Math.min(this.#computeAtUs, this.#updateAtUs, this.#ageAtUs);
  }

  // What is known.

  /** Whether there is a way to an address. */
  reaches(addr: number): boolean {
    return this.#routes.has(addr);
  }

  /** Addresses that can be reached, and our own. */
  members(): number[] {
    return [this.self, ...this.#routes.keys()];
  }

  /** Addresses of neighbours with a Data Transfer flow that is up. */
  transferNeighbours(): number[] {
    return [...this.#neighbours.values()].filter((n) => n.dt >= 0 && !n.down).map((n) => n.addr);
  }

  /** The neighbours, for people and the RIB; a descriptor of -1 is none. */
  neighbours(): { addr: number; mgmt: number; dt: number; up: boolean }[] {
    return [...this.#neighbours.values()].map((n) => {
      return { addr: n.addr, mgmt: n.mgmt, dt: n.dt, up: !n.down && !n.silent };
    }).sort((a, b) => b.addr - a.addr);
  }

  #inOrder(): Link[] {
    return [...this.#links].sort((a, b) => a.dst - b.dst || a.src - b.src);
  }

  /** The database in the order of the prototype: by destination, then by source. */
  links(): LinkEntry[] {
    return this.#inOrder().filter((l) => !l.withdrawn).map(({ src, dst, seqno, heardUs }) => {
      return { src, dst, seqno, heardUs };
    });
  }

  /** Whether an address other than ours announces that it is a neighbour of somebody. */
  hears(addr: number): boolean {
    return this.#links.countOf(addr) > 0;
  }
}

/**
 * Link-state routing of a unicast node: links to neighbours (`neighbours.ts`), the database of links, flooding, and
 * when to compute routes anew. Source: spec 60 §11–§13, improvements §19 W1–W12. Pure.
 *
 * Management and Data Transfer neighbours are independent: updates are flooded over Management flows, Data Transfer
 * neighbours are announced and routed over. Rules beyond the prototype's, all compatible with it:
 *
 * - A link that goes is withdrawn at once (`lib/wire/link_state.ts`); its number is remembered, so that what still
 *   travels of it is not believed, and a link that returns has a higher one and is believed at once.
 * - Nobody else speaks for our links: what names us as source is answered with a higher number, or withdrawn.
 * - A neighbour whose Management flow is silent for {@linkcode SILENT_UPDATES} update periods is not routed over.
 * - Routes are computed once for all cubes, {@linkcode SETTLE_US} after the first change of a batch.
 * - What changes is passed on at once. What only renews waits a moment ({@linkcode HOLD_US}) and goes together with
 *   others, and not to neighbours that had it from elsewhere meanwhile; nodes renew at different times. In a layer of
 *   1000 nodes this makes a third less packets and a hundredth of the wake-ups. In a large layer they renew less often.
 * - The database is bounded, in all and for each source.
 */

import { encode, LENGTH, type LinkState as Update, parse } from "../../lib/wire/link_state.ts";
import { isWireError } from "../../lib/wire/mod.ts";
import { Fifo } from "../../lib/fifo.ts";
import { NowAndThen } from "../now_and_then.ts";
import { Graph, type Routes } from "./graph.ts";
import { LinkTable } from "./link_table.ts";
import { type Neighbour, Neighbours, newest, usable } from "./neighbours.ts";
import { PendingUpdates } from "./pending_updates.ts";
import type { RoutingEffect } from "./routing.ts";
import type { RoutingPolicy } from "./settings.ts";

/** How long a change waits for others of its batch, µs. */
export const SETTLE_US = 10_000;
/**
 * How long what only renews a link waits for others before it is passed on: a part of the period, at most so much, µs, and
 * up to half more or less, each time anew: nodes that pass on at the same time tell each other what both have.
 */
export const HOLD_US = 100_000;
const HOLD_PART = 1 / 64;
/** Shortest time between two times that changes are passed on, µs: when many come, they go together. */
const SPACE_US = 1000;
/** Links in the database, in all and of one source. */
export const LINKS_MAX = 32_768;
export const LINKS_PER_SOURCE_MAX = 1024;
/** Silence of a Management flow after which its neighbour counts as dead, update periods. */
export const SILENT_UPDATES = 2.25;
/**
 * From so many links on renewals are most of what a layer does: then a node renews its own less often, by this factor,
 * as long as each is told {@linkcode RENEWALS} times before others think that it is gone. Below {@linkcode
 * SILENT_UPDATES}, so that no neighbour counts as dead.
 */
const LINKS_MANY = 1024;
const MANY_UPDATES = 1.6;
const RENEWALS = 2.5;
/** How often the ages of links are looked at, µs. */
const AGE_US = 1e6;
/**
 * How far a number may be ahead of the last: nobody counts so fast, so whoever jumps further is not the link's node. (A
 * number at the end of the range could not be answered with a higher one.)
 */
const JUMP_MAX = 2 ** 32;
/** Shortest time between two answers to somebody who speaks for our links, µs. */
const DEFEND_US = 1e6;

/** A link of the database, for people and the RIB. */
export interface LinkEntry {
  readonly src: number;
  readonly dst: number;
  readonly seqno: number;
  /** When the last update came, µs of the machine's clock. */
  readonly heardUs: number;
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

/** Links of our own whose numbers are kept. */
const NUMBERS_MAX = 1024;

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
  readonly #links = new LinkTable();
  readonly #neighbours = new Neighbours();
  /** The highest number of each link of ours, the last said last; longer than others remember the link. */
  readonly #numbers = new Map<number, number>();
  readonly #out = new Fifo<RoutingEffect>();
  /** Updates that wait to be passed on; the note of a link is the number of its last one, from 1, which may be over. */
  readonly #pending = new PendingUpdates();
  readonly #holdUs: number;
  #passOnAtUs = Infinity;
  /** Pseudo-random, of 32 bits: by how much the next wait differs. */
  #differs: number;
  /** When something was passed on at once, µs. */
  #passedUs = -Infinity;
  #routes: Map<number, number[]> = new Map();
  #computeAtUs = Infinity;
  #updateAtUs: number;
  #ageAtUs = Infinity;
  #defendedUs = -Infinity;
  readonly #conflicts = new NowAndThen();

  constructor(self: number, policy: RoutingPolicy, times: LinkStateTimes, nowUs: number) {
    this.self = self;
    this.#policy = policy;
    this.#times = times;
    this.#holdUs = Math.min(HOLD_US, times.updateUs * HOLD_PART);
    // Addresses are random: nodes that start together do not renew together.
    this.#differs = Math.imul(self, 0x9e3779b1) >>> 0;
    this.#updateAtUs = nowUs + times.updateUs * this.#differs / 2 ** 32;
  }

  /** The next thing to do, oldest first. */
  poll(): RoutingEffect | undefined {
    return this.#out.shift();
  }

  // Neighbours.

  /** A neighbour with our own address is somebody else who has it: there is no link to oneself. */
  #isTwin(nowUs: number, addr: number): boolean {
    if (addr !== this.self) return false;
    this.#conflict(nowUs, addr);
    return true;
  }

  /** Said now and then: whoever lies once can lie without end. */
  #conflict(nowUs: number, dst: number): void {
    if (this.#conflicts.happened(nowUs) > 0) this.#out.push({ kind: "conflict", dst });
  }

  /** A Management flow with a neighbour is there: it gets the whole database. */
  managementUp(nowUs: number, addr: number, fd: number): void {
    if (this.#isTwin(nowUs, addr)) return;
    const n = this.#neighbours.addManagement(nowUs, addr, fd);
    this.#look(nowUs);
    this.#heard(nowUs, n);
    for (const { src, dst, seqno } of this.links()) {
      this.#send(n, this.#encoded({ src, dst, seqno, withdrawn: false }));
    }
  }

  /** A Management flow is gone. */
  managementDown(addr: number, fd: number): void {
    this.#neighbours.removeManagement(addr, fd);
  }

  /** A Data Transfer flow with a neighbour is there. */
  transferUp(nowUs: number, addr: number, fd: number): void {
    if (this.#isTwin(nowUs, addr)) return;
    const { n, changed } = this.#neighbours.addTransfer(nowUs, addr, fd);
    if (changed) this.#changed(nowUs);
    if (!n.silent) this.#announce(nowUs, addr, false);
  }

  /** A Data Transfer flow is gone: without another, its link is withdrawn. */
  transferGone(nowUs: number, addr: number, fd: number): void {
    const n = this.#neighbours.removeTransfer(addr, fd);
    if (n === undefined) return;
    this.#changed(nowUs);
    if (usable(n) < 0) this.#announce(nowUs, addr, true);
  }

  /** A Data Transfer flow is down for now, or up again: without another, the link is withdrawn, or announced. */
  transferState(nowUs: number, addr: number, fd: number, up: boolean): void {
    const n = this.#neighbours.get(addr);
    const flow = n?.dts.find((f) => f.fd === fd);
    if (n === undefined || flow === undefined || flow.down === !up) return;
    const could = usable(n) >= 0;
    flow.down = !up;
    this.#changed(nowUs);
    const can = usable(n) >= 0;
    if (can !== could && !n.silent) this.#announce(nowUs, addr, !can);
  }

  /** Something was heard from a neighbour on its Management flow. */
  #heard(nowUs: number, n: Neighbour): void {
    n.heardUs = nowUs;
    if (!n.silent) return;
    n.silent = false;
    this.#out.push({ kind: "neighbour", addr: n.addr, alive: true });
    if (usable(n) >= 0) this.#announce(nowUs, n.addr, false);
  }

  // Links of our own.

  /** Tell everybody of a link of ours, or that it is gone. */
  #announce(nowUs: number, dst: number, withdrawn: boolean): void {
    const known = this.#links.find(this.self, dst);
    if (withdrawn && (known < 0 || this.#links.isWithdrawn(known))) return;
    const seqno = (this.#numbers.get(dst) ?? -1) + 1;
    this.#remember(dst, seqno);
    const update = { src: this.self, dst, seqno, withdrawn };
    this.#store(nowUs, update, known, this.#slotOf(update, known));
    this.#flood(this.#encoded(update), undefined);
  }

  /** Keeps the number of a link of ours; of those that are no neighbours any more, the last {@linkcode NUMBERS_MAX}. */
  #remember(dst: number, seqno: number): void {
    const numbers = this.#numbers;
    numbers.delete(dst);
    numbers.set(dst, seqno);
    if (numbers.size <= NUMBERS_MAX) return;
    for (const oldest of numbers.keys()) {
      if (this.#neighbours.has(oldest)) continue;
      numbers.delete(oldest);
      return;
    }
  }

  /** The slot of a link, `known` or, if that is -1, a new one. */
  #slotOf({ src, dst }: Update, known: number): number {
    return known >= 0 ? known : this.#links.insert(src, dst);
  }

  /** Put a link in its slot of the database, which may not have been known, and in the graph. Whether anything changed but numbers. */
  #store(nowUs: number, u: Update, known: number, slot: number): boolean {
    const { src, dst, seqno, withdrawn } = u;
    const was = known >= 0 && !this.#links.isWithdrawn(known);
    this.#links.set(slot, seqno, nowUs, withdrawn);
    if (this.#ageAtUs === Infinity) this.#look(nowUs);
    if (was === !withdrawn) return known < 0;
    if (withdrawn) this.#graph.remove(src, dst);
    else this.#graph.add(src, dst);
    this.#changed(nowUs);
    return true;
  }

  #encoded(u: Update, into = new Uint8Array(LENGTH)): Uint8Array {
    encode(u, into);
    return into;
  }

  #send(n: Neighbour, bytes: Uint8Array): void {
    const fd = n.mgmts.at(-1);
    if (fd === undefined) return;
    this.counters.sent += 1;
    this.#out.push({ kind: "send_mgmt", fd, bytes });
  }

  /** To all Management neighbours but one. */
  #flood(bytes: Uint8Array, except: Neighbour | undefined): void {
    for (const n of this.#neighbours.values()) if (n !== except) this.#send(n, bytes);
  }

  // Passing on.

  /** Pass an update on: what changes something at once, but {@linkcode SPACE_US} apart; what renews later. */
  #pass(
    nowUs: number,
    u: Update,
    slot: number,
    bytes: Uint8Array,
    changed: boolean,
    from?: Neighbour,
  ): void {
    const links = this.#links;
    this.#pending.overtake(links.note(slot) - 1, u);
    if (changed && nowUs - this.#passedUs >= SPACE_US) {
      this.#passedUs = nowUs;
      return this.#flood(bytes.slice(), from);
    }
    links.setNote(slot, this.#pending.add(u, from?.addr ?? 0, from?.bit ?? 0) + 1);
    const atUs = nowUs + (changed ? SPACE_US : this.#holdUs * (0.5 + this.#differs / 2 ** 32));
    if (atUs < this.#passOnAtUs) this.#passOnAtUs = atUs;
  }

  #passOn(nowUs: number): void {
    const pending = this.#pending;
    const neighbours = [...this.#neighbours.values()];
    // Room for all of them at once: one by one, the allocation costs more than all else that is done for an update.
    const room = new Uint8Array(pending.size * LENGTH);
    this.#passOnAtUs = Infinity;
    this.#passedUs = nowUs;
    this.#differs = (Math.imul(this.#differs, 1664525) + 1013904223) >>> 0;
    for (let i = 0; i < pending.size; i++) {
      if (pending.isOvertaken(i)) continue;
      let bytes: Uint8Array | undefined;
      for (const n of neighbours) {
        if (pending.has(i, n.addr, n.bit)) continue;
        bytes ??= this.#encoded(pending.get(i), room.subarray(i * LENGTH, (i + 1) * LENGTH));
        this.#send(n, bytes);
      }
    }
    pending.clear();
  }

  // Updates of others.

  /** A packet on a Management flow. */
  onPacket(nowUs: number, fd: number, bytes: Uint8Array): void {
    const from = this.#neighbours.byManagement(fd);
    if (from !== undefined) this.#heard(nowUs, from);
    const u = parse(bytes);
    if (isWireError(u)) {
      this.counters.malformed += 1;
      return;
    }
    this.counters.received += 1;
    if (u.src === this.self) return this.#defend(nowUs, u);
    const known = this.#links.find(u.src, u.dst);
    if (known < 0) {
      const full = this.#links.size >= LINKS_MAX ||
        this.#links.countOf(u.src) >= LINKS_PER_SOURCE_MAX;
      // A withdrawal of what is not known has nothing to take away, but its number is worth keeping.
      if (full) {
        this.counters.full += 1;
        return;
      }
    } else {
      const last = this.#links.seqno(known);
      if (u.seqno <= last || u.seqno > last + JUMP_MAX) {
        this.counters.old += 1;
        if (from !== undefined) {
          this.#pending.alsoHas(this.#links.note(known) - 1, u, from.bit);
        }
        return;
      }
    }
    const slot = this.#slotOf(u, known);
    this.#pass(nowUs, u, slot, bytes, this.#store(nowUs, u, known, slot), from);
  }

  /**
   * An update that names us as its source: our own that comes back with a number of an earlier life of this address, or
   * a forged one. Ours has the last word, with a higher number; at most one a second, since two nodes of one address
   * would never end.
   */
  #defend(nowUs: number, u: Update): void {
    const slot = this.#links.find(this.self, u.dst);
    if (slot >= 0 && u.seqno <= this.#links.seqno(slot)) {
      this.counters.old += 1;
      return;
    }
    this.counters.forged += 1;
    const exists = slot >= 0 && !this.#links.isWithdrawn(slot);
    if (exists === u.withdrawn || !exists) this.#conflict(nowUs, u.dst);
    if (!exists && u.withdrawn) return;
    // No number is higher than the last of all: then it has to age out.
    if (u.seqno >= Number.MAX_SAFE_INTEGER) return;
    if (nowUs - this.#defendedUs < DEFEND_US) return;
    this.#defendedUs = nowUs;
    this.#remember(u.dst, Math.max(u.seqno, this.#numbers.get(u.dst) ?? -1));
    if (exists) return this.#announce(nowUs, u.dst, false);
    const seqno = u.seqno + 1;
    this.#remember(u.dst, seqno);
    const withdrawal = { src: this.self, dst: u.dst, seqno, withdrawn: true };
    this.#flood(this.#encoded(withdrawal), undefined);
  }

  // Time.

  /** Routes are computed soon. */
  #changed(nowUs: number): void {
    this.#computeAtUs = Math.min(this.#computeAtUs, nowUs + SETTLE_US);
  }

  /** Ages are looked at soon. */
  #look(nowUs: number): void {
    this.#ageAtUs = Math.min(this.#ageAtUs, nowUs + AGE_US);
  }

  /** Do what is due. */
  onTimer(nowUs: number): void {
    if (nowUs >= this.#ageAtUs) this.#age(nowUs);
    if (nowUs >= this.#updateAtUs) {
      this.#updateAtUs = nowUs + this.#renewUs();
      this.#renew(nowUs);
    }
    if (nowUs >= this.#passOnAtUs) this.#passOn(nowUs);
    if (nowUs >= this.#computeAtUs) this.#compute();
  }

  /** How long until our links are announced again, µs. */
  #renewUs(): number {
    const { updateUs, timeoutUs } = this.#times;
    if (this.#links.size < LINKS_MANY) return updateUs;
    return Math.max(updateUs, Math.min(updateUs * MANY_UPDATES, timeoutUs / RENEWALS));
  }

  /** Announce our links again. Who has none says so, since silent neighbours wait for each other's first word. */
  #renew(nowUs: number): void {
    let announced = 0;
    for (const n of this.#neighbours.values()) {
      if (usable(n) < 0 || n.silent) continue;
      this.#announce(nowUs, n.addr, false);
      announced += 1;
    }
    if (announced > 0) return;
    for (const n of this.#neighbours.values()) {
      const seqno = this.#numbers.get(n.addr) ?? 0;
      const withdrawal = { src: this.self, dst: n.addr, seqno, withdrawn: true };
      this.#send(n, this.#encoded(withdrawal));
    }
  }

  /** Links that nobody renews and neighbours that say nothing leave. */
  #age(nowUs: number): void {
    const { updateUs, timeoutUs } = this.#times;
    if (nowUs - this.#links.oldestUs() > timeoutUs) this.#dropOld(nowUs);
    let next = this.#links.oldestUs() + timeoutUs;
    for (const n of this.#neighbours.values()) {
      if (n.silent || n.mgmts.length === 0) continue;
      if (nowUs - n.heardUs <= updateUs * SILENT_UPDATES) {
        next = Math.min(next, n.heardUs + updateUs * SILENT_UPDATES);
        continue;
      }
      n.silent = true;
      this.#out.push({ kind: "neighbour", addr: n.addr, alive: false });
      if (usable(n) >= 0) this.#announce(nowUs, n.addr, true);
    }
    this.#ageAtUs = next === Infinity ? Infinity : Math.max(next + 1, nowUs + AGE_US);
  }

  #dropOld(nowUs: number): void {
    const links = this.#links;
    const old = links.slots().filter((slot) => nowUs - links.heardUs(slot) > this.#times.timeoutUs)
      .map((slot) => ({ src: links.src(slot), dst: links.dst(slot) }));
    for (const { src, dst } of old) {
      const slot = links.find(src, dst);
      const withdrawn = links.isWithdrawn(slot);
      links.remove(slot);
      if (withdrawn) continue;
      this.#graph.remove(src, dst);
      this.#changed(nowUs);
    }
  }

  #compute(): void {
    this.#computeAtUs = Infinity;
    this.counters.computed += 1;
    const routes: Routes = this.#graph.routes(this.self, this.#policy);
    this.#routes = new Map();
    for (const [dst, hops] of routes) {
      const fds: number[] = [];
      for (const hop of hops) {
        const n = this.#neighbours.get(hop);
        const fd = n === undefined ? -1 : newest(n);
        if (fd >= 0) fds.push(fd);
      }
      if (fds.length > 0) this.#routes.set(dst, fds);
    }
    this.#out.push({ kind: "routes", routes: this.#routes });
  }

  /** When {@linkcode onTimer} has something to do next, µs. */
  deadlineUs(): number {
    return Math.min(this.#computeAtUs, this.#updateAtUs, this.#ageAtUs, this.#passOnAtUs);
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
    return this.#neighbours.transferable();
  }

  /** The neighbours, for people and the RIB; a descriptor of -1 is none. */
  neighbours(): { addr: number; mgmt: number; dt: number; up: boolean }[] {
    return this.#neighbours.list();
  }

  /** The database in the order of the prototype: by destination, then by source. */
  links(): LinkEntry[] {
    const links = this.#links;
    const slots = links.slots().filter((slot) => !links.isWithdrawn(slot));
    return slots.map((slot) => ({
      src: links.src(slot),
      dst: links.dst(slot),
      seqno: links.seqno(slot),
      heardUs: links.heardUs(slot),
    })).sort((a, b) => a.dst - b.dst || a.src - b.src);
  }

  /** Links in the database, withdrawn ones too. */
  get linksHeld(): number {
    return this.#links.size;
  }

  /** Links of ours whose number is kept. */
  get numbersHeld(): number {
    return this.#numbers.size;
  }

  /** Whether an address other than ours announces that it is a neighbour of somebody. */
  hears(addr: number): boolean {
    return this.#links.countOf(addr) > 0;
  }
}

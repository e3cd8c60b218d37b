/**
 * What becomes of a packet in a unicast node, decided from its header: relayed, delivered, handed to a component or
 * dropped. Source: spec 60 §6, §13, improvements W1, W4 and the loop guard of §19. Pure; nothing here allocates.
 *
 * The worker calls {@linkcode Forwarder.receive} for a packet of a lower flow, with the bytes where they are, and does
 * what it says. To relay it calls {@linkcode Forwarder.relay} with the queue of {@linkcode Forwarder.out}, which edits
 * TTL and ECN in place, and moves the block to that flow. For a packet of its own, or of a flow above, it calls
 * {@linkcode Forwarder.route}, writes the header with {@linkcode Forwarder.head} in front of the payload, and sends.
 *
 * Which hop: what the forwarding policy chooses among those of the routing table that are up: the first (simple, LFA), or
 * one by the flow (ECMP), so packets of a flow stay in order. Never back to where a packet came from while there is
 * another hop.
 */

import { type DtPci, type DtPciLayout, emptyDtPci, encode, parse } from "../../lib/wire/dt_pci.ts";
import type { Congestion } from "./congestion.ts";
import { SLOT_FIRST } from "./eids.ts";
import type { Forwarding } from "./forwarding.ts";
import { type ForwardTable, HOPS_MAX, type HopStates } from "./table.ts";

/** What to do with a packet. */
export const Verdict = {
  /** Send it on, to the flow {@linkcode Forwarder.out}. */
  relay: 0,
  /** To the flow above with the EID of {@linkcode Forwarder.pci}. */
  flow: 1,
  /** To the component whose EID is the low word. */
  component: 2,
  /** Shorter than a header. */
  short: 3,
  /** Its hops are used up. */
  expired: 4,
  /** Nobody knows the way. */
  unroutable: 5,
  /** For a component that does not exist. */
  stray: 6,
} as const;
export type Verdict = typeof Verdict[keyof typeof Verdict];

/** Words for counters and logs, by verdict. */
export const VERDICT_WORDS = [
  "relayed",
  "delivered",
  "component",
  "short",
  "ttl expired",
  "no next hop",
  "no component",
] as const;

/** Components that take packets: the first EIDs, flow allocator and directory. */
const COMPONENTS = 2;

export class Forwarder {
  /** The header of the packet looked at last. */
  readonly pci: DtPci = emptyDtPci();
  /** The lower flow to send to, set by a verdict of `relay` and by {@linkcode route}. */
  out = -1;
  readonly layout: DtPciLayout;
  readonly #self: number;
  readonly #ttlMax: number;
  readonly #table: ForwardTable;
  readonly #states: HopStates;
  readonly #forwarding: Forwarding;
  readonly #congestion: Congestion;
  readonly #hops = new Int32Array(HOPS_MAX);

  constructor(
    self: number,
    layout: DtPciLayout,
    ttlMax: number,
    forwarding: Forwarding,
    congestion: Congestion,
    table: ForwardTable,
    states: HopStates,
  ) {
    this.#self = self;
    this.layout = layout;
    this.#ttlMax = ttlMax;
    this.#forwarding = forwarding;
    this.#congestion = congestion;
    this.#table = table;
    this.#states = states;
  }

  /** A packet `[at, end)` of lower flow `from`: what to do. */
  receive(b: Uint8Array, at: number, end: number, from: number): Verdict {
    const pci = this.pci;
    if (parse(b, at, end, this.layout, pci) < 0) return Verdict.short;
    if (pci.dst === this.#self) {
      if (pci.eidHi !== 0 || pci.eidLo >= SLOT_FIRST) return Verdict.flow;
      return pci.eidLo < COMPONENTS ? Verdict.component : Verdict.stray;
    }
    if (pci.ttl <= 1) return Verdict.expired;
    return this.#choose(from) ? Verdict.relay : Verdict.unroutable;
  }

  /** Edits the packet at `at`, for which {@linkcode receive} said `relay`, on its way to a queue of `queued`. */
  relay(b: Uint8Array, at: number, queued: number): void {
    const { ttlAt, ecnAt } = this.layout;
    b[at + ttlAt] = this.pci.ttl - 1;
    b[at + ecnAt] = this.pci.ecn | this.#congestion.mark(queued);
  }

  /** A packet of this node to `dst`: whether there is a way; then {@linkcode out} is the lower flow. */
  route(dst: number, cube: number, eidHi: number, eidLo: number): boolean {
    const pci = this.pci;
    pci.dst = dst;
    pci.cube = cube;
    pci.ttl = this.#ttlMax;
    pci.ecn = 0;
    pci.eidHi = eidHi;
    pci.eidLo = eidLo;
    return this.#choose(-1);
  }

  /** Writes the header of the packet that was routed last at `at`; the caller has room for it. */
  head(b: Uint8Array, at: number, queued: number): void {
    this.pci.ecn = this.#congestion.mark(queued);
    encode(this.pci, b, at, this.layout);
  }

  /** Chooses the next hop to `pci.dst` for a packet that came from `from`. */
  #choose(from: number): boolean {
    const hops = this.#hops;
    const states = this.#states;
    const n = this.#table.lookup(this.pci.dst, hops);
    let usable = 0;
    let back = -1;
    for (let i = 0; i < n; i++) {
      const fd = hops[i]!;
      if (!states.isUp(fd)) continue;
      if (fd === from) back = fd;
      else hops[usable++] = fd;
    }
    if (usable === 0) {
      // Back where it came from is better than nowhere: the neighbour may know more by now. Its hops end a loop.
      this.out = back;
      return back >= 0;
    }
    this.out = hops[usable > 1 ? this.#forwarding.choose(hops, usable, this.pci) : 0]!;
    return true;
  }
}

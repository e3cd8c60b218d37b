/** The flows of a member that are connections, or on their way to be. Pure. */

import { type Component, MANAGEMENT } from "./cep.ts";
import type { Connection } from "./effects.ts";
import type { Enrollee, EnrollmentServer } from "./enrollment.ts";
import type { Wish } from "./wishes.ts";

/** One of them. */
export interface Link {
  readonly flow: number;
  state: "greeting" | "enrolling" | "up";
  /** What this side made it for; undefined: the other side made it. */
  wish: Wish | undefined;
  component: Component | undefined;
  connection: Connection | undefined;
  enrollee: Enrollee | undefined;
  server: EnrollmentServer | undefined;
  /** When it is given up, µs. */
  untilUs: number;
  /** Not usable since, µs. */
  downUs: number | undefined;
}

/** See the file's comment. */
export class Links {
  readonly #all = new Map<number, Link>();

  get(flow: number): Link | undefined {
    return this.#all.get(flow);
  }

  /** All at this moment, the oldest first: they may be removed meanwhile. */
  all(): Link[] {
    return [...this.#all.values()];
  }

  /** A flow that is to be greeted by `untilUs`. */
  add(flow: number, untilUs: number): Link {
    const link: Link = {
      flow,
      state: "greeting",
      wish: undefined,
      component: undefined,
      connection: undefined,
      enrollee: undefined,
      server: undefined,
      untilUs,
      downUs: undefined,
    };
    this.#all.set(flow, link);
    return link;
  }

  /** Whether it was there. */
  remove(link: Link): boolean {
    return this.#all.delete(link.flow);
  }

  /** Open connections, the oldest first. */
  *connections(): IterableIterator<Connection> {
    for (const { connection } of this.#all.values()) {
      if (connection !== undefined) yield connection;
    }
  }

  /** Flows that are not agreed on yet. */
  get pending(): number {
    let n = 0;
    for (const link of this.#all.values()) if (link.state !== "up") n++;
    return n;
  }

  /** The flows to one neighbour for one component, the oldest first. */
  twins({ component, address }: Connection): Link[] {
    if (address === 0) return [];
    return this.all().filter(({ connection: c }) =>
      c?.component === component && c.address === address
    );
  }

  /** The Management flow with a neighbour, over which it can be told something. */
  management(address: number): Link | undefined {
    for (const link of this.#all.values()) {
      const c = link.connection;
      if (c?.component === MANAGEMENT && c.address === address) return link;
    }
    return undefined;
  }

  /** When something is due with one of them, µs, or Infinity. */
  deadlineUs(): number {
    let at = Infinity;
    for (const { untilUs, enrollee, server } of this.#all.values()) {
      at = Math.min(at, untilUs, (enrollee ?? server)?.deadlineUs() ?? Infinity);
    }
    return at;
  }
}

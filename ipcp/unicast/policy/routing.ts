/**
 * A routing policy from a file, with link state to take its place. Pure.
 *
 * When the policy is left, link state gets the neighbours that are there, and the ways that the policy found last are kept
 * for nodes that link state does not know, as long as their hops are up: the rest of the layer may still run the policy.
 */

import type { Routing, RoutingEffect } from "../routing.ts";
import { type Guard, shown } from "./guard.ts";
import { isAddress, StandIn } from "./stand_in.ts";

/** Nodes that a table holds, and hops to each. */
const ROUTES_MAX = 8192;
const HOPS_MAX = 64;
/** Longest message on a Management flow, bytes. */
const MESSAGE_BYTES_MAX = 2048;

export class GuardedRouting implements Routing {
  readonly #policy: StandIn<Routing, RoutingEffect>;
  /** What is there: Management flows by address; Data Transfer flows. */
  readonly #management = new Map<number, number>();
  readonly #transfer = new Map<number, { readonly addr: number; up: boolean }>();
  /** The ways that the policy said last. */
  #ways: ReadonlyMap<number, readonly number[]> = new Map();
  /** The ways that link state said last, and whether the two are to be told again. */
  #waysInstead: ReadonlyMap<number, readonly number[]> = new Map();
  #tellWays = false;

  constructor(
    make: () => Routing,
    guard: Guard,
    instead: (nowUs: number) => Routing,
    nowUs: number,
  ) {
    this.#policy = new StandIn(make, guard, nowUs, {
      kind: "routing",
      aKind: "routing",
      methods: METHODS,
      known: METHODS_OF_NEIGHBOURS,
      bad,
      begin: (now) => this.#begin(instead(now), now),
    });
  }

  /** What stands in for the policy, once it does. */
  get instead(): Routing | undefined {
    return this.#policy.instead;
  }

  /** What stands in gets the neighbours that are there. */
  #begin(instead: Routing, nowUs: number): Routing {
    for (const [addr, fd] of this.#management) instead.managementUp(nowUs, addr, fd);
    for (const [fd, { addr, up }] of this.#transfer) {
      instead.transferUp(nowUs, addr, fd);
      if (!up) instead.transferState(nowUs, addr, fd, false);
    }
    this.#tellWays = true;
    return instead;
  }

  #tell(nowUs: number, method: string, what: (r: Routing) => void): void {
    this.#policy.nowUs = nowUs;
    this.#policy.tell(method, what);
  }

  poll(): RoutingEffect | undefined {
    return this.#policy.poll((e) => this.#take(e), (instead) => this.#pollInstead(instead));
  }

  /** Takes an effect that was looked at. */
  #take(e: RoutingEffect): RoutingEffect {
    if (e.kind !== "routes") return e;
    // A copy: the policy may change its own later.
    const routes = new Map([...e.routes].map(([dst, hops]) => [dst, [...hops]]));
    this.#ways = routes;
    return { kind: "routes", routes };
  }

  #pollInstead(instead: Routing): RoutingEffect | undefined {
    for (;;) {
      const e = instead.poll();
      if (e === undefined) break;
      if (e.kind !== "routes") return e;
      this.#waysInstead = e.routes;
      this.#tellWays = true;
    }
    if (!this.#tellWays) return undefined;
    this.#tellWays = false;
    const routes = new Map(this.#waysInstead);
    for (const [dst, hops] of this.#ways) {
      if (routes.has(dst)) continue;
      const up = hops.filter((fd) => this.#transfer.get(fd)?.up === true);
      if (up.length > 0) routes.set(dst, up);
    }
    return { kind: "routes", routes };
  }

  onTimer(nowUs: number): void {
    this.#policy.onTimer(nowUs);
  }

  deadlineUs(): number {
    return this.#tellWays ? this.#policy.nowUs : this.#policy.deadlineUs();
  }

  managementUp(nowUs: number, addr: number, fd: number): void {
    this.#management.set(addr, fd);
    this.#tell(nowUs, "managementUp", (r) => r.managementUp(nowUs, addr, fd));
  }
  managementDown(addr: number, fd: number): void {
    if (this.#management.get(addr) === fd) this.#management.delete(addr);
    this.#policy.tell("managementDown", (r) => r.managementDown(addr, fd));
  }
  transferUp(nowUs: number, addr: number, fd: number): void {
    this.#transfer.set(fd, { addr, up: true });
    this.#tell(nowUs, "transferUp", (r) => r.transferUp(nowUs, addr, fd));
  }
  transferGone(nowUs: number, addr: number, fd: number): void {
    this.#transfer.delete(fd);
    this.#tellWays = this.instead !== undefined;
    this.#tell(nowUs, "transferGone", (r) => r.transferGone(nowUs, addr, fd));
  }
  transferState(nowUs: number, addr: number, fd: number, up: boolean): void {
    const flow = this.#transfer.get(fd);
    if (flow !== undefined) flow.up = up;
    this.#tellWays = this.instead !== undefined;
    this.#tell(nowUs, "transferState", (r) => r.transferState(nowUs, addr, fd, up));
  }

  onPacket(nowUs: number, fd: number, bytes: Uint8Array): void {
    this.#tell(nowUs, "onPacket", (r) => r.onPacket(nowUs, fd, bytes));
  }
}

const METHODS_OF_NEIGHBOURS: ReadonlySet<string> = new Set([
  "managementUp",
  "managementDown",
  "transferUp",
  "transferGone",
  "transferState",
]);
const METHODS = [
  "poll",
  "onTimer",
  "deadlineUs",
  "managementUp",
  "managementDown",
  "transferUp",
  "transferGone",
  "transferState",
  "onPacket",
] as const;

function bad(e: RoutingEffect): string | undefined {
  if (typeof e !== "object" || e === null) return `${shown(e)} is no effect`;
  switch (e.kind) {
    case "send_mgmt":
      // A flow may be gone that was there a moment ago; the shell drops what is for it.
      if (!(e.bytes instanceof Uint8Array) || e.bytes.length > MESSAGE_BYTES_MAX) {
        return `a message that is no Uint8Array of at most ${MESSAGE_BYTES_MAX} bytes`;
      }
      return Number.isInteger(e.fd) ? undefined : `a message to flow ${shown(e.fd)}`;
    case "routes":
      if (!(e.routes instanceof Map)) return "routes that are no Map";
      if (e.routes.size > ROUTES_MAX) return `routes to more than ${ROUTES_MAX} nodes`;
      for (const [dst, hops] of e.routes) {
        if (!isAddress(dst)) return `a route to ${shown(dst)}, which is no address`;
        if (!Array.isArray(hops) || hops.length > HOPS_MAX || !hops.every(Number.isInteger)) {
          return `next hops to ${dst} that are no list of at most ${HOPS_MAX} flows`;
        }
      }
      return undefined;
    case "conflict":
      return isAddress(e.dst) ? undefined : `a conflict with ${shown(e.dst)}`;
    case "neighbour":
      return isAddress(e.addr) ? undefined : `neighbour ${shown(e.addr)}`;
    default:
      return `${shown((e as { kind: unknown }).kind)} is no kind of effect`;
  }
}

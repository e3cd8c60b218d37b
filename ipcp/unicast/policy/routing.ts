/**
 * A routing policy from a file, with link state to take its place. Pure.
 *
 * When the policy is left, link state gets the neighbours that are there, and the ways that the policy found last are kept
 * for nodes that link state does not know, as long as their hops are up: the rest of the layer may still run the policy.
 */

import type { Routing, RoutingEffect } from "../routing.ts";
import { BROKEN, EFFECTS_MAX, type Guard, shown, TIMER_US } from "./guard.ts";

/** Nodes that a table holds, and hops to each. */
const ROUTES_MAX = 8192;
const HOPS_MAX = 64;
/** Longest message on a Management flow, bytes. */
const MESSAGE_BYTES_MAX = 2048;

export class GuardedRouting implements Routing {
  readonly #guard: Guard;
  readonly #makeInstead: (nowUs: number) => Routing;
  #own: Routing | undefined;
  #instead: Routing | undefined;
  #nowUs: number;
  #timerUs = -Infinity;
  #given = 0;
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
    this.#guard = guard;
    this.#makeInstead = instead;
    this.#nowUs = nowUs;
    const own = guard.call("routing", () => {
      const made = make();
      for (const m of METHODS) {
        if (typeof made[m] !== "function") throw new TypeError(`routing without ${m}`);
      }
      return made;
    });
    if (own === BROKEN) this.#replace();
    else this.#own = own;
  }

  /** What stands in for the policy, once it does. */
  get instead(): Routing | undefined {
    return this.#instead;
  }

  #call<T>(method: string, run: (own: Routing) => T, otherwise: (instead: Routing) => T): T {
    const own = this.#own;
    if (own !== undefined) {
      const result = this.#guard.call(method, () => run(own));
      if (result !== BROKEN) return result;
      // The neighbour of this call is known already: link state learns of it with the others.
      this.#replace();
      return METHODS_OF_NEIGHBOURS.has(method) ? undefined as T : otherwise(this.#instead!);
    }
    return otherwise(this.#instead!);
  }

  #replace(): void {
    this.#own = undefined;
    if (this.#instead !== undefined) return;
    const now = this.#nowUs;
    const instead = this.#instead = this.#makeInstead(now);
    for (const [addr, fd] of this.#management) instead.managementUp(now, addr, fd);
    for (const [fd, { addr, up }] of this.#transfer) {
      instead.transferUp(now, addr, fd);
      if (!up) instead.transferState(now, addr, fd, false);
    }
    this.#tellWays = true;
  }

  poll(): RoutingEffect | undefined {
    const own = this.#own;
    if (own === undefined) return this.#pollInstead();
    const e = this.#guard.call("poll", () => own.poll());
    if (e !== BROKEN) {
      if (e === undefined) {
        this.#given = 0;
        return undefined;
      }
      const why = ++this.#given > EFFECTS_MAX
        ? `more than ${EFFECTS_MAX} things to do at once`
        : this.#bad(e);
      if (why === undefined) return this.#take(e);
      this.#guard.nonsense("poll", why);
    }
    this.#replace();
    return this.#pollInstead();
  }

  /** Takes an effect that was looked at. */
  #take(e: RoutingEffect): RoutingEffect {
    if (e.kind !== "routes") return e;
    // A copy: the policy may change its own later.
    const routes = new Map([...e.routes].map(([dst, hops]) => [dst, [...hops]]));
    this.#ways = routes;
    return { kind: "routes", routes };
  }

  #bad(e: RoutingEffect): string | undefined {
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

  #pollInstead(): RoutingEffect | undefined {
    for (;;) {
      const e = this.#instead!.poll();
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
    this.#nowUs = this.#timerUs = nowUs;
    this.#call("onTimer", (r) => r.onTimer(nowUs), (r) => r.onTimer(nowUs));
  }

  deadlineUs(): number {
    if (this.#tellWays) return this.#nowUs;
    const own = this.#own;
    if (own === undefined) return this.#instead!.deadlineUs();
    const us = this.#guard.call("deadlineUs", () => own.deadlineUs());
    if (typeof us === "number" && !Number.isNaN(us)) return Math.max(us, this.#timerUs + TIMER_US);
    if (us !== BROKEN) this.#guard.nonsense("deadlineUs", `${shown(us)} is no time`);
    this.#replace();
    return this.#nowUs;
  }

  managementUp(nowUs: number, addr: number, fd: number): void {
    this.#nowUs = nowUs;
    this.#management.set(addr, fd);
    const to = (r: Routing) => r.managementUp(nowUs, addr, fd);
    this.#call("managementUp", to, to);
  }
  managementDown(addr: number, fd: number): void {
    if (this.#management.get(addr) === fd) this.#management.delete(addr);
    const to = (r: Routing) => r.managementDown(addr, fd);
    this.#call("managementDown", to, to);
  }
  transferUp(nowUs: number, addr: number, fd: number): void {
    this.#nowUs = nowUs;
    this.#transfer.set(fd, { addr, up: true });
    const to = (r: Routing) => r.transferUp(nowUs, addr, fd);
    this.#call("transferUp", to, to);
  }
  transferGone(nowUs: number, addr: number, fd: number): void {
    this.#nowUs = nowUs;
    this.#transfer.delete(fd);
    this.#tellWays = this.#instead !== undefined;
    const to = (r: Routing) => r.transferGone(nowUs, addr, fd);
    this.#call("transferGone", to, to);
  }
  transferState(nowUs: number, addr: number, fd: number, up: boolean): void {
    this.#nowUs = nowUs;
    const flow = this.#transfer.get(fd);
    if (flow !== undefined) flow.up = up;
    this.#tellWays = this.#instead !== undefined;
    const to = (r: Routing) => r.transferState(nowUs, addr, fd, up);
    this.#call("transferState", to, to);
  }

  onPacket(nowUs: number, fd: number, bytes: Uint8Array): void {
    this.#nowUs = nowUs;
    const to = (r: Routing) => r.onPacket(nowUs, fd, bytes);
    this.#call("onPacket", to, to);
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

function isAddress(x: unknown): boolean {
  return typeof x === "number" && Number.isInteger(x) && x > 0 && x <= 0xffffffff;
}

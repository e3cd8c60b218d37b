/**
 * Routing as an interface: how the nodes of a layer learn which neighbour leads to which node. Pure. The shipped one is
 * link state (`link_state.ts`, spec 60 §11).
 *
 * A routing policy is a machine: it is told which neighbours there are and what came from them, and says through `poll`
 * what to send and which ways there are now. Management and Data Transfer neighbours are independent: messages go over
 * Management flows, packets over Data Transfer flows. Flows are numbers that mean nothing else here. Times are µs.
 */

import type { Settings } from "./settings.ts";

/** What routing asks for. */
export type RoutingEffect =
  /** A message to a neighbour, on its Management flow; at most 2048 bytes, it may be lost. */
  | { readonly kind: "send_mgmt"; readonly fd: number; readonly bytes: Uint8Array }
  /** Next hops changed: Data Transfer flows by destination, best first, in place of all that were said before. */
  | { readonly kind: "routes"; readonly routes: ReadonlyMap<number, readonly number[]> }
  /** Somebody else uses our address or speaks for us. */
  | { readonly kind: "conflict"; readonly dst: number }
  /** A neighbour has not been heard for long; `alive` when it is heard again. */
  | { readonly kind: "neighbour"; readonly addr: number; readonly alive: boolean };

/** Routing of one node. */
export interface Routing {
  /** The next thing to do, oldest first. */
  poll(): RoutingEffect | undefined;
  /** Do what is due. */
  onTimer(nowUs: number): void;
  /** When {@linkcode onTimer} has something to do next, µs, or Infinity. */
  deadlineUs(): number;
  /** A neighbour has a Management flow (another one, if it had one), or has it no more. */
  managementUp(nowUs: number, addr: number, fd: number): void;
  managementDown(addr: number, fd: number): void;
  /** A neighbour has a Data Transfer flow; it is gone for good; it cannot be used just now, or can be again. */
  transferUp(nowUs: number, addr: number, fd: number): void;
  transferGone(nowUs: number, addr: number, fd: number): void;
  transferState(nowUs: number, addr: number, fd: number, up: boolean): void;
  /** A message on a Management flow. */
  onPacket(nowUs: number, fd: number, bytes: Uint8Array): void;
}

/** Makes the routing of the node with address `self`. */
export type RoutingPolicyMaker = (self: number, settings: Settings, nowUs: number) => Routing;

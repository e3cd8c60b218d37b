/**
 * The directory of a unicast layer as an interface: from the hash of a name to the addresses where it is registered.
 * Source: spec 60 §14, spec 70 §1. Pure. The shipped one is the DHT in `dht/`.
 *
 * A directory is a machine: it is given commands, messages and the time, and says through `poll` what to send and what
 * was found. Messages go to the directory of another node (EID 1); they may be lost, doubled and reordered.
 */

import type { Settings } from "./settings.ts";

/** What a directory asks for. */
export type DirectoryEffect =
  /** A message to the directory of the node with an address. */
  | { readonly kind: "send"; readonly dst: number; readonly bytes: Uint8Array }
  /** The answer to a query: addresses, the best first, never our own; none if the name is nowhere. */
  | { readonly kind: "found"; readonly token: number; readonly addrs: readonly number[] };

export interface Directory {
  /** The next thing to do, oldest first. */
  poll(): DirectoryEffect | undefined;
  /** Do what is due. */
  onTimer(nowUs: number): void;
  /** When {@linkcode onTimer} has something to do next, µs, or Infinity. */
  deadlineUs(): number;
  /** A name is served at this node. Registering twice is registering once. */
  register(nowUs: number, hash: Uint8Array): void;
  /** It is no longer; false if it was not. */
  unregister(nowUs: number, hash: Uint8Array): boolean;
  /** Who has a name? Answered by `found` with the token. */
  query(nowUs: number, hash: Uint8Array, token: number): void;
  /** A message of another directory. */
  onMessage(nowUs: number, bytes: Uint8Array): void;
  /** Routing: which nodes can be reached now, without our own; those that left are not asked again. */
  onMembers(nowUs: number, addrs: readonly number[]): void;
  /** A flow request to an address that the directory gave was not answered. */
  onUnanswered(nowUs: number, hash: Uint8Array, addr: number): void;
  /** An address that the directory gave says that it does not have the name. */
  onDenied(nowUs: number, hash: Uint8Array, addr: number): void;
}

/** Makes the directory of the node with address `self`. `random` gives uniform 32-bit numbers. */
export type DirectoryPolicyMaker = (
  self: number,
  settings: Settings,
  nowUs: number,
  random: () => number,
) => Directory;

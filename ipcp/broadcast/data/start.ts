/** What the main thread and the data worker of a broadcast IPCP agree on. */

import type { NeighbourKind } from "../node.ts";

/** Letters to the worker beside those of `mailbox.ts`; b is the flow they are about. */
export const BroadcastMail = {
  /** The flow is a neighbour of {@linkcode KINDS}[c]. */
  add: 16,
  /** It is none any more. */
  remove: 17,
  /** The bytes came on a flow that the main thread reads. */
  packet: 18,
} as const;

/** The event of a lower flow whose other end said farewell, beside those of `FlowEvent`. */
export const FAREWELL_EVENT = 1 << 16;

/**
 * Neighbours by the number in a letter. Flows with FRCT (`viaMain`) are read and written by the main thread: they
 * cannot be handed over.
 */
export const KINDS: readonly { readonly kind: NeighbourKind; readonly viaMain: boolean }[] = [
  { kind: "application", viaMain: false },
  { kind: "bare", viaMain: false },
  { kind: "own", viaMain: false },
  { kind: "bare", viaMain: true },
  { kind: "own", viaMain: true },
];

/** The number of a kind of neighbour in a letter. */
export function kindNumber(kind: NeighbourKind, viaMain: boolean): number {
  return KINDS.findIndex((k) => k.kind === kind && k.viaMain === viaMain);
}

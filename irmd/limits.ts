/**
 * What users share, in one place: how much there is of each thing, and how much of that only administrators get. The
 * configuration may say other totals (`[irmd]`).
 *
 * Pure.
 */

import { Share } from "./shares.ts";

/** Totals that the configuration may set. */
export interface Totals {
  /** Connections to irm.sock, silent ones and those whose request is being served. */
  readonly connections: number;
  /** Announced processes. */
  readonly processes: number;
  /** Bytes in /dev/shm: pools of users, flow sets, ring buffers. */
  readonly memory: number;
  /** Costly signatures and key exchanges that wait for their turn or are under way. */
  readonly exchanges: number;
}

/** Totals when nothing is said. */
export const TOTALS = { connections: 4096, processes: 4096, exchanges: 64 } as const;

/** Of a total, what only administrators get: 1 of 16 parts. */
const KEPT = 16;
/** Descriptors of the daemon that are for other things than connections: 1 of 4. */
const OTHER_DESCRIPTORS = 4;

/** The shares of a running daemon; flow ids are shared in the registry. */
export interface Shares {
  readonly connections: Share;
  readonly processes: Share;
  /** Counted by `Objects`. */
  readonly memory: Share;
  /** Counted by `Costly`. */
  readonly exchanges: Share;
}

/**
 * @param totals as the configuration says
 * @param descriptors how many the daemon may have
 * @param shmBytes what there is for others in /dev/shm
 */
export function sharesOf(
  totals: Partial<Totals>,
  descriptors: number,
  shmBytes: number,
): Shares {
  const all: Totals = { ...TOTALS, memory: shmBytes, ...totals };
  const share = (total: number) => new Share(total, Math.ceil(total / KEPT));
  const room = Math.max(8, Math.floor(descriptors - descriptors / OTHER_DESCRIPTORS));
  return {
    connections: share(Math.min(all.connections, room)),
    processes: share(all.processes),
    memory: share(all.memory),
    exchanges: share(all.exchanges),
  };
}

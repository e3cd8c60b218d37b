/**
 * Waiting for an acceptor of a name, with start of its program on demand (spec 20 §8.3, §11).
 *
 * A name nobody is bound to and no program is started for is not waited for at all (spec 20 §19.21), and a
 * program is started at once when nothing is bound to its name yet.
 */

import { Errno } from "../lib/errno.ts";
import type { Client } from "./client.ts";
import type { Daemon } from "./daemon.ts";
import type { Reservation } from "./registry/mod.ts";
import { settled } from "./waits.ts";

/** How long a bound process may take to accept, ms (spec 20 §1). */
export const ACCEPTOR_MS = 1000;
/** How long a program may take from its start to its accept, ms: ours start slower than C programs. */
export const STARTED_MS = 4000;

/** What became of it. */
export type Acceptor =
  | { readonly kind: "reserved"; readonly reservation: Reservation }
  /** Not for a direct flow: another user's process, or the requester itself. */
  | { readonly kind: "foreign" }
  /** The requester's connection is gone. */
  | { readonly kind: "hang-up" }
  | { readonly kind: "failed"; readonly code: number; readonly why?: string };

/**
 * Reserves a pending accept.
 *
 * @param client whose hang-up ends the wait
 * @param endMs deadline of the requester, ms
 * @param direct the requesting process when the flow is to be direct
 */
export async function findAcceptor(
  d: Daemon,
  name: string,
  client: Client | undefined,
  endMs: number,
  direct?: { readonly pid: number; readonly uid: number },
): Promise<Acceptor> {
  let record = d.registry.names.get(name);
  let started = false;
  let leftMs = ACCEPTOR_MS;
  for (;;) {
    if (record === undefined) return { kind: "failed", code: -Errno.ENAME };
    if (!started && record.procs.size === 0) {
      if (record.autostart.length === 0) return { kind: "failed", code: -Errno.ETIMEDOUT };
      started = true;
      const why = start(d, name, record.autostart[0]!);
      if (why !== undefined) return { kind: "failed", code: -Errno.EPERM, why };
      leftMs = STARTED_MS;
    }
    const waiter = d.registry.awaitAcceptor(name, direct);
    d.settle();
    let hungUp = false;
    const outcome = await settled(
      waiter,
      client,
      Math.min(leftMs, endMs - d.nowMs()),
      (by) => {
        hungUp = by === "hang-up";
        d.registry.endAcceptorWait(name, waiter);
      },
    );
    if (outcome.kind !== "failed") return outcome;
    if (hungUp) return { kind: "hang-up" };
    if (outcome.code !== -Errno.ETIMEDOUT || started || d.nowMs() >= endMs) return outcome;
    record = d.registry.names.get(name);
    const argv = record?.autostart[0];
    if (argv === undefined) return outcome;
    started = true;
    const why = start(d, name, argv);
    if (why !== undefined) return { kind: "failed", code: -Errno.EPERM, why };
    leftMs = STARTED_MS;
  }
}

function start(d: Daemon, name: string, argv: readonly string[]): string | undefined {
  d.log.info(`Starting ${argv[0]} for ${name}.`);
  return d.children.startProgram(argv);
}

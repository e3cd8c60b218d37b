/**
 * Waiting for an acceptor of a name, with start of its program on demand (spec 20 §8.3, §11).
 *
 * A name nobody is bound to and no program is started for is not waited for at all (spec 20 §19.21), and a
 * program is started at once when nothing is bound to its name yet.
 */

import { Errno } from "../lib/errno.ts";
import type { Client } from "./client.ts";
import type { Daemon } from "./daemon.ts";
import type { Reservation, Started } from "./registry/mod.ts";
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
  let started: Started | undefined;
  for (;;) {
    if (record === undefined) return { kind: "failed", code: -Errno.ENAME };
    if (started === undefined && record.procs.size === 0) {
      if (record.autostart.length === 0) return { kind: "failed", code: -Errno.ETIMEDOUT };
      const r = start(d, name, record.autostart[0]!);
      if (typeof r === "string") return { kind: "failed", code: -Errno.EPERM, why: r };
      started = r;
    }
    const servedBefore = record.served;
    const waiter = d.registry.awaitAcceptor(name, direct);
    let hungUp = false;
    const watch = started === undefined ? () => {} : d.children.onEnd(started.pid, (code) => {
      started!.status = code;
      // One that has put itself into the background ends well and accepts later.
      if (code !== 0) d.registry.endAcceptorWait(name, waiter);
    });
    const outcome = await settled(
      waiter,
      client,
      Math.min(started === undefined ? ACCEPTOR_MS : STARTED_MS, endMs - d.nowMs()),
      (by) => {
        hungUp = by === "hang-up";
        d.registry.endAcceptorWait(name, waiter);
      },
    );
    watch();
    if (outcome.kind !== "failed") return outcome;
    if (hungUp) return { kind: "hang-up" };
    if (outcome.code !== -Errno.ETIMEDOUT) return outcome;
    const inTime = d.nowMs() < endMs;
    // A server that accepts one after the other will come to this one: more at once than it can take in the time.
    if (inTime && record.served !== servedBefore) {
      record = d.registry.names.get(name);
      continue;
    }
    if (started !== undefined) return { ...outcome, why: whyNot(started) };
    if (!inTime) return outcome;
    record = d.registry.names.get(name);
    const argv = record?.autostart[0];
    if (argv === undefined) return outcome;
    const r = start(d, name, argv);
    if (typeof r === "string") return { kind: "failed", code: -Errno.EPERM, why: r };
    started = r;
  }
}

function start(d: Daemon, name: string, argv: readonly string[]): Started | string {
  const record = d.registry.names.get(name);
  const before = record?.starting;
  // One start a name at a time: whoever comes meanwhile waits for the same.
  if (before !== undefined && before.status === undefined && d.nowMs() < before.untilMs) {
    return before;
  }
  d.log.info(`Starting ${argv[0]} for ${name}.`);
  const pid = d.children.startProgram(argv);
  if (typeof pid === "string") return pid;
  const untilMs = d.nowMs() + STARTED_MS;
  const started: Started = { pid, path: argv[0]!, status: undefined, untilMs };
  if (record !== undefined) record.starting = started;
  return started;
}

function whyNot({ path, status }: Started): string {
  return status === undefined
    ? `${path} was started and does not accept in time`
    : `${path} was started and ended with status ${status} before it accepted`;
}

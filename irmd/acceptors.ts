/**
 * Waiting for an acceptor of a name, with start of its program on demand (spec 20 §8.3, §11).
 *
 * A name nobody is bound to and no program is started for is not waited for at all (spec 20 §19.21), and a
 * program is started at once when nothing is bound to its name yet.
 */

import { Errno } from "../lib/errno.ts";
import type { Client } from "./client.ts";
import type { Daemon } from "./daemon.ts";
import type { AutoStart, Reservation, Started } from "./registry/mod.ts";
import { settled } from "./waits.ts";

/** How long a bound process may take to accept, ms (spec 20 §1). */
export const ACCEPTOR_MS = 1000;
/** How long a program may take from its start to its accept, ms: ours start slower than C programs. */
export const STARTED_MS = 4000;

/** How long a program may run without ever accepting, ms; then it is ended. */
export const NEVER_ACCEPTED_MS = 8000;
/** Programs of a name that run at the same time because it started them. */
const RUNNING_MAX = 8;
/** Pause after a start that came to nothing, ms; it doubles with each in a row. */
const PAUSE_FIRST_MS = 250;
const PAUSE_MOST_MS = 30_000;
/** From being asked to end to being killed, ms. */
const GRACE_MS = 1000;

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
    if (direct === undefined && record.active.length === 0 && !record.hasSeat(d.nowMs())) {
      return { kind: "failed", code: -Errno.EBUSY, why: `too many requests wait for "${name}"` };
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
      Math.min(
        (started === undefined ? ACCEPTOR_MS : STARTED_MS) * d.options.patience,
        endMs - d.nowMs(),
      ),
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
    const program = record?.autostart[0];
    if (program === undefined) return outcome;
    const r = start(d, name, program);
    if (typeof r === "string") return { kind: "failed", code: -Errno.EPERM, why: r };
    started = r;
  }
}

function start(d: Daemon, name: string, program: AutoStart): Started | string {
  const record = d.registry.names.get(name)!;
  const path = program.argv[0]!;
  const nowMs = d.nowMs();
  // One start a name at a time: whoever comes meanwhile waits for the same.
  const before = record.started.at(-1);
  if (before !== undefined && !before.accepted) {
    return nowMs < before.untilMs ? before : `${path} was started and does not accept`;
  }
  if (nowMs < record.startPauseMs) {
    const sec = Math.ceil((record.startPauseMs - nowMs) / 1000);
    return `${path} came to nothing ${record.startFailures} times, it is tried again in ${sec} s`;
  }
  if (record.started.length >= RUNNING_MAX) {
    return `${record.started.length} processes of ${path} run for it already and none accepts`;
  }
  d.log.info(`Starting ${path} for ${name}.`);
  const pid = d.children.startProgram(program.argv, program.as);
  if (typeof pid === "string") return pid;
  const untilMs = nowMs + STARTED_MS * d.options.patience;
  const started: Started = { pid, path, status: undefined, accepted: false, untilMs };
  record.started.push(started);
  const deadline = setTimeout(() => {
    if (started.accepted) return;
    d.log.warn(`Ending ${path} (${pid}): it never accepted for ${name}.`);
    d.children.stopProgram(pid, GRACE_MS);
  }, NEVER_ACCEPTED_MS * d.options.patience);
  d.children.onEnd(pid, (code) => {
    clearTimeout(deadline);
    started.status = code;
    record.started.splice(record.started.indexOf(started), 1);
    // One that has put itself into the background ends well, and something accepts later.
    if (started.accepted || code === 0) record.startFailures = 0;
    else {
      const pauseMs = Math.min(PAUSE_FIRST_MS * 2 ** record.startFailures, PAUSE_MOST_MS);
      record.startFailures += 1;
      record.startPauseMs = d.nowMs() + pauseMs;
    }
  });
  return started;
}

function whyNot({ path, status }: Started): string {
  return status === undefined
    ? `${path} was started and does not accept in time`
    : `${path} was started and ended with status ${status} before it accepted`;
}

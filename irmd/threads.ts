/**
 * Threads of processes that the kernel lets the IRMd watch (IRM_THREAD, our addition): each holds a connection, which the
 * kernel closes with the thread. Then what the thread asked for and what it got ends, as if its process had died; a
 * process that a Worker announced leaves with its last thread.
 */

import { THREAD_ANNOUNCED } from "../lib/codes.ts";
import { invalid, type Outcome } from "./answer.ts";
import type { Client } from "./client.ts";
import type { Daemon } from "./daemon.ts";
import { giveUp, notAnnounced } from "./flows.ts";
import { processExit } from "./names.ts";
import type { FlowRecord, ProcRecord } from "./registry/mod.ts";
import type { Having } from "./requests.ts";

/** Numbers of a process that are remembered, ended ones included: a request may come later than the end of its thread. */
const THREADS_MAX = 4096;

/** One thread. */
interface Thread {
  ended: boolean;
  /** Those whose requests are being served. */
  readonly clients: Set<Client>;
  /** By id. */
  readonly flows: Map<number, FlowRecord>;
}

/** Those of one process. */
interface Threads {
  readonly byNumber: Map<number, Thread>;
  live: number;
  /** A thread announced the process, so nobody else says its farewell. */
  leaves: boolean;
}

/** By the record of the process: it goes with that. */
const threadsOf = new WeakMap<ProcRecord, Threads>();

/** Serves IRM_THREAD: there is no reply, the request lasts as long as the connection. */
export function watchThread(
  d: Daemon,
  client: Client,
  msg: Having<"pid" | "thread">,
): Outcome | Promise<Outcome> {
  const stage = "thread";
  const proc = d.registry.procs.get(msg.pid);
  if (proc === undefined) return invalid(stage, notAnnounced(msg.pid));
  let threads = threadsOf.get(proc);
  if (threads === undefined) {
    threads = { byNumber: new Map(), live: 0, leaves: false };
    threadsOf.set(proc, threads);
  }
  const { byNumber } = threads;
  if (byNumber.has(msg.thread)) return invalid(stage, `thread ${msg.thread} is known already`);
  if (byNumber.size >= THREADS_MAX && !forgetOldest(byNumber)) {
    return invalid(stage, `the process has ${byNumber.size} threads`);
  }
  const thread: Thread = { ended: false, clients: new Set(), flows: new Map() };
  byNumber.set(msg.thread, thread);
  threads.live += 1;
  if (((msg.opts ?? 0) & THREAD_ANNOUNCED) !== 0) threads.leaves = true;
  return new Promise((resolve) => {
    client.onHangup(() => {
      ended(d, proc, threads, thread);
      resolve(undefined);
    });
  });
}

function forgetOldest(byNumber: Map<number, Thread>): boolean {
  for (const [number, { ended }] of byNumber) {
    if (!ended) continue;
    byNumber.delete(number);
    return true;
  }
  return false;
}

function ended(d: Daemon, proc: ProcRecord, threads: Threads, thread: Thread): void {
  thread.ended = true;
  threads.live -= 1;
  // One that said farewell, or whose pid is another's now, has no flows any more.
  if (d.registry.procs.get(proc.pid) !== proc) return;
  for (const client of [...thread.clients]) client.hangUp();
  let n = 0;
  for (const flow of thread.flows.values()) {
    if (!d.registry.flows.holds(flow)) continue;
    giveUp(d, flow, proc.pid);
    n += 1;
  }
  thread.flows.clear();
  if (n > 0) d.log.info(`A thread of process ${proc.pid} ended with ${n} flows.`);
  if (threads.leaves && threads.live === 0) processExit(d, proc.pid);
}

/** Serves a request for a flow for the thread that it names, if it does: it ends with the thread. */
export async function forThread(
  d: Daemon,
  client: Client,
  msg: Having<"flowInfo">,
  serve: () => Promise<Outcome>,
): Promise<Outcome> {
  const proc = d.registry.procs.get(msg.flowInfo.nPid);
  const thread = proc === undefined || msg.thread === undefined
    ? undefined
    : threadsOf.get(proc)?.byNumber.get(msg.thread);
  if (thread === undefined) return await serve();
  if (thread.ended) return undefined;
  thread.clients.add(client);
  try {
    const outcome = await serve();
    if (thread.ended as boolean) {
      // Its connection is still open, for the process lives.
      outcome?.undelivered?.();
      return undefined;
    }
    const id = outcome?.msg.flowInfo?.id;
    const flow = id === undefined ? undefined : d.registry.flows.get(id);
    if (flow !== undefined) thread.flows.set(flow.id, flow);
    return outcome;
  } finally {
    thread.clients.delete(client);
  }
}

/** A flow was deallocated in order. */
export function leaveThread(d: Daemon, pid: number, flowId: number): void {
  const proc = d.registry.procs.get(pid);
  const threads = proc === undefined ? undefined : threadsOf.get(proc);
  for (const { flows } of threads?.byNumber.values() ?? []) flows.delete(flowId);
}

/**
 * Joins a flow to its near end, in both directions at once. Each direction ends on its own: the end of
 * input becomes the end of what the flow sends, and the other way round.
 */

import { fileCause, reasonOf } from "../../lib/cli/reason.ts";
import { Errno, OuroError } from "../../lib/errno.ts";
import type { Flow } from "../../lib/flow/flow.ts";
import type { Local } from "./side.ts";

/** How a joint ended. */
export type Joint =
  /** Both sides had said all. */
  | { readonly kind: "complete" }
  /** Nobody reads standard output any more. */
  | { readonly kind: "unread" }
  | { readonly kind: "stopped" }
  | { readonly kind: "broken"; readonly cause: string };

const COMPLETE: Joint = { kind: "complete" };

/** Carries bytes until both sides have ended, or something breaks. Does not close the flow. */
export async function join(flow: Flow, local: Local, stop: AbortSignal): Promise<Joint> {
  const abort = new AbortController();
  const signal = AbortSignal.any([stop, abort.signal]);
  const stopped = new Promise<Joint>((resolve) => {
    if (stop.aborted) resolve({ kind: "stopped" });
    stop.addEventListener("abort", () => resolve({ kind: "stopped" }));
  });
  const sending = send(flow, local, signal);
  const receiving = receive(flow, local, signal);
  // A command that has ended takes nothing more; what it said is sent first.
  const over = local.ended.then(() => sending);
  const both = Promise.all([sending, receiving]).then(() => COMPLETE);
  // A peer that has said all and closed the flow wants nothing more, whatever could still be said.
  const closed = receiving.then(() => flow.closed).then(() => COMPLETE);
  const broken = (error: unknown): Joint =>
    error instanceof Deno.errors.BrokenPipe
      ? { kind: "unread" }
      : { kind: "broken", cause: causeOf(error) };
  const joint = await Promise.race([both, over.then(() => COMPLETE), closed, stopped]).catch(
    broken,
  );
  for (const promise of [both, over, closed]) promise.catch(() => {});
  abort.abort();
  if (joint.kind !== "complete") local.abort();
  return joint;
}

async function send(flow: Flow, local: Local, signal: AbortSignal): Promise<void> {
  const reader = local.readable.getReader();
  const cancel = () => void reader.cancel().catch(() => {});
  signal.addEventListener("abort", cancel);
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      for (let at = 0; at < value.length; at += flow.streamBytes) {
        await flow.write(value.subarray(at, at + flow.streamBytes), { signal });
      }
    }
  } finally {
    signal.removeEventListener("abort", cancel);
  }
  if (signal.aborted) return;
  if (flow.isReliable) await flow.closeWrite({ signal });
}

async function receive(flow: Flow, local: Local, signal: AbortSignal): Promise<void> {
  for (;;) {
    let message: Uint8Array;
    try {
      message = await flow.read({ signal });
    } catch (error) {
      const ends = error instanceof OuroError &&
        (error.code === -Errno.ENODATA || error.code === -Errno.EFLOWDOWN && !flow.isReliable);
      if (!ends) throw error;
      await local.closeWrite();
      return;
    }
    await local.write(message);
  }
}

function causeOf(error: unknown): string {
  if (!(error instanceof OuroError)) return fileCause(error);
  return error.code === -Errno.EFLOWDOWN
    ? "the peer closed the flow before it had said that it sends no more"
    : reasonOf(error);
}

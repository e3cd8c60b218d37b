/** How servers accept flows: one after the other, with patience for an IRMd that is away for a while. */

import { OuroError } from "../lib/errno.ts";
import { Flow } from "../lib/flow/flow.ts";
import type { FlowOptions } from "../lib/flow/options.ts";
import { complain, print, reason } from "./console.ts";
import { pause, type Stop } from "./session.ts";

/** Without an IRMd for so long, a server gives up, ms. */
const IRMD_LOST_MS = 10_000;
/** Pause after a failed accept, ms. */
const ACCEPT_PAUSE_MS = 1000;

/** What the calls of one server know of each other. */
interface Accepting {
  failingSinceMs: number | undefined;
  told: number;
  enough: boolean;
}

/**
 * Accepts flows until the stop or until `take` wants no more. Each failure is told once. Resolves to the
 * exit code: 1 when it gave up, which asks for the stop as well.
 * @param atOnce calls that wait at the same time: the IRMd refuses a flow for which none does
 */
export async function acceptFlows(
  options: FlowOptions,
  stop: Stop,
  take: (flow: Flow) => "go on" | "enough",
  atOnce = 1,
): Promise<number> {
  const state: Accepting = { failingSinceMs: undefined, told: 0, enough: false };
  const calls = Array.from({ length: atOnce }, () => acceptOn(options, stop, take, state));
  return Math.max(...await Promise.all(calls));
}

async function acceptOn(
  options: FlowOptions,
  stop: Stop,
  take: (flow: Flow) => "go on" | "enough",
  state: Accepting,
): Promise<number> {
  while (!stop.requested && !state.enough) {
    try {
      const flow = await Flow.accept({ ...options, signal: stop.signal });
      state.failingSinceMs = undefined;
      state.told = 0;
      state.enough = take(flow) === "enough";
    } catch (error) {
      if (stop.requested) return 0;
      if (!(error instanceof OuroError)) throw error;
      state.failingSinceMs ??= performance.now();
      if (error.code !== state.told) {
        state.told = error.code;
        print("Failed to accept flow.\n");
        complain(`Failed to accept flow: ${reason(error)}`);
      }
      if (performance.now() - state.failingSinceMs > IRMD_LOST_MS) {
        stop.request();
        return 1;
      }
      await pause(ACCEPT_PAUSE_MS, stop.signal);
    }
  }
  return 0;
}

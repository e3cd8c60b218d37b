/** The thread that does costly arithmetic for the daemon: one job after the other, each answered with its parts. */

import { doCostly } from "../security/costly.ts";
import type { CostlyJob, CostlyParts } from "../security/costly_work.ts";

/** What the thread says: what came of a job, or why it could not do it. */
export type CostlyReport =
  | { readonly kind: "done"; readonly parts: CostlyParts }
  | { readonly kind: "failed"; readonly cause: string };

const scope = globalThis as unknown as {
  onmessage: ((e: MessageEvent<CostlyJob>) => void) | null;
  postMessage(report: CostlyReport): void;
};

scope.onmessage = async ({ data: job }) => {
  try {
    scope.postMessage({ kind: "done", parts: await doCostly(job) });
  } catch (e) {
    scope.postMessage({ kind: "failed", cause: e instanceof Error ? e.message : String(e) });
  } finally {
    if (job.kind === "sign") job.der.fill(0);
    if (job.kind === "group-secret") job.exponent.fill(0);
  }
};

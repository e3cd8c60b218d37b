/**
 * What the data workers have in common: wait for the one message that says what to do, run until the order
 * to stop, report. While it runs, a worker's thread never returns to its event loop.
 */

import type { WorkerInit, WorkerReport } from "./plane.ts";

/** The worker's own global, of which only these two are used. */
const scope = globalThis as unknown as {
  onmessage: ((e: MessageEvent<WorkerInit>) => void) | null;
  postMessage(report: WorkerReport): void;
};

/** Tell the main thread. */
export function report(r: WorkerReport): void {
  scope.postMessage(r);
}

/** Serve: `prepare` sets up from the message and gives the loop to run. */
export function serve(prepare: (init: WorkerInit) => () => void): void {
  scope.onmessage = (e) => {
    try {
      const run = prepare(e.data);
      report({ say: "ready" });
      run();
      report({ say: "stopped" });
    } catch (error) {
      report({ say: "failed", why: error instanceof Error ? error.message : String(error) });
    }
  };
}

/**
 * What the data workers have in common: wait for the one message that says what to do, run until the order
 * to stop, report. While it runs, a worker's thread never returns to its event loop.
 */

import { shortSlices } from "../../lib/sys/slices.ts";
import type { WorkerInit, WorkerReport } from "./plane.ts";
import { PortContext } from "./port.ts";
import type { ThreadParts } from "./ports.ts";
import { FlowTable, OrderRing } from "./table.ts";

/** The worker's own global, of which only these two are used. */
const scope = globalThis as unknown as {
  onmessage: ((e: MessageEvent<WorkerInit>) => void) | null;
  postMessage(report: WorkerReport): void;
};

/** Tell the main thread. */
export function report(r: WorkerReport): void {
  scope.postMessage(r);
}

/** Serve: `prepare` sets up and gives the loop to run, which returns after the order to stop. */
export function serve(
  prepare: (init: WorkerInit, parts: ThreadParts) => (() => void) | Promise<() => void>,
): void {
  scope.onmessage = async ({ data: init }) => {
    try {
      // Packets of all processes wait while this thread waits for a processor.
      shortSlices();
      const context = new PortContext(init.instance, init.pid);
      const run = await prepare(init, {
        context,
        table: new FlowTable(init.table),
        orders: new OrderRing(init.orders),
        counters: new Int32Array(init.counters),
        closed: (flowId) => report({ say: "closed", flowId }),
        tooLong: (packets) => report({ say: "too_long", packets }),
      });
      report({ say: "ready" });
      run();
      context.close();
      report({ say: "stopped" });
    } catch (error) {
      report({ say: "failed", why: error instanceof Error ? error.message : String(error) });
    }
  };
}

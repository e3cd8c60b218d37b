/** The data worker of a broadcast IPCP. */

import { OuroProcess, partsOfProcess } from "../../../lib/flow/process.ts";
import { FlowSetShm } from "../../../lib/shm/flow_set.ts";
import { Mailbox } from "../../data/mailbox.ts";
import { report, serve } from "../../data/worker.ts";
import { BroadcastNode } from "../node.ts";
import { BroadcastPath } from "./path.ts";
import type { BroadcastStart } from "./start.ts";

serve((init, parts) => {
  const start = init.extra as BroadcastStart;
  const set = FlowSetShm.open(init.instance, init.pid);
  const process = OuroProcess.join(start.process);
  const random = new Uint32Array(1);
  const path = new BroadcastPath(
    {
      parts,
      set,
      process: partsOfProcess(process),
      mailbox: new Mailbox(start.mailbox),
      events: {
        lower: (flowId, events) => report({ say: "lower", flowId, events }),
        carries: (flowId, bytes) => report({ say: "carries", flowId, bytes }),
        released: (flowId) => report({ say: "released", flowId }),
      },
    },
    new BroadcastNode(() => crypto.getRandomValues(random)[0]!),
    (flowId, bytes) =>
      report({ say: "mgmt", from: Uint8Array.of(flowId >>> 8, flowId & 0xff), bytes }),
  );
  return () => {
    path.run();
    process.close();
    set.close();
  };
});

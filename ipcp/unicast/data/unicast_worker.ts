/** The data worker of a unicast IPCP. */

import { OuroProcess, partsOfProcess } from "../../../lib/flow/process.ts";
import { FlowSetShm } from "../../../lib/shm/flow_set.ts";
import { dtPciLayout } from "../../../lib/wire/dt_pci.ts";
import { Mailbox } from "../../data/mailbox.ts";
import { report, serve } from "../../data/worker.ts";
import { type Congestion, NO_CONGESTION } from "../congestion.ts";
import { Forwarder } from "../forward.ts";
import { mark, MbEcn } from "../mb_ecn.ts";
import { DataStats } from "../stats.ts";
import { BUCKETS_LIVE, ForwardTable, HopStates } from "../table.ts";
import { UnicastPath } from "./path.ts";
import type { UnicastStart } from "./start.ts";

const MB_ECN: Congestion = { flow: (nowNs) => new MbEcn(nowNs), mark };

serve((init, parts) => {
  const start = init.extra as UnicastStart;
  const set = FlowSetShm.open(init.instance, init.pid);
  const process = OuroProcess.join(start.process);
  const congestion = start.congestion === "none" ? NO_CONGESTION : MB_ECN;
  const forwarder = new Forwarder(
    start.self,
    dtPciLayout(start.addrBytes, start.eidBytes),
    start.ttlMax,
    start.spread,
    congestion,
    new ForwardTable(BUCKETS_LIVE, start.routes),
    new HopStates(0, start.states),
  );
  const path = new UnicastPath(
    {
      parts,
      set,
      process: partsOfProcess(process),
      mailbox: new Mailbox(start.mailbox),
      events: {
        lower: (flowId, events) => report({ say: "lower", flowId, events }),
        released: (flowId) => report({ say: "released", flowId }),
      },
    },
    start.self,
    forwarder,
    congestion,
    new DataStats(start.stats),
    (eid, bytes) => report({ say: "mgmt", from: Uint8Array.of(eid), bytes }),
  );
  return () => {
    path.run();
    process.close();
    set.close();
  };
});

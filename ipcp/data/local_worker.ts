/** Worker of the local IPCP: from one process to the other. The loop is in `local_path.ts`. */

import { FlowSetShm } from "../../lib/shm/flow_set.ts";
import { LocalPath } from "./local_path.ts";
import { PortContext } from "./port.ts";
import { FlowTable, OrderRing } from "./table.ts";
import { report, serve } from "./worker.ts";

serve((init) => {
  const context = new PortContext(init.instance, init.pid);
  const set = FlowSetShm.open(init.instance, init.pid, true);
  const path = new LocalPath(
    context,
    new FlowTable(init.table),
    new OrderRing(init.orders),
    new Int32Array(init.counters),
    set,
    (flowId) => report({ say: "closed", flowId }),
  );
  return () => {
    path.run();
    set.close();
    context.close();
  };
});

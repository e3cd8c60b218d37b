/** Worker of a shim IPCP: from the processes to the network. The loop is in `shim_tx.ts`. */

import { FlowSetShm } from "../../lib/shm/flow_set.ts";
import { NetSocket } from "../../lib/sys/netsock.ts";
import { framingOf } from "./framing.ts";
import { PortContext } from "./port.ts";
import { ShimTx } from "./shim_tx.ts";
import { FlowTable, OrderRing } from "./table.ts";
import { report, serve } from "./worker.ts";

serve((init) => {
  const counters = new Int32Array(init.counters);
  const context = new PortContext(init.instance, init.pid);
  const set = FlowSetShm.open(init.instance, init.pid, true);
  const tx = new ShimTx(
    context,
    new FlowTable(init.table),
    new OrderRing(init.orders),
    counters,
    set,
    NetSocket.adopt(init.fd),
    framingOf(init.framing!, counters),
    (flowId) => report({ say: "closed", flowId }),
  );
  return () => {
    tx.run();
    set.close();
    context.close();
  };
});

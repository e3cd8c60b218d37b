/** Worker of a shim IPCP: from the network to the processes. The loop is in `shim_rx.ts`. */

import { NetSocket } from "../../lib/sys/netsock.ts";
import { framingOf } from "./framing.ts";
import { PortContext } from "./port.ts";
import { ShimRx } from "./shim_rx.ts";
import { FlowTable, OrderRing } from "./table.ts";
import { report, serve } from "./worker.ts";

serve((init) => {
  const counters = new Int32Array(init.counters);
  const context = new PortContext(init.instance, init.pid);
  const rx = new ShimRx(
    context,
    new FlowTable(init.table),
    new OrderRing(init.orders),
    counters,
    NetSocket.adopt(init.fd),
    init.wakeFd,
    framingOf(init.framing!, counters),
    {
      closed: (flowId) => report({ say: "closed", flowId }),
      mgmt: (from, bytes) => report({ say: "mgmt", from, bytes }),
    },
  );
  return () => {
    rx.run();
    context.close();
  };
});

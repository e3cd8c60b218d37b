/** Worker of a shim IPCP: from the processes to the network. */

import { FlowSetShm } from "../../lib/shm/flow_set.ts";
import { NetSocket } from "../../lib/sys/netsock.ts";
import { framingOf } from "./framing.ts";
import { ShimTx } from "./shim_tx.ts";
import { serve } from "./worker.ts";

serve((init, parts) => {
  const set = FlowSetShm.open(init.instance, init.pid);
  const framing = framingOf(init.framing!);
  const tx = new ShimTx(parts, set, NetSocket.adopt(init.fd), framing);
  return () => {
    tx.run();
    set.close();
  };
});

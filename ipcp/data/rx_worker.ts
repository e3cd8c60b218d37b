/** Worker of a shim IPCP: from the network to the processes. */

import { NetSocket } from "../../lib/sys/netsock.ts";
import { framingOf } from "./framing.ts";
import { ShimRx } from "./shim_rx.ts";
import { report, serve } from "./worker.ts";

serve((init, parts) => {
  const framing = framingOf(init.framing!);
  const socket = NetSocket.adopt(init.fd);
  const rx = new ShimRx(parts, socket, init.wakeFd, framing, (from, bytes) => {
    report({ say: "mgmt", from, bytes });
  });
  return () => rx.run();
});

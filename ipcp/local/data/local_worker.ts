/** Worker of the local IPCP: from one process to the other. */

import { FlowSetShm } from "../../../lib/shm/flow_set.ts";
import { LocalPath } from "./path.ts";
import { serve } from "../../data/worker.ts";

serve((init, parts) => {
  const set = FlowSetShm.open(init.instance, init.pid);
  const path = new LocalPath(parts, set);
  return () => {
    path.run();
    set.close();
  };
});

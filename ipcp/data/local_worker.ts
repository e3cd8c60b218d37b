/** Worker of the local IPCP: from one process to the other. */

import { FlowSetShm } from "../../lib/shm/flow_set.ts";
import { LocalPath } from "./local_path.ts";
import { serve } from "./worker.ts";

serve((init, parts) => {
  const set = FlowSetShm.open(init.instance, init.pid);
  const path = new LocalPath(parts, set);
  return () => {
    path.run();
    set.close();
  };
});

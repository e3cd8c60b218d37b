/** The data worker of a broadcast IPCP. */

import { serveMember } from "../../data/member_worker.ts";
import { report } from "../../data/worker.ts";
import { BroadcastNode } from "../node.ts";
import { BroadcastPath } from "./path.ts";

serveMember((parts) => {
  const random = new Uint32Array(1);
  return new BroadcastPath(
    parts,
    new BroadcastNode(() => crypto.getRandomValues(random)[0]!),
    (flowId, bytes) =>
      report({ say: "mgmt", from: Uint8Array.of(flowId >>> 8, flowId & 0xff), bytes }),
  );
});

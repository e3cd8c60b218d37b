/** The data worker of a unicast IPCP. */

import { PolicyKind } from "../../../lib/codes.ts";
import { dtPciLayout } from "../../../lib/wire/dt_pci.ts";
import { serveMember } from "../../data/member_worker.ts";
import { report } from "../../data/worker.ts";
import { type Congestion, NO_CONGESTION } from "../congestion.ts";
import { Forwarder } from "../forward.ts";
import { BEST_HOP, type Forwarding, HOP_BY_FLOW } from "../forwarding.ts";
import { mark, MbEcn } from "../mb_ecn.ts";
import { describeError, makePolicy } from "../policy/make.ts";
import { GuardedCongestion, GuardedForwarding } from "../policy/congestion.ts";
import { Guard } from "../policy/guard.ts";
import { DataStats } from "../stats.ts";
import { BUCKETS_LIVE, ForwardTable, HopStates } from "../table.ts";
import { UnicastPath } from "./path.ts";
import type { UnicastStart } from "./start.ts";

const MB_ECN: Congestion = { flow: (nowNs) => new MbEcn(nowNs), mark };

/** The policies of the way of packets: the shipped ones, or those from files with the shipped ones behind them. */
async function policiesOf(
  start: UnicastStart,
): Promise<{ congestion: Congestion; forwarding: Forwarding }> {
  let congestion = start.congestion === "none" ? NO_CONGESTION : MB_ECN;
  let forwarding = start.spread ? HOP_BY_FLOW : BEST_HOP;
  const say = (line: string) => report({ say: "policy_left", line });
  for (const compiled of start.policies) {
    const made = await makePolicy(compiled);
    if ("bad" in made) throw new Error(made.bad); // The main thread has made it already.
    const instead = start.shipped[compiled.kind]!;
    const guard = new Guard(made.name, made.turns, instead, say, describeError);
    if (compiled.kind === PolicyKind.CONGESTION) {
      congestion = new GuardedCongestion(made.policy as Congestion, guard, congestion);
    } else forwarding = new GuardedForwarding(made.policy as Forwarding, guard, forwarding);
  }
  return { congestion, forwarding };
}

serveMember(async (parts, start: UnicastStart) => {
  const { congestion, forwarding } = await policiesOf(start);
  const forwarder = new Forwarder(
    start.self,
    dtPciLayout(start.addrBytes, start.eidBytes),
    start.ttlMax,
    forwarding,
    congestion,
    new ForwardTable(BUCKETS_LIVE, start.routes),
    new HopStates(0, start.states),
  );
  return new UnicastPath(
    parts,
    start.self,
    forwarder,
    congestion,
    new DataStats(start.stats),
    (eid, bytes) => report({ say: "mgmt", from: Uint8Array.of(eid), bytes }),
  );
});

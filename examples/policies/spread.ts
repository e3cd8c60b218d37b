/**
 * A forwarding policy of one's own: each packet takes the next of the ways that routing found, whatever flow it is of
 * (`ecmp` keeps the packets of a flow together, so that they stay in order). In the simulator:
 * `deno task sim --seeds 20 --forwarding examples/policies/spread.ts`; live: `irm ipcp bootstrap … routing ecmp forwarding FILE`
 * (`docs/policies.md`).
 */

import type { Forwarding } from "../../ipcp/unicast/forwarding.ts";

let turn = 0;

/** The policy. */
export const forwarding: Forwarding = {
  choose: (_hops, n) => {
    turn = (turn + 1) % 0x10000;
    return turn % n;
  },
};

/** What a layer carries in one packet, from what the layers below it carry. Pure. */

import { NO_SDU_LIMITS, type SduLimits } from "../../lib/irm/messages.ts";

/** What is left of what a flow below carries when `headBytes` of each packet are ours. */
export function lessHead(limits: SduLimits, headBytes: number): SduLimits {
  const { sduBytesMax, sduBytesWhole } = limits;
  if (sduBytesMax === undefined) return NO_SDU_LIMITS;
  const max = { sduBytesMax: Math.max(1, sduBytesMax - headBytes) };
  if (sduBytesWhole === undefined) return max;
  return { ...max, sduBytesWhole: Math.max(1, sduBytesWhole - headBytes) };
}

/** What every flow below carries; those that tell no limit do not count. */
export function leastOf(all: Iterable<SduLimits>): SduLimits {
  let most = Infinity;
  let whole = Infinity;
  for (const { sduBytesMax, sduBytesWhole } of all) {
    if (sduBytesMax === undefined) continue;
    most = Math.min(most, sduBytesMax);
    whole = Math.min(whole, sduBytesWhole ?? sduBytesMax);
  }
  if (most === Infinity) return NO_SDU_LIMITS;
  return whole < most ? { sduBytesMax: most, sduBytesWhole: whole } : { sduBytesMax: most };
}

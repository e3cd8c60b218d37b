/** Names as tests of the IRMd make them. */

import { PolLb } from "../../lib/irm/messages.ts";

/** What makes a name, without paths of security files. */
export function nameInfo(name: string, polLb: number = PolLb.ROUND_ROBIN) {
  return { name, polLb, skey: "", scrt: "", ckey: "", ccrt: "" };
}

/**
 * An address policy of one's own: addresses that people can read. The IPCP `net.7` gets 0x10007; a name without a number
 * gets one of its letters. In the simulator: `deno task sim --seeds 20 --addr_auth examples/policies/address_of_name.ts`;
 * live: `irm ipcp bootstrap … addr_auth FILE` (`docs/policies.md`). Numbers must differ, as a layer's addresses do.
 */

import type { AddressPolicy } from "../../ipcp/unicast/address.ts";

const FIRST = 0x10000;

/** The policy. */
export const address: AddressPolicy = ({ name, random }) => {
  const number = /(\d{1,5})$/.exec(name)?.[1];
  if (number !== undefined) return FIRST + Number(number);
  // Two words that add up the same must not be one address.
  let sum = random() & 0xfff;
  for (const letter of name) sum = (sum * 31 + letter.codePointAt(0)!) & 0xfffffff;
  return FIRST + 100_000 + sum;
};

// As many flows over one unicast IPCP as a host is to carry.

import { assertFair } from "../../../support/unicast_path.ts";

Deno.test("four thousand flows beside a greedy one: each gets its packets through", () => {
  assertFair(4000);
});

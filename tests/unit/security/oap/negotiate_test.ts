/** What the two sides agree on, whatever the other one offers. */

import { assert } from "@std/assert";
import { cipherByNid, CIPHERS } from "../../../../lib/wire/oap_ids.ts";
import { type EncConf, EncConfError, parseEncConf } from "../../../../security/enc_conf.ts";
import { agree, checkResponse, isRefusal } from "../../../../security/oap/negotiate.ts";

/** What a file with these lines says; undefined when it is refused. */
function conf(text: string): EncConf | undefined {
  const parsed = parseEncConf(new TextEncoder().encode(text));
  return parsed instanceof EncConfError ? undefined : parsed.conf;
}

Deno.test("refuse-ctr: no file that says it agrees to a cipher without integrity, on either side", () => {
  const own = CIPHERS.map(({ word }) => conf(`cipher = ${word}\nrefuse-ctr = yes\n`))
    .filter((c) => c !== undefined);
  assert(own.length > 0);
  for (const side of own) {
    for (const { nid, tagBytes } of CIPHERS) {
      for (const clientEncap of [false, true]) {
        const offer = { cipherNid: nid, kdfNid: side.kdfNid, clientEncap, hasKex: true };
        const agreed = agree(offer, side);
        assert(isRefusal(agreed) || cipherByNid(agreed.cipherNid)!.tagBytes > 0);
      }
      assert(tagBytes > 0 || isRefusal(checkResponse(nid, side.kdfNid, side)));
    }
  }
});

/** The directory in a layer that grows: other nodes are nearest to its names then, and are told them. */

import { assertEquals } from "@std/assert";
import { Dht } from "../../../../ipcp/unicast/dht/dht.ts";
import { encode, parse } from "../../../../lib/wire/dht_msg.ts";
import { isWireError } from "../../../../lib/wire/mod.ts";
import { defaultSettings } from "../../../../sim/layer.ts";
import { Prng } from "../../../../sim/prng.ts";

const HASH = new Uint8Array(32).fill(1);
const OTHER = { id: new Uint8Array(32).fill(2), addr: 7 };

Deno.test("names of ours are made known again soon when the layer grows by a quarter, not when it grows less", () => {
  for (const [members, again] of [[10, false], [11, true]] as const) {
    const random = new Prng(7);
    const self = { id: new Uint8Array(32).fill(3), addr: 1 };
    const dht = new Dht(0, self, { ...defaultSettings().dht, peer: 0 }, 1e9, () => random.u32());
    const addrs = (n: number) => Array.from({ length: n }, (_, i) => OTHER.addr + i);
    const stores = (fromUs: number, toUs: number) => {
      let n = 0;
      for (let nowUs = fromUs; nowUs < toUs; nowUs += 10_000) {
        if (dht.deadlineUs() <= nowUs) dht.onTimer(nowUs);
        for (let e = dht.poll(); e !== undefined; e = dht.poll()) {
          if (e.kind !== "send" || e.dst !== OTHER.addr) continue;
          const m = parse(e.bytes, 32);
          if (!isWireError(m) && m.kind === "store") n++;
        }
      }
      return n;
    };
    dht.onMembers(0, addrs(8));
    const hello = { kind: "find_node_req", src: OTHER, cookie: 1n, key: OTHER.id } as const;
    dht.onMessage(1e6, encode(hello));
    dht.register(5e6, HASH);
    assertEquals(stores(5e6, 8e6), 1);
    dht.onMembers(8e6, addrs(members));
    assertEquals(stores(8e6, 9.2e6), again ? 1 : 0, `${members}`);
  }
});

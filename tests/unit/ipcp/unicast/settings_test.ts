/** What a layer may be configured with: each value below and above its range is refused with the range (spec 60 §19 W5). */

import { assert, assertEquals } from "@std/assert";
import { isBadSetting, readSettings } from "../../../../ipcp/unicast/settings.ts";
import { IpcpType } from "../../../../lib/codes.ts";

interface Changes {
  readonly dt?: Record<string, unknown>;
  readonly ls?: Record<string, number>;
  readonly dht?: Record<string, number | bigint>;
  readonly unicast?: Record<string, unknown>;
  readonly layer?: Record<string, unknown>;
}

function read(c: Changes): ReturnType<typeof readSettings> {
  const ls = { pol: 0, tRecalc: 4, tUpdate: 15, tTimeo: 60, ...c.ls };
  const dht = {
    alpha: 3,
    k: 8,
    tExpire: 86_400,
    tRefresh: 900,
    tReplicate: 900,
    peer: 5n,
    ...c.dht,
  };
  const dt = { addrSize: 4, eidSize: 8, maxTtl: 60, routing: { pol: 0, ls }, ...c.dt };
  const unicast = { dt, dir: { pol: 0, dht }, addrAuthType: 0, congAvoid: 1, ...c.unicast };
  const layerInfo = { name: "net", dirHashAlgo: 1, ...c.layer };
  return readSettings({ layerInfo, ipcpType: IpcpType.UNICAST, unicast });
}

const RANGES: readonly (readonly [keyof Changes, string, number, number])[] = [
  ["dt", "addrSize", 4, 4],
  ["dt", "maxTtl", 1, 255],
  ["ls", "pol", 0, 2],
  ["ls", "tRecalc", 1, 86_400],
  ["ls", "tUpdate", 1, 59],
  ["ls", "tTimeo", 16, 86_400],
  ["dht", "alpha", 1, 10],
  ["dht", "k", 1, 20],
  ["dht", "tExpire", 10, 86_400],
  ["dht", "tRefresh", 3, 3600],
  ["dht", "tReplicate", 3, 3600],
  ["unicast", "addrAuthType", 0, 0],
  ["unicast", "congAvoid", 0, 1],
  ["layer", "dirHashAlgo", 0, 3],
];

Deno.test("readSettings() takes the ends of each range and names the value and the range beyond them", () => {
  for (const [where, name, least, most] of RANGES) {
    for (const value of [least, most]) {
      assert(!isBadSetting(read({ [where]: { [name]: value } })), `${name} = ${value}`);
    }
    for (const value of [least - 1, most + 1, 0xffffffff]) {
      const settings = read({ [where]: { [name]: value } });
      const bad = "bad" in settings ? settings.bad : "";
      assert(bad.includes(`${value}`) && / not /.test(bad), `${name} = ${value}: ${bad}`);
    }
  }
});

Deno.test("readSettings() refuses an address of more than 4 bytes, parts that are missing, a layer without name", () => {
  for (
    const changes of [
      { dht: { peer: 0x1_0000_0000n } },
      { dt: { routing: { pol: 0 } } },
      { unicast: { dir: { pol: 0 } } },
      { layer: { name: "" } },
    ]
  ) assert(isBadSetting(read(changes)), Deno.inspect(changes));
});

Deno.test("readSettings() overrides an eid_size other than 8, as the prototype does", () => {
  const settings = read({ dt: { eidSize: 4 } });
  assertEquals("bad" in settings ? settings.bad : settings.eidBytes, 8);
});

// Reports of packets that were too long: at once, then seldom, and none is forgotten.

import { assertEquals } from "@std/assert";
import { describe, LongPacketReports, type LongPackets } from "../../../ipcp/data/long_packets.ts";
import { QUIET_US } from "../../../ipcp/now_and_then.ts";

Deno.test("LongPacketReports tells the first packet at once and later ones once a minute, with their number", () => {
  const told: LongPackets[] = [];
  let nowNs = 5;
  const reports = new LongPacketReports("out", (r) => void told.push(r), () => nowNs);
  reports.add(7, 1497, 1496);
  for (let i = 0; i < 1000; i++) reports.add(8, 1500 + i, 1496);
  assertEquals(told, [{ way: "out", flowId: 7, bytes: 1497, limitBytes: 1496, count: 1 }]);
  nowNs += QUIET_US * 1000 - 1000;
  reports.add(8, 1, 0);
  assertEquals(told.length, 1);
  nowNs += 1000;
  reports.add(9, 700, 596);
  assertEquals(told.slice(1), [
    { way: "out", flowId: 9, bytes: 700, limitBytes: 596, count: 1002 },
  ]);
});

Deno.test("describe() names size and limit", () => {
  const r = { way: "out", flowId: 7, bytes: 1600, limitBytes: 1496, count: 1 } as const;
  assertEquals(
    describe(r),
    "Dropped a packet of 1600 bytes of flow 7: the layer carries at most 1496.",
  );
  assertEquals(
    describe({ ...r, count: 12 }),
    "Dropped 12 packets, the last of 1600 bytes of flow 7: the layer carries at most 1496.",
  );
  assertEquals(
    describe({ ...r, way: "in", flowId: 0 }),
    "Dropped a packet of 1600 bytes from the network: at most 1496 fit.",
  );
});

// What the data path counts, as another thread reads it.

import { assertEquals } from "@std/assert";
import { Above, componentPlace, DataStats, Transfer } from "../../../../ipcp/unicast/stats.ts";
import { FLOW_IDS_MAX } from "../../../../lib/limits.ts";

Deno.test("endpoints, cubes and flows above are counted apart, and read from the same memory", () => {
  const mine = new DataStats();
  const theirs = new DataStats(mine.buffer);
  mine.transfer(7, 2, Transfer.sent, 100);
  mine.transfer(7, 2, Transfer.sent, 20);
  mine.transfer(FLOW_IDS_MAX - 1, 0, Transfer.noHop, 1);
  mine.transfer(componentPlace(1), 0, Transfer.localReceived, 5);
  mine.above(7, Above.receiveFailed, 9);
  mine.update(7, Above.updatesSent);
  assertEquals(theirs.transferred(7, 2, Transfer.sent), [2, 120]);
  assertEquals(theirs.transferred(7, 1, Transfer.sent), [0, 0]);
  assertEquals(theirs.transferred(7, 2, Transfer.received), [0, 0]);
  assertEquals(theirs.transferred(FLOW_IDS_MAX - 1, 0, Transfer.noHop), [1, 1]);
  assertEquals(theirs.transferred(componentPlace(1), 0, Transfer.localReceived), [1, 5]);
  assertEquals(theirs.counted(7, Above.receiveFailed), [1, 9]);
  assertEquals(theirs.counted(7, Above.updatesSent)[0], 1);
  assertEquals(theirs.counted(8, Above.receiveFailed), [0, 0]);
});

Deno.test("a flow that takes the id of another begins at zero; others keep what they have", () => {
  const stats = new DataStats();
  for (const id of [6, 7, 8]) {
    for (let cube = 0; cube < 3; cube++) stats.transfer(id, cube, Transfer.noHop, 3);
    stats.above(id, Above.sent, 3);
    stats.words[stats.congestionAt(id) + 5] = 1;
  }
  stats.clearTransfer(7);
  stats.clearAbove(7);
  assertEquals([6, 7, 8].map((id) => stats.transferred(id, 2, Transfer.noHop)[0]), [1, 0, 1]);
  assertEquals([6, 7, 8].map((id) => stats.counted(id, Above.sent)[0]), [1, 0, 1]);
  assertEquals([6, 7, 8].map((id) => stats.congestion(id)[5]), [1, 0, 1]);
});

Deno.test("a cube that nobody knows counts as the first", () => {
  const stats = new DataStats();
  stats.transfer(7, 255, Transfer.received, 4);
  assertEquals(stats.transferred(7, 0, Transfer.received), [1, 4]);
  assertEquals(stats.transferred(8, 0, Transfer.received), [0, 0]);
});

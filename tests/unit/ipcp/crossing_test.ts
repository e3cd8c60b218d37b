/** The queue of management messages to the main thread: what a flood leaves to others, in counts. */

import { assert, assertEquals } from "@std/assert";
import { crossed, Crossing, MGMT_PENDING_MAX } from "../../../ipcp/data/crossing.ts";
import { Counter } from "../../../ipcp/data/table.ts";

/** Of it a /24 is the network; with this seed none of the addresses below shares a place with another. */
const SEED = 1;

function setup() {
  const counters = new Int32Array(Counter.words);
  const queue = new Crossing(counters, SEED);
  const shareOf = (...address: number[]) => queue.shareOf(Uint8Array.from(address), 0, 3, 4);
  /** Puts in up to `max` messages of an address; how many there was room for. */
  const put = (share: number, max = Infinity) => {
    let n = 0;
    for (; n < max && queue.hasRoom(share); n++) queue.take(share);
    return n;
  };
  return { counters, shareOf, put };
}

Deno.test("crossing: one address leaves room for its neighbours, and they for other networks", () => {
  const { counters, shareOf, put } = setup();
  const flood = [1, 2, 3].map((host) => put(shareOf(127, 9, 0, host)));
  assertEquals(flood, [MGMT_PENDING_MAX / 4, MGMT_PENDING_MAX / 8, MGMT_PENDING_MAX / 16]);
  // One network has half at most; whoever comes from elsewhere finds as much as is left.
  for (let host = 4; host < 64; host++) put(shareOf(127, 9, 0, host));
  assert(counters[Counter.mgmtPending]! <= MGMT_PENDING_MAX / 2);
  assertEquals(put(shareOf(10, 0, 0, 1)), MGMT_PENDING_MAX / 4);
});

Deno.test("crossing: when all is in use, what gets free is for those who have nothing there", () => {
  const { counters, shareOf, put } = setup();
  const flood = Array.from({ length: 40 }, (_, k) => shareOf(10, 0, k, 1));
  for (const share of flood) put(share);
  assertEquals(counters[Counter.mgmtPending], MGMT_PENDING_MAX);
  crossed(counters, flood[0]!);
  assertEquals(put(flood[0]!), 0);
  assertEquals(put(flood[1]!), 0);
  assertEquals(put(shareOf(192, 0, 2, 7)), 1);
});

Deno.test("crossing: what has crossed makes room for its sender again, and nothing stays", () => {
  const { counters, shareOf, put } = setup();
  const share = shareOf(192, 0, 2, 7);
  const n = put(share);
  crossed(counters, share);
  assertEquals(put(share), 1);
  for (let k = 0; k < n; k++) crossed(counters, share);
  assert(counters.every((count) => count === 0));
});

Deno.test("crossing: networks spread over the places, whatever their bytes", () => {
  const { shareOf } = setup();
  const used = new Set<number>();
  for (let k = 0; k < 256; k++) used.add(shareOf(10, 0, k, 1) & 0xffff);
  assert(used.size > 128, `${used.size} places`);
});

/** Our sender of mb-ecn alone; how flows share is in tests/sim/layer, what is on the wire in the vectors. */

import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { MbEcn } from "../../../../ipcp/unicast/mb_ecn.ts";

/** Bytes a second that a greedy sender gets through in some time. */
function greedy(flow: MbEcn, fromNs: number, sec: number, each?: (nowNs: number) => void): number {
  let now = fromNs;
  let bytes = 0;
  while (now < fromNs + sec * 1e9) {
    now += Math.max(flow.onSend(now, 1000), 1000);
    bytes += 1000;
    each?.(now);
  }
  return bytes / sec;
}

Deno.test("a greedy sender that is told nothing grows; one that is told of a queue slows down", () => {
  const free = new MbEcn(0);
  const told = new MbEcn(0);
  told.onUpdate(20);
  assert(greedy(free, 0, 0.1) > 4e6);
  let packets = 0;
  const rate = greedy(told, 0, 4, () => {
    if (++packets % 8 === 0) told.onUpdate(32 * 30);
  });
  assert(rate < 1e6, `${rate} bytes/s into a queue of 480 packets`);
});

Deno.test("a sender that does not use its rate does not gain one", () => {
  const flow = new MbEcn(0);
  flow.onUpdate(5);
  const before = flow.rate;
  for (let ms = 0; ms < 60_000; ms += 100) assertEquals(flow.onSend(ms * 1e6, 1000), 0);
  assert(flow.rate <= before * 1.2, `${flow.rate} after a minute of little, ${before} before`);
});

Deno.test("what was told is forgotten after a second; a flow comes back from the smallest rate", () => {
  const flow = new MbEcn(0);
  greedy(flow, 0, 3, () => flow.onUpdate(8000));
  const low = flow.rate;
  assert(low < 10_000 && low > 100, `${low}`);
  greedy(flow, 4e9, 20);
  assert(flow.rate > 1e5, `${flow.rate}`);
});

Deno.test("whatever is told, a pause is at most a second and the rate stays a number", () => {
  fc.assert(fc.property(fc.array(fc.nat(0xffff), { maxLength: 300 }), (told) => {
    const flow = new MbEcn(0);
    let now = 0;
    for (const ece of told) {
      flow.onUpdate(ece);
      const wait = flow.onSend(now, 1 + ece % 1500);
      assert(wait >= 0 && wait <= 1e9);
      now += wait + ece * 1000;
      assert(flow.rate > 0 && flow.rate < 1e12);
    }
  }));
});

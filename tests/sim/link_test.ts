/** The parts of the simulator that do harm really do it, as asked and the same for the same seed. */
import { assert, assertEquals } from "@std/assert";
import { EventQueue } from "../../sim/event_queue.ts";
import { Link, type LinkOptions } from "../../sim/link.ts";
import { Prng } from "../../sim/prng.ts";

const PACKETS = 20_000;

/** Sends numbered packets a millisecond apart; what arrived, when. */
function run(o: LinkOptions, seed = 7): { link: Link; got: number[]; atUs: number[] } {
  const queue = new EventQueue();
  const got: number[] = [];
  const atUs: number[] = [];
  const link = new Link(queue, new Prng(seed), o, (p) => {
    got.push(new DataView(p.buffer).getUint32(0));
    atUs.push(queue.nowUs);
  });
  for (let i = 0; i < PACKETS; i++) {
    queue.at(i * 1000, () => {
      const p = new Uint8Array(100);
      new DataView(p.buffer).setUint32(0, i);
      link.send(p);
    });
  }
  while (queue.step()) { /* to the end */ }
  return { link, got, atUs };
}

function near(got: number, wanted: number): void {
  assert(Math.abs(got - wanted) < wanted * 0.2, `${got}, wanted about ${wanted}`);
}

Deno.test("Link without faults only delays", () => {
  const { got, atUs } = run({ delayUs: 500 });
  assertEquals(got, Array.from({ length: PACKETS }, (_, i) => i));
  assertEquals(atUs.slice(0, 3), [500, 1500, 2500]);
});

Deno.test("Link loses the share asked for, in bursts or not", () => {
  near(run({ delayUs: 1, loss: 0.05 }).link.dropped, PACKETS * 0.05);
  const { got, link } = run({ delayUs: 1, burst: 0.01, burstPackets: 20 });
  near(link.dropped, PACKETS * (0.01 * 20) / (1 + 0.01 * 20));
  let longest = 0;
  for (let i = 1; i < got.length; i++) longest = Math.max(longest, got[i]! - got[i - 1]! - 1);
  assert(longest >= 20, `longest burst ${longest}`);
});

Deno.test("Link duplicates and reorders", () => {
  const twice = run({ delayUs: 1, duplicate: 0.1 });
  near(twice.got.length - PACKETS, PACKETS * 0.1);
  const mixed = run({ delayUs: 10, reorder: 0.2, reorderUs: 5000 }).got;
  let inversions = 0;
  for (let i = 1; i < mixed.length; i++) if (mixed[i]! < mixed[i - 1]!) inversions++;
  assert(inversions > PACKETS * 0.05, `${inversions} inversions`);
  assertEquals(new Set(mixed).size, PACKETS);
});

Deno.test("Link heals, has outages, and a rate", () => {
  const half = run({ delayUs: 1, loss: 1, healUs: PACKETS * 500 }).got;
  assertEquals([half[0], half.length], [PACKETS / 2, PACKETS / 2]);
  const out = run({ delayUs: 1, outages: [[1_000_000, 2_000_000]] }).got;
  assertEquals(out.length, PACKETS - 1000);
  // 100 bytes at 400 kbit/s take 2 ms; sent each 1 ms they queue.
  const slow = run({ delayUs: 0, rate: 400_000 }).atUs;
  assertEquals(slow.at(-1), PACKETS * 2000);
});

Deno.test("Link does the same for the same seed, and something else for another", () => {
  const o = { delayUs: 5, jitterUs: 3000, loss: 0.1, duplicate: 0.1 };
  assertEquals(run(o, 1), run(o, 1));
  assert(run(o, 1).got.join() !== run(o, 2).got.join());
});

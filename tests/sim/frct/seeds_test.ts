/**
 * FRCT over thousands of random worlds: everything delivered once and in order (reliable), nothing twice or out of order
 * (unreliable), no stall, no spurious flow-down, bounded retransmission, prompt close, every buffer given back.
 *
 * OURO_SEED=n replays one seed; OURO_SIM_SEEDS=n runs that many; OURO_SIM_FIRST is the first one.
 */
import { assert } from "@std/assert";
import { runSeed, sound } from "./scenario.ts";
import { BROKEN, broken } from "./broken.ts";
import { Violation } from "./world.ts";

const SEEDS_DEFAULT = 8000;
const one = Deno.env.get("OURO_SEED");
const count = Number(Deno.env.get("OURO_SIM_SEEDS") ?? SEEDS_DEFAULT);
const first = Number(Deno.env.get("OURO_SIM_FIRST") ?? 1);

if (one !== undefined) {
  Deno.test(`FRCT simulation, seed ${one}`, () => void runSeed(Number(one)));
} else {
  Deno.test(`FRCT simulation keeps its promises over ${count} seeds`, () => {
    let worlds = 0;
    let dropped = 0;
    for (let seed = first; seed < first + count; seed++) {
      const w = runSeed(seed);
      worlds++;
      dropped += w.ab.dropped + w.ba.dropped;
    }
    assert(worlds === count && dropped > count, "the paths did no harm");
  });
}

for (const kind of BROKEN) {
  Deno.test(`FRCT simulation finds an endpoint that ${kind}`, () => {
    const log = console.error;
    console.error = () => {};
    try {
      for (let seed = 1; seed <= 200; seed++) {
        try {
          runSeed(seed, (config) => broken(kind, sound(config)));
        } catch (e) {
          assert(e instanceof Violation, `${e}`);
          return;
        }
      }
    } finally {
      console.error = log;
    }
    assert(false, "200 seeds found nothing");
  });
}

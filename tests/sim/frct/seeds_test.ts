// deno-lint-ignore-file no-console -- it prints what it finds
/**
 * FRCT over thousands of random worlds: everything delivered once and in order (reliable), nothing twice or out of order
 * (unreliable), no stall, no spurious flow-down, bounded retransmission, prompt close, every buffer given back.
 *
 * OURO_SEED=n replays one seed; OURO_SIM_SEEDS=n runs that many; OURO_SIM_FIRST is the first one.
 */
import { assert } from "@std/assert";
import { runSeed, scenario, sound } from "./scenario.ts";
import { BROKEN, broken } from "./broken.ts";
import { Violation, World } from "./world.ts";

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

Deno.test("FRCT ends that leave as soon as they may deliver everything, and seldom keep the other waiting", () => {
  const runs = Math.ceil(count / 8);
  let reliable = 0;
  let late = 0;
  for (let seed = first; seed < first + runs; seed++) {
    const o = { ...scenario(seed), abrupt: true };
    if (!o.reliable) continue;
    const w = new World(o);
    w.run(1e15);
    for (const end of [w.a, w.b]) {
      assert(end.delivered === end.peer.app.messages, `seed ${seed}: ${end.name} lost messages`);
    }
    const waitedUs = Math.max(w.a.goneUs, w.b.goneUs) - Math.max(w.a.closedUs, w.b.closedUs);
    assert(waitedUs <= 121e6, `seed ${seed}: close took ${waitedUs / 1e6} s`);
    reliable++;
    if (waitedUs > 60e6) late++;
  }
  assert(late <= reliable / 50, `${late} of ${reliable} waited for R`);
});

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

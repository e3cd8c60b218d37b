// deno-lint-ignore-file no-console -- it prints what it finds
/**
 * Ours against the model of the prototype's FRCT (prototype.ts): over paths with loss, reordering and duplication both ends
 * deliver everything, although the prototype stalls with itself. The traps of spec 31 §11 that one end alone cannot
 * avoid are kept out: its applications read at once and call write at least every 100 ms, and runs are shorter than its
 * limits of inactivity.
 */
import { assert } from "@std/assert";
import type { LinkOptions } from "../../../sim/link.ts";
import { Prng } from "../../../sim/prng.ts";
import { broken } from "./broken.ts";
import { Prototype } from "./prototype.ts";
import { sound } from "./scenario.ts";
import { Violation, World, type WorldOptions } from "./world.ts";

const SEEDS = Math.ceil(Number(Deno.env.get("OURO_SIM_SEEDS") ?? 5000) / 5);
const START_US = 1000e6;

function options(seed: number): WorldOptions {
  const r = new Prng(seed ^ 0x0c0ffee);
  const path = (): LinkOptions => {
    const delayUs = r.pick([5, 50, 500, 5_000, 20_000]);
    const o: LinkOptions = { delayUs };
    if (r.chance(0.5)) o.jitterUs = delayUs * r.next();
    if (r.chance(0.5)) o.loss = r.pick([0.002, 0.01, 0.05]);
    if (r.chance(0.3)) o.duplicate = 0.1;
    if (r.chance(0.3)) {
      o.reorder = 0.1;
      o.reorderUs = delayUs * 3;
    }
    return o;
  };
  const messages = () => r.pick([1, 5, 40, 150, 400]);
  const echo = r.chance(0.5);
  const n = messages();
  return {
    seed,
    reliable: true,
    ab: path(),
    ba: path(),
    a: {
      messages: n,
      bytesMax: 64,
      everyUs: r.pick([0, 100, 3_000, 30_000]),
      // Late first data after acknowledgements: the prototype's record must not be spoilt by them (§10.1).
      writeFromUs: START_US + r.pick([0, 0, 50_000, 300_000]),
    },
    // Its rendez-vous depends on the application calling write.
    b: echo
      ? { messages: n, bytesMax: 64, echo: true }
      : { messages: messages(), bytesMax: 64, everyUs: r.pick([1_000, 20_000]) },
    make: (config, end) => end === 0 ? sound(config) : new Prototype(config),
    foreign: "b",
  };
}

Deno.test(`FRCT delivers both ways with a model of the prototype over ${SEEDS} seeds`, () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const o = options(seed);
    const w = new World(o);
    try {
      w.run(START_US + 120e6);
      for (const end of [w.a, w.b]) {
        if (end.delivered !== end.peer.app.messages) {
          throw new Violation(`${end.name} got ${end.delivered} of ${end.peer.app.messages}`);
        }
      }
      if (w.a.goneUs === Infinity) throw new Violation("our close hangs");
    } catch (e) {
      if (!(e instanceof Violation)) throw e;
      const again = new World({ ...o, trace: true });
      try {
        again.run(START_US + 120e6);
      } catch (_) { /* the same violation */ }
      console.error(`seed ${seed}: ${JSON.stringify(o)}\n${again.trace.slice(-60).join("\n")}`);
      throw new Violation(`seed ${seed}: ${e.message}`);
    }
  }
});

Deno.test("two models of the prototype lose messages where ours and a model do not", () => {
  let stalled = 0;
  for (let seed = 1; seed <= 60; seed++) {
    const w = new World({
      ...options(seed),
      make: (config) => new Prototype(config),
      foreign: "both",
    });
    try {
      w.run(START_US + 120e6);
      if (w.a.delivered !== w.b.app.messages || w.b.delivered !== w.a.app.messages) stalled++;
    } catch (e) {
      if (!(e instanceof Violation)) throw e;
      stalled++;
    }
  }
  assert(stalled > 0, "the model has none of the prototype's traps: it proves nothing");
});

Deno.test("an endpoint that breaks rule 1 of 31 §10 fails with the model of the prototype", () => {
  for (let seed = 1; seed <= 200; seed++) {
    const o = options(seed);
    const w = new World({
      ...o,
      foreign: "both",
      make: (config, end) =>
        end === 0
          ? broken("sends bare packets without DRF first", sound(config))
          : new Prototype(config),
    });
    w.run(START_US + 100e6);
    if (w.b.delivered !== w.a.app.messages) return;
  }
  assert(false, "200 seeds found nothing");
});

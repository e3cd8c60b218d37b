// deno-lint-ignore-file no-console -- a program, which prints
/** Scenarios from seeds, and the verdict on a run. */
import { type BufferPool, createFrct, type FrctEndpoint } from "../../../lib/frct/mod.ts";
import type { LinkOptions } from "../../../sim/link.ts";
import { Prng } from "../../../sim/prng.ts";
import { type AppOptions, Violation, World, type WorldOptions } from "./world.ts";

const START_US = 1000e6;
/** Faults end at the latest here; after it the flow has to come to its end. */
const HEAL_US = START_US + 60e6;

/** The endpoint under test. */
export function sound(config: {
  reliable: boolean;
  mplMs: number;
  initialSeqno: number;
  buffers: BufferPool;
}): FrctEndpoint {
  return createFrct(1, config);
}

/** The scenario of a seed: what the paths do, what the applications do. */
export function scenario(seed: number, make: WorldOptions["make"] = sound): WorldOptions {
  const r = new Prng(seed ^ 0x9e3779b9);
  const reliable = r.chance(0.75);
  const path = (): LinkOptions => {
    const delayUs = r.pick([5, 50, 500, 5_000, 20_000, 80_000]);
    const o: LinkOptions = { delayUs, healUs: HEAL_US };
    if (r.chance(0.5)) o.jitterUs = delayUs * r.next();
    if (r.chance(0.6)) o.loss = r.pick([0.002, 0.01, 0.05, 0.1]);
    if (r.chance(0.25)) {
      o.burst = 0.01;
      o.burstPackets = r.between(2, 40);
    }
    if (r.chance(0.3)) o.duplicate = r.pick([0.01, 0.1, 0.5]);
    if (r.chance(0.3)) {
      o.reorder = r.pick([0.01, 0.1, 0.5]);
      o.reorderUs = delayUs * r.pick([1, 3, 10]);
    }
    if (r.chance(0.2)) o.rate = r.pick([1e6, 10e6, 100e6]);
    if (r.chance(0.1)) {
      const from = START_US + r.below(2_000_000);
      o.outages = [[from, from + r.pick([10_000, 1_000_000, 15_000_000])]];
    }
    return o;
  };
  const app = (): AppOptions => {
    const o: AppOptions = {
      messages: r.pick([0, 1, 5, 40, 150, 400]),
      bytesMax: r.pick([4, 16, 64, 200]),
    };
    if (r.chance(0.4)) o.everyUs = r.pick([100, 1_000, 7_000, 30_000]);
    if (r.chance(0.2)) o.writeFromUs = START_US + r.pick([8_000, 300_000, 5_000_000]);
    if (r.chance(0.15)) o.readEveryUs = r.pick([50, 1_000, 9_000]);
    if (r.chance(0.1)) o.readFromUs = START_US + r.between(1, 20) * 1_000_000;
    return o;
  };
  const a = app();
  const b = app();
  if (a.messages === 0 && b.messages === 0) a.messages = 40;
  if (r.chance(0.25)) {
    b.echo = true;
    b.messages = reliable ? a.messages : 0;
    delete b.everyUs;
  }
  return { seed, reliable, ab: path(), ba: path(), a, b, make };
}

/** Runs a scenario to its end and judges it; throws {@linkcode Violation}. */
export function judge(o: WorldOptions): World {
  const w = new World(o);
  // Longest honest pauses after healing: one RTO at full back-off; slow readers need their time.
  const slow = (x: AppOptions, y: AppOptions) =>
    x.messages * (x.everyUs ?? 0) + x.messages * (y.readEveryUs ?? 0);
  const rate = Math.min(o.ab.rate ?? 1e9, o.ba.rate ?? 1e9);
  const bits = (o.a.messages + o.b.messages) * 8 * 1500;
  const extraUs = slow(o.a, o.b) + slow(o.b, o.a) + (bits / rate) * 4e6 + 130e6;
  w.run(HEAL_US + extraUs);
  for (const [end, peer] of [[w.a, w.b], [w.b, w.a]] as const) {
    const what = `${end.name} ${JSON.stringify(end.ep.stats(w.queue.nowUs))}`;
    if (end.written < end.app.messages && end.app.echo !== true) {
      throw new Violation(`stall: wrote ${end.written} of ${end.app.messages}: ${what}`);
    }
    if (o.reliable && end.delivered !== peer.app.messages) {
      throw new Violation(`stall: got ${end.delivered} of ${peer.app.messages}: ${what}`);
    }
    if (end.goneUs === Infinity) throw new Violation(`close hangs: ${what}`);
    const wasted = end.packets - end.written;
    const link = end === w.a ? w.ab : w.ba;
    const back = end === w.a ? w.ba : w.ab;
    // Each packet of the peer, lost packet, or second of the run may cost a few packets; copies on lossy paths two each.
    const bound = 6 * (link.dropped + back.dropped) + 2 * back.sent + 3 * end.written +
      2 * (link.reordered + back.reordered) + 200;
    if (wasted > bound) {
      throw new Violation(`storm: ${wasted} extra packets, ${bound} allowed: ${what}`);
    }
  }
  const closing = Math.max(w.a.goneUs, w.b.goneUs) - Math.max(w.a.closedUs, w.b.closedUs);
  const roundTripUs = worstUs(o.ab) + worstUs(o.ba);
  const clean = lossless(o.ab) && lossless(o.ba);
  // Without loss one round trip and an ACK delay; else a time-out may have to back off.
  if (closing > (clean ? roundTripUs * 2 + 1_100_000 : 130e6)) {
    throw new Violation(`close took ${closing / 1e6} s`);
  }
  if (w.buffers.live !== 0) throw new Violation(`${w.buffers.live} buffers leaked`);
  return w;
}

function worstUs(o: LinkOptions): number {
  return o.delayUs + (o.jitterUs ?? 0) + (o.reorderUs ?? 0) + (o.rate === undefined ? 0 : 5e6);
}

function lossless(o: LinkOptions): boolean {
  return (o.loss ?? 0) === 0 && (o.burst ?? 0) === 0 && o.outages === undefined;
}

/** Runs one seed; on failure prints how to replay it and the end of its packet trace. */
export function runSeed(seed: number, make?: WorldOptions["make"]): World {
  try {
    return judge(scenario(seed, make));
  } catch (e) {
    if (!(e instanceof Violation)) throw e;
    const o = { ...scenario(seed, make), trace: true };
    console.error(
      `seed ${seed}: ${
        JSON.stringify(o)
      }\nreplay: OURO_SEED=${seed} deno test -A tests/sim/frct/seeds_test.ts`,
    );
    const again = new World(o);
    try {
      again.run(HEAL_US + 400e6);
    } catch (_) { /* the same violation */ }
    console.error(again.trace.slice(-60).join("\n"));
    throw new Violation(`seed ${seed}: ${e.message}`);
  }
}
